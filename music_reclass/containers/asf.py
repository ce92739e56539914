"""ASF (WMA): objects, audio payload, and the attributes with the genre or the style."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import BinaryIO
from uuid import UUID

from music_reclass.containers.edits import GENRE, Container, Edit, Raw, growth, in_slot, replaced
from music_reclass.containers.structure import Element, Malformed, Span, read_at, read_part, refuse_many, size_of

HEADER_SIZE = 24  # of an object: GUID and size


def guid(text: str) -> bytes:
    """A GUID as ASF stores it."""
    return UUID(text).bytes_le


HEADER = guid("75B22630-668E-11CF-A6D9-00AA0062CE6C")
DATA = guid("75B22636-668E-11CF-A6D9-00AA0062CE6C")
EXTENDED = guid("D2D0A440-E307-11D2-97F0-00A0C95EA850")  # extended content description
METADATA = guid("C5F8CBEA-5BAF-4877-8467-AA8C44FA4CCA")
LIBRARY = guid("44231C94-9498-49D1-A141-1D134E457054")  # metadata library
EXTENSION = guid("5FBF03B5-A92E-11CF-8EE3-00C00C205365")  # header extension
PADDING = guid("1806D474-CADF-4509-A4BA-9AABCB96AAE8")
FILE = guid("8CABDCA1-A947-11CF-8EE4-00C00C205365")  # file properties

GENRE_NAME = "WM/Genre\0".encode("utf-16-le")
STYLE_KEYS = ("STYLE", "WM/STYLE")  # in any case; the first is written
STYLE_NAME = "STYLE\0".encode("utf-16-le")
UNICODE = 0  # the type of a text attribute
SLOTS = {EXTENDED: "extended", METADATA: "metadata", LIBRARY: "library"}  # the objects that hold attributes
MOST = 0xFFFF  # attributes in an object, and bytes of a text in the extended description


def objects(file: BinaryIO, start: int, end: int) -> Iterator[Element]:
    """The objects from `start` to `end`, each named by its GUID; a data object cut short ends there."""
    number = 0
    while start + HEADER_SIZE <= end:
        refuse_many(number)
        number += 1
        header = read_at(file, start, HEADER_SIZE)
        length = int.from_bytes(header[16:], "little")
        if length > end - start and header[:16] == DATA:
            length = end - start
        if not HEADER_SIZE <= length <= end - start:
            raise Malformed("an ASF object longer than what holds it")
        yield Element(header[:16], start, start + HEADER_SIZE, start + length)
        start += length


def _attributes(file: BinaryIO, found: Element) -> Iterator[Element]:
    """The attributes in an object of SLOTS."""
    data = read_part(file, found.body, found.end)
    if len(data) < 2:
        raise Malformed("an ASF object without its count of attributes")
    at = 2
    try:
        for _ in range(int.from_bytes(data[:2], "little")):
            if found.name == EXTENDED:
                (name_length,) = struct.unpack_from("<H", data, at)
                name = data[at + 2 : at + 2 + name_length]
                (length,) = struct.unpack_from("<H", data, at + 4 + name_length)
                body = at + 6 + name_length
            else:
                name_length, _type, length = struct.unpack_from("<HHI", data, at + 4)
                name = data[at + 12 : at + 12 + name_length]
                body = at + 12 + name_length
            if body + length > len(data):
                raise Malformed("an ASF attribute longer than its object")
            yield Element(name, found.body + at, found.body + body, found.body + body + length)
            at = body + length
    except struct.error as error:
        raise Malformed("an ASF attribute cut short") from error


class Asf(Container):
    """An ASF file: the header object with its attributes, the data object, indices."""

    @cached_property
    def header(self) -> Element:
        """The header object, which comes first."""
        header = next(objects(self.file, self.layout.start, self.layout.end), None)
        if header is None or header.name != HEADER:
            raise Malformed("no ASF header")
        return header

    @cached_property
    def in_header(self) -> list[Element]:
        """The objects of the header."""
        return list(objects(self.file, self.header.body + 6, self.header.end))

    @cached_property
    def in_extension(self) -> list[Element]:
        """The objects of the header extension."""
        extension = self.first(EXTENSION)
        if extension and extension.end < extension.body + 22:
            raise Malformed("an ASF header extension shorter than its fields")
        return list(objects(self.file, extension.body + 22, extension.end)) if extension else []

    @cached_property
    def attributes(self) -> dict[bytes, tuple[Element, list[Element]]]:
        """GUID -> the last object of SLOTS that has it, and its attributes."""
        lists = {found.name: found for found in (*self.in_header, *self.in_extension) if found.name in SLOTS}
        return {name: (found, list(_attributes(self.file, found))) for name, found in lists.items()}

    def first(self, name: bytes) -> Element | None:
        """The first object of the header that has this GUID."""
        return next((found for found in self.in_header if found.name == name), None)

    def genres(self, name: bytes) -> list[Element]:
        """The attributes of the field in the object that has this GUID."""
        return (
            [one for one in self.attributes[name][1] if self._is_of_field(one.name)] if name in self.attributes else []
        )

    def _is_of_field(self, name: bytes) -> bool:
        if self.field == GENRE:
            return name == GENRE_NAME
        return name.decode("utf-16-le", "replace").rstrip("\0").upper() in STYLE_KEYS

    def payload(self) -> Iterator[Span]:
        """The content of the data object."""
        for found in objects(self.file, self.layout.start, self.layout.end):
            if found.name == DATA:
                yield found.body, found.end
                return  # indices and refuse may follow

    def genre_field(self) -> Raw:
        """The attributes of the field, whole, under the object they stand in."""
        return tuple(
            (slot, read_at(self.file, attribute.start, attribute.end - attribute.start))
            for name, slot in SLOTS.items()
            for attribute in self.genres(name)
        )

    def encode(self, genres: Sequence[str]) -> Raw:
        """The first genre goes to the extended description, where ffmpeg would let a second one hide it."""
        raw: list[tuple[str, bytes]] = []
        key = GENRE_NAME if self.field == GENRE else STYLE_NAME
        for genre in genres:
            value = (genre + "\0").encode("utf-16-le")
            if not raw:
                if len(value) > MOST:
                    raise Malformed("a genre too long for WMA")
                attribute = struct.pack("<H", len(key)) + key + struct.pack("<HH", UNICODE, len(value)) + value
                raw.append((SLOTS[EXTENDED], attribute))
            else:
                head = struct.pack("<HHHHI", 0, 0, len(key), UNICODE, len(value))
                raw.append((SLOTS[LIBRARY], head + key + value))
        return tuple(raw)

    def splice(self, raw: Raw) -> list[Edit]:
        """The edits that make `raw` the field; the header's padding takes up the difference where it can."""
        if any(slot not in SLOTS.values() for slot, _data in raw):
            raise Malformed("the field is kept in another kind of tag now")
        extension = self.first(EXTENSION)
        edits: list[Edit] = []
        added = inside = 0  # objects added to the header, and bytes to its extension
        for name, slot in SLOTS.items():
            contents = in_slot(raw, slot)
            if name not in self.attributes and contents:
                new, place = _new_object(name, contents), self.header.end
                if name != EXTENDED:
                    if extension is None:
                        raise Malformed("an ASF header without its extension")
                    place = extension.end
                    inside += len(new)
                else:
                    added += 1
                edits.append(Edit(place, place, new))
            elif name in self.attributes and (contents or self.genres(name)):
                changed = self._changed_object(name, contents)
                inside += growth(changed) if self.attributes[name][0] in self.in_extension else 0
                edits += changed
        if inside and extension is not None:
            edits.append(_resized(extension, inside))
            at = extension.body + 18
            edits.append(Edit(at, at + 4, struct.pack("<I", extension.end - at - 4 + inside)))
        edits += self._padded(growth(edits))
        if added:
            at = self.header.body
            count = int.from_bytes(read_at(self.file, at, 4), "little") + added
            edits.append(Edit(at, at + 4, struct.pack("<I", count)))
        more = growth(edits)
        return [*edits, _resized(self.header, more), *self._file_size(more)] if more else edits

    def _changed_object(self, name: bytes, contents: Sequence[bytes]) -> list[Edit]:
        found, attributes = self.attributes[name]
        genres = self.genres(name)
        count = len(attributes) - len(genres) + len(contents)
        if count > MOST:
            raise Malformed("more attributes than ASF can count")
        end = attributes[-1].end if attributes else found.body + 2
        edits = replaced([(one.start, one.end) for one in genres], end, b"".join(contents))
        edits.append(_resized(found, growth(edits)))
        edits.append(Edit(found.body, found.body + 2, struct.pack("<H", count)))
        return edits

    def _padded(self, more: int) -> list[Edit]:
        """Padding that shrinks or grows by as much as the rest of the header grew or shrank."""
        padding = self.first(PADDING)
        if padding is None or not more or padding.end - padding.body < more:
            return []
        if more > 0:
            return [_resized(padding, -more), Edit(padding.end - more, padding.end, b"")]
        return [_resized(padding, -more), Edit(padding.end, padding.end, bytes(-more))]

    def _file_size(self, more: int) -> list[Edit]:
        found, size = self.first(FILE), size_of(self.file)
        if found is None or int.from_bytes(read_at(self.file, found.body + 16, 8), "little") != size:
            return []  # the field was wrong before
        return [Edit(found.body + 16, found.body + 24, struct.pack("<Q", size + more))]


def _new_object(name: bytes, attributes: Sequence[bytes]) -> bytes:
    body = struct.pack("<H", len(attributes)) + b"".join(attributes)
    return name + struct.pack("<Q", HEADER_SIZE + len(body)) + body


def _resized(found: Element, more: int) -> Edit:
    return Edit(found.start + 16, found.start + 24, struct.pack("<Q", found.end - found.start + more))
