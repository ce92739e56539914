"""Containers are known by their content, to decoders and to tag writers alike."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from music_reclass.containers.sniff import FORMS, MARKS, sniff
from music_reclass.containers.structure import Layout
from music_reclass.extractors.audio.synthesis import encode, song


def sniffed(content: bytes) -> Layout:
    return sniff(io.BytesIO(content))


def decoded_by(content: bytes) -> tuple[str, bool]:
    found = sniffed(content)
    return found.demuxer, found.soundfile


MP3 = ("mp3", True)
NOTHING = ("", False)


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
        found = sniff(file)
    assert (found.demuxer, found.soundfile) == (demuxer, by_soundfile)


def test_every_demuxer_named_here_is_one_that_ffmpeg_has() -> None:
    import av

    known = {name for entry in av.formats_available for name in entry.split(",")}
    named = {demuxer for *_, demuxer, _ in (*MARKS, *FORMS)} - {""}
    named |= {"mpegts", "ac3", "eac3", "mp3", "aac"}
    assert named <= known


def test_every_container_named_here_has_a_format() -> None:
    from music_reclass.containers import FORMATS

    assert {container for *_, container, _, _ in (*MARKS, *FORMS)} - {""} == set(FORMATS) - {"mpeg"}


MPEG = b"\xff\xfb\x90\x00" + bytes(413)  # 128 kb/s, 44.1 kHz: 417 bytes a frame


def test_mpeg_frames_must_follow_one_another() -> None:
    assert decoded_by(MPEG * 4) == MP3
    assert decoded_by(MPEG * 2) == MP3
    assert decoded_by(MPEG) == NOTHING
    assert decoded_by(MPEG + b"x" * 500) == NOTHING


def test_mpeg_frames_are_found_behind_tags_and_junk() -> None:
    tag = b"ID3\x03\x00\x00\x00\x00\x02\x00" + b"t" * 256
    assert decoded_by(tag + tag + bytes(5000) + MPEG * 5) == MP3
    assert decoded_by(tag + b"fLaC") == ("flac", True)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"hello", b"RIFF", b"OggS"[:3], b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f", b"<html>" * 100, b"MThd" * 9],
)
def test_what_is_no_media_is_nothing(content: bytes) -> None:
    assert decoded_by(content) == NOTHING


def test_random_bytes_are_nothing() -> None:
    random = np.random.default_rng(5)
    assert not any(sniffed(random.bytes(300_000)).demuxer for _ in range(8))


@pytest.mark.parametrize(
    ("content", "demuxer", "announced"),
    [
        (b"RIFF\x64\x00\x00\x00WAVEfmt ", "wav", 108),
        (b"RIFX\x00\x00\x00\x64WAVEfmt ", "wav", 108),
        (b"RIFF\xff\xff\xff\xffWAVEfmt ", "wav", 0),
        (b"FORM\x00\x00\x00\x64AIFFCOMM", "aiff", 108),
    ],
)
def test_a_wav_says_how_long_it_should_be(content: bytes, demuxer: str, announced: int) -> None:
    found = sniffed(content)
    assert (found.demuxer, found.soundfile, found.announced) == (demuxer, True, announced)


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
    assert sniffed(content).demuxer == demuxer


def test_an_mp3_behind_junk_is_one_for_decoders_and_for_tag_writers() -> None:
    for junk in (bytes(1000), b"a frame cut short", b"\xff\xfb\x90\x00" + bytes(100), bytes(100_000)):
        for tag in (b"", b"ID3\x03\x00\x00\x00\x00\x00\x02" + b"tt"):
            found = sniffed(tag + junk + MPEG * 5)
            assert (found.demuxer, found.container, found.start) == ("mp3", "mpeg", len(tag))


def test_frames_within_another_container_are_not_taken_for_the_file() -> None:
    assert sniffed(b"\x1aE\xdf\xa3" + bytes(50) + MPEG * 5).container == ""
    assert sniffed(b"RIFF\x00\x00\x00\x00AVI " + MPEG * 5).container == ""


def test_a_damaged_tag_in_front_leaves_the_sound_to_the_decoders_and_the_tags_to_nobody() -> None:
    found = sniffed(b"ID3\x03\x00\x00\x00\x00\xff\x02" + MPEG * 5)
    assert (found.demuxer, found.malformed) == ("mp3", "an ID3v2 size with a high bit set")
