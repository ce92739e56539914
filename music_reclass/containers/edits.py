"""The interface of a container format; edits to a file, their inverse, and the form in which the journal keeps them."""

from __future__ import annotations

import io
import os
import zlib
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from music_reclass.containers.structure import Layout, Malformed, Span, read_at, size_of

MAGIC = b"RP1"


@dataclass(frozen=True, slots=True)
class Edit:
    """`data` takes the place of the bytes from `start` to `end` of the file that is edited."""

    start: int
    end: int
    data: bytes

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"an edit from {self.start} to {self.end}")


def growth(edits: Iterable[Edit]) -> int:
    """How many bytes longer the edited file is; negative where it is shorter."""
    return sum(len(edit.data) - (edit.end - edit.start) for edit in edits)


def tidy(source: BinaryIO, edits: Iterable[Edit]) -> tuple[Edit, ...]:
    """The same change in file order, without the bytes that an edit leaves as they are.

    ValueError where two edits overlap or one lies behind the end of `source`.
    """
    tidied: list[Edit] = []
    position, size = 0, size_of(source)
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        if edit.start < position or edit.end > size:
            raise ValueError("edits overlap, or lie behind the end of the file")
        position = edit.end
        old = read_at(source, edit.start, edit.end - edit.start)
        head = _common(old, edit.data)
        tail = _common(old[head:][::-1], edit.data[head:][::-1])
        trimmed = Edit(edit.start + head, edit.end - tail, edit.data[head : len(edit.data) - tail])
        if trimmed.data or trimmed.end > trimmed.start:
            tidied.append(trimmed)
    return tuple(tidied)


def _common(one: bytes, other: bytes) -> int:
    """How many bytes both begin with."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def patched(source: Iterable[bytes], edits: Sequence[Edit]) -> Iterator[bytes]:
    """The bytes of the edited file; `source` gives those of the file in pieces, `edits` are in file order.

    Malformed where an edit lies behind the end of the file.
    """
    pending = list(reversed(edits))
    position = kept = 0  # bytes of the file that have come, and those that were passed on or replaced
    for piece in source:
        start, position = position, position + len(piece)
        while pending and pending[-1].start < position:
            edit = pending.pop()
            yield piece[kept - start : edit.start - start]
            yield edit.data
            kept = edit.end
        if kept < position:
            yield piece[kept - start :]
            kept = position
    if kept > position or (pending and pending[0].start > position):
        raise Malformed("an edit behind the end of the file")
    for edit in reversed(pending):
        yield edit.data


Piece = tuple[int, int] | bytes  # bytes of the file that stay, from and to, or new ones


def _pieces(edits: Sequence[Edit], size: int) -> Iterator[Piece]:
    """What the edited file of `size` bytes consists of; `edits` are in file order."""
    position = 0
    for edit in edits:
        if position < edit.start:
            yield position, edit.start
        if edit.data:
            yield edit.data
        position = edit.end
    if position < size:
        yield position, size


class EditedFile(io.RawIOBase):
    """A file as it will be after `edits`, which are in file order: read without being made."""

    def __init__(self, source: BinaryIO, edits: Sequence[Edit]) -> None:
        self._source = source
        self._pieces = list(_pieces(edits, size_of(source)))
        self._starts = [0]
        for piece in self._pieces:
            self._starts.append(self._starts[-1] + _length(piece))
        self._position = 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be read from any place."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Where the next byte is read."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._starts[-1]}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """The next bytes, as many as lie in one piece."""
        if self._position >= self._starts[-1]:
            return 0
        number = bisect_right(self._starts, self._position) - 1
        piece, at = self._pieces[number], self._position - self._starts[number]
        count = min(len(buffer), _length(piece) - at)
        data = piece[at : at + count] if isinstance(piece, bytes) else read_at(self._source, piece[0] + at, count)
        buffer[:count] = data
        self._position += count
        return count

    def original(self, edits: Sequence[Edit]) -> list[Edit]:
        """The edits to the source that do what `edits` do to this file; all in file order."""
        found: list[Edit] = []
        position, new = 0, b""
        for piece in self._after(edits):
            if isinstance(piece, bytes):
                new += piece
                continue
            if new or piece[0] != position:
                found.append(Edit(position, piece[0], new))
            position, new = piece[1], b""
        end = size_of(self._source)
        return [*found, Edit(position, end, new)] if new or position < end else found

    def _after(self, edits: Sequence[Edit]) -> Iterator[Piece]:
        """What the file consists of after `edits` too."""
        for wanted in _pieces(edits, self._starts[-1]):
            if isinstance(wanted, bytes):
                yield wanted
                continue
            start, end = wanted
            number = bisect_right(self._starts, start) - 1
            while start < end:
                piece, begin = self._pieces[number], self._starts[number]
                stop = min(end, self._starts[number + 1])
                if isinstance(piece, bytes):
                    yield piece[start - begin : stop - begin]
                else:
                    yield piece[0] + start - begin, piece[0] + stop - begin
                start, number = stop, number + 1


def _length(piece: Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]


def inverse(source: BinaryIO, edits: Sequence[Edit]) -> tuple[Edit, ...]:
    """The edits that turn the edited file back into `source`; `edits` are in file order."""
    reversed_edits = []
    shift = 0
    for edit in edits:
        start = edit.start + shift
        old = read_at(source, edit.start, edit.end - edit.start)
        reversed_edits.append(Edit(start, start + len(edit.data), old))
        shift += len(edit.data) - len(old)
    return tuple(reversed_edits)


def pack(edits: Sequence[Edit]) -> bytes:
    """A few bytes to keep in the journal; `edits` are in file order."""
    plain = bytearray()
    position = 0
    for edit in edits:
        plain += _number(edit.start - position) + _number(edit.end - edit.start)
        plain += _number(len(edit.data)) + edit.data
        position = edit.end
    return MAGIC + zlib.compress(bytes(plain), 9)


def unpack(packed: bytes) -> tuple[Edit, ...]:
    """What `pack` was given; ValueError for anything that it did not make."""
    if packed[: len(MAGIC)] != MAGIC:
        raise ValueError("not a patch")
    try:
        plain = zlib.decompress(packed[len(MAGIC) :])
    except zlib.error as error:
        raise ValueError(f"a damaged patch ({error})") from error
    edits = []
    at = position = 0
    while at < len(plain):
        gap, at = _read_number(plain, at)
        removed, at = _read_number(plain, at)
        length, at = _read_number(plain, at)
        if at + length > len(plain):
            raise ValueError("a patch cut short")
        start = position + gap
        edits.append(Edit(start, start + removed, plain[at : at + length]))
        position, at = start + removed, at + length
    return tuple(edits)


def is_patch(packed: bytes | None) -> bool:
    """Whether `unpack` would take it."""
    try:
        unpack(packed or b"")
    except ValueError:
        return False
    return True


def _number(value: int) -> bytes:
    """Seven bits a byte, lowest first; the high bit says that more follow."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
    raise ValueError("a patch cut short")


# --- container formats ---------------------------------------------------------------------------------------

GENRE, STYLE = "genre", "style"  # the fields that are written

# A field as the file holds it, byte for byte: (slot, bytes) in file order; () where it is absent.
# A slot tells apart where a format keeps a field: `gnre` or `©gen`, the ID3 chunk or RIFF's INFO.
Raw = tuple[tuple[str, bytes], ...]


class Container(ABC):
    """One open file of a format: its audio payload and one of its fields, the genre unless `field` says STYLE.

    Malformed rather than a guess.
    """

    def __init__(self, file: BinaryIO, layout: Layout, field: str = GENRE) -> None:
        self.file = file
        self.layout = layout
        self.field = field

    def payload(self) -> Iterator[Span | bytes]:
        """What the payload digest covers: byte ranges in file order, and bytes that stand in no one place."""
        yield self.layout.start, self.layout.end

    @abstractmethod
    def genre_field(self) -> Raw:
        """The field as it is stored."""

    @abstractmethod
    def encode(self, genres: Sequence[str]) -> Raw:
        """The field that says `genres`, or styles, primary first, in this file's dialect (ID3 version, spelling)."""

    @abstractmethod
    def splice(self, raw: Raw) -> list[Edit]:
        """The edits that make `raw` the file's only such field, and leave everything else in the file as it is."""


def in_slot(raw: Raw, name: str) -> tuple[bytes, ...]:
    """The bytes that `raw` has for one slot."""
    return tuple(data for where, data in raw if where == name)


def only_in_slot(raw: Raw, name: str) -> tuple[bytes, ...]:
    """The bytes of a field that has this one slot; Malformed where it has others."""
    contents = in_slot(raw, name)
    if len(contents) != len(raw):
        raise Malformed("the field is kept in another kind of tag now")
    return contents


def replaced(spans: Sequence[Span], otherwise: int, data: bytes) -> list[Edit]:
    """Edits that put `data` in the first span's place and drop the others; without a span it goes to `otherwise`."""
    if not spans:
        return [Edit(otherwise, otherwise, data)] if data else []
    edits = [Edit(start, end, b"") for start, end in spans]
    edits[0] = Edit(spans[0][0], spans[0][1], data)
    return edits
