"""MP3, AAC (ADTS) and TTA: the frames of a stream, and its genre or style in ID3v2 and APEv2."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import BinaryIO

from music_reclass.containers import id3
from music_reclass.containers.ape import SLOT, Ape, id3v1_tag
from music_reclass.containers.edits import GENRE, Container, Edit, Raw, only_in_slot
from music_reclass.containers.structure import Malformed, peek, read_at, size_of

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


# APE keys in small letters -> the ID3v2 frame of the same meaning; the others become TXXX frames.
_FRAMES = {
    b"title": b"TIT2",
    b"subtitle": b"TIT3",
    b"artist": b"TPE1",
    b"album artist": b"TPE2",
    b"albumartist": b"TPE2",
    b"conductor": b"TPE3",
    b"mixartist": b"TPE4",
    b"album": b"TALB",
    b"composer": b"TCOM",
    b"lyricist": b"TEXT",
    b"publisher": b"TPUB",
    b"copyright": b"TCOP",
    b"isrc": b"TSRC",
    b"compilation": b"TCMP",
}
# Those whose value has a form in ID3v2.
_FORMED = {
    b"year": (b"TDRC", re.compile(rb"\d{4}(-\d\d(-\d\d)?)?")),
    b"track": (b"TRCK", re.compile(rb"\d+(/\d+)?")),
    b"disc": (b"TPOS", re.compile(rb"\d+(/\d+)?")),
    b"bpm": (b"TBPM", re.compile(rb"\d+")),
}


class Mpeg(Container):
    """A stream with an ID3v2 tag in front, and maybe an APEv2 tag behind it, whose genre follows that of ID3v2.

    Programs built on FFmpeg read no APEv2 in MP3, so that a file without ID3v2 gets such a tag.
    """

    @cached_property
    def tag(self) -> id3.Tag | None:
        """The first ID3v2 tag, which is the one that readers use."""
        data = read_at(self.file, 0, id3.id3v2_end(self.file, 0, size_of(self.file)))
        return id3.Tag(data, self.field) if data else None

    @cached_property
    def ape(self) -> Ape | None:
        """The APEv2 tag; one that cannot be read counts as none beside ID3v2, and is never written to."""
        ape = Ape(self.file, self.layout, self.field)
        try:
            return ape if ape.tag and ape.items else None
        except Malformed:
            if self.tag is None:
                raise
            return None

    @property
    def in_ape(self) -> bool:
        """Whether the APEv2 tag has the field too: where it says the same as ID3v2, or alone says something."""
        if self.ape is None:
            return False
        if self.tag is None or not self.tag.genres:
            return bool(self.ape.genres or (self.tag is None and self.ape.texts))
        said = [text for _, content in self.tag.genre_field() for text in self.tag.values(content)]
        return said == [
            part.decode()
            for key, value in self.ape.texts.items()
            if key.lower() == self.field.encode()
            for part in value.split(b"\0")
        ]

    @property
    def only_ape(self) -> bool:
        """Whether the field goes to the APEv2 tag alone: a TTA file without ID3v2."""
        return self.layout.container == "tta" and self.tag is None and self.ape is not None

    def genre_field(self) -> Raw:
        """The frames of the field, and the items that say the same."""
        frames = self.tag.genre_field() if self.tag else ()
        return frames + (self.ape.genre_field() if self.ape and self.in_ape else ())

    def encode(self, genres: Sequence[str]) -> Raw:
        """A frame in the version of the tag that is there, and an APE item where the field belongs there too."""
        frames = self.tag.encode(genres) if self.tag else id3.encode(genres, id3.NEW_VERSION, self.field)
        items = self.ape.encode(genres) if self.ape and self.in_ape else ()
        return items if self.only_ape else frames + items

    def splice(self, raw: Raw) -> list[Edit]:
        """The edits that make `raw` the field; a new ID3v2 tag repeats what ID3v1 and APEv2 tags say."""
        items = tuple(one for one in raw if one[0] == SLOT)
        frames = tuple(one for one in raw if one[0] != SLOT)
        if items and self.ape is None:
            raise Malformed("the field is kept in another kind of tag now")
        edits = (
            self.ape.splice(items) if self.ape and (items or (self.in_ape and self.ape.genres and not frames)) else []
        )
        if self.tag:
            return edits + (self.tag.splice(frames) if frames or self.tag.genres else [])
        contents = only_in_slot(frames, id3.slot(self.field, id3.NEW_VERSION))
        if not contents:
            return edits
        if self.field != GENRE:
            raise Malformed("a new ID3v2 tag needs a genre")  # it would hide that of the other tags
        genre = b"".join(id3.frame_bytes(b"TCON", one, id3.NEW_VERSION) for one in contents)
        return [Edit(0, 0, id3.new_tag(self._repeated() + genre)), *edits]

    def _repeated(self) -> bytes:
        """What the other tags say, as ID3v2 frames: many readers look at no other tag beside ID3v2, title and all."""
        bodies = _of_id3v1(id3v1_tag(self.file, size_of(self.file)))
        for key, value in self.ape.texts.items() if self.ape else ():
            name = _FRAMES.get(key.lower())
            formed, form = _FORMED.get(key.lower(), (None, None))
            if form is not None and form.fullmatch(value):
                name = formed
            if key.lower() == b"genre":
                continue
            if key.lower() == b"comment":
                bodies[b"COMM"] = bytes([id3.UTF8]) + b"eng\0" + value
            elif name:
                bodies[name] = bytes([id3.UTF8]) + value
            else:
                bodies[b"TXXX" + key] = bytes([id3.UTF8]) + key + b"\0" + value
        return b"".join(id3.frame_bytes(name[:4], b"\0\0" + body, id3.NEW_VERSION) for name, body in bodies.items())


def _of_id3v1(tag: bytes) -> dict[bytes, bytes]:
    """The frames, without flags, that repeat an ID3v1 tag."""
    if not tag:
        return {}
    title, artist, album, year, comment = (
        tag[start:end].split(b"\0")[0].strip()
        for start, end in ((3, 33), (33, 63), (63, 93), (93, 97), (97, 125 if tag[125] == 0 else 127))
    )
    track = tag[126] if tag[125] == 0 else 0
    texts = {b"TIT2": title, b"TPE1": artist, b"TALB": album}
    if len(year) == 4 and year.isdigit():
        texts[b"TDRC"] = year
    if track:
        texts[b"TRCK"] = str(track).encode()
    bodies = {name: bytes([id3.LATIN1]) + text for name, text in texts.items() if text}
    if comment:
        bodies[b"COMM"] = bytes([id3.LATIN1]) + b"eng\0" + comment
    return bodies
