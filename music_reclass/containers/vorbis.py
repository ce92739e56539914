"""Vorbis comments (FLAC, Ogg): the genre entries, replaced in place."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from music_reclass.containers.edits import Edit, Raw, replaced, slot
from music_reclass.containers.structure import Malformed

SLOT = "comment"
VENDOR = b"reclass"


class Entry(NamedTuple):
    """One entry and its four-byte length, counted from the first byte of the comment."""

    start: int
    end: int
    data: bytes


class Comment(NamedTuple):
    """A Vorbis comment taken apart: where the number of entries stands, and the entries."""

    count_at: int
    entries: tuple[Entry, ...]

    @property
    def end(self) -> int:
        """Behind the last entry."""
        return self.entries[-1].end if self.entries else self.count_at + 4

    @property
    def genres(self) -> tuple[Entry, ...]:
        """The genre entries; keys are written as one likes."""
        return tuple(entry for entry in self.entries if entry.data[:6].upper() == b"GENRE=")


def parse(data: bytes, start: int = 0) -> Comment:
    """Take the comment at `start` apart; whatever follows it (framing bit, padding) is not looked at."""
    at = count_at = start + 4 + _number(data, start)
    entries: list[Entry] = []
    for _ in range(_number(data, count_at)):
        at = entries[-1].end if entries else count_at + 4
        end = at + 4 + _number(data, at)
        if end > len(data):
            raise Malformed("a Vorbis comment cut short")
        entries.append(Entry(at, end, data[at + 4 : end]))
    return Comment(count_at, tuple(entries))


def _number(data: bytes, at: int) -> int:
    if at + 4 > len(data):
        raise Malformed("a Vorbis comment cut short")
    return int.from_bytes(data[at : at + 4], "little")


def new_comment() -> bytes:
    """A comment without entries."""
    return struct.pack("<I", len(VENDOR)) + VENDOR + struct.pack("<I", 0)


def read_raw(comment: Comment) -> Raw:
    """The genre entries, spelling of the key and all."""
    return tuple((SLOT, entry.data) for entry in comment.genres)


def encode(comment: Comment, genres: Sequence[str]) -> Raw:
    """One entry a genre; the key keeps the spelling that it has."""
    key = comment.genres[0].data[:6] if comment.genres else b"GENRE="
    return tuple((SLOT, key + genre.encode()) for genre in genres)


def splice(comment: Comment, raw: Raw) -> list[Edit]:
    """The edits, counted from the first byte of the comment, that make `raw` its genre entries."""
    contents = slot(raw, SLOT)
    if len(contents) != len(raw):
        raise Malformed("the genre is kept in another kind of tag now")
    new = b"".join(struct.pack("<I", len(data)) + data for data in contents)
    edits = replaced([(entry.start, entry.end) for entry in comment.genres], comment.end, new)
    count = len(comment.entries) - len(comment.genres) + len(contents)
    return [Edit(comment.count_at, comment.count_at + 4, struct.pack("<I", count)), *edits]
