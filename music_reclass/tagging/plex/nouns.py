"""What a Plex server holds, in frozen values of our own; no object of the client library leaves the door."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

TRACK, ALBUM, ARTIST = "track", "album", "artist"
LEVELS = (TRACK, ALBUM, ARTIST)

Tags = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One library of the server. `kind` is "artist" for music; `locations` are folders as the server sees them."""

    key: int
    title: str
    kind: str
    locations: tuple[str, ...]
    refreshing: bool = False

    @property
    def is_music(self) -> bool:
        """Whether it holds music."""
        return self.kind == ARTIST


@dataclass(frozen=True, slots=True)
class Listed:
    """A track as a listing shows it: who and where, but no tags, because a listing cuts them short."""

    key: int
    title: str
    artist: str  # of the track; the album's where the track names none
    album: str
    album_artist: str
    album_key: int
    artist_key: int
    seconds: float | None
    files: tuple[str, ...]  # every part of every medium, as the server sees them


@dataclass(frozen=True, slots=True)
class Item:
    """A track, album or artist as its own page shows it: all its tags, and which fields are locked."""

    level: str
    key: int
    guid: str
    title: str
    album: str
    artist: str
    files: tuple[str, ...]
    tags: Mapping[str, Tags]  # by field: genre, style, label
    locked: frozenset[str]

    def value(self, name: str) -> Tags:
        """The tags of one field, in the server's order."""
        return self.tags.get(name, ())

    @property
    def label(self) -> str:
        """What people call it."""
        return " - ".join(part for part in (self.artist, self.album, self.title) if part)


@dataclass(frozen=True, slots=True)
class FieldEdit:
    """What one field of an item holds and what it shall hold, lock included."""

    field: str
    before: Tags
    after: Tags
    lock_before: bool
    lock_after: bool

    @property
    def changes_tags(self) -> bool:
        """Whether the tags change, and not only the lock or the order, which is the server's affair."""
        return not same_tags(self.before, self.after)

    @property
    def changes(self) -> bool:
        """Whether there is anything to write."""
        return self.changes_tags or self.lock_before != self.lock_after

    def holds_after(self, item: Item) -> bool:
        """Whether the server holds what this edit asks for."""
        return same_tags(item.value(self.field), self.after) and (self.field in item.locked) == self.lock_after

    def holds_before(self, item: Item) -> bool:
        """Whether the server still holds what was there when this edit was planned."""
        return same_tags(item.value(self.field), self.before) and (self.field in item.locked) == self.lock_before


@dataclass(frozen=True, slots=True)
class ItemEdit:
    """All edits of one item; they travel in one request and are verified together."""

    item: Item
    fields: tuple[FieldEdit, ...]
    path: str = ""  # the local file, where there is one
    read: float = 0.0  # when the item was read, on the clock of the client

    def is_done(self, item: Item) -> bool:
        """Whether the server holds what all these edits ask for."""
        return all(one.holds_after(item) for one in self.fields)

    def is_undone(self, item: Item) -> bool:
        """Whether the server holds what it held when these edits were planned."""
        return all(one.holds_before(item) for one in self.fields)


def tag_key(tag: str) -> str:
    """What makes two tags one: case and Unicode form do not part them (of the server this is assumed)."""
    return unicodedata.normalize("NFC", tag).casefold()


def same_tags(one: Iterable[str], other: Iterable[str]) -> bool:
    """Whether two lists hold the same tags in any order."""
    return {tag_key(tag) for tag in one} == {tag_key(tag) for tag in other}


def without(tags: Iterable[str], unwanted: Iterable[str]) -> Tags:
    """`tags` that are not among `unwanted`, each once."""
    keys = {tag_key(tag) for tag in unwanted}
    left: dict[str, str] = {}
    for tag in tags:
        if tag_key(tag) not in keys:
            left.setdefault(tag_key(tag), tag)
    return tuple(left.values())
