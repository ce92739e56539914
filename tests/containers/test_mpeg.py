"""MP3: frames known from chance, which of the tags is written to, and what a new one says."""

from __future__ import annotations

import io
import random

import mutagen.id3
import pytest

from music_reclass.containers.edits import patched, tidy
from music_reclass.containers.mpeg import Mpeg, first_frames, mpeg_frame
from music_reclass.containers.sniff import sniff
from music_reclass.containers.structure import Malformed
from tests.tagging.samples import id3, id3v1, sample, tagged, without_id3


def rewritten(data: bytes, *genres: str) -> bytes:
    file = io.BytesIO(data)
    container = Mpeg(file, sniff(file))
    raw = container.encode(genres) if genres else ()
    return b"".join(patched([data], tidy(file, container.splice(raw))))


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
            Mpeg(file, sniff(file)).splice((("TCON/3", b"\0\0\0Rock"),))


@pytest.mark.parametrize(
    ("header", "length"),
    [
        ("fffb9064", 417),  # version 1, layer 3, 128 kb/s, 44.1 kHz
        ("fffb9264", 418),  # the same, padded
        ("fff38064", 208),  # version 2, layer 3, 64 kb/s, 22.05 kHz
        ("ffe38464", 72 * 64000 // 12000),  # version 2.5, 12 kHz
        ("fffd9064", 144 * 160000 // 44100),  # layer 2
        ("ffff9064", 12 * 288000 // 44100 * 4),  # layer 1
        ("fff19064", 0),  # ADTS
        ("fffbf064", 0),
        ("fffb9c64", 0),
        ("ffeb9064", 0),
        ("00fb9064", 0),
        ("fffb", 0),
    ],
)
def test_the_length_of_a_frame_follows_from_its_header(header: str, length: int) -> None:
    assert mpeg_frame(bytes.fromhex(header))[0] == length


def found(data: bytes) -> str:
    return first_frames(io.BytesIO(data), 0, len(data))


def test_frames_in_a_row_are_found_behind_refuse() -> None:
    stream = without_id3(sample("mp3"))
    assert found(stream) == "mp3"
    assert found(bytes(3000) + b"\xff\xfb\x90\x64 refuse" + stream) == "mp3"
    assert found(bytes(300_000) + stream) == ""


def test_noise_is_no_mpeg() -> None:
    assert found(random.Random(3).randbytes(1 << 16)) == ""
    assert found(b"\xff" * (1 << 16)) == ""
