"""WAV and AIFF: sizes and pad bytes stay right, and files that do not add up are left."""

from __future__ import annotations

import io
import struct

import mutagen.wave
import pytest

from music_reclass.containers import FORMATS
from music_reclass.containers import riff as chunked
from music_reclass.containers.edits import patched, tidy
from music_reclass.containers.riff import chunks
from music_reclass.containers.sniff import sniff
from music_reclass.containers.structure import Malformed
from tests.tagging.samples import riff, sample, tagged


def rewritten(data: bytes, *genres: str) -> bytes:
    file = io.BytesIO(data)
    layout = sniff(file)
    own = FORMATS[layout.container]
    raw = own.encode(file, layout, genres) if genres else ()
    return b"".join(patched(file, tidy(file, own.splice(file, layout, raw))))


def names(data: bytes) -> list[bytes]:
    order = "big" if data[:4] == b"FORM" else "little"
    return [chunk.name for chunk in chunks(io.BytesIO(data), 12, len(data), order)]  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["wav", "wav bare", "wav info", "wav odd", "aiff", "aiff bare"])
@pytest.mark.parametrize("length", range(1, 6))
def test_the_form_fills_the_file_whatever_the_length(kind: str, length: int) -> None:
    new = rewritten(tagged(kind), "x" * length, "y" * 2 * length)
    order = "big" if new[:4] == b"FORM" else "little"
    assert int.from_bytes(new[4:8], order) == len(new) - 8  # type: ignore[arg-type]
    assert len(new) % 2 == 0
    assert set(names(tagged(kind))) <= set(names(new))


def test_a_wav_gets_both_kinds_of_genre() -> None:
    new = rewritten(sample("wav"), "Rock", "Jazz")
    assert names(new)[-2:] == [b"LIST", b"id3 "]
    assert mutagen.wave.WAVE(io.BytesIO(new)).tags["TCON"].genres == ["Rock", "Jazz"]
    assert b"IGNR\x05\0\0\0Rock\0\0" in new


def test_the_info_list_keeps_its_other_entries() -> None:
    new = rewritten(tagged("wav info", ("Other",)), "Rock")
    assert new.count(b"IGNR") == 1
    assert b"INAM\x07\0\0\0A Tune\0\0IGNR\x05\0\0\0Rock\0\0ISFT\x05\0\0\0Lavf\0\0" in new


def test_without_genres_a_file_is_as_bare_as_it_was() -> None:
    assert rewritten(rewritten(sample("aiff"), "Rock")) == sample("aiff")
    assert b"IGNR" not in rewritten(rewritten(sample("wav"), "Rock"))


def test_refuse_behind_the_form_stays_there() -> None:
    data = sample("wav") + b"refuse"
    new = rewritten(data, "Rock")
    assert new.endswith(b"refuse")
    assert int.from_bytes(new[4:8], "little") == len(new) - 8 - 6


def test_an_rf64_file_keeps_its_size_in_ds64() -> None:
    new = rewritten(tagged("rf64"), "Rock")
    assert new[4:8] == b"\xff" * 4
    assert int.from_bytes(new[20:28], "little") == len(new) - 8


@pytest.mark.parametrize(
    "data",
    [
        sample("wav")[:-100],
        sample("wav")[:4] + b"\xff\xff\xff\xff" + sample("wav")[8:],
        sample("wav")[:4] + bytes(4) + sample("wav")[8:],
        riff(sample("wav") + b"more"),
        riff(sample("wav") + b"LIST\x07\0\0\0INFOabc"),
        b"RF64\xff\xff\xff\xffWAVE" + sample("wav")[12:],
        sample("aiff")[:-100],
    ],
)
def test_what_does_not_add_up_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        rewritten(data, "Rock")


def test_the_tag_of_a_file_cut_short_is_still_read() -> None:
    tag = b"ID3\x03\0\0\0\0\0\x0fTCON\0\0\0\x05\0\0\0Rock"
    data = sample("wav")[:12] + b"id3 " + struct.pack("<I", len(tag) + 1) + tag + b"\0" + sample("wav")[12:-100]
    file = io.BytesIO(data)
    assert chunked.tag_bytes(file, sniff(file), "little")[: len(tag)] == tag
