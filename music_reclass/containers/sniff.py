"""What a file is by its content, and the digest of its audio payload that no tag, rename or move changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from music_reclass.containers import FORMATS, asf
from music_reclass.containers.ape import tails_start
from music_reclass.containers.id3 import heads_end
from music_reclass.containers.mpeg import first_frames
from music_reclass.containers.structure import Layout, Malformed, blocks, opened, peek, size_of

# (offset, magic, container as FORMATS names it, FFmpeg's demuxer, libsndfile reads it); the first hit counts.
MARKS: tuple[tuple[int, bytes, str, str, bool], ...] = (
    (0, b"fLaC", "flac", "flac", True),
    (0, b"OggS", "ogg", "ogg", True),
    (4, b"ftyp", "mp4", "mov", False),
    (4, b"moov", "", "mov", False),
    (4, b"mdat", "", "mov", False),
    (4, b"wide", "", "mov", False),
    (4, b"skip", "", "mov", False),
    (4, b"free", "", "mov", False),
    (0, asf.HEADER, "asf", "asf", False),
    (0, b"wvpk", "wavpack", "wv", False),
    (0, b"MAC ", "monkeys", "ape", False),
    (0, b"tBaK", "tak", "tak", False),
    (0, b"TTA1", "tta", "tta", False),
    (0, b"MPCK", "musepack", "mpc8", False),
    (0, b"MP+", "musepack", "mpc", False),
    (0, b"OFR ", "optimfrog", "", False),
    (0, b"\x1aE\xdf\xa3", "", "matroska", False),
    (0, b"DSD ", "", "dsf", False),
    (0, b"FRM8", "", "iff", False),
    (0, b"caff", "", "caf", True),
    (0, b".snd", "", "au", True),
    (0, b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00", "", "w64", True),
    (0, b"FLV\x01", "", "flv", False),
    (0, b".RMF", "", "rm", False),
    (0, b"#!AMR", "", "amr", False),
    (0, b"ajkg", "", "shn", False),
    (0, b"Creative Voice File\x1a", "", "voc", False),
    (0, b"\x00\x00\x01\xba", "", "mpeg", False),
    (0, b"\x7f\xfe\x80\x01", "", "dts", False),
)
# (magic, kind of form, container, demuxer, libsndfile reads it)
FORMS: tuple[tuple[bytes, bytes, str, str, bool], ...] = (
    (b"RIFF", b"WAVE", "wav", "wav", True),
    (b"RF64", b"WAVE", "wav", "wav", True),
    (b"BW64", b"WAVE", "wav", "wav", True),
    (b"RIFX", b"WAVE", "", "wav", True),
    (b"RIFF", b"AVI ", "", "avi", False),
    (b"FORM", b"AIFF", "aiff", "aiff", True),
    (b"FORM", b"AIFC", "aiff", "aiff", True),
    (b"FORM", b"8SVX", "", "iff", False),
    (b"FORM", b"16SV", "", "iff", False),
)
BOUNDED = ("mp4", "asf", "ogg", "wav", "aiff")  # their structure says where they end, so that no tag stands behind

_HEAD = 4096


def sniff(file: BinaryIO) -> Layout:
    """What an open file is, by its content alone: its container, where its stream lies, and who decodes it.

    MPEG audio is known by frames that follow each other, wherever in the first 256 KiB behind the tags they begin.
    """
    size = size_of(file)
    start, malformed = heads_end(file, size)
    head = peek(file, start, _HEAD)
    container, demuxer, soundfile = _by_mark(head)
    end = size if container in BOUNDED else tails_start(file, start, size)
    if not container and not demuxer:
        demuxer = first_frames(file, start, end)
        soundfile = demuxer == "mp3"
        # Eleven set bits and a layer count as MPEG audio even where the frames are damaged; ADTS has no layer.
        synced = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06
        container = "mpeg" if demuxer == "mp3" or synced else ""
    return Layout(container, start, end, demuxer, soundfile, _announced(head), malformed)


def _by_mark(head: bytes) -> tuple[str, str, bool]:
    """Container, demuxer, and whether libsndfile reads it; ("", "", False) where the content has no mark."""
    if head[:4] == b"OggS":
        # libsndfile decodes Opus at less than half the speed of FFmpeg, and knows no video.
        simple = b"OpusHead" not in head and b"theora" not in head and b"Skeleton" not in head
        return "ogg", "ogg", simple
    for magic, kind, container, demuxer, soundfile in FORMS:
        if head[:4] == magic and head[8:12] == kind:
            return container, demuxer, soundfile
    for offset, magic, container, demuxer, soundfile in MARKS:
        if head[offset : offset + len(magic)] == magic:
            return container, demuxer, soundfile
    if len(head) > 376 and head[0] == head[188] == head[376] == 0x47:
        return "", "mpegts", False
    if head[:2] == b"\x0b\x77" and len(head) > 5:
        return "", "eac3" if head[5] >> 3 > 10 else "ac3", False
    return "", "", False


def _announced(head: bytes) -> int:
    """Bytes that a WAV or AIFF file says it has, 0: unsaid; streams are written with a size of 0 or all ones."""
    if head[:4] in (b"RIFF", b"RIFX") and head[8:12] == b"WAVE":
        size = int.from_bytes(head[4:8], "big" if head[:4] == b"RIFX" else "little")
        return size + 8 if 0 < size < 0xFFFFF000 else 0
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return int.from_bytes(head[4:8], "big") + 8
    return 0


# --- the payload -------------------------------------------------------------------------------------------

DIGEST_SIZE = 20


class PayloadReader:
    """Reads a file from front to back, once; iterating gives its bytes, and `digest` the payload digest afterwards."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.layout = sniff(file)
        self._hash = hashlib.blake2b(digest_size=DIGEST_SIZE, person=self.layout.container.encode())
        self._found = False  # whether there is any payload, and its structure holds together

    def __iter__(self) -> Iterator[bytes]:
        position = 0
        for start, block in self.payload():
            yield from blocks(self.file, position, start)
            yield block
            position = start + len(block)
        yield from blocks(self.file, position, size_of(self.file))

    def payload(self) -> Iterator[tuple[int, bytes]]:
        """The payload alone, in blocks with the offset of each."""
        position = 0
        try:
            for piece in self._pieces():
                if isinstance(piece, bytes):
                    self._hash.update(piece)
                    continue
                if piece[0] < position:
                    raise Malformed("payload that lies behind what follows it")
                position = piece[0]
                for block in blocks(self.file, *piece):
                    self._hash.update(block)
                    yield position, block
                    position += len(block)
                    self._found = True
        except Malformed:
            self._found = False

    def _pieces(self) -> Iterator[tuple[int, int] | bytes]:
        if self.layout.malformed:
            raise Malformed(self.layout.malformed)
        if self.layout.container in FORMATS:
            yield from FORMATS[self.layout.container](self.file, self.layout).payload()
        else:
            yield self.layout.start, self.layout.end

    def digest(self) -> bytes:
        """20 bytes that depend on the sound alone; of the whole file where its structure contradicts itself."""
        if self._found:
            return self._hash.digest()
        whole = hashlib.blake2b(digest_size=DIGEST_SIZE, person=b"whole")
        for block in blocks(self.file, 0, size_of(self.file)):
            whole.update(block)
        return whole.digest()


def payload_digest(path: Path) -> bytes:
    """20 bytes that depend on the sound alone: BLAKE2b over the audio payload.

    Equal for two files that differ in nothing but tags, padding, artwork or (Ogg) page numbers. A file whose
    structure contradicts itself, or that holds no payload, counts as a whole. Memory stays flat.
    FailTrack where the file cannot be read.
    """
    with opened(path) as file:
        reader = PayloadReader(file)
        for _ in reader.payload():
            pass
        return reader.digest()
