"""The chunks of WAV and AIFF."""

from __future__ import annotations

import io
import struct

import pytest

from music_reclass.containers.riff import aiff_pieces, chunks, wav_pieces
from music_reclass.containers.structure import Malformed


def test_an_odd_chunk_is_followed_by_a_pad_byte() -> None:
    data = b"odd \x03\0\0\0abc\0" + b"even\x02\0\0\0xy"
    found = list(chunks(io.BytesIO(data), 0, len(data), "little"))
    assert [(one.name, data[one.body : one.end]) for one in found] == [(b"odd ", b"abc"), (b"even", b"xy")]


def test_sound_cut_short_ends_with_the_file_and_nothing_else_may() -> None:
    data = b"RIFF\0\0\0\0WAVE" + b"data\xff\0\0\0abc"
    assert list(wav_pieces(io.BytesIO(data), 0, len(data))) == [(20, 23)]
    data = b"FORM\0\0\0\0AIFF" + b"SSND\0\0\0\xffabc"
    assert list(aiff_pieces(io.BytesIO(data), 0, len(data))) == [(20, 23)]
    data = b"RIFF\0\0\0\0WAVE" + b"LIST\xff\0\0\0abc"
    with pytest.raises(Malformed):
        list(wav_pieces(io.BytesIO(data), 0, len(data)))


def test_the_length_of_long_sound_stands_in_ds64() -> None:
    sizes = struct.pack("<QQQI", 99, 4, 0, 0)
    data = b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<I", 28) + sizes + b"data\xff\xff\xff\xffabcd" + b"more"
    (span,) = wav_pieces(io.BytesIO(data), 0, len(data))
    assert data[slice(*span)] == b"abcd"
