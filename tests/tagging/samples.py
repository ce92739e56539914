"""One short file of every format, made once a session, and the ways that tests write into them."""

from __future__ import annotations

import struct
import tempfile
from functools import cache
from pathlib import Path

from music_reclass.extractors.synthesis import encode, song

SUFFIXES = {
    "mp3": ".mp3",
    "flac": ".flac",
    "vorbis": ".ogg",
    "opus": ".opus",
    "aac": ".m4a",
    "alac": ".m4a",
    "wav": ".wav",
    "aiff": ".aiff",
    "wma": ".wma",
    "wavpack": ".wv",
    "monkeys": ".ape",
    "tta": ".tta",
    "mka": ".mka",
}
CODECS = {"vorbis": "vorbis", "wav": "pcm", "monkeys": None}


def silent_monkeys_audio(blocks: int = 44100) -> bytes:
    """A Monkey's Audio file of one frame that says "all silence", which decoders accept; no encoder is at hand."""
    frame = struct.pack("<II", 0x80000000, 3) + bytes(8)  # no checksum, flags follow: both channels silent
    seek_table = struct.pack("<I", 52 + 24 + 4)
    descriptor = struct.pack("<4sHHIIIIIII16s", b"MAC ", 3990, 0, 52, 24, 4, 0, len(frame), 0, 0, bytes(16))
    header = struct.pack("<HHIIIHHI", 2000, 0, 73728 * 4, blocks, 1, 16, 2, 44100)
    return descriptor + header + seek_table + frame


@cache
def sample(name: str, seed: int = 1, seconds: float = 1.0) -> bytes:
    """The bytes of a synthesised file of one of SUFFIXES, as its encoder leaves it."""
    if name == "monkeys":
        return silent_monkeys_audio()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"tune{SUFFIXES[name]}"
        encode(path, song(seed, seconds), codec=CODECS.get(name, name))
        return path.read_bytes()


def without_id3(data: bytes) -> bytes:
    """An MP3 without the ID3v2 tag that its encoder put in front."""
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte
    return data[10 + size :] if data[:3] == b"ID3" else data


def id3v1(title: str, artist: str, genre: int) -> bytes:
    """An ID3v1.1 tag."""
    text = struct.pack("<30s30s30s4s28s", title.encode(), artist.encode(), b"An Album", b"1999", b"a comment")
    return b"TAG" + text + bytes([0, 7, genre])
