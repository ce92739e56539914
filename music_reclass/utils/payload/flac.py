"""The metadata blocks of a FLAC stream, and its frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from music_reclass.utils.payload.reading import Malformed, Span, read_at

STREAMINFO, PADDING, VORBIS_COMMENT = 0, 1, 4
HEADER_SIZE = 4


class Block(NamedTuple):
    """One metadata block: `start` is its four-byte header, `end` lies behind its body."""

    kind: int
    start: int
    end: int
    last: bool


def blocks(file: BinaryIO, start: int, end: int) -> list[Block]:
    """The metadata blocks of the stream whose `fLaC` mark lies at `start`."""
    if read_at(file, start, 4) != b"fLaC":
        raise Malformed("no fLaC mark")
    found: list[Block] = []
    position = start + 4
    while not found or not found[-1].last:
        header = read_at(file, position, HEADER_SIZE)
        after = position + HEADER_SIZE + int.from_bytes(header[1:], "big")
        if after > end:
            raise Malformed("a FLAC metadata block longer than its file")
        found.append(Block(header[0] & 0x7F, position, after, bool(header[0] & 0x80)))
        position = after
    if found[0].kind != STREAMINFO:
        raise Malformed("a FLAC stream that does not begin with STREAMINFO")
    return found


def pieces(file: BinaryIO, start: int, end: int) -> Iterator[Span]:
    """STREAMINFO, then every frame."""
    found = blocks(file, start, end)
    yield found[0].start + HEADER_SIZE, found[0].end
    yield found[-1].end, end
