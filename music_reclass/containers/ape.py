"""APEv2 tags (WavPack, Monkey's Audio, Musepack, TAK, OptimFROG, some MP3): the genre item, replaced in place."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cached_property

from music_reclass.containers.edits import Container, Edit, Raw, growth, only_in_slot, replaced
from music_reclass.containers.structure import Element, Malformed, read_at, size_of
from music_reclass.containers.tails import APE_FOOTER_SIZE, APE_HAS_HEADER, ape_tag

SLOT = "APE"
VERSION = 2000
IS_HEADER = 1 << 29


class Ape(Container):
    """A stream with an APEv2 tag behind it; all between the tags is payload."""

    @cached_property
    def tag(self) -> Element | None:
        """The tag behind the stream, its items from `body` on; None without one."""
        span = ape_tag(self.file, self.layout.start, size_of(self.file))
        if span is None:
            return None
        start, end = span
        flags = int.from_bytes(read_at(self.file, end - 12, 4), "little")
        headed = flags & APE_HAS_HEADER and read_at(self.file, start, 8) == b"APETAGEX"
        return Element(b"APETAGEX", start, start + (APE_FOOTER_SIZE if headed else 0), end)

    @cached_property
    def items(self) -> list[Element]:
        """The items of the tag, each named by its key."""
        if self.tag is None:
            return []
        footer = self.tag.end - APE_FOOTER_SIZE
        data = read_at(self.file, self.tag.body, footer - self.tag.body)
        items: list[Element] = []
        at = 0
        for _ in range(int.from_bytes(read_at(self.file, footer + 16, 4), "little")):
            name_end = data.find(b"\0", at + 8)
            if name_end < 0:
                raise Malformed("an APE item without a key")
            end = name_end + 1 + int.from_bytes(data[at : at + 4], "little")
            if end > len(data):
                raise Malformed("an APE item longer than its tag")
            start, body = self.tag.body + at, self.tag.body + name_end + 1
            items.append(Element(data[at + 8 : name_end], start, body, self.tag.body + end))
            at = end
        return items

    @property
    def genres(self) -> list[Element]:
        """The genre items; keys are written as one likes."""
        return [item for item in self.items if item.name.lower() == b"genre"]

    def genre_field(self) -> Raw:
        """The genre items, each with its size, flags and key."""
        return tuple((SLOT, read_at(self.file, item.start, item.end - item.start)) for item in self.genres)

    def encode(self, genres: Sequence[str]) -> Raw:
        """One text item, the values divided by NUL; the key keeps the spelling that it has."""
        key = self.genres[0].name if self.genres else b"Genre"
        value = "\0".join(genres).encode()
        return ((SLOT, struct.pack("<II", len(value), 0) + key + b"\0" + value),)

    def splice(self, raw: Raw) -> list[Edit]:
        """The edits that make `raw` the tag's genre; a new tag stands right behind the stream."""
        contents = only_in_slot(raw, SLOT)
        new = b"".join(contents)
        if self.tag is None:
            return [Edit(self.layout.end, self.layout.end, _new_tag(new, len(contents)))] if new else []
        count = len(self.items) - len(self.genres) + len(contents)
        if count == 0:
            return [Edit(self.tag.start, self.tag.end, b"")]
        footer = self.tag.end - APE_FOOTER_SIZE
        edits = replaced([(item.start, item.end) for item in self.genres], footer, new)
        numbers = struct.pack("<II", footer - self.tag.body + growth(edits) + APE_FOOTER_SIZE, count)
        marks = [footer] if self.tag.body == self.tag.start else [self.tag.start, footer]
        return edits + [Edit(mark + 12, mark + 20, numbers) for mark in marks]


def _new_tag(items: bytes, count: int) -> bytes:
    def mark(flags: int) -> bytes:
        size = len(items) + APE_FOOTER_SIZE
        return struct.pack("<8sIIII8x", b"APETAGEX", VERSION, size, count, flags)

    return mark(APE_HAS_HEADER | IS_HEADER) + items + mark(APE_HAS_HEADER)
