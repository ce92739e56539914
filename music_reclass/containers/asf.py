"""ASF (WMA): objects, audio payload, and the WM/Genre attributes."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple
from uuid import UUID

from music_reclass.containers.edits import Edit, Layout, Raw, growth, replaced, slot
from music_reclass.containers.structure import Malformed, Span, read_at, size_of

HEADER_SIZE = 24


def guid(text: str) -> bytes:
    """A GUID as ASF stores it."""
    return UUID(text).bytes_le


HEADER = guid("75B22630-668E-11CF-A6D9-00AA0062CE6C")
DATA = guid("75B22636-668E-11CF-A6D9-00AA0062CE6C")


class Object(NamedTuple):
    """One object: `start` is its 24-byte header, `end` lies behind its content."""

    kind: bytes
    start: int
    end: int

    @property
    def body(self) -> int:
        """Where the content begins."""
        return self.start + HEADER_SIZE


def objects(file: BinaryIO, start: int, end: int) -> Iterator[Object]:
    """The objects that follow each other from `start` to `end`; a data object cut short ends there."""
    while start + HEADER_SIZE <= end:
        header = read_at(file, start, HEADER_SIZE)
        length = int.from_bytes(header[16:], "little")
        if length > end - start and header[:16] == DATA:
            length = end - start
        if not HEADER_SIZE <= length <= end - start:
            raise Malformed("an ASF object longer than what holds it")
        yield Object(header[:16], start, start + length)
        start += length


def pieces(file: BinaryIO, start: int, end: int) -> Iterator[Span]:
    """The content of the data object."""
    for found in objects(file, start, end):
        if found.kind == DATA:
            yield found.body, found.end
            return  # indices and refuse may follow


EXTENDED = guid("D2D0A440-E307-11D2-97F0-00A0C95EA850")  # extended content description
METADATA = guid("C5F8CBEA-5BAF-4877-8467-AA8C44FA4CCA")
LIBRARY = guid("44231C94-9498-49D1-A141-1D134E457054")  # metadata library
EXTENSION = guid("5FBF03B5-A92E-11CF-8EE3-00C00C205365")  # header extension
PADDING = guid("1806D474-CADF-4509-A4BA-9AABCB96AAE8")
FILE = guid("8CABDCA1-A947-11CF-8EE4-00C00C205365")  # file properties

NAME = "WM/Genre\0".encode("utf-16-le")
UNICODE = 0  # the type of a text attribute
SLOTS = {EXTENDED: "extended", METADATA: "metadata", LIBRARY: "library"}
MOST = 0xFFFF  # attributes in an object, and bytes of a text in the extended description


class Record(NamedTuple):
    """One attribute, as it lies in the file."""

    name: bytes
    start: int
    end: int


class _Header:
    """The header object taken apart."""

    def __init__(self, file: BinaryIO, layout: Layout) -> None:
        self.whole = next(objects(file, layout.start, layout.end))
        if self.whole.kind != HEADER:
            raise Malformed("no ASF header")
        self.count = int.from_bytes(read_at(file, self.whole.body, 4), "little")
        self.objects = list(objects(file, self.whole.body + 6, self.whole.end))
        self.extension = self.only(EXTENSION)
        inner = self.extension and objects(file, self.extension.body + 22, self.extension.end)
        self.inner = list(inner or ())
        self.lists = {found.kind: found for found in (*self.objects, *self.inner) if found.kind in SLOTS}
        self.records = {kind: list(_records(file, found)) for kind, found in self.lists.items()}

    def only(self, kind: bytes) -> Object | None:
        """The first object of a kind."""
        return next((found for found in self.objects if found.kind == kind), None)

    def genres(self, kind: bytes) -> list[Record]:
        """The genre attributes in the object of a kind."""
        return [record for record in self.records.get(kind, []) if record.name == NAME]


def _records(file: BinaryIO, found: Object) -> Iterator[Record]:
    data = read_at(file, found.body, found.end - found.body)
    at = 2
    try:
        for _ in range(int.from_bytes(data[:2], "little")):
            if found.kind == EXTENDED:
                (name_length,) = struct.unpack_from("<H", data, at)
                name = data[at + 2 : at + 2 + name_length]
                (length,) = struct.unpack_from("<H", data, at + 4 + name_length)
                end = at + 6 + name_length + length
            else:
                name_length, _type, length = struct.unpack_from("<HHI", data, at + 4)
                name = data[at + 12 : at + 12 + name_length]
                end = at + 12 + name_length + length
            if end > len(data):
                raise Malformed("an ASF attribute longer than its object")
            yield Record(name, found.body + at, found.body + end)
            at = end
    except struct.error as error:
        raise Malformed("an ASF attribute cut short") from error


def read(file: BinaryIO, layout: Layout) -> Raw:
    """The genre attributes, whole records, under the object they stand in."""
    header = _Header(file, layout)
    return tuple(
        (name, read_at(file, record.start, record.end - record.start))
        for kind, name in SLOTS.items()
        for record in header.genres(kind)
    )


def encode(file: BinaryIO, layout: Layout, genres: Sequence[str]) -> Raw:
    """The first genre goes to the extended description, where ffmpeg would let a second one hide it."""
    raw: list[tuple[str, bytes]] = []
    for genre in genres:
        value = (genre + "\0").encode("utf-16-le")
        if not raw:
            if len(value) > MOST:
                raise Malformed("a genre too long for WMA")
            record = struct.pack("<H", len(NAME)) + NAME + struct.pack("<HH", UNICODE, len(value)) + value
            raw.append((SLOTS[EXTENDED], record))
        else:
            head = struct.pack("<HHHHI", 0, 0, len(NAME), UNICODE, len(value))
            raw.append((SLOTS[LIBRARY], head + NAME + value))
    return tuple(raw)


def splice(file: BinaryIO, layout: Layout, raw: Raw) -> list[Edit]:
    """The edits that make `raw` the genre field; the header's padding takes up the difference where it can."""
    if any(name not in SLOTS.values() for name, _data in raw):
        raise Malformed("the genre is kept in another kind of tag now")
    header = _Header(file, layout)
    edits: list[Edit] = []
    added = inside = 0
    for kind, name in SLOTS.items():
        contents = slot(raw, name)
        found = header.lists.get(kind)
        if found is None and contents:
            new, place = _new_list(kind, contents), header.whole.end
            if kind != EXTENDED:
                if header.extension is None:
                    raise Malformed("an ASF header without its extension")
                place = header.extension.end
                inside += len(new)
            else:
                added += 1
            edits.append(Edit(place, place, new))
        elif found is not None and (contents or header.genres(kind)):
            changed = _changed_list(header, found, contents)
            inside += growth(changed) if found in header.inner else 0
            edits += changed
    if inside and header.extension is not None:
        edits += _resized(header.extension, inside)
        at = header.extension.body + 18
        edits.append(Edit(at, at + 4, struct.pack("<I", header.extension.end - at - 4 + inside)))
    edits += _filled(header, growth(edits))
    if added:
        at = header.whole.body
        edits.append(Edit(at, at + 4, struct.pack("<I", header.count + added)))
    more = growth(edits)
    return edits + (_resized(header.whole, more) + _file_size(file, header, more) if more else [])


def _new_list(kind: bytes, contents: Sequence[bytes]) -> bytes:
    body = struct.pack("<H", len(contents)) + b"".join(contents)
    return kind + struct.pack("<Q", HEADER_SIZE + len(body)) + body


def _changed_list(header: _Header, found: Object, contents: Sequence[bytes]) -> list[Edit]:
    records, genres = header.records[found.kind], header.genres(found.kind)
    count = len(records) - len(genres) + len(contents)
    if count > MOST:
        raise Malformed("more attributes than ASF can count")
    end = records[-1].end if records else found.body + 2
    edits = replaced([(record.start, record.end) for record in genres], end, b"".join(contents))
    edits += _resized(found, growth(edits))
    edits.append(Edit(found.body, found.body + 2, struct.pack("<H", count)))
    return edits


def _resized(found: Object, more: int) -> list[Edit]:
    return [Edit(found.start + 16, found.start + 24, struct.pack("<Q", found.end - found.start + more))]


def _filled(header: _Header, more: int) -> list[Edit]:
    """Padding that shrinks or grows by as much as the rest of the header grew or shrank."""
    padding = header.only(PADDING)
    if padding is None or not more or padding.end - padding.body < more:
        return []
    if more > 0:
        return [*_resized(padding, -more), Edit(padding.end - more, padding.end, b"")]
    return [*_resized(padding, -more), Edit(padding.end, padding.end, bytes(-more))]


def _file_size(file: BinaryIO, header: _Header, more: int) -> list[Edit]:
    found = header.only(FILE)
    size = size_of(file)
    if found is None or int.from_bytes(read_at(file, found.body + 16, 8), "little") != size:
        return []  # the field was wrong before
    return [Edit(found.body + 16, found.body + 24, struct.pack("<Q", size + more))]
