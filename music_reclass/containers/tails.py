"""The ID3, APEv2 and Lyrics3 tags before and behind an audio stream: where they end and begin."""

from __future__ import annotations

import struct
from typing import BinaryIO

from music_reclass.containers.structure import Malformed, Span, peek

ID3V1_SIZE = 128
ENHANCED_SIZE = 227  # "TAG+", in front of an ID3v1 tag
APE_FOOTER_SIZE = 32
APE_HAS_HEADER = 1 << 31
MOST_TAGS = 1000  # in a row; a file made of millions of empty tags must not hold up a scan


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


def tails_start(file: BinaryIO, start: int, end: int) -> int:
    """Where the tags behind the stream begin, never before `start`; `end` where there is none."""
    for _ in range(MOST_TAGS):
        before = max(start, _one_tail(file, end))
        if before >= end:
            break
        end = before
    return end


def _one_tail(file: BinaryIO, end: int) -> int:
    if peek(file, end - ID3V1_SIZE, 3) == b"TAG":
        before = end - ID3V1_SIZE
        if peek(file, before - ENHANCED_SIZE, 4) == b"TAG+":
            before -= ENHANCED_SIZE
        return before
    ape = ape_span(file, end)
    if ape:
        return ape[0]
    mark = peek(file, end - 15, 15)
    if mark[6:] == b"LYRICS200" and mark[:6].isdigit():
        before = end - 15 - int(mark[:6])
        if peek(file, before, 11) == b"LYRICSBEGIN":
            return before
    if mark[6:] == b"LYRICSEND":
        before = max(0, end - 5100 - 20)
        found = peek(file, before, end - before).rfind(b"LYRICSBEGIN")
        if found >= 0:
            return before + found
    footer = peek(file, end - 10, 10)
    if footer[:3] == b"3DI" and not any(byte & 0x80 for byte in footer[6:]):
        before = end - 20 - syncsafe(footer[6:])
        if peek(file, before, 3) == b"ID3":
            return before
    return end


def ape_span(file: BinaryIO, end: int) -> Span | None:
    """Start and end of the APE tag whose footer lies right before `end`, its header included; None without one."""
    footer = peek(file, end - APE_FOOTER_SIZE, APE_FOOTER_SIZE)
    if len(footer) < APE_FOOTER_SIZE or footer[:8] != b"APETAGEX":
        return None
    size, _count, flags = struct.unpack("<III", footer[12:24])
    start = end - int(size)
    if flags & APE_HAS_HEADER and peek(file, start - APE_FOOTER_SIZE, 8) == b"APETAGEX":
        start -= APE_FOOTER_SIZE
    if size < APE_FOOTER_SIZE or start < 0:
        return None
    return start, end


def ape_tag(file: BinaryIO, start: int, end: int) -> Span | None:
    """The APE tag behind the stream, wherever it stands among the other tags there; None without one."""
    for _ in range(MOST_TAGS):
        if span := ape_span(file, end):
            return span
        before = max(start, _one_tail(file, end))
        if before >= end:
            return None
        end = before
    return None
