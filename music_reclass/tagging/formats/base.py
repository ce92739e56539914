"""The shape that every tag format has here: a raw genre field to read, to make from words, and to put in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from music_reclass.tagging.patch import Edit
from music_reclass.utils.payload import Layout

# The genre field as the file holds it, byte for byte: (slot, bytes) in file order; () where it is absent.
# A slot tells apart where a format keeps a genre: `gnre` or `©gen`, the ID3 chunk or RIFF's INFO.
Raw = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Format:
    """How one container keeps its genre. Every function raises Malformed rather than guess.

    `read` gives the raw field; `encode` makes the raw field that says these genres, primary first, in the
    dialect of this very file (ID3 version, spelling of the key); `splice` gives the edits that make a raw field
    the file's only one, and leave everything else in the file as it is.
    """

    read: Callable[[BinaryIO, Layout], Raw]
    encode: Callable[[BinaryIO, Layout, Sequence[str]], Raw]
    splice: Callable[[BinaryIO, Layout, Raw], list[Edit]]


def slot(raw: Raw, name: str) -> tuple[bytes, ...]:
    """The bytes that `raw` has for one slot."""
    return tuple(data for where, data in raw if where == name)


def replaced(spans: Sequence[tuple[int, int]], otherwise: int, data: bytes) -> list[Edit]:
    """Edits that put `data` in the first span's place and drop the others; without a span it goes to `otherwise`."""
    if not spans:
        return [Edit(otherwise, otherwise, data)] if data else []
    edits = [Edit(start, end, b"") for start, end in spans]
    edits[0] = Edit(spans[0][0], spans[0][1], data)
    return edits
