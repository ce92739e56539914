"""The picture of an album comes from the file, else from beside it, and is what it says it is."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from music_reclass.tagging.cover import MOST_BYTES, cover_of

PNG = b"\x89PNG\r\n\x1a\n" + bytes(50)
JPEG = b"\xff\xd8\xff\xe0" + bytes(50)


def file_of(music: Path, ending: str) -> Path:
    return next(path for path in sorted(music.rglob("*")) if path.suffix == ending)


def put(path: Path) -> None:
    """Put JPEG into the tags as another picture, and PNG as the front cover."""
    import mutagen
    from mutagen.flac import Picture
    from mutagen.id3 import APIC
    from mutagen.mp4 import MP4Cover

    file: Any = mutagen.File(path)
    pictures = []
    for kind, data in ((4, JPEG), (3, PNG)):
        picture = Picture()
        picture.type, picture.data, picture.mime = kind, data, "image/x"
        pictures.append(picture)
    if path.suffix == ".flac":
        for picture in pictures:
            file.add_picture(picture)
    elif path.suffix == ".m4a":
        file["covr"] = [MP4Cover(PNG)]
    elif path.suffix in (".ogg", ".opus"):
        file["metadata_block_picture"] = [base64.b64encode(picture.write()).decode() for picture in pictures] + ["%%%"]
    else:
        if file.tags is None:
            file.add_tags()
        for picture in pictures:
            file.tags.add(APIC(3, "image/x", picture.type, f"{picture.type}", picture.data))
    file.save()


@pytest.mark.parametrize("ending", [".flac", ".m4a", ".ogg", ".opus", ".mp3", ".wav"])
def test_the_front_cover_in_the_file_comes_first(music: Path, ending: str) -> None:
    path = file_of(music, ending)
    put(path)
    (path.parent / "cover.jpg").write_bytes(JPEG)
    assert cover_of(path) == (PNG, "image/png")


def test_without_one_in_the_file_the_image_beside_it_counts(music: Path) -> None:
    path = file_of(music, ".mp3")
    assert cover_of(path) is None
    (path.parent / "notes.jpg").write_bytes(JPEG)
    assert cover_of(path) is None
    (path.parent / "Folder.JPG").write_bytes(JPEG)
    assert cover_of(path) == (JPEG, "image/jpeg")


@pytest.mark.parametrize("content", [b"<svg onload='alert(1)'/>", b"<html>", b"", JPEG + bytes(MOST_BYTES)])
def test_what_is_no_picture_is_not_shown(music: Path, content: bytes) -> None:
    path = file_of(music, ".mp3")
    (path.parent / "cover.jpg").write_bytes(content)
    assert cover_of(path) is None


def test_a_file_that_is_gone_or_damaged_has_no_picture(tmp_path: Path) -> None:
    assert cover_of(tmp_path / "gone.mp3") is None
    (tmp_path / "bad.flac").write_bytes(b"fLaC" + bytes(100))
    assert cover_of(tmp_path / "bad.flac") is None
