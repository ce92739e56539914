"""Votes over a file: windows as long as the stage's excerpts, and marked where they are not."""

from pathlib import Path

import numpy as np
import pytest

from music_reclass.classification.voter import Stage
from music_reclass.errors import SkipTrack
from music_reclass.explain.plot import MOST, window_votes, windows
from music_reclass.models.bundle import embedded
from music_reclass.taxonomy import load

RATE = 22050


@pytest.fixture(scope="module")
def first() -> Stage:
    return Stage.from_bundle(embedded(), load())


def written(folder: Path, parts: list[np.ndarray]) -> Path:
    import soundfile

    path = folder / "long.wav"
    soundfile.write(path, np.concatenate(parts), RATE, subtype="PCM_16")
    return path


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).normal(size=int(RATE * seconds))


@pytest.mark.parametrize("duration", [6.0, 30.0, 44.9, 45.0, 61.0, 240.0, 3600.0])
def test_windows_lie_within_the_file_evenly_and_are_few(duration: float) -> None:
    length, starts = windows(duration)
    assert 1 <= len(starts) <= MOST
    assert starts[0] >= 0.0
    assert starts[-1] + length <= duration + 1e-6
    assert length == (30.0 if duration >= 45.0 else min(10.0, duration))
    assert len(starts) == 1 or max(np.diff(starts)) - min(np.diff(starts)) < 1e-6


def test_a_long_file_has_votes_for_every_window(first: Stage, tmp_path: Path) -> None:
    tone = 0.2 * np.sin(np.arange(RATE * 40) * 2 * np.pi * 330 / RATE)
    found = window_votes(written(tmp_path, [noise(40), np.zeros(RATE * 45), tone]), first)
    assert found.duration == pytest.approx(125.0)
    assert found.excerpt == pytest.approx((47.5, 77.5))
    assert not found.illustration
    assert len(found.samples) == 30 * found.rate
    silent = [start for start, vote in zip(found.starts, found.votes, strict=True) if vote is None]
    assert silent
    assert all(40.0 <= start <= 55.0 for start in silent)
    voted = [vote for vote in found.votes if vote is not None]
    assert {vote.stage for vote in voted} == {"fma518"}
    assert voted[0].probabilities != voted[-1].probabilities


def test_the_window_in_the_middle_has_the_vote_of_the_file(first: Stage, tmp_path: Path) -> None:
    from music_reclass.extractors import fma518 as fma
    from music_reclass.extractors.audio import load as audio

    path = written(tmp_path, [noise(50)])
    found = window_votes(path, first)
    row = fma.Fma518("mid30").vector(audio.load(path, "mid30", 44100).samples)
    whole = first.bundle.predict_proba(row[None])[0]
    middle = [vote for start, vote in zip(found.starts, found.votes, strict=True) if abs(start - 10.0) < 0.01]
    assert middle[0] is not None
    assert max(middle[0].probabilities.values()) == pytest.approx(float(whole.max()), abs=0.02)


def test_a_short_file_has_shorter_windows_marked_as_an_illustration(first: Stage, tmp_path: Path) -> None:
    found = window_votes(written(tmp_path, [noise(12)]), first)
    assert found.illustration
    assert found.length == 10.0
    assert found.excerpt == pytest.approx((0.0, 12.0))
    assert len(found.votes) == 1


def test_silence_has_no_votes(first: Stage, tmp_path: Path) -> None:
    with pytest.raises(SkipTrack):
        window_votes(written(tmp_path, [np.zeros(RATE * 8)]), first)
