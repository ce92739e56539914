"""What the structure of a file is made of, and bounds-checked reading where its size fields may be wrong."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from music_reclass.errors import FailTrack

# Parts of one kind in a file, frames of an ID3 tag apart; fourteen hours in fragments of a second are 100,000 atoms.
MOST_PARTS = 100_000
MOST_TAG_BYTES = (1 << 28) + 20  # of a whole ID3v2 tag, the largest that any format makes
BLOCK = 1 << 20  # bytes read at a time: memory stays flat in the size of a file

Span = tuple[int, int]  # half-open byte range of a file


class Malformed(Exception):
    """The structure of a file contradicts itself; the sentence says where."""


class TooMany(Malformed):
    """A structure of so many parts that it costs far more memory and time than its size says."""


class Unwritable(Malformed):
    """A sound structure that is not written to, as not all that points into it is known; the words say what to do."""


class Element(NamedTuple):
    """A named part of a file: a FLAC block, MP4 atom, ASF object, RIFF chunk, or one entry of a tag.

    Its header begins at `start`; its content lies from `body` to `end`.
    """

    name: bytes
    start: int
    body: int
    end: int


@dataclass(frozen=True, slots=True)
class Layout:
    """What a file is by its content, and where the stream lies between the ID3, APE and Lyrics3 tags around it.

    `container` is a key of `FORMATS`, "" where the structure of tags and payload is unknown. `demuxer` is FFmpeg's
    name, "" for what is no media; `soundfile`: libsndfile reads it; `announced`: bytes it says it has, 0: unsaid.
    `malformed` says how the tags in front of the stream contradict themselves: then tags and payload are unknown.
    """

    container: str
    start: int
    end: int
    demuxer: str = ""
    soundfile: bool = False
    announced: int = 0
    malformed: str = ""


def read_at(file: BinaryIO, offset: int, count: int) -> bytes:
    """Exactly `count` bytes from `offset`; Malformed where the file ends before that."""
    file.seek(offset)
    data = file.read(count)
    if len(data) != count:
        raise Malformed(f"{count} bytes were announced at {offset}, {len(data)} are there")
    return data


def read_part(file: BinaryIO, start: int, end: int) -> bytes:
    """The bytes of a tag or an entry of one, which are held in memory; Malformed for more than a tag can have."""
    if end - start > MOST_TAG_BYTES:
        raise Malformed("a tag of more than 256 MB")
    return read_at(file, start, end - start)


def refuse_many(count: int) -> None:
    """TooMany beyond MOST_PARTS."""
    if count > MOST_PARTS:
        raise TooMany("more parts than any program writes")


def peek(file: BinaryIO, offset: int, count: int) -> bytes:
    """Up to `count` bytes from `offset`; fewer at the end of the file, none before its start."""
    if offset < 0:
        return b""
    file.seek(offset)
    return file.read(count)


def blocks(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    """The bytes from `start` to `end` in pieces of at most BLOCK bytes; Malformed where the file is shorter."""
    while start < end:
        data = read_at(file, start, min(BLOCK, end - start))
        yield data
        start += len(data)


def size_of(file: BinaryIO) -> int:
    """How many bytes the file holds now."""
    return file.seek(0, os.SEEK_END)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The regular file at `path`, open for reading; FailTrack for anything that cannot be read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise FailTrack("io", f"{path.name} is not a regular file.")  # a pipe would block for ever
        with path.open("rb", buffering=1 << 16) as file:
            yield file
    except OSError as error:
        raise file_failure(error, path) from error


def file_failure(error: OSError, path: Path) -> FailTrack:
    """What an operating system's refusal means for one track."""
    why = error.strerror or str(error)
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return FailTrack("vanished", f"{path.name} is no longer there.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return FailTrack("permission", f"{path.name}: {why}.")
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return FailTrack("no_space", f"{path.name}: {why}.")
    return FailTrack("io", f"{path.name}: {why}.")
