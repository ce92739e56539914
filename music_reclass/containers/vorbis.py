"""Vorbis comments (FLAC, Ogg): the genre or style entries, replaced in place."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from music_reclass.containers.edits import GENRE, Edit, Raw, only_in_slot, replaced
from music_reclass.containers.structure import Element, Malformed, refuse_many

SLOT = "comment"
VENDOR = b"reclass"


class Comment:
    """The Vorbis comment at `start` of `data`; whatever follows it (framing bit, padding) is not looked at.

    `count_at`: where the number of entries stands. `entries`: each named by its key, all positions within `data`.
    """

    def __init__(self, data: bytes, start: int = 0, field: str = GENRE) -> None:
        self.data = data
        self.key = field.upper().encode()
        self.count_at = start + 4 + _number(data, start)
        self.entries: list[Element] = []
        for number in range(_number(data, self.count_at)):
            refuse_many(number)
            at = self.end
            end = at + 4 + _number(data, at)
            if end > len(data):
                raise Malformed("a Vorbis comment cut short")
            self.entries.append(Element(data[at + 4 : end].split(b"=", 1)[0], at, at + 4, end))

    @property
    def end(self) -> int:
        """Behind the last entry."""
        return self.entries[-1].end if self.entries else self.count_at + 4

    @property
    def genres(self) -> list[Element]:
        """The entries of the field; keys are written as one likes."""
        mark = self.key + b"="
        return [entry for entry in self.entries if self._text(entry)[: len(mark)].upper() == mark]

    def _text(self, entry: Element) -> bytes:
        return self.data[entry.body : entry.end]

    def genre_field(self) -> Raw:
        """The entries of the field, spelling of the key and all."""
        return tuple((SLOT, self._text(entry)) for entry in self.genres)

    def encode(self, genres: Sequence[str]) -> Raw:
        """One entry a value; the key keeps the spelling that it has."""
        key = self.genres[0].name if self.genres else self.key
        return tuple((SLOT, key + b"=" + genre.encode()) for genre in genres)

    def splice(self, raw: Raw) -> list[Edit]:
        """The edits to `data` that make `raw` the entries of its field."""
        contents = only_in_slot(raw, SLOT)
        new = b"".join(struct.pack("<I", len(data)) + data for data in contents)
        edits = replaced([(entry.start, entry.end) for entry in self.genres], self.end, new)
        count = len(self.entries) - len(self.genres) + len(contents)
        return [Edit(self.count_at, self.count_at + 4, struct.pack("<I", count)), *edits]


def _number(data: bytes, at: int) -> int:
    if at + 4 > len(data):
        raise Malformed("a Vorbis comment cut short")
    return int.from_bytes(data[at : at + 4], "little")


def new_comment() -> bytes:
    """A comment without entries."""
    return struct.pack("<I", len(VENDOR)) + VENDOR + struct.pack("<I", 0)
