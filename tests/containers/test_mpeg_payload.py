"""MPEG frames are told from chance."""

from __future__ import annotations

import io
import random

import pytest

from music_reclass.containers.mpeg import begins_nearby, frame_length, starts_frames
from tests.tagging.samples import sample, without_id3


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
    assert frame_length(bytes.fromhex(header)) == length


def test_frames_in_a_row_are_found_behind_refuse() -> None:
    stream = without_id3(sample("mp3"))
    assert starts_frames(io.BytesIO(stream), 0)
    assert begins_nearby(io.BytesIO(bytes(3000) + b"\xff\xfb\x90\x64 refuse" + stream), 0)


def test_noise_is_no_mpeg() -> None:
    noise = random.Random(3).randbytes(1 << 16)
    assert not begins_nearby(io.BytesIO(noise), 0)
    assert not begins_nearby(io.BytesIO(b"\xff" * (1 << 16)), 0)
