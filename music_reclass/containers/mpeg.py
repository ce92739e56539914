"""MP3, AAC (ADTS) and TTA: the frames of a stream, and its genre in ID3v2 or APEv2."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import BinaryIO

from music_reclass.containers import id3
from music_reclass.containers.ape import Ape
from music_reclass.containers.edits import Container, Edit, Raw, only_in_slot
from music_reclass.containers.structure import peek, read_at, size_of

# --- frames ------------------------------------------------------------------------------------------------

RESYNC = 256 * 1024  # bytes in which the first frame may hide behind junk
IN_A_ROW = 4  # frames that must follow each other exactly, so that chance does not make an MP3

_KBITS = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}  # (version 1 or later, layer) -> bit rates; version 2's layer 3 is as its layer 2
_RATES = (44100, 48000, 32000)


def mpeg_frame(header: bytes) -> tuple[int, int]:
    """Bytes of the MPEG audio frame that a header announces, 0 for none, and what all frames of a stream share."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0, 0
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    rate_code, bitrate_code = header[2] >> 2 & 3, header[2] >> 4
    if version == 1 or layer == 4 or rate_code == 3 or bitrate_code in (0, 15):
        return 0, 0
    generation = 1 if version == 3 else 2
    rate = _RATES[rate_code] >> {3: 0, 2: 1, 0: 2}[version]
    bitrate = _KBITS[generation, min(layer, 2) if generation == 2 else layer][bitrate_code] * 1000
    padding = header[2] >> 1 & 1
    shared = version << 8 | layer << 4 | rate_code
    if layer == 1:
        return (12 * bitrate // rate + padding) * 4, shared
    return (72 if layer == 3 and generation == 2 else 144) * bitrate // rate + padding, shared


def adts_frame(header: bytes) -> tuple[int, int]:
    """Bytes of the ADTS frame that a header announces, 0 for none, and what all frames of a stream share."""
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 15 > 12:
        return 0, 0
    size = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return (size if size > 7 else 0), header[2] >> 2 & 15


def first_frames(file: BinaryIO, start: int, end: int) -> str:
    """FFmpeg's demuxer for the frames that follow each other from near `start` on: `mp3`, `aac` (ADTS), "" for none."""
    if demuxer := _frames_at(file, start, end):
        return demuxer
    data = peek(file, start, min(RESYNC, end - start))
    at = data.find(b"\xff")
    while at >= 0:
        header = data[at : at + 7]
        if (mpeg_frame(header)[0] or adts_frame(header)[0]) and (demuxer := _frames_at(file, start + at, end)):
            return demuxer
        at = data.find(b"\xff", at + 1)
    return ""


def _frames_at(file: BinaryIO, at: int, end: int) -> str:
    if _in_a_row(file, at, end, mpeg_frame):
        return "mp3"
    return "aac" if _in_a_row(file, at, end, adts_frame) else ""


def _in_a_row(file: BinaryIO, at: int, end: int, measure: Callable[[bytes], tuple[int, int]]) -> bool:
    stream = None
    for number in range(IN_A_ROW):
        if number >= 2 and at > end - 7:
            return True  # a file of two frames is short, not random
        size, shared = measure(peek(file, at, 7))
        if not size or stream not in (None, shared):
            return False
        stream, at = shared, at + size
    return True


# --- tags --------------------------------------------------------------------------------------------------


class Mpeg(Container):
    """A stream with an ID3v2 tag in front; an APEv2 tag behind it is written to where there is no ID3v2."""

    @cached_property
    def tag(self) -> id3.Tag | None:
        """The first ID3v2 tag, which is the one that readers use."""
        data = read_at(self.file, 0, id3.id3v2_end(self.file, 0, size_of(self.file)))
        return id3.Tag(data) if data else None

    @cached_property
    def ape(self) -> Ape | None:
        """The APEv2 tag, where it is the one to write to."""
        ape = Ape(self.file, self.layout)
        return ape if self.layout.start == 0 and ape.tag else None

    def genre_field(self) -> Raw:
        """The genre frames or items."""
        tag = self.ape or self.tag
        return tag.genre_field() if tag else ()

    def encode(self, genres: Sequence[str]) -> Raw:
        """A field in the kind and version of the tag that is there."""
        tag = self.ape or self.tag
        return tag.encode(genres) if tag else id3.encode(genres, id3.NEW_VERSION)

    def splice(self, raw: Raw) -> list[Edit]:
        """The edits that make `raw` the genre field; a new tag repeats what an ID3v1 tag says."""
        tag = self.ape or self.tag
        if tag:
            return tag.splice(raw)
        contents = only_in_slot(raw, f"TCON/{id3.NEW_VERSION}")
        if not contents:
            return []
        frames = b"".join(id3.frame_bytes(b"TCON", one, id3.NEW_VERSION) for one in contents)
        return [Edit(0, 0, id3.new_tag(_frames_of_id3v1(self.file) + frames))]


def _frames_of_id3v1(file: BinaryIO) -> bytes:
    """What an ID3v1 tag says, as ID3v2 frames: many readers (ffmpeg) ignore ID3v1 beside ID3v2, title and all."""
    old = peek(file, size_of(file) - id3.V1_SIZE, id3.V1_SIZE)
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
    return b"".join(id3.frame_bytes(name, b"\0\0" + body, id3.NEW_VERSION) for name, body in bodies.items())
