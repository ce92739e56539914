"""The pages and packets of an Ogg file."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import BinaryIO, NamedTuple

from music_reclass.utils.payload.reading import Malformed, Span, read_at

HEADER_SIZE = 27
CONTINUED, FIRST, LAST = 0x01, 0x02, 0x04  # bits of a page's type
NO_GRANULE = -1

# The first bytes of a stream's first packet tell its codec; in these its second packet is the comment header.
COMMENTED = (b"\x01vorbis", b"OpusHead", b"Speex   ", b"\x80theora")
FLAC = b"\x7fFLAC"
FLAC_AUDIO = 0xFF  # a frame's first byte; metadata packets begin with their block type instead


class Page(NamedTuple):
    """One page: `lacing` holds the segment lengths, the content lies from `body` to `end`."""

    start: int
    kind: int
    granule: int
    serial: int
    sequence: int
    lacing: bytes

    @property
    def body(self) -> int:
        """Where the content begins."""
        return self.start + HEADER_SIZE + len(self.lacing)

    @property
    def end(self) -> int:
        """Behind the last byte of the content."""
        return self.body + sum(self.lacing)


def pages(file: BinaryIO, start: int, end: int) -> Iterator[Page]:
    """The pages that follow each other from `start`; Malformed where something else lies between them."""
    while start < end:
        header = read_at(file, start, HEADER_SIZE)
        if header[:4] != b"OggS" or header[4] != 0:
            raise Malformed(f"no Ogg page at {start}")
        kind, granule, serial, sequence, _crc, count = struct.unpack("<BqIIIB", header[5:])
        page = Page(start, kind, granule, serial, sequence, read_at(file, start + HEADER_SIZE, count))
        if page.end > end:
            raise Malformed("an Ogg page longer than its file")
        yield page
        start = page.end


class Part(NamedTuple):
    """What one page holds of one packet: its number in the stream, whether it ends here, and where it lies."""

    number: int
    ends: bool
    start: int
    end: int


def parts(page: Page, number: int) -> list[Part]:
    """How `page` divides into packets, the first being packet `number` of its stream."""
    found = []
    start = position = page.body
    for length in page.lacing:
        position += length
        if length < 255:
            found.append(Part(number, True, start, position))
            number, start = number + 1, position
    if page.lacing and page.lacing[-1] == 255:
        found.append(Part(number, False, start, position))
    return found


class _Stream:
    """What must be remembered of one logical stream from page to page."""

    def __init__(self) -> None:
        self.number = 0  # of the packet that the next page begins or goes on with
        self.length = 0  # of that packet so far
        self.codec = b""
        self.skipping = False
        self.granule = NO_GRANULE


def pieces(file: BinaryIO, start: int, end: int) -> Iterator[Span | bytes]:
    """Every packet but the comment header, then the packet lengths and the last granule position of each stream.

    How packets are laid out on pages, and how those are numbered, does not matter.
    """
    streams: dict[int, _Stream] = {}
    lengths = hashlib.blake2b()
    position = start
    with suppress(Malformed):  # a last page cut short, or refuse between pages: from there on all is payload
        for page in pages(file, start, end):
            yield from _page_pieces(file, page, streams, lengths.update)
            position = page.end
    yield position, end
    yield lengths.digest()
    for serial in sorted(streams):
        yield struct.pack("<q", streams[serial].granule)


def _page_pieces(
    file: BinaryIO, page: Page, streams: dict[int, _Stream], count: Callable[[bytes], None]
) -> Iterator[Span | bytes]:
    if page.kind & FIRST or page.serial not in streams:
        if page.serial in streams:
            yield struct.pack("<q", streams.pop(page.serial).granule)
        streams[page.serial] = _Stream()
    stream = streams[page.serial]
    for part in parts(page, stream.number):
        if stream.length == 0:
            stream.skipping = _is_comment(file, stream, part)
        stream.length += part.end - part.start
        if not stream.skipping:
            yield from _without_counters(stream, part)
        if part.ends:
            count(struct.pack("<Q", 0 if stream.skipping else stream.length))
            stream.number, stream.length = part.number + 1, 0
    if page.granule != NO_GRANULE:
        stream.granule = page.granule


def _is_comment(file: BinaryIO, stream: _Stream, part: Part) -> bool:
    first = read_at(file, part.start, min(8, part.end - part.start))
    if part.number == 0:
        stream.codec = FLAC if first[:5] == FLAC else first
        return False
    if stream.codec == FLAC:
        return bool(first) and first[0] != FLAC_AUDIO
    return part.number == 1 and stream.codec.startswith(tuple(mark[:7] for mark in COMMENTED))


def _without_counters(stream: _Stream, part: Part) -> Iterator[Span]:
    if part.number == 0 and stream.codec == FLAC and part.end - part.start > 9:
        yield part.start, part.start + 7
        yield part.start + 9, part.end  # without the number of metadata packets
    else:
        yield part.start, part.end
