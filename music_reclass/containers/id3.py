"""ID3: where the tags in front of a stream end; parses an ID3v2 tag and replaces its genre or style frame alone."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from music_reclass.containers.edits import GENRE, STYLE, Edit, Raw, growth, only_in_slot, replaced
from music_reclass.containers.structure import BLOCK, Element, Malformed, peek

HEADER_SIZE = 10
UNSYNCHRONISED, EXTENDED, FOOTER = 0x80, 0x40, 0x10
NEW_VERSION = 4
NEW_PADDING = 1024  # room for the next edit, so that it need not move the sound
LATIN1, UTF16, UTF8 = 0, 1, 3
_ENCODINGS = {LATIN1: "latin-1", UTF16: "utf-16", 2: "utf-16-be", UTF8: "utf-8"}
LARGEST = (1 << 28) - 1
V1_SIZE = 128  # of an ID3v1 tag
MOST_TAGS = 1000  # in a row; a file made of millions of empty tags must not hold up a scan

_NAMES = {GENRE: (b"TCON", b"TCO"), STYLE: (b"TXXX", b"TXX")}  # the second in ID3v2.2
STYLE_KEY = "STYLE"  # the description of a frame with the style
_NAME = re.compile(rb"[A-Z0-9]+")


def syncsafe(data: bytes) -> int:
    """The integer that ID3v2 spreads over the low seven bits of each byte; Malformed where a high bit is set."""
    value = 0
    for byte in data:
        if byte & 0x80:
            raise Malformed("an ID3v2 size with a high bit set")
        value = value << 7 | byte
    return value


def id3v2_end(file: BinaryIO, start: int, size: int) -> int:
    """Where the ID3v2 tag that begins at `start` ends, its footer included; `start` where there is none."""
    header = peek(file, start, 10)
    if len(header) < 10 or header[:3] != b"ID3" or header[3] == 0xFF or header[4] == 0xFF:
        return start
    end = start + 10 + syncsafe(header[6:10]) + (10 if header[3] >= 4 and header[5] & 0x10 else 0)
    if end > size:
        raise Malformed("an ID3v2 tag longer than its file")
    return end


def heads_end(file: BinaryIO, size: int) -> tuple[int, str]:
    """Where the last of the ID3v2 tags in front of the stream ends, 0 without one, and what is wrong with the next."""
    end = 0
    for _ in range(MOST_TAGS):
        try:
            after = id3v2_end(file, end, size)
        except Malformed as error:
            return end, str(error)
        if after == end:
            break
        end = after
    return end, ""


class Tag:
    """The ID3v2 tag that `data` begins with; all positions count from its first byte, and hold for the stored bytes.

    `frames`: each with its content as `frame_bytes` takes it. `padding`: where the padding begins; `end`: where it
    ends, the tag's footer not counted. `plain_sizes`: ID3v2.4 with ID3v2.3's frame sizes, as old iTunes wrote it.
    `extended_padding`: where an ID3v2.3 extended header says how much padding there is.
    """

    def __init__(self, data: bytes, field: str = GENRE) -> None:
        self.field = field
        if len(data) < HEADER_SIZE or data[:3] != b"ID3":
            raise Malformed("no ID3v2 tag")
        self.version, self.flags = data[3], data[5]
        if self.version not in (2, 3, 4):
            raise Malformed(f"ID3v2.{self.version} is not a known version")
        self.end = HEADER_SIZE + syncsafe(data[6:10])
        if self.end > len(data):
            raise Malformed("an ID3v2 tag cut short")
        if self.version == 2 and self.flags & EXTENDED:
            raise Malformed("a compressed ID3v2.2 tag")
        body, marks = data[HEADER_SIZE : self.end], []
        if self.flags & UNSYNCHRONISED and self.version < 4:
            # Before ID3v2.4 a zero byte after each 0xFF runs through the whole tag, sizes counted without it.
            marks = [match.start() - number for number, match in enumerate(re.finditer(b"\xff\x00", body))]
            body = body.replace(b"\xff\x00", b"\xff")

        def stored(position: int) -> int:
            return HEADER_SIZE + position + bisect_left(marks, position)

        first, extended_padding = _extended_header(body, self.version, self.flags)
        if first > len(body):
            raise Malformed("an ID3v2 extended header longer than its tag")
        found, self.plain_sizes = _frames(body, first, self.version)
        self.frames = [Element(one.name, stored(one.start), stored(one.body), stored(one.end)) for one in found]
        named = (one for one in zip(self.frames, found, strict=True) if one[1].name in _NAMES[field])
        of_field = ((frame, body[one.body : one.end]) for frame, one in named)
        self._stored = [one for one in of_field if self._is_of_field(one[1])]  # the frames of the field, with contents
        self.padding = stored(found[-1].end if found else first)
        self.extended_padding = stored(extended_padding) if extended_padding else None

    @property
    def genres(self) -> list[Element]:
        """The frames of the field."""
        return [frame for frame, _ in self._stored]

    def _is_of_field(self, content: bytes) -> bool:
        """Whether a frame is of the field by its description, which frames of the genre have not."""
        return self.field == GENRE or [one.upper() for one in texts(content, self.version)[:1]] == [STYLE_KEY]

    def values(self, content: bytes) -> tuple[str, ...]:
        """The values in a frame of the field, as they are written."""
        return texts(content, self.version)[self.field == STYLE :]

    def genre_field(self) -> Raw:
        """The frames of the field: flags and body of each, under a slot that names the version."""
        return tuple((slot(self.field, self.version), content) for _, content in self._stored)

    def encode(self, genres: Sequence[str]) -> Raw:
        """One frame of the field in the version of this tag."""
        return encode(genres, self.version, self.field)

    def splice(self, raw: Raw, *, even: bool = False) -> list[Edit]:
        """The edits to the tag that make `raw` its field; `even` rounds a longer tag up.

        Padding is used before the tag grows. A tag that loses its last frame is removed, as ID3v2 knows no empty one.
        """
        contents = only_in_slot(raw, slot(self.field, self.version))
        footer = HEADER_SIZE if self.version == 4 and self.flags & FOOTER else 0
        if not raw and len(self.frames) == len(self.genres):
            return [Edit(0, self.end + footer, b"")]
        name = _NAMES[self.field][self.version == 2]
        new = b"".join(frame_bytes(name, one, self.version, plain_sizes=self.plain_sizes) for one in contents)
        if self.flags & UNSYNCHRONISED and self.version < 4:
            new = re.sub(rb"\xff(?=[\xe0-\xff\x00]|$)", b"\xff\x00", new, flags=re.DOTALL)
        edits = replaced([(frame.start, frame.end) for frame in self.genres], self.padding, new)
        more, room = growth(edits), self.end - self.padding
        if footer:
            padding = room  # a tag with a footer has none
        elif more <= room:
            padding = room - more
        else:
            padding = NEW_PADDING + (even and (self.end + more - room + NEW_PADDING) % 2)
        size = syncsafe_bytes(self.end - HEADER_SIZE + more + padding - room)
        edits.append(Edit(6, 10, size))
        if footer:
            edits.append(Edit(self.end + 6, self.end + 10, size))
        if padding < room:
            edits.append(Edit(self.padding, self.padding + room - padding, b""))
        elif padding > room:
            edits.append(Edit(self.end, self.end, bytes(padding - room)))
        if self.extended_padding is not None:
            edits.append(Edit(self.extended_padding, self.extended_padding + 4, padding.to_bytes(4, "big")))
        return edits


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


def _frames(body: bytes, first: int, version: int) -> tuple[list[Element], bool]:
    """The frames, and whether the sizes of an ID3v2.4 tag are plain integers."""
    try:
        return list(_walk(body, first, version, plain=version == 3)), False
    except Malformed:
        if version != 4:
            raise
        return list(_walk(body, first, version, plain=True)), True


def _walk(body: bytes, at: int, version: int, *, plain: bool) -> Iterator[Element]:
    """The frames in `body`; the content of each begins with its flags, which ID3v2.2 has not."""
    width = 3 if version == 2 else 4  # of a frame's name, and of its size
    head = 6 if version == 2 else 10
    while at + head <= len(body) and body[at]:
        name, size = body[at : at + width], body[at + width : at + 2 * width]
        length = int.from_bytes(size, "big") if plain or version == 2 else syncsafe(size)
        after = at + head + length
        if after > len(body) or not _NAME.fullmatch(name):
            raise Malformed(f"an ID3v2 frame {name!r} longer than its tag")
        yield Element(name, at, at + 2 * width, after)
        at = after
    if any(body[start : start + BLOCK].strip(b"\0") for start in range(at, len(body), BLOCK)):
        raise Malformed("something that is no frame behind the last ID3v2 frame")


def slot(field: str, version: int) -> str:
    """The slot of a field in a tag of this version."""
    return f"{_NAMES[field][0].decode()}/{version}"


def encode(genres: Sequence[str], version: int, field: str = GENRE) -> Raw:
    """One frame with all `genres`, divided by NUL as ID3v2.4 has it and everybody reads in the older ones; in front
    of styles the description."""
    values = [STYLE_KEY, *genres] if field == STYLE else genres
    if version == 4:
        body = bytes([UTF8]) + "\0".join(values).encode()
    elif all(value.isascii() for value in values):
        body = bytes([LATIN1]) + "\0".join(values).encode("ascii")
    else:
        body = bytes([UTF16]) + b"\0\0".join(b"\xff\xfe" + value.encode("utf-16-le") for value in values)
    return ((slot(field, version), (b"" if version == 2 else b"\0\0") + body),)


def texts(content: bytes, version: int) -> tuple[str, ...]:
    """The values of a text frame, as they are written; () for one that is compressed, encrypted or damaged."""
    flags, body = (b"", content) if version == 2 else (content[:2], content[2:])
    encoding = _ENCODINGS.get(body[0]) if body else None
    if encoding is None or any(flags[1:]):
        return ()
    try:
        return tuple(part.lstrip("\ufeff") for part in body[1:].decode(encoding).rstrip("\0").split("\0"))
    except UnicodeDecodeError:
        return ()


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
