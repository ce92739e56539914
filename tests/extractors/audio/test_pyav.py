"""The middle of a file through FFmpeg's libraries is the very stretch that decoding all of it gives."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from music_reclass.errors import FailTrack, SkipTrack
from music_reclass.extractors.audio import pyav, synthesis
from music_reclass.extractors.audio.pcm import Decoded
from music_reclass.extractors.audio.pyav import decode
from music_reclass.extractors.audio.synthesis import encode, song

SECONDS, EXCERPT = 13.0, 4.0
# codec -> FFmpeg's demuxer; those below are not among what the synthesiser writes
EXTRA = {
    "adts": ("aac", "adts", "fltp", (44100,)),
    "mp2": ("mp2", "mp2", "s16", (44100,)),
    "flac-in-matroska": ("flac", "matroska", "s16", ()),
    "mp3-in-matroska": ("libmp3lame", "matroska", "s16p", (44100,)),
    "aac-in-flv": ("aac", "flv", "fltp", (44100,)),
    "aac-in-ts": ("aac", "mpegts", "fltp", (44100,)),
    "flac-in-ogg": ("flac", "ogg", "s16", ()),
}
DEMUXERS = {
    "mp3": "mp3",
    "flac": "flac",
    "opus": "ogg",
    "aac": "mov",
    "alac": "mov",
    "pcm": "wav",
    "aiff": "aiff",
    "wma": "asf",
    "wavpack": "wv",
    "tta": "tta",
    "mka": "matroska",
    "webm": "matroska",
    "vorbis": "ogg",
    "adts": "aac",
    "mp2": "mp3",
    "flac-in-matroska": "matroska",
    "mp3-in-matroska": "matroska",
    "aac-in-flv": "flv",
    "aac-in-ts": "mpegts",
    "flac-in-ogg": "ogg",
}
# These decoders carry state, dither or draw noise from the start of the file on: near, but not to the bit
STATEFUL = {"mp2", "opus", "mka", "webm", "aac", "adts", "aac-in-flv", "aac-in-ts"}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pyav")
    tune = song(seed=11, seconds=SECONDS)
    with pytest.MonkeyPatch.context() as patch:
        for codec, recipe in EXTRA.items():
            patch.setitem(synthesis.CODECS, codec, recipe)
        for codec in DEMUXERS:
            encode(folder / codec, tune, codec=codec)
    return folder


def decoded(path: Path, demuxer: str, seconds: float) -> tuple[Decoded, NDArray[np.float32]]:
    with path.open("rb") as file:
        found = decode(file, demuxer, seconds)
    return found, np.concatenate(found.parts)


@pytest.mark.parametrize("codec", DEMUXERS)
def test_an_excerpt_lies_where_it_says(library: Path, codec: str) -> None:
    _, whole = decoded(library / codec, DEMUXERS[codec], 3600.0)
    found, part = decoded(library / codec, DEMUXERS[codec], EXCERPT)
    assert len(part) == round(EXCERPT * found.rate)
    assert found.start == pytest.approx((SECONDS - EXCERPT) / 2 * found.rate, abs=0.1 * found.rate)
    same = whole[found.start : found.start + len(part)]
    if codec not in STATEFUL:
        np.testing.assert_array_equal(part, same)
        return
    lags = range(-3, 4)
    inner = slice(1000, 50_000)
    likeness = [
        float(np.corrcoef(part[inner], whole[found.start + lag + 1000 : found.start + lag + 50_000])[0, 1])
        for lag in lags
    ]
    assert lags[int(np.argmax(likeness))] == 0
    assert max(likeness) > 0.99


def test_seeking_reads_only_what_it_needs(library: Path) -> None:
    class Counting(io.FileIO):
        total = 0

        def read(self, size: int = -1) -> bytes:
            content = super().read(size) or b""
            self.total += len(content)
            return content

    with Counting(library / "alac", "rb") as file:
        decode(file, "mov", 2.0)
        assert file.total < 0.5 * (library / "alac").stat().st_size


def test_the_wrong_container_is_a_failure(library: Path) -> None:
    with (library / "flac").open("rb") as file, pytest.raises(FailTrack) as caught:
        decode(file, "mov", EXCERPT)
    assert caught.value.reason == "decode"


def test_less_than_announced_is_short(library: Path, tmp_path: Path) -> None:
    content = (library / "mp3").read_bytes()
    (tmp_path / "half").write_bytes(content[: len(content) // 2])
    with (tmp_path / "half").open("rb") as file:
        assert decode(file, "mp3", EXCERPT, announced=SECONDS).short
        assert not decode(file, "mp3", EXCERPT, announced=SECONDS / 2).short


def test_a_file_of_unknown_length_is_decoded_from_the_start(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, samples = decoded(library / "flac", "flac", 3600.0)
    monkeypatch.setattr(pyav, "_excerpt", lambda *arguments, place: None)
    found, part = decoded(library / "flac", "flac", EXCERPT)
    assert found.total == whole.total
    np.testing.assert_array_equal(part, samples[found.start : found.start + len(part)])


def test_memory_is_bounded_in_a_file_that_never_ends(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyav, "_excerpt", lambda *arguments, place: None)
    monkeypatch.setattr(pyav, "_LONGEST", 8.0)
    found, part = decoded(library / "tta", "tta", EXCERPT)
    assert 8.0 <= found.total / found.rate < 10.0
    assert len(part) == EXCERPT * found.rate
    assert not found.short


def test_what_lies_before_the_middle_is_let_go(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, samples = decoded(library / "wavpack", "wv", 3600.0)
    monkeypatch.setattr(pyav, "_excerpt", lambda *arguments, place: None)
    monkeypatch.setattr("music_reclass.extractors.audio.pcm._SLAB", 10_000)
    monkeypatch.setattr("music_reclass.extractors.audio.pyav._GROUP", 5_000)
    found, part = decoded(library / "wavpack", "wv", EXCERPT)
    np.testing.assert_array_equal(part, samples[found.start : found.start + len(part)])
    assert found.start == (whole.total - len(part)) // 2


def test_a_container_without_a_packet_holds_no_sound(tmp_path: Path) -> None:
    import wave

    with wave.open(str(tmp_path / "none.wav"), "wb") as output:
        output.setnchannels(1)
        output.setsampwidth(2)
        output.setframerate(44100)
    with (tmp_path / "none.wav").open("rb") as file, pytest.raises(SkipTrack) as caught:
        decode(file, "wav", EXCERPT)
    assert caught.value.reason == "no_audio"
