"""Bounds of the tag library: a damaged tag costs no more memory and time than a large sound one."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from typing import Any, BinaryIO

from music_reclass.containers.ape import Ape
from music_reclass.containers.flac import Flac
from music_reclass.containers.mp4 import atoms
from music_reclass.containers.riff import Aiff
from music_reclass.containers.structure import Layout, Malformed, Span, TooMany, refuse_many

MOST_INFLATED = 64 * 2**20  # bytes that the compressed frames of one tag may hold; pictures are rarely beyond 10 MB
# Bytes that may be copied while one tag is read. For every frame, and for every value in some, the tag library copies
# the rest of what it reads: a frame of one megabyte of NULs took it minutes.
MOST_COPIED = 2**32


class Allowance:
    """What may still be spent on one tag; also what mutagen inflates frames with in the place of zlib."""

    error = zlib.error

    def __init__(self) -> None:
        self.inflated, self.copied = MOST_INFLATED, MOST_COPIED

    def decompress(self, data: bytes) -> bytes:
        """The bytes that `data` holds; MemoryError where the tag holds more than is allowed."""
        stream = zlib.decompressobj()
        plain = stream.decompress(data, self.inflated + 1)
        if len(plain) > self.inflated:
            raise MemoryError
        if not stream.eof:
            raise zlib.error("incomplete or truncated stream")
        self.inflated -= len(plain)
        return plain

    def copy(self, parts: int, size: int) -> None:
        """Take account of `size` bytes that are copied piece by piece; Malformed where that is too much."""
        self.refuse(parts, size)
        self.copied -= parts * size // 2

    def refuse(self, parts: int, size: int) -> None:
        """Malformed where so much may not be copied any more."""
        if parts * size // 2 > self.copied:
            raise Malformed("an ID3v2 tag of more parts than any program writes")


# Atoms in which the tag library looks for others, wherever they stand; and how deep a file of a program goes.
_PARENTS = b"moov udta trak mdia meta ilst stbl minf moof traf".split()
MOST_DEPTH = 20


def refuse_hostile(file: BinaryIO, layout: Layout) -> None:
    """TooMany for a file of more parts than the tag library takes in little memory; all else is for it to judge."""
    try:
        if layout.container == "flac":
            _ = Flac(file, layout).comment
        elif layout.container == "aiff":
            for _ in Aiff(file, layout).chunks():
                pass
        elif layout.container == "mp4":
            _count_atoms(file, (layout.start, layout.end), 0)
        elif layout.container not in ("asf", "ogg", "wav"):
            _ = Ape(file, layout).items
    except TooMany:
        raise
    except Malformed:
        pass


def _count_atoms(file: BinaryIO, span: Span, number: int, depth: int = 0) -> int:
    """How many atoms there are with those in `span`, `number` before them; TooMany where too many, or too deep."""
    if depth > MOST_DEPTH:
        raise TooMany("MP4 atoms nested deeper than any program writes")
    for atom in atoms(file, *span):
        number += 1
        refuse_many(number)
        if atom.name in _PARENTS:
            inside = (atom.body + 4 * (atom.name == b"meta"), atom.end)
            number = _count_atoms(file, inside, number, depth + 1)
    return number


@cache
def _installed() -> Allowance:
    """The allowance, put in place when the first tag is read."""
    from mutagen.id3 import _frames, _specs, _tags

    allowance = Allowance()
    _frames.zlib = allowance
    for name in ("MultiSpec", "SynchronizedTextSpec", "KeyEventSpec", "VolumeAdjustmentsSpec"):
        spec = getattr(_specs, name)
        spec.read = _counting_values(spec.read, allowance)
    _tags.read_frames = _counting_frames(_tags.read_frames, _tags.determine_bpi, allowance)
    return allowance


def allow_one_tag() -> None:
    """The next tag may cost as much as any."""
    allowance = _installed()
    allowance.inflated, allowance.copied = MOST_INFLATED, MOST_COPIED


def _counting_values(read: Callable[..., Any], allowance: Allowance) -> Callable[..., Any]:
    def counted(spec: Any, header: Any, frame: Any, data: bytes) -> Any:
        wide = getattr(frame, "encoding", 0) in (1, 2)  # UTF-16, where a NUL alone ends nothing
        texts = type(spec).__name__ == "MultiSpec" and hasattr(frame, "encoding")
        parts = data.count(b"\0\0" if wide else b"\0") + 1 if texts else len(data) // 4
        allowance.copy(parts, len(data))
        return read(spec, header, frame, data)

    return counted


def _counting_frames(read: Callable[..., Any], size_coding: Callable[..., Any], allowance: Allowance) -> Any:
    from mutagen.id3._util import BitPaddedInt

    def counted(id3: Any, data: bytes, frames: Any) -> Any:
        version = tuple(id3.version)
        if version < (2, 4):
            number = _count(data, version, int, allowance)
        else:
            both = {coding: _count(data, version, coding, allowance) for coding in (int, BitPaddedInt)}
            allowance.refuse(max(both.values()), len(data))  # to tell which it is takes long as well
            number = both[size_coding(data, frames)]
        allowance.copy(number, len(data))
        return read(id3, data, frames)

    return counted


def _count(data: bytes, version: tuple[int, ...], size_of: Callable[[int], int], allowance: Allowance) -> int:
    """How many frames `data` has, up to the first that is too many."""
    width, head = (3, 6) if version < (2, 3) else (4, 10)
    at = number = 0
    while at + head <= len(data) and data[at : at + width].strip(b"\0"):
        at += head + size_of(int.from_bytes(data[at + width : at + 2 * width], "big"))
        number += 1
        if number * len(data) // 2 > allowance.copied:
            break  # what is left to count changes nothing
    return number
