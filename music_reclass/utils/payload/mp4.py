"""The atoms of an MP4 file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from music_reclass.utils.payload.reading import Malformed, Span, read_at


class Atom(NamedTuple):
    """One atom: its header lies at `start`, its content from `body` to `end`."""

    name: bytes
    start: int
    body: int
    end: int


def atoms(file: BinaryIO, start: int, end: int) -> Iterator[Atom]:
    """The atoms that follow each other from `start` to `end`; an `mdat` cut short ends where the file does."""
    while start + 8 <= end:
        header = read_at(file, start, 8)
        length, name, body = int.from_bytes(header[:4], "big"), header[4:], start + 8
        if length == 1:
            length, body = int.from_bytes(read_at(file, start + 8, 8), "big"), start + 16
        elif length == 0:
            length = end - start
        after = start + length
        if after > end and name == b"mdat":
            after = end
        if not body <= after <= end:
            raise Malformed(f"an MP4 atom {name!r} longer than what holds it")
        yield Atom(name, start, body, after)
        start = after


def pieces(file: BinaryIO, start: int, end: int) -> Iterator[Span]:
    """The content of every `mdat`."""
    for atom in atoms(file, start, end):
        if atom.name == b"mdat":
            yield atom.body, atom.end
