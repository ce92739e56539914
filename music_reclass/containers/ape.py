"""APEv2 tags (WavPack, Monkey's Audio, Musepack, TAK, some MP3): the genre item, replaced in place."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

from music_reclass.containers.edits import Edit, Layout, Raw, growth, replaced, slot
from music_reclass.containers.structure import Malformed, read_at, size_of
from music_reclass.containers.tails import APE_FOOTER_SIZE, APE_HAS_HEADER, ape_tag

SLOT = "APE"
VERSION = 2000
IS_HEADER = 1 << 29


class Item(NamedTuple):
    """One item, as it lies in the file."""

    key: str
    start: int
    end: int
    data: bytes


class Tag(NamedTuple):
    """An APE tag taken apart; `first` is where its items begin, `last` where the footer does."""

    start: int
    first: int
    last: int
    end: int
    items: tuple[Item, ...]
    number: int  # of items

    @property
    def genres(self) -> tuple[Item, ...]:
        """The genre items; keys are written as one likes."""
        return tuple(item for item in self.items if item.key.lower() == "genre")


def parse(file: BinaryIO, layout: Layout) -> Tag | None:
    """The APE tag behind the stream; None without one."""
    span = ape_tag(file, layout.start, size_of(file))
    if span is None:
        return None
    start, end = span
    last = end - APE_FOOTER_SIZE
    _size, count, flags = struct.unpack("<III", read_at(file, last, APE_FOOTER_SIZE)[12:24])
    first = start + (APE_FOOTER_SIZE if flags & APE_HAS_HEADER and read_at(file, start, 8) == b"APETAGEX" else 0)
    data = read_at(file, first, last - first)
    items = []
    at = 0
    for _ in range(count):
        name_end = data.find(b"\0", at + 8)
        if name_end < 0:
            raise Malformed("an APE item without a key")
        after = name_end + 1 + int.from_bytes(data[at : at + 4], "little")
        if after > len(data):
            raise Malformed("an APE item longer than its tag")
        key = data[at + 8 : name_end].decode("latin-1")
        items.append(Item(key, first + at, first + after, data[at:after]))
        at = after
    return Tag(start, first, last, end, tuple(items), count)


def read_raw(file: BinaryIO, layout: Layout) -> Raw:
    """The genre items, each with its size, flags and key."""
    tag = parse(file, layout)
    return tuple((SLOT, item.data) for item in tag.genres) if tag else ()


def encode(file: BinaryIO, layout: Layout, genres: Sequence[str]) -> Raw:
    """One text item, the values divided by NUL; the key keeps the spelling that it has."""
    tag = parse(file, layout)
    key = tag.genres[0].key if tag and tag.genres else "Genre"
    value = "\0".join(genres).encode()
    return ((SLOT, struct.pack("<II", len(value), 0) + key.encode("latin-1") + b"\0" + value),)


def splice(file: BinaryIO, layout: Layout, raw: Raw) -> list[Edit]:
    """The edits that make `raw` the tag's genre; a new tag stands right behind the stream."""
    contents = slot(raw, SLOT)
    if len(contents) != len(raw):
        raise Malformed("the genre is kept in another kind of tag now")
    new = b"".join(contents)
    tag = parse(file, layout)
    if tag is None:
        return [Edit(layout.end, layout.end, _around(new, len(contents)))] if new else []
    count = tag.number - len(tag.genres) + len(contents)
    if count == 0:
        return [Edit(tag.start, tag.end, b"")]
    edits = replaced([(item.start, item.end) for item in tag.genres], tag.last, new)
    numbers = struct.pack("<II", tag.last - tag.first + growth(edits) + APE_FOOTER_SIZE, count)
    heads = [tag.last] if tag.first == tag.start else [tag.start, tag.last]
    return edits + [Edit(head + 12, head + 20, numbers) for head in heads]


def _around(items: bytes, count: int) -> bytes:
    def frame(flags: int) -> bytes:
        size = len(items) + APE_FOOTER_SIZE
        return struct.pack("<8sIIII8x", b"APETAGEX", VERSION, size, count, flags)

    return frame(APE_HAS_HEADER | IS_HEADER) + items + frame(APE_HAS_HEADER)
