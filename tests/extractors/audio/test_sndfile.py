"""libsndfile's side: exact seeking, and a plain "not mine" or "not all of it"."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from music_reclass.extractors.audio.sndfile import decode, quiet
from music_reclass.extractors.audio.synthesis import encode, song

SECONDS = 12.0


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("soundfile")
    tune = song(seed=11, seconds=SECONDS)
    for name in ("a.mp3", "a.flac", "a.ogg", "a.wav", "a.aiff", "a.opus", "a.m4a"):
        encode(folder / name, tune)
    return folder


@pytest.mark.parametrize("name", ["a.mp3", "a.flac", "a.ogg", "a.wav", "a.aiff"])
def test_an_excerpt_is_the_same_stretch_of_the_whole(library: Path, name: str) -> None:
    with (library / name).open("rb") as file:
        whole, part = decode(file, 3600.0), decode(file, 4.0)
    assert whole is not None
    assert part is not None
    assert not whole.short
    assert not part.short
    assert part.frames == 4 * 44100
    expected = np.concatenate(whole.parts)[part.start : part.start + part.frames]
    np.testing.assert_array_equal(np.concatenate(part.parts), expected)


def test_an_mp3_read_as_floats_has_the_integers_of_libsndfile(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp3", 3 * song(seed=5, seconds=3.0))  # overshoots full scale
    integers, _ = soundfile.read(tmp_path / "a.mp3", dtype="int16", always_2d=True)
    assert integers.min() == -32768
    assert integers.max() == 32767
    with (tmp_path / "a.mp3").open("rb") as file:
        found = decode(file, 60.0)
    assert found is not None
    np.testing.assert_array_equal(np.concatenate(found.parts), integers.mean(axis=1, dtype=np.float32) / 32768)


@pytest.mark.parametrize("name", ["a.opus", "a.m4a"])
def test_what_ffmpeg_does_better_is_declined(library: Path, name: str) -> None:
    with (library / name).open("rb") as file:
        assert decode(file, 4.0) is None


@pytest.mark.parametrize(("name", "seconds"), [("a.mp3", 3600.0), ("a.mp3", 4.0), ("a.flac", 4.0)])
def test_a_cut_file_comes_back_short_and_never_as_whole(
    library: Path, tmp_path: Path, name: str, seconds: float
) -> None:
    content = (library / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with (tmp_path / name).open("rb") as file, quiet():
        found = decode(file, seconds)
    assert found is not None
    assert found.short
    assert found.total == pytest.approx(SECONDS * 44100, rel=0.01)
