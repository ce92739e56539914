"""Whatever the tag library raises is a failure of one track that names the file."""

from __future__ import annotations

import io
import struct
import wave
import zlib
from pathlib import Path

import mutagen
import pytest

from music_reclass.containers.structure import Malformed
from music_reclass.errors import DatabaseError, FailTrack, SkipTrack
from music_reclass.tagging.read import MOST_INFLATED, read_tags, tag_errors

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


def bomb(version: int, size: int, frames: int = 1) -> bytes:
    """An ID3 tag with compressed comments of `size` bytes each."""
    packed = zlib.compress(b"\0" + b"x" * (size - 1), 9)
    body = size.to_bytes(4, "big") + packed
    length = len(body) if version == 3 else int.from_bytes(syncsafe(len(body)), "big")
    frame = b"TIT3" + struct.pack(">I", length) + (b"\0\x80" if version == 3 else b"\0\x09") + body
    genre = b"TCON" + struct.pack(">I", 5) + b"\0\0" + b"\0Jazz"
    whole = genre + frame * frames
    return b"ID3" + bytes([version, 0, 0]) + syncsafe(len(whole)) + whole


def syncsafe(value: int) -> bytes:
    return bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))


def in_wav(tag: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    chunk = b"id3 " + struct.pack("<I", len(tag)) + tag + b"\0" * (len(tag) % 2)
    data = file.getvalue() + chunk
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("suffix", [".mp3", ".wav"])
@pytest.mark.parametrize(("size", "frames"), [(2 * MOST_INFLATED, 1), (MOST_INFLATED // 4, 5)])
def test_compressed_frames_are_inflated_to_a_bound_and_no_further(
    version: int, suffix: str, size: int, frames: int, tmp_path: Path
) -> None:
    import tracemalloc

    tag = bomb(version, size, frames)
    path = tmp_path / f"bomb{suffix}"
    path.write_bytes(in_wav(tag) if suffix == ".wav" else tag + b"\xff\xfb\x90\x00" + bytes(2000))
    tracemalloc.start()
    try:
        with pytest.raises(FailTrack) as caught:
            read_tags(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.reason == "memory"
    assert peak < 8 * MOST_INFLATED


def test_a_compressed_frame_of_a_sane_size_is_read_in_every_file(tmp_path: Path) -> None:
    for number in range(3):  # each file has the whole bound to itself
        path = tmp_path / f"{number}.mp3"
        path.write_bytes(bomb(3, MOST_INFLATED // 2) + b"\xff\xfb\x90\x00" + bytes(2000))
        assert read_tags(path).genres == ("Jazz",)
