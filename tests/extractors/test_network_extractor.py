"""What every extractor with a network inherits: clean windows in, the mean of their rows out."""

from __future__ import annotations

import numpy as np
import pytest

from music_reclass.domain import FeatureKind
from music_reclass.errors import FailTrack, SkipTrack
from music_reclass.extractors.network import NetworkExtractor, slopes_file
from music_reclass.extractors.weights.store import Installed


class Sums:
    """A network whose row is the sum and the length of a window."""

    def map(self, windows):
        for window in windows:
            yield np.array([window.sum(), len(window)], np.float32)


class Halves(NetworkExtractor):
    """Two windows of each recording."""

    rate = 8000
    kind = FeatureKind("halves", "1", 2, "mid30")

    def __init__(self):
        self.network = Sums()
        self.seen = []

    def cut(self, samples):
        self.seen.append(samples)
        return samples[: len(samples) // 2 * 2].reshape(2, -1)


def test_the_vector_is_the_mean_over_the_windows():
    vector = Halves().vector(np.arange(8, dtype=np.float32))
    assert vector.tolist() == [14.0, 4.0]
    assert vector.dtype == np.float32


def test_no_sample_is_skipped_before_anything_is_cut():
    extractor = Halves()
    with pytest.raises(SkipTrack, match="no_audio"):
        extractor.windows(np.zeros(0, np.float32))
    assert extractor.seen == []


def test_samples_that_are_no_numbers_are_mended_before_they_are_cut():
    extractor = Halves()
    extractor.windows(np.array([np.nan, np.inf, -np.inf, 0.5], np.float32))
    assert extractor.seen[0].tolist() == [0.0, 1.0, -1.0, 0.5]


def test_rows_that_are_not_finite_fail_the_track():
    with pytest.raises(FailTrack, match="not finite"):
        Halves().pool(np.full((2, 2), np.inf, np.float32))


def test_slopes_of_all_models_share_a_file(tmp_path):
    models = [Installed(tmp_path / name, name, "d" * 64, 1, 1, "", "", "") for name in ("mert", "jmla")]
    assert {slopes_file(model) for model in models} == {tmp_path / "slopes.json"}
