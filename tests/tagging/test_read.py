"""What is read besides the genre compares by content, so that a lost or changed tag is noticed."""

from __future__ import annotations

import io
from pathlib import Path

import mutagen.id3
import pytest

from music_reclass.containers.sniff import sniff
from music_reclass.containers.structure import Unwritable
from music_reclass.errors import FailTrack
from music_reclass.tagging.read import FileTags, all_tags, genres_of, read_tags, tag_errors
from tests.tagging.samples import COVER, KINDS, id3, id3v1, tagged


def tags_of(data: bytes) -> FileTags:
    return all_tags(io.BytesIO(data), sniff(io.BytesIO(data)))


def test_absent_is_not_empty() -> None:
    assert genres_of(None) is None
    assert genres_of(["", " "]) == ()
    assert genres_of([" Rock", "Rock", "rock"]) == ("Rock", "rock")


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_file_reads_the_same_twice(kind: str) -> None:
    assert tags_of(tagged(kind)) == tags_of(tagged(kind))


@pytest.mark.parametrize("kind", ["mp3 v2.3", "flac", "aac", "wav", "aiff", "wma", "vorbis", "opus"])
def test_one_byte_of_a_cover_is_noticed(kind: str) -> None:
    import base64

    data = tagged(kind)
    for cover in (COVER, base64.b64encode(COVER * 3)):
        at = data.find(cover[2000:2300])
        if at >= 0:
            changed = data[: at + 100] + bytes([data[at + 100] ^ 1]) + data[at + 101 :]
            assert tags_of(changed).rest != tags_of(data).rest
            return
    assert kind in ("flac", "vorbis", "opus")  # their pictures are laid out on pages, or there is none


def test_frames_within_chapters_are_compared_too() -> None:
    data = tagged("mp3 v2.4")
    assert tags_of(data.replace(b"Chapter", b"chapter")).rest != tags_of(data).rest


def test_unknown_and_encrypted_frames_are_compared_too() -> None:
    data = tagged("mp3 v2.3")
    for old in (b"unknown", b"secret"):
        assert tags_of(data.replace(old, old[::-1])).rest != tags_of(data).rest


def test_the_order_of_frames_does_not_matter() -> None:
    def tag(*frames: mutagen.id3.Frame) -> bytes:
        body = b"".join(
            type(one).__name__.encode() + (len(one.text[0]) + 1).to_bytes(4, "big") + b"\0\0\0" + one.text[0].encode()
            for one in frames
        )
        return b"ID3\x03\0\0\0\0\0" + bytes([len(body)]) + body + b"\xff\xfb\x90\x64" + bytes(413)

    title, artist = mutagen.id3.TIT2(text=["a"]), mutagen.id3.TPE1(text=["b"])
    assert tags_of(tag(title, artist)) == tags_of(tag(artist, title))


def test_a_damaged_ape_tag_matters_only_where_it_is_the_tag() -> None:
    import mutagen.apev2

    broken = tagged("mp3 ape").replace(b"Mood\0", b"Mo\xf6d\0")
    with pytest.raises(mutagen.apev2.error):
        tags_of(broken)
    assert tags_of(id3(["Rock"], 4) + broken).tags.title == "A Title ✓"


def test_id3v1_counts_last_and_is_compared_by_its_bytes() -> None:
    stream, oldest = tagged("mp3 ape", ("Jazz",)), id3v1("Short", "Somebody", 17)
    assert tags_of(stream + oldest).tags.genres == tags_of(id3(None, 4) + stream + oldest).tags.genres == ("Jazz",)
    assert tags_of(stream + oldest).tags.artist == "Somebody"
    assert tags_of(tagged("mp3 v1")).rest["ID3v1"] == tagged("mp3 v1")[-128:]


def test_the_id3_version_is_read() -> None:
    versions = {kind: tags_of(tagged(kind)).version for kind in ("mp3 v2.2", "mp3 v2.3", "mp3 v2.4", "mp3 v1", "flac")}
    assert versions == {
        "mp3 v2.2": (2, 2, 0), "mp3 v2.3": (2, 3, 0), "mp3 v2.4": (2, 4, 0), "mp3 v1": None, "flac": None,
    }  # fmt: skip


def test_an_mp4_item_that_the_tag_library_cannot_read_is_compared_too() -> None:
    data = tagged("aac tight")
    at = data.index(b"\xa9nam") + 8  # the name of the atom in the item
    damaged = data[:at] + b"dat!" + data[at + 4 :]
    assert tags_of(damaged).tags.title == ""
    assert tags_of(damaged).rest != tags_of(damaged.replace(b"A Title", b"B Title")).rest


def test_tags_in_a_meta_without_version_are_read_as_other_programs_read_them(tmp_path: Path) -> None:
    path = tmp_path / "tune.m4a"
    path.write_bytes(tagged("aac quicktime meta"))
    found = read_tags(path)
    assert (found.genres, found.title) == (("Other",), "A Title")


def test_a_file_that_is_not_written_to_is_left_alone_with_what_to_do(tmp_path: Path) -> None:
    match = "the genre of tune.m4a cannot be written: it is far; copy it"
    with pytest.raises(FailTrack, match=match) as caught, tag_errors(tmp_path / "tune.m4a"):
        raise Unwritable("it is far; copy it")
    assert caught.value.reason == "unsupported"
