"""Ogg (Vorbis, Opus, Speex, FLAC): pages, packets, audio payload, and the comment packet laid out on pages."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from io import BytesIO
from typing import BinaryIO, NamedTuple

from music_reclass.containers.edits import Container, Edit, Raw, growth, tidy
from music_reclass.containers.structure import Malformed, Span, read_at
from music_reclass.containers.vorbis import Comment

HEADER_SIZE = 27
CONTINUED, FIRST, LAST = 0x01, 0x02, 0x04  # bits of a page's type
NO_GRANULE = -1
MOST_SEGMENTS = 255  # on a page

# A stream's first packet begins with the name of its codec; in these the second packet is the comment header.
COMMENTED = (b"\x01vorbis", b"OpusHead", b"Speex   ", b"\x80theora")
FLAC = b"\x7fFLAC"
FLAC_AUDIO = 0xFF  # a frame's first byte; metadata packets begin with their block type instead
# The codecs that are written, with the bytes in front of the comment in the second packet.
CODECS = {b"\x01vorbis": 7, b"OpusHead": 8, b"Speex   ": 0, FLAC: 4}

_SWAPPED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


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


def parts(page: Page) -> list[tuple[int, int, bool]]:
    """How `page` divides into packets: where each part lies, and whether the packet ends there."""
    found = []
    start = position = page.body
    for length in page.lacing:
        position += length
        if length < 255:
            found.append((start, position, True))
            start = position
    if page.lacing and page.lacing[-1] == 255:
        found.append((start, position, False))
    return found


# --- the audio payload -------------------------------------------------------------------------------------


class _Stream:
    """What must be remembered of one logical stream from page to page."""

    def __init__(self) -> None:
        self.number = 0  # of the packet that the next part begins or goes on with
        self.length = 0  # of that packet so far
        self.codec = b""
        self.skipping = False
        self.granule = NO_GRANULE

    def is_comment(self, file: BinaryIO, start: int, end: int) -> bool:
        """Whether the packet that begins with this part is metadata."""
        first = read_at(file, start, min(8, end - start))
        if self.number == 0:
            self.codec = FLAC if first[:5] == FLAC else first
            return False
        if self.codec == FLAC:
            return bool(first) and first[0] != FLAC_AUDIO
        return self.number == 1 and self.codec.startswith(tuple(mark[:7] for mark in COMMENTED))

    def spans(self, start: int, end: int) -> Iterator[Span]:
        """A part of a packet, without the number of metadata packets in the first one of FLAC."""
        if self.number == 0 and self.codec == FLAC and end - start > 9:
            yield start, start + 7
            yield start + 9, end
        else:
            yield start, end


# --- the comment packet ------------------------------------------------------------------------------------


class Ogg(Container):
    """An Ogg file: pages of one or more logical streams; comments are written to a file of one stream alone."""

    def payload(self) -> Iterator[Span | bytes]:
        """Every packet but the comment header, then the packet lengths and the last granule position of each stream.

        How packets are laid out on pages, and how those are numbered, does not matter.
        """
        streams: dict[int, _Stream] = {}
        lengths = hashlib.blake2b()
        position = self.layout.start
        with suppress(Malformed):  # a last page cut short, or refuse between pages: from there on all is payload
            for page in pages(self.file, position, self.layout.end):
                if page.kind & FIRST or page.serial not in streams:
                    if page.serial in streams:
                        yield struct.pack("<q", streams.pop(page.serial).granule)
                    streams[page.serial] = _Stream()
                stream = streams[page.serial]
                for start, end, ends in parts(page):
                    if stream.length == 0:
                        stream.skipping = stream.is_comment(self.file, start, end)
                    stream.length += end - start
                    if not stream.skipping:
                        yield from stream.spans(start, end)
                    if ends:
                        lengths.update(struct.pack("<Q", 0 if stream.skipping else stream.length))
                        stream.number, stream.length = stream.number + 1, 0
                if page.granule != NO_GRANULE:
                    stream.granule = page.granule
                position = page.end
        yield position, self.layout.end
        yield lengths.digest()
        for serial in sorted(streams):
            yield struct.pack("<q", streams[serial].granule)

    @cached_property
    def codec(self) -> bytes:
        """The key of CODECS that the first page begins with."""
        page = next(pages(self.file, self.layout.start, self.layout.end))
        first = read_at(self.file, page.body, min(8, page.end - page.body))
        for mark in CODECS:
            if first.startswith(mark) and len(parts(page)) == 1:
                return mark
        raise Malformed("an Ogg stream of a kind that is never written")

    @cached_property
    def head(self) -> tuple[list[Page], list[bytes], bool]:
        """The pages of the comment packet, the packets on them, and whether the last one goes on on the next page."""
        found: list[Page] = []
        packets: list[bytes] = []
        serial, open_end = -1, True
        for page in pages(self.file, self.layout.start, self.layout.end):
            if page.start == self.layout.start:
                serial = page.serial
                continue
            if page.serial != serial or page.kind & FIRST:
                raise Malformed("an Ogg file of several streams")
            found.append(page)
            for number, (start, end, ends) in enumerate(parts(page)):
                data = read_at(self.file, start, end - start)
                if packets and open_end and number == 0:
                    packets[-1] += data
                else:
                    packets.append(data)
                open_end = not ends
            if len(packets) > 1 or not open_end:
                return found, packets, open_end
        raise Malformed("an Ogg stream without a comment")

    @cached_property
    def comment(self) -> Comment:
        """The Vorbis comment in the comment packet."""
        codec, packet = self.codec, self.head[1][0]
        if codec == FLAC and packet[:1] not in (b"\x04", b"\x84"):
            raise Malformed("an Ogg FLAC stream without a comment")
        return Comment(packet, CODECS[codec], self.field)

    def genre_field(self) -> Raw:
        """The entries of the field in the comment."""
        return self.comment.genre_field()

    def encode(self, genres: Sequence[str]) -> Raw:
        """One entry a value."""
        return self.comment.encode(genres)

    def splice(self, raw: Raw) -> list[Edit]:
        """The edits that make `raw` the field.

        The pages keep their sizes as far as possible, so that what lies on them, a cover for instance, only moves past
        their headers; pages behind the comment are renumbered only if the number of pages changes.
        """
        old, packets, open_end = self.head
        in_packet = tidy(BytesIO(packets[0]), self.comment.splice(raw))
        if not in_packet:
            return []
        for page in old:  # laid out anew they would be right, and what is damaged in them would count as sound
            if any(_difference(read_at(self.file, page.start, page.end - page.start))):
                raise Malformed("an Ogg page of the comment whose checksum is wrong")
        length = len(packets[0]) + growth(in_packet)
        if self.codec == FLAC:
            size = Edit(1, 4, (length - 4).to_bytes(3, "big"))
            in_packet = tidy(BytesIO(packets[0]), [size, *in_packet])
        lacing = _lacing([length, *map(len, packets[1:])], open_end)
        runs = _runs(lacing, [len(page.lacing) for page in old])
        pieces = _pieces([(page.body, page.end) for page in old], in_packet)
        edits = list(_laid_out(self.file, old, runs, pieces))
        if len(runs) != len(old):
            edits += self._renumbered(old[-1], len(runs) - len(old))
        return edits

    def _renumbered(self, after: Page, shift: int) -> Iterator[Edit]:
        """The later pages of the same stream, numbered on."""
        for page in pages(self.file, after.end, self.layout.end):
            if page.serial != after.serial:
                continue
            if page.kind & FIRST:
                return  # another link of a chain begins
            data = bytearray(read_at(self.file, page.start, page.end - page.start))
            wrong = _difference(bytes(data))
            data[18:22] = struct.pack("<I", page.sequence + shift)
            checksum = bytes(a ^ b for a, b in zip(_summed(bytes(data))[22:26], wrong, strict=True))
            yield Edit(page.start + 18, page.start + 26, bytes(data[18:22]) + checksum)


def _lacing(lengths: Sequence[int], open_end: bool) -> bytes:
    """The segment lengths of packets that follow each other."""
    lacing = bytearray()
    for length in lengths:
        lacing += b"\xff" * (length // 255)
        lacing.append(length % 255)
    return bytes(lacing[:-1] if open_end else lacing)


def _runs(lacing: bytes, counts: Sequence[int]) -> list[bytes]:
    """The segments of each page: as many as there were on the old pages, the rest on the last and new ones."""
    runs, at = [], 0
    for count in counts[:-1]:
        runs.append(lacing[at : at + count])
        at += count
    runs += [lacing[start : start + MOST_SEGMENTS] for start in range(at, len(lacing), MOST_SEGMENTS)]
    return [run for run in runs if run]


Piece = tuple[int, int] | bytes  # bytes of the old file that stay, or new ones


def _pieces(spans: Sequence[tuple[int, int]], edits: Sequence[Edit]) -> list[Piece]:
    """The content of `spans` with `edits` applied, which count from the first byte of that content."""
    pieces: list[Piece] = []
    at = 0
    cuts = [(edit.start, edit.end, edit.data) for edit in edits]
    end = sum(stop - start for start, stop in spans)
    for start, stop, data in [*cuts, (end, end, b"")]:
        pieces += _placed(spans, at, start)
        if data:
            pieces.append(data)
        at = stop
    return pieces


def _placed(spans: Sequence[tuple[int, int]], start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Where the content from `start` to `stop` lies in the file."""
    before = 0
    for low, high in spans:
        first, last = max(start, before), min(stop, before + high - low)
        if first < last:
            yield low + first - before, low + last - before
        before += high - low


def _laid_out(file: BinaryIO, old: list[Page], runs: Sequence[bytes], pieces: list[Piece]) -> Iterator[Edit]:
    """The edits that put `pieces` on pages of the segments `runs`, numbered on from the first old page."""
    position, new = old[0].start, b""
    rest = deque(pieces)
    for number, run in enumerate(runs):
        on_page = _taken(rest, sum(run))
        content = b"".join(one if isinstance(one, bytes) else read_at(file, one[0], one[1] - one[0]) for one in on_page)
        kind = CONTINUED if number and runs[number - 1][-1] == 255 else 0
        kind |= old[-1].kind & LAST if number == len(runs) - 1 else 0
        granule = old[-1].granule if any(segment < 255 for segment in run) else NO_GRANULE
        first = old[0]
        header = struct.pack("<4sBBqIII", b"OggS", 0, kind, granule, first.serial, first.sequence + number, 0)
        header += bytes([len(run)]) + run
        new += _summed(header + content)[: len(header)]
        for piece in on_page:
            if isinstance(piece, bytes):
                new += piece
            else:
                yield Edit(position, piece[0], new)
                position, new = piece[1], b""
    yield Edit(position, old[-1].end, new)


def _taken(pieces: deque[Piece], length: int) -> list[Piece]:
    """The first `length` bytes of `pieces`, which loses them."""
    taken: list[Piece] = []
    while length:
        piece = pieces.popleft()
        size = len(piece) if isinstance(piece, bytes) else piece[1] - piece[0]
        if size > length:
            if isinstance(piece, bytes):
                pieces.appendleft(piece[length:])
                piece = piece[:length]
            else:
                pieces.appendleft((piece[0] + length, piece[1]))
                piece = (piece[0], piece[0] + length)
        taken.append(piece)
        length -= min(size, length)
    return taken


def _difference(page: bytes) -> bytes:
    """By which bits the checksum of a page is wrong; zeros where it is right.

    A damaged page that is numbered anew stays wrong by the same bits, so that readers go on dropping it.
    """
    return bytes(a ^ b for a, b in zip(page[22:26], _summed(page)[22:26], strict=True))


def _summed(page: bytes) -> bytes:
    """The page with its checksum: CRC-32 with Ogg's bit order, which is zlib's mirrored."""
    blank = page[:22] + bytes(4) + page[26:]
    mirrored = ~zlib.crc32(blank.translate(_SWAPPED), 0xFFFFFFFF) & 0xFFFFFFFF
    return page[:22] + mirrored.to_bytes(4, "big").translate(_SWAPPED) + page[26:]
