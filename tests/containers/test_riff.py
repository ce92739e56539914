"""WAV and AIFF: chunks, payload, INFO texts; sizes and pad bytes stay right, and what does not add up is left."""

from __future__ import annotations

import io
import struct

import mutagen.wave
import pytest

from music_reclass.containers import FORMATS
from music_reclass.containers.edits import patched, tidy
from music_reclass.containers.riff import Aiff, Wav, chunks
from music_reclass.containers.sniff import sniff
from music_reclass.containers.structure import Layout, Malformed
from tests.tagging.samples import riff, sample, tagged


def rewritten(data: bytes, *genres: str) -> bytes:
    file = io.BytesIO(data)
    layout = sniff(file)
    container = FORMATS[layout.container](file, layout)
    raw = container.encode(genres) if genres else ()
    return b"".join(patched([data], tidy(file, container.splice(raw))))


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
    assert Wav(file, sniff(file)).tag_bytes()[: len(tag)] == tag


def with_info(entries: bytes) -> io.BytesIO:
    return io.BytesIO(riff(sample("wav") + b"LIST" + struct.pack("<I", len(entries) + 4) + b"INFO" + entries))


def test_texts_end_at_the_first_nul_in_either_coding() -> None:
    file = with_info(b"IART\x06\0\0\0\xc3\xa9a\0\0\0INAM\x02\0\0\0\xe9aIGNR\x04\0\0\0RockIGNR\x04\0\0\0Jazz")
    assert Wav(file, sniff(file)).info_texts() == {"IART": "éa", "INAM": "éa", "IGNR": "Rock"}


def test_other_lists_are_none() -> None:
    data = io.BytesIO(riff(sample("wav") + b"LIST\x04\0\0\0adtl"))
    assert Wav(data, sniff(data)).info is None
    assert Wav(data, sniff(data)).info_texts() == {}


def payload(data: bytes) -> list[tuple[int, int]]:
    container = Aiff if data[:4] == b"FORM" else Wav
    return list(container(io.BytesIO(data), Layout("", 0, len(data))).payload())


def test_an_odd_chunk_is_followed_by_a_pad_byte() -> None:
    data = b"odd \x03\0\0\0abc\0" + b"even\x02\0\0\0xy"
    found = list(chunks(io.BytesIO(data), 0, len(data), "little"))
    assert [(one.name, data[one.body : one.end]) for one in found] == [(b"odd ", b"abc"), (b"even", b"xy")]


def test_sound_cut_short_ends_with_the_file_and_nothing_else_may() -> None:
    data = b"RIFF\0\0\0\0WAVE" + b"data\xff\0\0\0abc"
    assert payload(data) == [(20, 23)]
    data = b"FORM\0\0\0\0AIFF" + b"SSND\0\0\0\xffabc"
    assert payload(data) == [(20, 23)]
    data = b"RIFF\0\0\0\0WAVE" + b"LIST\xff\0\0\0abc"
    with pytest.raises(Malformed):
        payload(data)


def test_the_length_of_long_sound_stands_in_ds64() -> None:
    sizes = struct.pack("<QQQI", 99, 4, 0, 0)
    data = b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<I", 28) + sizes + b"data\xff\xff\xff\xffabcd" + b"more"
    (span,) = payload(data)
    assert data[slice(*span)] == b"abcd"
