"""The interface that every container format implements, and what the formats share in replacing a genre field."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from music_reclass.containers.edits import Edit
from music_reclass.containers.structure import Layout, Malformed, Span

# The genre field as the file holds it, byte for byte: (slot, bytes) in file order; () where it is absent.
# A slot tells apart where a format keeps a genre: `gnre` or `©gen`, the ID3 chunk or RIFF's INFO.
Raw = tuple[tuple[str, bytes], ...]


class Container(ABC):
    """One open file of a format: its audio payload and its genre field. Malformed rather than a guess."""

    def __init__(self, file: BinaryIO, layout: Layout) -> None:
        self.file = file
        self.layout = layout

    def payload(self) -> Iterator[Span | bytes]:
        """What the payload digest covers: byte ranges in file order, and bytes that stand in no one place."""
        yield self.layout.start, self.layout.end

    @abstractmethod
    def genre_field(self) -> Raw:
        """The genre field as it is stored."""

    @abstractmethod
    def encode(self, genres: Sequence[str]) -> Raw:
        """The field that says `genres`, primary first, in this file's dialect (ID3 version, spelling of the key)."""

    @abstractmethod
    def splice(self, raw: Raw) -> list[Edit]:
        """The edits that make `raw` the file's only genre field, and leave everything else in the file as it is."""


def in_slot(raw: Raw, name: str) -> tuple[bytes, ...]:
    """The bytes that `raw` has for one slot."""
    return tuple(data for where, data in raw if where == name)


def only_in_slot(raw: Raw, name: str) -> tuple[bytes, ...]:
    """The bytes of a field that has this one slot; Malformed where it has others."""
    contents = in_slot(raw, name)
    if len(contents) != len(raw):
        raise Malformed("the genre is kept in another kind of tag now")
    return contents


def replaced(spans: Sequence[Span], otherwise: int, data: bytes) -> list[Edit]:
    """Edits that put `data` in the first span's place and drop the others; without a span it goes to `otherwise`."""
    if not spans:
        return [Edit(otherwise, otherwise, data)] if data else []
    edits = [Edit(start, end, b"") for start, end in spans]
    edits[0] = Edit(spans[0][0], spans[0][1], data)
    return edits
