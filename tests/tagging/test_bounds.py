"""A tag that would cost far more than its size is refused in little memory and time; what is sane is read."""

from __future__ import annotations

import io
import struct
import wave
import zlib
from pathlib import Path

import pytest

from music_reclass.errors import FailTrack
from music_reclass.tagging.bounds import MOST_INFLATED
from music_reclass.tagging.read import read_tags


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


def tag(version: int, *frames: tuple[bytes, bytes]) -> bytes:
    """An ID3v2 tag with these frames."""
    plain = version == 3
    whole = b"".join(
        name + (struct.pack(">I", len(body)) if plain else syncsafe(len(body))) + b"\0\0" + body
        for name, body in frames
    )
    return b"ID3" + bytes([version, 0, 0]) + syncsafe(len(whole)) + whole + b"\xff\xfb\x90\x00" + bytes(2000)


@pytest.mark.parametrize(
    "frames",
    [
        [(b"TXXX", b"\0a\0" + b"x\0" * (1 << 19))],
        [(b"TCON", b"\1" + b"\xff\xfex\0\0\0" * (1 << 18))],
        [(b"ETCO", b"\1" * (1 << 20))],
        [(b"SYLT", b"\0eng\1\1\0" + b"x\0aaaa" * (1 << 18))],
        [(b"EQU2", b"\0a\0" + b"\1" * (1 << 20))],
        [(b"TIT2", b"\0a")] * 200_000,
        [(b"TXXX", b"\0a\0" + b"x\0" * 25_000)] * 8,
    ],
    ids=["texts", "wide texts", "events", "lyrics", "volumes", "frames", "all together"],
)
@pytest.mark.parametrize("version", [3, 4])
def test_a_tag_that_would_take_minutes_is_refused(
    version: int, frames: list[tuple[bytes, bytes]], tmp_path: Path
) -> None:
    path = tmp_path / "slow.mp3"
    path.write_bytes(tag(version, (b"TALB", b"\0Blue"), *frames))
    with pytest.raises(FailTrack, match="more parts than any program writes"):
        read_tags(path)


def test_long_texts_and_many_frames_of_a_sane_number_are_read(tmp_path: Path) -> None:
    text = b"\1\xff\xfe" + ("x" * 200_000).encode("utf-16-le")  # half of it NULs, which end nothing in UTF-16
    lyrics = b"\0eng\1\1\0" + b"la\0\0\0\0\1" * 2000
    path = tmp_path / "rich.mp3"
    private = [(b"PRIV", b"owner\0" + bytes(60_000))] * 20
    path.write_bytes(
        tag(4, (b"TXXX", b"\1\xff\xfea\0\0\0" + text[1:]), (b"SYLT", lyrics), (b"TCON", b"\3Jazz"), *private)
    )
    assert read_tags(path).genres == ("Jazz",)
