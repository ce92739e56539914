"""What a file is by its content, and the digest of its audio payload that no tag, rename or move changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from music_reclass.containers import asf, flac, mp4, ogg
from music_reclass.containers import riff as chunks
from music_reclass.containers.edits import Layout
from music_reclass.containers.mpeg import begins_nearby
from music_reclass.containers.structure import Malformed, Span, blocks, opened, peek, size_of
from music_reclass.containers.tails import heads_end, tails_start

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


_HEAD = 4096
_RESYNC = 256 * 1024  # bytes in which the first MPEG frame may hide behind junk


class Demuxer(NamedTuple):
    """One recognised container: FFmpeg's name for it, whether libsndfile reads it, bytes it says it has (0: unsaid)."""

    demuxer: str
    soundfile: bool = False
    announced: int = 0


# (offset, magic, FFmpeg demuxer, libsndfile reads it); the first hit counts
_MAGIC: tuple[tuple[int, bytes, str, bool], ...] = (
    (0, b"fLaC", "flac", True),
    (4, b"ftyp", "mov", False),
    (4, b"moov", "mov", False),
    (4, b"mdat", "mov", False),
    (4, b"wide", "mov", False),
    (4, b"skip", "mov", False),
    (4, b"free", "mov", False),
    (0, b"\x1aE\xdf\xa3", "matroska", False),
    (0, b"0&\xb2u\x8ef\xcf\x11\xa6\xd9\x00\xaa\x00b\xcel", "asf", False),
    (0, b"wvpk", "wv", False),
    (0, b"MAC ", "ape", False),
    (0, b"TTA1", "tta", False),
    (0, b"tBaK", "tak", False),
    (0, b"DSD ", "dsf", False),
    (0, b"FRM8", "iff", False),
    (0, b"MPCK", "mpc8", False),
    (0, b"MP+", "mpc", False),
    (0, b"caff", "caf", True),
    (0, b".snd", "au", True),
    (0, b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00", "w64", True),
    (0, b"FLV\x01", "flv", False),
    (0, b".RMF", "rm", False),
    (0, b"#!AMR", "amr", False),
    (0, b"ajkg", "shn", False),
    (0, b"Creative Voice File\x1a", "voc", False),
    (0, b"\x00\x00\x01\xba", "mpeg", False),
    (0, b"\x7f\xfe\x80\x01", "dts", False),
)
# kilobits a second by (MPEG 1?, layer), index 1..14 of the header's four bits
_BITRATES = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def sniff_decoder(file: BinaryIO) -> Demuxer | None:
    """The container of an open, seekable file, or None where the bytes are no media we know of. Moves the position."""
    start = _after_id3(file)
    file.seek(start)
    head = file.read(_HEAD)
    found = _riff(head) or _iff(head) or _ogg(head)
    if found:
        return found
    for offset, magic, demuxer, soundfile in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return Demuxer(demuxer, soundfile)
    if len(head) > 376 and head[0] == head[188] == head[376] == 0x47:
        return Demuxer("mpegts")
    if head[:2] == b"\x0b\x77" and len(head) > 5:
        return Demuxer("eac3" if head[5] >> 3 > 10 else "ac3")
    file.seek(start)
    return _mpeg(file.read(_RESYNC))


def _after_id3(file: BinaryIO) -> int:
    """Where the content starts, behind any ID3v2 tags; they may be megabytes of cover."""
    position = 0
    for _ in range(8):
        file.seek(position)
        header = file.read(10)
        if len(header) < 10 or header[:3] != b"ID3" or max(header[6:10]) > 127:
            break
        size = header[6] << 21 | header[7] << 14 | header[8] << 7 | header[9]
        position += 10 + size + (10 if header[5] & 0x10 else 0)
    return position


def _riff(head: bytes) -> Demuxer | None:
    if head[:4] not in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
        return None
    size = int.from_bytes(head[4:8], "big" if head[:4] == b"RIFX" else "little")
    # streams are written with a size of 0 or all ones, which announces nothing
    announced = size + 8 if head[:4] in (b"RIFF", b"RIFX") and 0 < size < 0xFFFFF000 else 0
    if head[8:12] == b"WAVE":
        return Demuxer("wav", soundfile=True, announced=announced)
    return Demuxer("avi") if head[8:12] == b"AVI " else None


def _iff(head: bytes) -> Demuxer | None:
    if head[:4] != b"FORM":
        return None
    if head[8:12] in (b"AIFF", b"AIFC"):
        return Demuxer("aiff", soundfile=True, announced=int.from_bytes(head[4:8], "big") + 8)
    return Demuxer("iff") if head[8:12] in (b"8SVX", b"16SV") else None


def _ogg(head: bytes) -> Demuxer | None:
    if head[:4] != b"OggS":
        return None
    # libsndfile decodes Opus at less than half the speed of FFmpeg, and knows no video
    simple = b"OpusHead" not in head and b"theora" not in head and b"Skeleton" not in head
    return Demuxer("ogg", soundfile=simple)


def _mpeg(data: bytes) -> Demuxer | None:
    """MPEG audio or ADTS AAC: four headers in a row, each where the one before says; random bytes do not have that."""
    position = data.find(b"\xff")
    while 0 <= position < len(data) - 4:
        for measure, container in ((_mpeg_frame, Demuxer("mp3", soundfile=True)), (_adts_frame, Demuxer("aac"))):
            if _chain(data, position, measure):
                return container
        position = data.find(b"\xff", position + 1)
    return None


def _chain(data: bytes, position: int, measure: Callable[[bytes], tuple[int, int]]) -> bool:
    first, frames = None, 0
    while frames < 4:
        size, family = measure(data[position : position + 7])
        if not size or (first is not None and family != first):
            return False
        first, frames, position = family, frames + 1, position + size
        if position > len(data) - 7:
            return frames >= 2  # a file of two frames is short, not random
    return True


def _mpeg_frame(header: bytes) -> tuple[int, int]:
    """Bytes of the MPEG audio frame that starts here, 0 for none, and what all frames of a stream share."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0, 0
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    rate_bits, speed = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer == 4 or speed == 3 or not 0 < rate_bits < 15:
        return 0, 0
    bitrate = _BITRATES[version == 3, layer][rate_bits - 1] * 1000
    rate = (44100, 48000, 32000)[speed] >> (0 if version == 3 else 1 if version == 2 else 2)
    padding = header[2] >> 1 & 1
    family = version << 8 | layer << 4 | speed
    if layer == 1:
        return (12 * bitrate // rate + padding) * 4, family
    return (72 if layer == 3 and version != 3 else 144) * bitrate // rate + padding, family


def _adts_frame(header: bytes) -> tuple[int, int]:
    """Bytes of the ADTS frame that starts here, 0 for none, and what all frames of a stream share."""
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 15 > 12:
        return 0, 0
    size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return (size if size > 7 else 0), header[2] >> 2 & 15
