"""Whatever the tag library raises is a failure of one track that names the file."""

from __future__ import annotations

import struct
from pathlib import Path

import mutagen
import pytest

from music_reclass.containers.structure import Malformed
from music_reclass.errors import DatabaseError, FailTrack, SkipTrack
from music_reclass.tagging.read import tag_errors

PATH = Path("/music/tune.mp3")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (mutagen.MutagenError("no tag"), "tags"),
        (Malformed("a lie"), "tags"),
        (FileNotFoundError(2, "No such file"), "vanished"),
        (PermissionError(13, "Permission denied"), "permission"),
        (IndexError("list index out of range"), "bug"),
        (ValueError("bad"), "bug"),
        (struct.error("short"), "bug"),
        (AttributeError("None"), "bug"),
        (MemoryError(), "memory"),
    ],
)
def test_every_exception_gets_its_reason(error: Exception, reason: str) -> None:
    with pytest.raises(FailTrack) as caught, tag_errors(PATH):
        raise error
    assert caught.value.reason == reason
    assert "tune.mp3" in caught.value.detail


@pytest.mark.parametrize("error", [SkipTrack("silence"), DatabaseError("locked"), KeyboardInterrupt()])
def test_what_is_meant_passes(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, tag_errors(PATH):
        raise error
    assert caught.value is error
