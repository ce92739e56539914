"""Edits to a file and their inverse, the journal's patch format, and the interface of a container format."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from music_reclass.containers.structure import BLOCK, blocks, read_at, size_of

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


def patched(source: BinaryIO, edits: Sequence[Edit]) -> Iterator[bytes]:
    """The bytes of the edited file in pieces of bounded size; `edits` are in file order."""
    position = 0
    for edit in edits:
        yield from blocks(source, position, edit.start)
        for start in range(0, len(edit.data), BLOCK):
            yield edit.data[start : start + BLOCK]
        position = edit.end
    yield from blocks(source, position, size_of(source))


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


class Layout(NamedTuple):
    """What a file is by its content, and where the stream lies between the ID3, APE and Lyrics3 tags around it."""

    container: str
    start: int
    end: int


# The genre field as the file holds it, byte for byte: (slot, bytes) in file order; () where it is absent.
# A slot tells apart where a format keeps a genre: `gnre` or `©gen`, the ID3 chunk or RIFF's INFO.
Raw = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Format:
    """How one container keeps its genre. Every function raises Malformed rather than guess.

    `read` gives the raw field; `encode` makes the raw field that says these genres, primary first, in the
    dialect of this very file (ID3 version, spelling of the key); `splice` gives the edits that make a raw field
    the file's only one, and leave everything else in the file as it is.
    """

    read: Callable[[BinaryIO, Layout], Raw]
    encode: Callable[[BinaryIO, Layout, Sequence[str]], Raw]
    splice: Callable[[BinaryIO, Layout, Raw], list[Edit]]


def slot(raw: Raw, name: str) -> tuple[bytes, ...]:
    """The bytes that `raw` has for one slot."""
    return tuple(data for where, data in raw if where == name)


def replaced(spans: Sequence[tuple[int, int]], otherwise: int, data: bytes) -> list[Edit]:
    """Edits that put `data` in the first span's place and drop the others; without a span it goes to `otherwise`."""
    if not spans:
        return [Edit(otherwise, otherwise, data)] if data else []
    edits = [Edit(start, end, b"") for start, end in spans]
    edits[0] = Edit(spans[0][0], spans[0][1], data)
    return edits
