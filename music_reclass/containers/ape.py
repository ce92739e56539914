"""The ID3v1, APEv2 and Lyrics3 tags behind a stream; genre or style in APEv2 (WavPack, Monkey's Audio, some MP3)."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import BinaryIO

from music_reclass.containers.edits import Container, Edit, Raw, growth, only_in_slot, replaced
from music_reclass.containers.id3 import MOST_TAGS, V1_SIZE, syncsafe
from music_reclass.containers.structure import Element, Malformed, Span, peek, read_at, read_part, refuse_many, size_of

SLOT = "APE"
VERSION = 2000
IS_HEADER = 1 << 29
FOOTER_SIZE = 32
HAS_HEADER = 1 << 31  # a flag of both ends of a tag
NOT_TEXT = 3 << 1  # flags of an item that is binary, or says where something lies
ENHANCED_SIZE = 227  # "TAG+", in front of an ID3v1 tag


def tails_start(file: BinaryIO, start: int, end: int) -> int:
    """Where the tags behind the stream begin, never before `start`; `end` where there is none."""
    for _ in range(MOST_TAGS):
        before = max(start, _one_tail(file, end))
        if before >= end:
            break
        end = before
    return end


def id3v1_tag(file: BinaryIO, end: int) -> bytes:
    """The ID3v1 tag that ends at `end`; b"" without one."""
    found = peek(file, end - V1_SIZE, V1_SIZE)
    # An APE tag of 131 bytes has the TAG of its APETAGEX where an ID3v1 tag would begin.
    return found if found[:3] == b"TAG" and peek(file, end - V1_SIZE - 3, 8) != b"APETAGEX" else b""


def _one_tail(file: BinaryIO, end: int) -> int:
    if id3v1_tag(file, end):
        before = end - V1_SIZE
        if peek(file, before - ENHANCED_SIZE, 4) == b"TAG+":
            before -= ENHANCED_SIZE
        return before
    ape = ape_span(file, end)
    if ape:
        return ape[0]
    mark = peek(file, end - 15, 15)
    if mark[6:] == b"LYRICS200" and mark[:6].isdigit():
        before = end - 15 - int(mark[:6])
        if peek(file, before, 11) == b"LYRICSBEGIN":
            return before
    if mark[6:] == b"LYRICSEND":
        before = max(0, end - 5100 - 20)
        found = peek(file, before, end - before).rfind(b"LYRICSBEGIN")
        if found >= 0:
            return before + found
    footer = peek(file, end - 10, 10)
    if footer[:3] == b"3DI" and not any(byte & 0x80 for byte in footer[6:]):
        before = end - 20 - syncsafe(footer[6:])
        if peek(file, before, 3) == b"ID3":
            return before
    return end


def ape_span(file: BinaryIO, end: int) -> Span | None:
    """Start and end of the APE tag whose footer lies right before `end`, its header included; None without one."""
    footer = peek(file, end - FOOTER_SIZE, FOOTER_SIZE)
    if len(footer) < FOOTER_SIZE or footer[:8] != b"APETAGEX":
        return None
    size, _count, flags = struct.unpack("<III", footer[12:24])
    start = end - int(size)
    if flags & HAS_HEADER and peek(file, start - FOOTER_SIZE, 8) == b"APETAGEX":
        start -= FOOTER_SIZE
    if size < FOOTER_SIZE or start < 0:
        return None
    return start, end


def ape_tag(file: BinaryIO, start: int, end: int) -> Span | None:
    """The APE tag behind the stream, wherever it stands among the other tags there; None without one."""
    for _ in range(MOST_TAGS):
        if span := ape_span(file, end):
            return span
        before = max(start, _one_tail(file, end))
        if before >= end:
            return None
        end = before
    return None


# Keys of items that tell players how loud to play, not people what it is; mp3gain writes no others.
TECHNICAL = re.compile(rb"replaygain_.*|mp3gain_.*", re.IGNORECASE | re.DOTALL)
_KEY = re.compile(rb"[\x20-\x7e]{2,255}")


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
        headed = flags & HAS_HEADER and read_at(self.file, start, 8) == b"APETAGEX"
        return Element(b"APETAGEX", start, start + (FOOTER_SIZE if headed else 0), end)

    @cached_property
    def items(self) -> list[Element]:
        """The items of the tag, each named by its key."""
        if self.tag is None:
            return []
        footer = self.tag.end - FOOTER_SIZE
        data = read_part(self.file, self.tag.body, footer)
        items: list[Element] = []
        at = 0
        for number in range(int.from_bytes(read_at(self.file, footer + 16, 4), "little")):
            refuse_many(number)
            name_end = data.find(b"\0", at + 8)
            if name_end < 0:
                raise Malformed("an APE item without a key")
            end = name_end + 1 + int.from_bytes(data[at : at + 4], "little")
            if end > len(data):
                raise Malformed("an APE item longer than its tag")
            if not _KEY.fullmatch(data, at + 8, name_end):
                raise Malformed("an APE item with a key that is no ASCII text")
            start, body = self.tag.body + at, self.tag.body + name_end + 1
            items.append(Element(data[at + 8 : name_end], start, body, self.tag.body + end))
            at = end
        return items

    @property
    def genres(self) -> list[Element]:
        """The items of the field; keys are written as one likes."""
        return [item for item in self.items if item.name.lower() == self.field.encode()]

    @property
    def texts(self) -> dict[bytes, bytes]:
        """The values of the items that are UTF-8 text and say something to people, by the key as it is written."""
        found: dict[bytes, bytes] = {}
        for item in self.items:
            flags = int.from_bytes(read_at(self.file, item.start + 4, 4), "little")
            if flags & NOT_TEXT or TECHNICAL.fullmatch(item.name):
                continue
            value = read_at(self.file, item.body, item.end - item.body)
            with suppress(UnicodeDecodeError):
                value.decode()
                found[item.name] = value
        return found

    def genre_field(self) -> Raw:
        """The items of the field, each with its size, flags and key."""
        return tuple((SLOT, read_at(self.file, item.start, item.end - item.start)) for item in self.genres)

    def encode(self, genres: Sequence[str]) -> Raw:
        """One text item, the values divided by NUL; the key keeps the spelling that it has."""
        key = self.genres[0].name if self.genres else self.field.capitalize().encode()
        value = "\0".join(genres).encode()
        return ((SLOT, struct.pack("<II", len(value), 0) + key + b"\0" + value),)

    def splice(self, raw: Raw) -> list[Edit]:
        """The edits that make `raw` the tag's field; a new tag stands right behind the stream."""
        contents = only_in_slot(raw, SLOT)
        new = b"".join(contents)
        if self.tag is None:
            return [Edit(self.layout.end, self.layout.end, _new_tag(new, len(contents)))] if new else []
        count = len(self.items) - len(self.genres) + len(contents)
        if count == 0:
            return [Edit(self.tag.start, self.tag.end, b"")]
        footer = self.tag.end - FOOTER_SIZE
        edits = replaced([(item.start, item.end) for item in self.genres], footer, new)
        numbers = struct.pack("<II", footer - self.tag.body + growth(edits) + FOOTER_SIZE, count)
        marks = [footer] if self.tag.body == self.tag.start else [self.tag.start, footer]
        return edits + [Edit(mark + 12, mark + 20, numbers) for mark in marks]


def _new_tag(items: bytes, count: int) -> bytes:
    def mark(flags: int) -> bytes:
        size = len(items) + FOOTER_SIZE
        return struct.pack("<8sIIII8x", b"APETAGEX", VERSION, size, count, flags)

    return mark(HAS_HEADER | IS_HEADER) + items + mark(HAS_HEADER)
