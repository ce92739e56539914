"""From the server's XML to our nouns; nothing here asks the server for more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from music_reclass.tagging.plex.nouns import ALBUM, ARTIST, TRACK, Item, Listed, Section, Tags

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

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


def item_of(element: Element) -> Item | None:
    """A track, album or artist from its element on its own page (or that of several); None for anything else."""
    get = element.attrib.get
    level = get("type", TRACK if element.tag == "Track" else "")
    if level not in (TRACK, ALBUM, ARTIST):
        return None
    tags: dict[str, list[str]] = {}
    locked = set()
    for child in element:
        name = FIELDS.get(child.tag)
        if name is not None and child.attrib.get("tag"):
            tags.setdefault(name, []).append(child.attrib["tag"])
        elif child.tag == "Field" and child.attrib.get("locked") == "1":
            locked.add(child.attrib.get("name", ""))
    above = {TRACK: ("parentTitle", "grandparentTitle"), ALBUM: ("", "parentTitle"), ARTIST: ("", "")}[level]
    return Item(
        level=level,
        key=_number(get("ratingKey")),
        guid=get("guid", ""),
        title=get("title", ""),
        album=get(above[0], ""),
        artist=get(above[1], ""),
        files=_files(element) if level == TRACK else (),
        tags={name: _each_once(values) for name, values in tags.items()},
        locked=frozenset(locked),
    )


def carries_genres(container: Element, level: str) -> bool:
    """Whether the library's own description lists a genre among the fields of `level`."""
    return any(
        field.attrib.get("key") == f"{level}.genre"
        for kind in container.iter("Type")
        if kind.attrib.get("type") == level
        for field in kind.iter("Field")
    )


def _files(element: Element) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.attrib["file"] for part in element.iter("Part") if part.attrib.get("file")))


def _each_once(values: list[str]) -> Tags:
    return tuple(dict.fromkeys(values))


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0
