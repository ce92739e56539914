"""MP3 and TTA: finding the first frame, the audio payload, and the genre in ID3v2 or APEv2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from music_reclass.containers import ape, id3
from music_reclass.containers.edits import Edit, Layout, Raw, slot
from music_reclass.containers.structure import Malformed, peek, read_at, size_of
from music_reclass.containers.tails import ID3V1_SIZE, id3v2_end

LOOK = 1 << 16  # bytes
IN_A_ROW = 3  # frames that must follow each other exactly, so that chance does not make an MP3

_KBITS = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}  # (version 1 or later, layer) -> bit rates; version 2's layer 3 is as its layer 2
_RATES = (44100, 48000, 32000)


def frame_length(header: bytes) -> int:
    """Bytes of the frame that a four-byte header announces; 0 where it is no such header."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    rate_code, bitrate_code = header[2] >> 2 & 3, header[2] >> 4
    if version == 1 or layer == 4 or rate_code == 3 or bitrate_code in (0, 15):
        return 0
    generation = 1 if version == 3 else 2
    rate = _RATES[rate_code] >> {3: 0, 2: 1, 0: 2}[version]
    bitrate = _KBITS[generation, min(layer, 2) if generation == 2 else layer][bitrate_code] * 1000
    padding = header[2] >> 1 & 1
    if layer == 1:
        return (12 * bitrate // rate + padding) * 4
    return (72 if layer == 3 and generation == 2 else 144) * bitrate // rate + padding


def starts_frames(file: BinaryIO, at: int) -> bool:
    """Whether frames follow each other from `at` on."""
    for _ in range(IN_A_ROW):
        length = frame_length(peek(file, at, 4))
        if not length:
            return False
        at += length
    return True


def begins_nearby(file: BinaryIO, start: int) -> bool:
    """Whether MPEG audio begins within 64 KiB: behind padding that an ID3 tag forgot to count, or other refuse."""
    data = peek(file, start, LOOK)
    at = data.find(b"\xff")
    while at >= 0:
        if frame_length(data[at : at + 4]) and starts_frames(file, start + at):
            return True
        at = data.find(b"\xff", at + 1)
    return False


NEW_VERSION = 4


def _tag(file: BinaryIO) -> bytes:
    """The first ID3v2 tag, which is the one that readers use; b"" without one."""
    return read_at(file, 0, id3v2_end(file, 0, size_of(file)))


def _uses_ape(file: BinaryIO, layout: Layout) -> bool:
    return layout.start == 0 and ape.parse(file, layout) is not None


def read(file: BinaryIO, layout: Layout) -> Raw:
    """The raw genre field."""
    if _uses_ape(file, layout):
        return ape.read_raw(file, layout)
    tag = _tag(file)
    return id3.read_raw(id3.parse(tag)) if tag else ()


def encode(file: BinaryIO, layout: Layout, genres: Sequence[str]) -> Raw:
    """A raw field that says `genres`, in the version of the tag that is there."""
    if _uses_ape(file, layout):
        return ape.encode(file, layout, genres)
    tag = _tag(file)
    return id3.encode(genres, id3.parse(tag).version if tag else NEW_VERSION)


def splice(file: BinaryIO, layout: Layout, raw: Raw) -> list[Edit]:
    """The edits that make `raw` the genre field."""
    if _uses_ape(file, layout):
        return ape.splice(file, layout, raw)
    tag = _tag(file)
    if tag:
        return id3.splice(tag, raw)
    contents = slot(raw, f"TCON/{NEW_VERSION}")
    if len(contents) != len(raw):
        raise Malformed("the genre is kept in another kind of tag now")
    if not contents:
        return []
    frames = b"".join(id3.frame_bytes(b"TCON", one, NEW_VERSION) for one in contents)
    return [Edit(0, 0, id3.new_tag(_frames_of_id3v1(file) + frames))]


def _frames_of_id3v1(file: BinaryIO) -> bytes:
    """What an ID3v1 tag says, as ID3v2 frames: many readers (ffmpeg) ignore ID3v1 beside ID3v2, title and all."""
    old = peek(file, size_of(file) - ID3V1_SIZE, ID3V1_SIZE)
    if old[:3] != b"TAG":
        return b""
    title, artist, album, year, comment = (
        old[start:end].split(b"\0")[0].strip()
        for start, end in ((3, 33), (33, 63), (63, 93), (93, 97), (97, 125 if old[125] == 0 else 127))
    )
    track = old[126] if old[125] == 0 else 0
    texts = {b"TIT2": title, b"TPE1": artist, b"TALB": album}
    if len(year) == 4 and year.isdigit():
        texts[b"TDRC"] = year
    if track:
        texts[b"TRCK"] = str(track).encode()
    bodies = {name: bytes([id3.LATIN1]) + text for name, text in texts.items() if text}
    if comment:
        bodies[b"COMM"] = bytes([id3.LATIN1]) + b"eng\0" + comment
    return b"".join(id3.frame_bytes(name, b"\0\0" + body, NEW_VERSION) for name, body in bodies.items())
