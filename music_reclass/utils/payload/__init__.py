"""The digest of the sound in a file, which no tag, rename or move changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from music_reclass.utils.payload import asf, chunks, flac, mp4, ogg
from music_reclass.utils.payload.mpeg import begins_nearby
from music_reclass.utils.payload.reading import Malformed, Span, blocks, opened, peek, size_of
from music_reclass.utils.payload.tails import heads_end, tails_start

DIGEST_SIZE = 20

_MARKS = (
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (4, b"ftyp", "mp4"),
    (0, asf.HEADER, "asf"),
    (0, b"wvpk", "wavpack"),
    (0, b"MAC ", "monkeys"),
    (0, b"tBaK", "tak"),
    (0, b"TTA1", "tta"),
    (0, b"MPCK", "musepack"),
    (0, b"MP+", "musepack"),
    (0, b"OFR ", "optimfrog"),
)


class Layout(NamedTuple):
    """What a file is by its content, and where the stream lies between the ID3, APE and Lyrics3 tags around it."""

    container: str
    start: int
    end: int


def sniff(file: BinaryIO) -> Layout:
    """The layout of an open file; the container is `mpeg` for MPEG audio and "" for what has no mark we know.

    Malformed where a tag in front of the stream is longer than the file.
    """
    size = size_of(file)
    start = heads_end(file, size)
    container = _container(peek(file, start, 16))
    # Only behind an ID3 tag: frames can stand in a row inside other containers too (Matroska).
    if not container and start and begins_nearby(file, start):
        container = "mpeg"
    if container in ("mp4", "asf", "ogg", "wav", "aiff"):
        return Layout(container, start, size)  # their own structure says where they end
    return Layout(container, start, tails_start(file, start, size))


def _container(head: bytes) -> str:
    for offset, mark, name in _MARKS:
        if head[offset : offset + len(mark)] == mark:
            return name
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    # Eleven set bits and a layer: MPEG audio. (Layer bits 00 are ADTS, another format.)
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06:
        return "mpeg"
    return ""


def _everything(_file: BinaryIO, start: int, end: int) -> Iterator[Span]:
    yield start, end


_PIECES: dict[str, Callable[[BinaryIO, int, int], Iterator[Span] | Iterator[Span | bytes]]] = {
    "flac": flac.pieces,
    "ogg": ogg.pieces,
    "mp4": mp4.pieces,
    "asf": asf.pieces,
    "wav": chunks.wav_pieces,
    "aiff": chunks.aiff_pieces,
}


def payload_digest(path: Path) -> bytes:
    """20 bytes that depend on the sound alone: BLAKE2b over the audio payload.

    Equal for two files that differ in nothing but tags, padding, artwork or (Ogg) page numbers. A file whose
    structure contradicts itself, or that holds no payload, counts as a whole. Memory stays flat.
    FailTrack where the file cannot be read.
    """
    with opened(path) as file:
        try:
            layout = sniff(file)
            digest = _digest(file, layout)
        except Malformed:
            digest = None
        return digest or _whole(file)


def _digest(file: BinaryIO, layout: Layout) -> bytes | None:
    total = 0
    hashed = hashlib.blake2b(digest_size=DIGEST_SIZE, person=layout.container.encode())
    for piece in _PIECES.get(layout.container, _everything)(file, layout.start, layout.end):
        if isinstance(piece, bytes):
            hashed.update(piece)
            continue
        total += piece[1] - piece[0]
        for block in blocks(file, *piece):
            hashed.update(block)
    return hashed.digest() if total else None


def _whole(file: BinaryIO) -> bytes:
    hashed = hashlib.blake2b(digest_size=DIGEST_SIZE, person=b"whole")
    file.seek(0)
    while block := file.read(1 << 20):
        hashed.update(block)
    return hashed.digest()
