"""Certified thresholds keep what they promise."""

import numpy as np
import pytest

from music_reclass.training.thresholds import binomial_tail, certify, one_a_group


def _tracks(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    confidence = generator.random(count)
    return confidence, generator.random(count) < 0.4 + 0.6 * confidence


def test_the_binomial_tail_is_exact() -> None:
    assert binomial_tail(0, 10, 0.2) == pytest.approx(0.8**10)
    assert binomial_tail(1, 3, 0.5) == pytest.approx(0.5)
    assert binomial_tail(10, 10, 0.2) == pytest.approx(1.0)


def test_the_promised_precision_is_broken_no_more_often_than_promised() -> None:
    broken = 0
    for seed in range(200):
        found = certify(*_tracks(300, seed), precision=0.8, delta=0.1)
        # Above a threshold t the true precision of these tracks is 0.4 + 0.6 (1 + t) / 2.
        broken += found is not None and 0.4 + 0.3 * (1 + found.threshold) < 0.8
    assert broken <= 30  # 20 expected at most; 30 leaves room for chance


def test_more_tracks_certify_a_lower_threshold() -> None:
    few, many = (certify(*_tracks(count, 5), precision=0.8) for count in (200, 5000))
    assert many is not None
    assert few is None or many.threshold <= few.threshold
    assert many.errors / many.count < 0.2


def test_what_cannot_be_certified_is_not() -> None:
    confidence = np.linspace(0.5, 0.9, 100)
    assert certify(confidence, np.zeros(100, dtype=bool), precision=0.8) is None
    assert certify(np.array([0.9] * 10), np.ones(10, dtype=bool), precision=0.8) is None


def test_one_row_of_every_artist_is_drawn() -> None:
    groups = np.array([3, 3, 3, 1, 2, 2])
    drawn = one_a_group(groups)
    assert sorted(groups[drawn].tolist()) == [1, 2, 3]
    assert np.array_equal(drawn, one_a_group(groups))
    assert len({tuple(one_a_group(groups, seed).tolist()) for seed in range(20)}) > 1
