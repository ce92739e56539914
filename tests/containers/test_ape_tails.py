"""Tags around a stream are found in every order, and lies about their size are caught."""

from __future__ import annotations

import io
import struct

import pytest

from music_reclass.containers.ape import ape_tag, tails_start

STREAM = b"stream" * 50
V1 = b"TAG" + bytes(125)
ITEMS = struct.pack("<II", 4, 0) + b"Genre\0Rock"


def ape(header: bool = True, size: int | None = None) -> bytes:
    flags = 1 << 31 if header else 0
    length = len(ITEMS) + 32 if size is None else size

    def mark(more: int) -> bytes:
        return struct.pack("<8sIIII8x", b"APETAGEX", 2000, length, 1, flags | more)

    return (mark(1 << 29) if header else b"") + ITEMS + mark(0)


def lyrics3(version: int) -> bytes:
    text = b"LYRICSBEGIN" + b"IND0000200"
    return text + (b"%06dLYRICS200" % len(text) if version == 2 else b"LYRICSEND")


@pytest.mark.parametrize(
    "tail",
    [b"", V1, ape(), ape(False), ape() + V1, lyrics3(2) + V1, lyrics3(1) + V1, ape() + lyrics3(2) + V1, V1 + ape()],
)
def test_the_stream_ends_where_the_first_tag_begins(tail: bytes) -> None:
    data = STREAM + tail
    assert tails_start(io.BytesIO(data), 0, len(data)) == len(STREAM)


def test_an_ape_tag_as_long_as_an_id3v1_tag_with_three_bytes_in_front_is_no_such_tag() -> None:
    items = struct.pack("<II", 53, 0) + b"Genre\0" + b"x" * 53
    marks = [struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(items) + 32, 1, 1 << 31 | more) for more in (1 << 29, 0)]
    tail = marks[0] + items + marks[1]
    data = STREAM + tail
    assert len(tail) == 131
    assert tails_start(io.BytesIO(data), 0, len(data)) == len(STREAM)
    assert tails_start(io.BytesIO(data + V1), 0, len(data + V1)) == len(STREAM)


def test_tails_never_reach_into_what_is_in_front() -> None:
    data = V1 * 3
    assert tails_start(io.BytesIO(data), 100, len(data)) == 100


@pytest.mark.parametrize("size", [0, 31, 1 << 31, 0xFFFFFFFF])
def test_an_ape_tag_of_impossible_size_is_none(size: int) -> None:
    data = STREAM + ape(size=size)
    assert tails_start(io.BytesIO(data), 0, len(data)) == len(data)


def test_the_ape_tag_is_found_in_front_of_others() -> None:
    data = STREAM + ape() + lyrics3(2) + V1
    assert ape_tag(io.BytesIO(data), 0, len(data)) == (len(STREAM), len(STREAM) + len(ape()))
    assert ape_tag(io.BytesIO(STREAM + V1), 0, len(STREAM) + 128) is None
