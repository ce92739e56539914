"""The picture of an album: embedded in a file, or an image beside it."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

from music_reclass.errors import ReclassError, TrackError
from music_reclass.tagging.read import tag_errors

MOST_BYTES = 10_000_000
_NAMES = ("cover", "folder", "front", "album", "albumart")
_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif")
_FRONT = 3  # the type of a front cover in ID3 and FLAC


def cover_of(path: Path) -> tuple[bytes, str] | None:
    """The picture that a file holds, else the one that lies beside it, with its media type; None where there is none.

    The type is that of the content: what is no JPEG, PNG, WebP or GIF, or is larger than MOST_BYTES, is no picture.
    """
    try:
        with tag_errors(path):
            pictures = _embedded(path)
    except (TrackError, ReclassError):
        pictures = []
    for data in (*pictures, *_beside(path)):
        kind = _media_type(data)
        if kind and len(data) <= MOST_BYTES:
            return data, kind
    return None


def _embedded(path: Path) -> list[bytes]:
    """The pictures in the tags of a file, front covers first."""
    import mutagen
    from mutagen.flac import Picture

    file: Any = mutagen.File(path)
    if file is None:
        return []
    found: list[tuple[bool, bytes]] = [(one.type != _FRONT, one.data) for one in getattr(file, "pictures", ())]
    tags: Any = file.tags or {}
    for key in list(tags.keys()):
        name, values = str(key).casefold(), tags[key]
        if name.startswith("apic"):
            found.append((values.type != _FRONT, values.data))
        elif name == "covr":
            found += [(False, bytes(value)) for value in values]
        elif name == "metadata_block_picture":
            for value in values:
                try:
                    picture = Picture(base64.b64decode(value))
                except (binascii.Error, mutagen.MutagenError, ValueError):
                    continue
                found.append((picture.type != _FRONT, picture.data))
        elif name.startswith("cover art"):  # APEv2: a file name, a zero, the picture
            found.append(("front" not in name, bytes(values.value).partition(b"\0")[2]))
    return [data for _, data in sorted(found, key=lambda item: item[0])]


def _beside(path: Path) -> list[bytes]:
    """The images in the folder of a file whose names say that they are its cover."""
    try:
        names = {
            one.name.casefold(): one for one in path.parent.iterdir() if one.suffix.casefold() in _ENDINGS
        }  # folders hold few files
        chosen = [names[stem + ending] for stem in _NAMES for ending in _ENDINGS if stem + ending in names]
        return [one.read_bytes() for one in chosen[:1] if one.is_file() and one.stat().st_size <= MOST_BYTES]
    except OSError:
        return []


def _media_type(data: bytes) -> str:
    for magic, kind in ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"GIF8", "image/gif")):
        if data.startswith(magic):
            return kind
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else ""
