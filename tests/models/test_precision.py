"""Certified thresholds keep what they promise."""

import math

import numpy as np
import pytest
from scipy.special import bdtr

from music_reclass.models.early_exit import GRID, one_a_group
from music_reclass.models.precision import broken_next, certify, fewest


def _tracks(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    confidence = generator.random(count)
    return confidence, generator.random(count) < 0.4 + 0.6 * confidence


def test_the_chance_that_the_next_sample_breaks_a_promise_is_exact() -> None:
    def by_counting(errors: int, count: int, allowed: int) -> float:
        """All ways in which the errors of both samples may fall into the first, for the worst number of them."""
        chances = []
        for total in range(2 * count + 1):
            ways = [
                math.comb(total, k) * math.comb(2 * count - total, count - k) for k in range(total + 1) if k <= count
            ]
            passed = sum(own for k, own in enumerate(ways) if k <= errors and total - k > allowed)
            chances.append(passed / math.comb(2 * count, count))
        return max(chances)

    for errors, count, risk in ((0, 10, 0.2), (1, 12, 0.3), (2, 20, 0.25), (3, 20, 0.2)):
        assert broken_next(errors, count, risk) == pytest.approx(by_counting(errors, count, math.floor(risk * count)))
    assert broken_next(5, 20, 0.2) == 1.0  # broken already


def test_the_next_sample_asks_for_more_than_the_true_precision_does() -> None:
    for count in (30, 100, 333, 2000):
        for risk in (0.05, 0.2, 0.4):
            passing = [errors for errors in range(count) if broken_next(errors, count, risk) <= 0.1]
            assert all(bdtr(errors, count, risk) <= 0.1 for errors in passing)
            assert passing == list(range(len(passing)))


@pytest.mark.parametrize(("precision", "tracks"), [(0.9, 30), (0.8, 15), (0.95, 60)])
def test_the_fewest_tracks_without_an_error_certify_and_one_less_does_not(precision: float, tracks: int) -> None:
    assert fewest(precision, 0.1) == tracks
    assert broken_next(0, tracks, 1 - precision) <= 0.1 < broken_next(0, tracks - 1, 1 - precision)


def test_the_promise_holds_in_the_next_sample_where_a_test_of_the_true_precision_breaks_it() -> None:
    """The test that asks for the true precision alone breaks its word in one world of seven."""

    def world(seed: int) -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng(seed)
        confidence = generator.random(2000)
        return confidence, generator.random(2000) < 0.5 + 0.32 * confidence

    def of_the_true_precision(confidence: np.ndarray, right: np.ndarray) -> float | None:
        found = None
        for threshold in GRID:
            above = confidence >= threshold
            if above.sum() < 0.2 * len(above):
                continue
            if bdtr((above & ~right).sum(), above.sum(), 0.3) > 0.1:
                break
            found = threshold
        return found

    broken = {"next sample": 0, "true precision": 0}
    for seed in range(200):
        certificate = certify(*world(seed), precision=0.7, delta=0.1)
        thresholds = {
            "next sample": certificate and certificate.threshold,
            "true precision": of_the_true_precision(*world(seed)),
        }
        confidence, right = world(1000 + seed)
        for name, threshold in thresholds.items():
            broken[name] += threshold is not None and right[confidence >= threshold].mean() < 0.7
    assert broken["next sample"] <= 20
    assert broken["true precision"] > 20


def test_the_true_precision_is_broken_no_more_often_than_promised() -> None:
    broken = 0
    for seed in range(200):
        found = certify(*_tracks(300, seed), precision=0.8, delta=0.1)
        # Above a threshold t the true precision of these tracks is 0.4 + 0.6 (1 + t) / 2.
        broken += found is not None and 0.4 + 0.3 * (1 + found.threshold) < 0.8
    assert broken <= 20


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
