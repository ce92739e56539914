"""MP3: which of the tags is written to, and what a new one says."""

from __future__ import annotations

import io

import mutagen.id3
import pytest

from music_reclass.containers import mpeg
from music_reclass.containers.edits import patched, tidy
from music_reclass.containers.sniff import sniff
from music_reclass.containers.structure import Malformed
from tests.tagging.samples import id3, id3v1, sample, tagged, without_id3


def rewritten(data: bytes, *genres: str) -> bytes:
    file = io.BytesIO(data)
    layout = sniff(file)
    raw = mpeg.encode(file, layout, genres) if genres else ()
    return b"".join(patched(file, tidy(file, mpeg.splice(file, layout, raw))))


def test_a_file_without_any_tag_gets_id3v24() -> None:
    stream = without_id3(sample("mp3"))
    new = rewritten(stream, "Rock", "Jazz")
    tag = mutagen.id3.ID3(io.BytesIO(new))
    assert (tag.version, tag["TCON"].genres, list(tag)) == ((2, 4, 0), ["Rock", "Jazz"], ["TCON"])
    assert new.endswith(stream)
    assert rewritten(stream) == stream


def test_an_ape_tag_is_written_to_only_where_there_is_no_id3v2() -> None:
    ape = tagged("mp3 ape")
    assert not rewritten(ape, "Rock").startswith(b"ID3")
    both = id3(["Other"], 3) + ape
    assert rewritten(both, "Rock").endswith(ape)


def test_the_first_of_several_id3_tags_is_the_one() -> None:
    first, second = id3(["One"], 3), id3(["Two"], 4)
    new = rewritten(first + second + without_id3(sample("mp3")), "Rock")
    assert mutagen.id3.ID3(io.BytesIO(new))["TCON"].genres == ["Rock"]
    assert second in new


@pytest.mark.parametrize(("year", "kept"), [(b"1999", True), (b"99  ", False), (b"abcd", False)])
def test_id3v1_fields_are_repeated_where_they_make_sense(year: bytes, kept: bool) -> None:
    old = id3v1("T" * 40, "Ünïque", 17).replace(b"1999", year)
    new = rewritten(without_id3(sample("mp3")) + old, "Rock")
    tag = mutagen.id3.ID3(io.BytesIO(new), load_v1=False)
    assert tag["TIT2"].text == ["T" * 30]
    assert ("TDRC" in tag) == kept
    assert tag["TRCK"].text == ["7"]
    assert tag.getall("COMM")[0].desc == ""
    assert new.endswith(old)


def test_a_field_of_another_kind_of_tag_is_refused() -> None:
    for data in (tagged("mp3 untagged"), tagged("mp3 ape"), tagged("mp3 v2.4")):
        file = io.BytesIO(data)
        with pytest.raises(Malformed, match="another kind"):
            mpeg.splice(file, sniff(file), (("TCON/3", b"\0\0\0Rock"),))
