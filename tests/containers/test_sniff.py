"""Containers are told by their content."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from music_reclass.containers.sniff import Demuxer, sniff_decoder
from music_reclass.extractors.audio.synthesis import encode, song


def sniffed(content: bytes) -> Demuxer | None:
    return sniff_decoder(io.BytesIO(content))


@pytest.mark.parametrize(
    ("codec", "demuxer", "by_soundfile"),
    [
        ("mp3", "mp3", True),
        ("flac", "flac", True),
        ("vorbis", "ogg", True),
        ("opus", "ogg", False),
        ("aac", "mov", False),
        ("alac", "mov", False),
        ("pcm", "wav", True),
        ("aiff", "aiff", True),
        ("wma", "asf", False),
        ("wavpack", "wv", False),
        ("tta", "tta", False),
        ("mka", "matroska", False),
        ("webm", "matroska", False),
    ],
)
def test_every_format_we_write_is_recognised(tmp_path: Path, codec: str, demuxer: str, by_soundfile: bool) -> None:
    encode(tmp_path / "x", song(seed=1, seconds=1.0), codec=codec)
    with (tmp_path / "x").open("rb") as file:
        found = sniff_decoder(file)
    assert found is not None
    assert (found.demuxer, found.soundfile) == (demuxer, by_soundfile)


def test_every_demuxer_named_here_is_one_that_ffmpeg_has() -> None:
    import av

    from music_reclass.containers.sniff import _MAGIC

    known = {name for entry in av.formats_available for name in entry.split(",")}
    named = {demuxer for _, _, demuxer, _ in _MAGIC}
    named |= {"wav", "avi", "aiff", "iff", "ogg", "mpegts", "ac3", "eac3", "mp3", "aac"}
    assert named <= known


MPEG = b"\xff\xfb\x90\x00" + bytes(413)  # 128 kb/s, 44.1 kHz: 417 bytes a frame


def test_mpeg_frames_must_follow_one_another() -> None:
    assert sniffed(MPEG * 4) == Demuxer("mp3", soundfile=True)
    assert sniffed(MPEG * 2) == Demuxer("mp3", soundfile=True)
    assert sniffed(MPEG) is None
    assert sniffed(MPEG + b"x" * 500) is None


def test_mpeg_frames_are_found_behind_tags_and_junk() -> None:
    tag = b"ID3\x03\x00\x00\x00\x00\x02\x00" + b"t" * 256
    assert sniffed(tag + tag + bytes(5000) + MPEG * 5) == Demuxer("mp3", soundfile=True)
    assert sniffed(tag + b"fLaC") == Demuxer("flac", soundfile=True)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"hello", b"RIFF", b"OggS"[:3], b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f", b"<html>" * 100, b"MThd" * 9],
)
def test_what_is_no_media_is_nothing(content: bytes) -> None:
    assert sniffed(content) is None


def test_random_bytes_are_nothing() -> None:
    random = np.random.default_rng(5)
    assert not any(sniffed(random.bytes(300_000)) for _ in range(8))


def test_a_wav_says_how_long_it_should_be() -> None:
    assert sniffed(b"RIFF\x64\x00\x00\x00WAVEfmt ") == Demuxer("wav", soundfile=True, announced=108)
    assert sniffed(b"RIFF\xff\xff\xff\xffWAVEfmt ") == Demuxer("wav", soundfile=True)
    assert sniffed(b"FORM\x00\x00\x00\x64AIFFCOMM") == Demuxer("aiff", soundfile=True, announced=108)


@pytest.mark.parametrize(
    ("content", "demuxer"),
    [
        (b"RIFF\x00\x00\x00\x00AVI LIST", "avi"),
        (b"MAC \x96\x0f" + bytes(50), "ape"),
        (b"DSD \x1c" + bytes(50), "dsf"),
        (b"FRM8" + bytes(8) + b"DSD ", "iff"),
        (b"MPCKSH", "mpc8"),
        (b"\x0b\x77\x00\x00\x00\x40", "ac3"),
        (b"\x0b\x77\x00\x00\x00\x80", "eac3"),
        ((b"\x47" + bytes(187)) * 3, "mpegts"),
    ],
)
def test_rarer_containers_are_known(content: bytes, demuxer: str) -> None:
    found = sniffed(content)
    assert found is not None
    assert found.demuxer == demuxer
