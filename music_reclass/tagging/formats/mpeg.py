"""MP3 and TTA: an ID3v2 tag in front, or an APE tag behind where that is the only one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from music_reclass.tagging.formats import ape, id3
from music_reclass.tagging.formats.base import Raw, slot
from music_reclass.tagging.patch import Edit
from music_reclass.utils.payload import Layout
from music_reclass.utils.payload.reading import Malformed, peek, read_at, size_of
from music_reclass.utils.payload.tails import ID3V1_SIZE, id3v2_end

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
