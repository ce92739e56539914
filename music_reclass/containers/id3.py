"""ID3v2: parses a tag and replaces its genre frame; every other frame stays as it is."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from music_reclass.containers.edits import Edit, Raw, growth, replaced, slot
from music_reclass.containers.structure import Malformed
from music_reclass.containers.tails import syncsafe

HEADER_SIZE = 10
UNSYNCHRONISED, EXTENDED, FOOTER = 0x80, 0x40, 0x10
NEW_PADDING = 1024  # room for the next edit, so that it need not move the sound
LATIN1, UTF16, UTF8 = 0, 1, 3
LARGEST = (1 << 28) - 1

_NAME = re.compile(rb"[A-Z0-9]+")


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: where it lies in the tag's bytes, its flags (b"" in ID3v2.2) and its body as stored."""

    name: bytes
    start: int
    end: int
    flags: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class Tag:
    """An ID3v2 tag taken apart. All positions count from the tag's first byte, and hold for the stored bytes."""

    version: int
    flags: int
    frames: tuple[Frame, ...]
    padding: int  # where the padding begins
    end: int  # where it ends: the end of the tag, its footer not counted
    plain_sizes: bool  # ID3v2.4 with ID3v2.3's frame sizes, as old iTunes wrote it
    extended_padding: int | None  # where an ID3v2.3 extended header says how much padding there is

    @property
    def genres(self) -> tuple[Frame, ...]:
        """The genre frames."""
        return tuple(frame for frame in self.frames if frame.name in (b"TCON", b"TCO"))


def parse(data: bytes) -> Tag:
    """Take the tag that `data` begins with apart; Malformed where it does not add up."""
    if len(data) < HEADER_SIZE or data[:3] != b"ID3":
        raise Malformed("no ID3v2 tag")
    version, flags = data[3], data[5]
    if version not in (2, 3, 4):
        raise Malformed(f"ID3v2.{version} is not a version we know")
    end = HEADER_SIZE + syncsafe(data[6:10])
    if end > len(data):
        raise Malformed("an ID3v2 tag cut short")
    if version == 2 and flags & EXTENDED:
        raise Malformed("a compressed ID3v2.2 tag")
    stored = data[HEADER_SIZE:end]
    # Before ID3v2.4 a zero byte after each 0xFF runs through the whole tag, sizes counted without it.
    inserted = [m.start() for m in re.finditer(b"\xff\x00", stored)] if flags & UNSYNCHRONISED and version < 4 else []
    body = stored.replace(b"\xff\x00", b"\xff") if inserted else stored
    marks = [at - number for number, at in enumerate(inserted)]

    def place(position: int) -> int:
        return HEADER_SIZE + position + bisect_left(marks, position)

    first, extended_padding = _extended_header(body, version, flags)
    found, padding, plain = _frames(body, first, version)
    frames = tuple(Frame(name, place(start), place(stop), mark, text) for name, start, stop, mark, text in found)
    return Tag(version, flags, frames, place(padding), end, plain, extended_padding and place(extended_padding))


def _extended_header(body: bytes, version: int, flags: int) -> tuple[int, int | None]:
    """Where the frames begin, and where the padding size stands."""
    # Some programs set the flag and write no such header; a frame's name then stands in its place.
    if version < 3 or not flags & EXTENDED or re.match(rb"[A-Z]{3}[A-Z0-9]", body):
        return 0, None
    if version == 3:
        if int.from_bytes(body[4:6], "big") & 0x8000:
            raise Malformed("an ID3v2 tag with a checksum")
        return 4 + int.from_bytes(body[:4], "big"), 6
    if len(body) > 5 and body[5] & 0x20:
        raise Malformed("an ID3v2 tag with a checksum")
    return syncsafe(body[:4]), None


_Found = tuple[bytes, int, int, bytes, bytes]


def _frames(body: bytes, first: int, version: int) -> tuple[list[_Found], int, bool]:
    """The frames, where they end, and whether the sizes of an ID3v2.4 tag are plain integers."""
    try:
        return (*_walk(body, first, version, plain=version == 3), False)
    except Malformed:
        if version != 4:
            raise
        return (*_walk(body, first, version, plain=True), True)


def _walk(body: bytes, at: int, version: int, *, plain: bool) -> tuple[list[_Found], int]:
    width = 3 if version == 2 else 4  # of a frame's name, and of its size
    head = 6 if version == 2 else 10
    found: list[_Found] = []
    while at + head <= len(body) and body[at]:
        name, size = body[at : at + width], body[at + width : at + 2 * width]
        length = int.from_bytes(size, "big") if plain or version == 2 else syncsafe(size)
        after = at + head + length
        if after > len(body) or not _NAME.fullmatch(name):
            raise Malformed(f"an ID3v2 frame {name!r} longer than its tag")
        flags = body[at + 8 : at + 10] if version > 2 else b""
        found.append((name, at, after, flags, body[at + head : after]))
        at = after
    if any(body[at:]):
        raise Malformed("something that is no frame behind the last ID3v2 frame")
    return found, min(at, len(body))


def read_raw(tag: Tag) -> Raw:
    """The genre frames: flags and body of each, under a slot that names the version."""
    return tuple((f"TCON/{tag.version}", frame.flags + frame.body) for frame in tag.genres)


def encode(genres: Sequence[str], version: int) -> Raw:
    """One genre frame with all `genres`, divided by NUL as ID3v2.4 has it and everybody reads in the older ones."""
    if version == 4:
        body = bytes([UTF8]) + "\0".join(genres).encode()
    elif all(genre.isascii() for genre in genres):
        body = bytes([LATIN1]) + "\0".join(genres).encode("ascii")
    else:
        body = bytes([UTF16]) + b"\0\0".join(b"\xff\xfe" + genre.encode("utf-16-le") for genre in genres)
    return ((f"TCON/{version}", (b"" if version == 2 else b"\0\0") + body),)


def frame_bytes(name: bytes, content: bytes, version: int, *, plain_sizes: bool = False) -> bytes:
    """A whole frame of `content`: flags (not in ID3v2.2) and body."""
    if version == 2:
        return name + len(content).to_bytes(3, "big") + content
    length = len(content) - 2
    size = length.to_bytes(4, "big") if version == 3 or plain_sizes else syncsafe_bytes(length)
    return name + size + content


def syncsafe_bytes(value: int) -> bytes:
    """Four bytes of seven bits each; Malformed for a number that does not fit."""
    if value > LARGEST:
        raise Malformed("an ID3v2 tag larger than 256 MB")
    return bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))


def new_tag(frames: bytes, *, padding: int = NEW_PADDING) -> bytes:
    """A fresh ID3v2.4 tag: the version that defines several values in one frame, and has UTF-8."""
    return b"ID3\x04\x00\x00" + syncsafe_bytes(len(frames) + padding) + frames + bytes(padding)


def splice(data: bytes, raw: Raw, *, even: bool = False) -> list[Edit]:
    """The edits, counted from the tag's first byte, that make `raw` the tag's genre; `even` rounds a longer tag up.

    Padding is used before the tag grows. A tag that loses its last frame is removed, as ID3v2 knows no empty one.
    """
    tag = parse(data)
    contents = slot(raw, f"TCON/{tag.version}")
    if len(contents) != len(raw):
        raise Malformed("the genre is kept in another kind of tag now")
    footer = HEADER_SIZE if tag.version == 4 and tag.flags & FOOTER else 0
    if not raw and len(tag.frames) == len(tag.genres):
        return [Edit(0, tag.end + footer, b"")]
    name = b"TCO" if tag.version == 2 else b"TCON"
    new = b"".join(frame_bytes(name, one, tag.version, plain_sizes=tag.plain_sizes) for one in contents)
    if tag.flags & UNSYNCHRONISED and tag.version < 4:
        new = re.sub(rb"\xff(?=[\xe0-\xff\x00]|$)", b"\xff\x00", new, flags=re.DOTALL)
    edits = replaced([(frame.start, frame.end) for frame in tag.genres], tag.padding, new)
    more, room = growth(edits), tag.end - tag.padding
    if footer:
        padding = room  # a tag with a footer has none
    elif more <= room:
        padding = room - more
    else:
        padding = NEW_PADDING + (even and (tag.end + more - room + NEW_PADDING) % 2)
    size = syncsafe_bytes(tag.end - HEADER_SIZE + more + padding - room)
    edits.append(Edit(6, 10, size))
    if footer:
        edits.append(Edit(tag.end + 6, tag.end + 10, size))
    if padding < room:
        edits.append(Edit(tag.padding, tag.padding + room - padding, b""))
    elif padding > room:
        edits.append(Edit(tag.end, tag.end, bytes(padding - room)))
    if tag.extended_padding is not None:
        edits.append(Edit(tag.extended_padding, tag.extended_padding + 4, padding.to_bytes(4, "big")))
    return edits
