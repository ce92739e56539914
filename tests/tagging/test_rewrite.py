"""What a change is made of, before any file is touched."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from music_reclass.containers.edits import patched
from music_reclass.errors import FailTrack
from music_reclass.features.journal import Change, Intention
from music_reclass.tagging.rewrite import Prepared, current_genres, restore_field, write_genres
from tests.tagging.samples import sample, tagged

PATH = Path("/music/tune")


def prepared(data: bytes, *genres: str) -> Prepared:
    return write_genres(genres)(io.BytesIO(data), PATH)


def result(data: bytes, plan: Prepared) -> bytes:
    return b"".join(patched([data], plan.edits))


def test_before_and_after_are_what_the_file_says_and_will_say() -> None:
    plan = prepared(tagged("flac", ("Other", "Misc")), "Rock", "Jazz")
    assert (plan.format, plan.before, plan.after) == ("flac", ("Other", "Misc"), ("Rock", "Jazz"))
    assert plan.raw_before == (("comment", b"Genre=Other"), ("comment", b"Genre=Misc"))
    assert prepared(tagged("flac", None), "Rock").before is None


def test_an_empty_field_is_not_taken_for_an_absent_one() -> None:
    tag = b"ID3\x03\0\0\0\0\0\x0bTCON\0\0\0\x01\0\0\0"  # the tag library passes this frame over
    data = tag + sample("mp3")[45:]
    assert current_genres(io.BytesIO(data), PATH) == ((), (("TCON/3", b"\0\0\0"),))


def test_the_check_finds_a_wrong_genre_and_a_wrong_neighbour() -> None:
    data = tagged("mp3 v2.3")
    plan = prepared(data, "Rock")
    new = result(data, plan)
    plan.check(io.BytesIO(new))
    for wrong in (new.replace(b"Rock", b"Rook"), new.replace(b"a comment", b"a Comment"), data):
        with pytest.raises(FailTrack) as caught:
            plan.check(io.BytesIO(wrong))
        assert caught.value.reason == "verify"


def test_an_id3v1_tag_is_repeated_in_the_new_id3v2_tag() -> None:
    data = tagged("mp3 v1")
    plan = prepared(data, "Rock")
    new = result(data, plan)
    plan.check(io.BytesIO(new))
    assert new.endswith(data)
    for word in (b"A Title", b"Somebody", b"An Album", b"1999", b"a comment"):
        assert new.count(word) == 2


def test_a_file_that_says_it_already_needs_no_edit() -> None:
    data = tagged("opus", ("Rock",))
    assert prepared(data, "Rock").edits == ()


def test_the_field_alone_can_only_go_back_to_the_same_kind_of_tag() -> None:
    intention = Intention("/music/tune", "mpeg", ("Other",), ("Rock",), (("TCON/3", b"\0\0\0Other"),), "", b"", b"", 0)
    change = Change(1, 1, "written", intention, b"", 0, 0, b"", "")
    from music_reclass.containers.structure import Malformed

    with pytest.raises(Malformed, match="another kind"):
        restore_field(change)(io.BytesIO(tagged("mp3 v2.4")), PATH)


def test_what_is_only_read_is_refused() -> None:
    with pytest.raises(FailTrack) as caught:
        prepared(sample("mka"), "Rock")
    assert caught.value.reason == "unsupported"
