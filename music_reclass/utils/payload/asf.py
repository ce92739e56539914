"""The objects of an ASF (WMA) file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple
from uuid import UUID

from music_reclass.utils.payload.reading import Malformed, Span, read_at

HEADER_SIZE = 24


def guid(text: str) -> bytes:
    """A GUID as ASF stores it."""
    return UUID(text).bytes_le


HEADER = guid("75B22630-668E-11CF-A6D9-00AA0062CE6C")
DATA = guid("75B22636-668E-11CF-A6D9-00AA0062CE6C")


class Object(NamedTuple):
    """One object: `start` is its 24-byte header, `end` lies behind its content."""

    kind: bytes
    start: int
    end: int

    @property
    def body(self) -> int:
        """Where the content begins."""
        return self.start + HEADER_SIZE


def objects(file: BinaryIO, start: int, end: int) -> Iterator[Object]:
    """The objects that follow each other from `start` to `end`; a data object cut short ends there."""
    while start + HEADER_SIZE <= end:
        header = read_at(file, start, HEADER_SIZE)
        length = int.from_bytes(header[16:], "little")
        if length > end - start and header[:16] == DATA:
            length = end - start
        if not HEADER_SIZE <= length <= end - start:
            raise Malformed("an ASF object longer than what holds it")
        yield Object(header[:16], start, start + length)
        start += length


def pieces(file: BinaryIO, start: int, end: int) -> Iterator[Span]:
    """The content of the data object."""
    for found in objects(file, start, end):
        if found.kind == DATA:
            yield found.body, found.end
            return  # indices and refuse may follow
