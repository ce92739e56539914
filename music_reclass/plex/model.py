"""Libraries, tracks, items and their edits on a Plex server as frozen values, read from its XML."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from music_reclass.features.plex import FieldEdit

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

TRACK, ALBUM, ARTIST = "track", "album", "artist"

Tags = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One library of the server. `kind` is "artist" for music; `locations` are folders as the server sees them."""

    key: int
    title: str
    kind: str
    locations: tuple[str, ...]
    refreshing: bool = False
    scanned: str = ""  # when its last scan was, as the server writes it

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

    @property
    def label(self) -> str:
        """Artist, album and title in one line."""
        return joined(self.artist, self.album, self.title)


@dataclass(frozen=True, slots=True)
class Item:
    """A track, album or artist as its page (not a listing) shows it: all its tags, and which fields are locked."""

    level: str
    key: int
    guid: str
    title: str
    album: str
    artist: str
    files: tuple[str, ...]
    tags: Mapping[str, Tags]  # by field: genre, style, label
    locked: frozenset[str]
    section: int = 0  # the library that holds it; 0 where the server does not say
    read: float = field(default=0.0, compare=False)  # when the server was asked, on the clock of the client

    def value(self, name: str) -> Tags:
        """The tags of one field, in the server's order."""
        return self.tags.get(name, ())

    def edit(self, name: str, after: Tags, *, lock: bool) -> FieldEdit:
        """The edit that leads from what a field holds here to the tags `after` and to this lock."""
        return FieldEdit(name, self.value(name), after, name in self.locked, lock)

    def is_after(self, edit: FieldEdit) -> bool:
        """Whether the field is as the edit asks for."""
        return same_tags(self.value(edit.field), edit.after) and (edit.field in self.locked) == edit.lock_after

    def is_before(self, edit: FieldEdit) -> bool:
        """Whether the field is as it was when the edit was planned."""
        return same_tags(self.value(edit.field), edit.before) and (edit.field in self.locked) == edit.lock_before

    @property
    def label(self) -> str:
        """Artist, album and title in one line."""
        return joined(self.artist, self.album, self.title)

    @property
    def group(self) -> str:
        """Artist and album of a track; an album or artist itself."""
        return joined(self.artist, self.album) if self.level == TRACK else self.label


@dataclass(frozen=True, slots=True)
class ItemEdit:
    """All edits of one item; they travel in one request and are verified together.

    `undoes`: for each field the row of the edit log that this edit takes back; () for a new edit.
    """

    item: Item
    fields: tuple[FieldEdit, ...]
    undoes: tuple[int, ...] = ()

    def is_done(self, item: Item) -> bool:
        """Whether the server holds what all these edits ask for."""
        return all(item.is_after(one) for one in self.fields)

    def is_open(self, item: Item) -> bool:
        """Whether the server holds what it held when these edits were planned."""
        return all(item.is_before(one) for one in self.fields)


def joined(*names: str) -> str:
    """What there is of artist, album and title in one line."""
    return " - ".join(filter(None, names))


def tag_key(tag: str) -> str:
    """What makes two tags (or names of files) one: not case and Unicode form (of the server's tags this is assumed)."""
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


FIELDS = {"Genre": "genre", "Style": "style", "Label": "label"}
"""The XML element of every field that we edit."""


def section_of(element: Element) -> Section:
    """A library from its Directory element."""
    get = element.attrib.get
    return Section(
        key=_number(get("key")),
        title=get("title", ""),
        kind=get("type", ""),
        locations=tuple(location.attrib["path"] for location in element.iter("Location") if "path" in location.attrib),
        refreshing=get("refreshing") == "1",
        scanned=get("scannedAt", ""),
    )


def listed_of(element: Element) -> Listed:
    """A track from its element in a listing."""
    get = element.attrib.get
    duration = get("duration")
    album_artist = get("grandparentTitle", "")
    return Listed(
        key=_number(get("ratingKey")),
        title=get("title", ""),
        artist=get("originalTitle") or album_artist,
        album=get("parentTitle", ""),
        album_artist=album_artist,
        album_key=_number(get("parentRatingKey")),
        artist_key=_number(get("grandparentRatingKey")),
        seconds=int(duration) / 1000 if duration and duration.isdigit() else None,
        files=_files(element),
    )


def item_of(element: Element, read: float = 0.0) -> Item | None:
    """A track, album or artist from its element on its page (or that of several); None for anything else."""
    get = element.attrib.get
    level = get("type", TRACK if element.tag == "Track" else "")
    if level not in (TRACK, ALBUM, ARTIST):
        return None
    tags = {
        name: tuple(dict.fromkeys(tag for one in element.findall(kind) if (tag := one.attrib.get("tag"))))
        for kind, name in FIELDS.items()
    }
    locked = [one.attrib.get("name", "") for one in element.findall("Field") if one.attrib.get("locked") == "1"]
    above = {TRACK: ("parentTitle", "grandparentTitle"), ALBUM: ("", "parentTitle"), ARTIST: ("", "")}[level]
    return Item(
        level=level,
        key=_number(get("ratingKey")),
        guid=get("guid", ""),
        title=get("title", ""),
        album=get(above[0], ""),
        artist=get(above[1], ""),
        files=_files(element) if level == TRACK else (),
        tags=tags,
        locked=frozenset(locked),
        section=_number(get("librarySectionID")),
        read=read,
    )


def carries_genres(container: Element, level: str) -> bool:
    """Whether the library's description lists a genre among the fields of `level`."""
    return any(
        field.attrib.get("key") == f"{level}.genre"
        for kind in container.iter("Type")
        if kind.attrib.get("type") == level
        for field in kind.iter("Field")
    )


def _files(element: Element) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.attrib["file"] for part in element.iter("Part") if part.attrib.get("file")))


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0
