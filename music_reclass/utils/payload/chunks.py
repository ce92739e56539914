"""The chunks of WAV (RIFF, RF64, BW64) and AIFF files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Literal, NamedTuple

from music_reclass.utils.payload.reading import Malformed, Span, read_at

HEADER_SIZE = 8
UNKNOWN_SIZE = 0xFFFFFFFF  # "look into ds64" in RF64, "until the end" in a streamed WAV


class Chunk(NamedTuple):
    """One chunk: `start` is its eight-byte header, `end` lies behind its content, the pad byte not counted."""

    name: bytes
    start: int
    end: int

    @property
    def body(self) -> int:
        """Where the content begins."""
        return self.start + HEADER_SIZE


def chunks(file: BinaryIO, start: int, end: int, order: Literal["little", "big"]) -> Iterator[Chunk]:
    """The chunks from `start` to `end`; a last one that is cut short ends at `end`."""
    long_data = 0
    while start + HEADER_SIZE <= end:
        header = read_at(file, start, HEADER_SIZE)
        name, length = header[:4], int.from_bytes(header[4:], order)
        if name == b"ds64" and length >= 16:
            long_data = int.from_bytes(read_at(file, start + 16, 8), "little")
        if name == b"data" and length == UNKNOWN_SIZE:
            length = long_data or end - start - HEADER_SIZE
        after = start + HEADER_SIZE + length
        if after > end and name not in (b"data", b"SSND"):
            raise Malformed(f"a chunk {name!r} longer than what holds it")
        yield Chunk(name, start, min(after, end))
        start = after + (length & 1)


def wav_pieces(file: BinaryIO, start: int, end: int) -> Iterator[Span]:
    """The content of `fmt ` and `data`."""
    for chunk in chunks(file, start + 12, end, "little"):
        if chunk.name in (b"fmt ", b"data"):
            yield chunk.body, chunk.end


def aiff_pieces(file: BinaryIO, start: int, end: int) -> Iterator[Span]:
    """The content of `COMM` and `SSND`."""
    for chunk in chunks(file, start + 12, end, "big"):
        if chunk.name in (b"COMM", b"SSND"):
            yield chunk.body, chunk.end
