"""Ogg Vorbis, Opus, Speex and FLAC: the comment packet, laid out on as many pages as it needs."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from music_reclass.tagging.formats import comments
from music_reclass.tagging.formats.base import Raw
from music_reclass.tagging.patch import Edit
from music_reclass.utils.payload import Layout
from music_reclass.utils.payload.ogg import CONTINUED, FIRST, LAST, NO_GRANULE, Page, pages, parts
from music_reclass.utils.payload.reading import Malformed, read_at

# First bytes of the first packet -> what stands in front of the comment in the second one.
CODECS = {b"\x01vorbis": 7, b"OpusHead": 8, b"Speex   ": 0, b"\x7fFLAC": 4}
MOST_SEGMENTS = 255
_SWAPPED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Head(NamedTuple):
    """The pages that hold the comment packet, and what lies on them: the packet, and what follows it there."""

    codec: bytes
    pages: list[Page]
    packet: bytes
    others: list[bytes]  # further packets, or their parts
    open_end: bool  # the last of these goes on on the next page


def _head(file: BinaryIO, layout: Layout) -> Head:
    found: list[Page] = []
    pieces: list[bytes] = []
    open_end = True
    for page in pages(file, layout.start, layout.end):
        if page.start == layout.start:
            first = read_at(file, page.body, min(8, page.end - page.body))
            codec = next((mark for mark in CODECS if first.startswith(mark)), None)
            if codec is None or len(parts(page, 0)) != 1:
                raise Malformed("an Ogg stream of a kind we do not write")
            serial = page.serial
            continue
        if page.serial != serial or page.kind & FIRST:
            raise Malformed("an Ogg file of several streams")
        found.append(page)
        for number, part in enumerate(parts(page, 0)):
            data = read_at(file, part.start, part.end - part.start)
            if pieces and open_end and number == 0:
                pieces[-1] += data
            else:
                pieces.append(data)
            open_end = not part.ends
        if len(pieces) > 1 or not open_end:
            return Head(codec or b"", found, pieces[0], pieces[1:], open_end)
    raise Malformed("an Ogg stream without a comment")


def _comment(head: Head) -> comments.Comment:
    if head.codec == b"\x7fFLAC" and head.packet[:1] != b"\x04" and head.packet[:1] != b"\x84":
        raise Malformed("an Ogg FLAC stream without a comment")
    return comments.parse(head.packet, CODECS[head.codec])


def read(file: BinaryIO, layout: Layout) -> Raw:
    """The raw genre field."""
    return comments.read_raw(_comment(_head(file, layout)))


def encode(file: BinaryIO, layout: Layout, genres: Sequence[str]) -> Raw:
    """A raw field that says `genres`."""
    return comments.encode(_comment(_head(file, layout)), genres)


def splice(file: BinaryIO, layout: Layout, raw: Raw) -> list[Edit]:
    """The edits that make `raw` the genre field; later pages are renumbered only if the number of pages changes."""
    head = _head(file, layout)
    packet = bytearray(head.packet)
    for edit in sorted(comments.splice(_comment(head), raw), key=lambda edit: (-edit.start, -edit.end)):
        packet[edit.start : edit.end] = edit.data
    if head.codec == b"\x7fFLAC":
        packet[1:4] = (len(packet) - 4).to_bytes(3, "big")
    if packet == head.packet:
        return []  # its pages may be laid out in another way than ours would be
    old = head.pages
    new = list(_pages(old[0], old[-1], [bytes(packet), *head.others], head.open_end))
    edits = [Edit(old[0].start, old[-1].end, b"".join(new))]
    if len(new) != len(old):
        edits += _renumbered(file, layout, old[-1], len(new) - len(old))
    return edits


def _pages(first: Page, last: Page, packets: list[bytes], open_end: bool) -> Iterator[bytes]:
    """`packets` on as few pages as possible, numbered on from `first`."""
    lacing = bytearray()
    for number, packet in enumerate(packets):
        lacing += b"\xff" * (len(packet) // 255)
        if not (open_end and number == len(packets) - 1):
            lacing.append(len(packet) % 255)
    content, at = b"".join(packets), 0
    starts = range(0, len(lacing), MOST_SEGMENTS)
    for number, start in enumerate(starts):
        segments = bytes(lacing[start : start + MOST_SEGMENTS])
        length = sum(segments)
        ends_packet = any(segment < 255 for segment in segments)
        goes_on = start > 0 and lacing[start - 1] == 255
        kind = (CONTINUED if goes_on else 0) | (last.kind & LAST if number == len(starts) - 1 else 0)
        granule = last.granule if ends_packet else NO_GRANULE
        header = struct.pack("<4sBBqIII", b"OggS", 0, kind, granule, first.serial, first.sequence + number, 0)
        yield _summed(header + bytes([len(segments)]) + segments + content[at : at + length])
        at += length


def _renumbered(file: BinaryIO, layout: Layout, after: Page, shift: int) -> Iterator[Edit]:
    for page in pages(file, after.end, layout.end):
        if page.serial != after.serial:
            continue
        if page.kind & FIRST:
            return  # another link of a chain begins
        data = bytearray(read_at(file, page.start, page.end - page.start))
        data[18:22] = struct.pack("<I", page.sequence + shift)
        yield Edit(page.start + 18, page.start + 26, _summed(bytes(data))[18:26])


def _summed(page: bytes) -> bytes:
    """The page with its checksum: CRC-32 with Ogg's bit order, which is zlib's mirrored."""
    blank = page[:22] + bytes(4) + page[26:]
    mirrored = ~zlib.crc32(blank.translate(_SWAPPED), 0xFFFFFFFF) & 0xFFFFFFFF
    return page[:22] + mirrored.to_bytes(4, "big").translate(_SWAPPED) + page[26:]
