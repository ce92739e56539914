"""Certified precision against SciPy's hypergeometric and binomial distributions; what a certificate may depend on."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from music_reclass.models.early_exit import GRID
from music_reclass.models.precision import (
    PLAIN,
    Certificate,
    PrecisionTarget,
    broken_next,
    certified_threshold,
    certified_thresholds,
    certify,
    fewest,
)


@given(st.integers(5, 4000), st.floats(0.02, 0.5), st.data())
@settings(max_examples=60)
def test_the_chance_to_break_the_guarantee_is_hypergeometric(count: int, risk: float, data: st.DataObject) -> None:
    """Of `total` errors among two samples of `count`, at most `errors` fall into the first."""
    allowed = math.floor(risk * count + 1e-9)
    errors = data.draw(st.integers(0, allowed))
    total = errors + allowed + 1
    assert broken_next(errors, count, risk) == pytest.approx(
        stats.hypergeom.cdf(errors, 2 * count, total, count), rel=1e-6
    )


@given(st.integers(10, 500), st.floats(0.05, 0.4))
@settings(max_examples=30)
def test_each_further_error_makes_a_broken_guarantee_likelier(count: int, risk: float) -> None:
    chances = [broken_next(errors, count, risk) for errors in range(math.floor(risk * count) + 2)]
    assert chances == sorted(chances)
    assert all(0.0 < chance <= 1.0 for chance in chances)


@pytest.mark.parametrize("delta", [0.01, 0.05, 0.1, 0.2])
@pytest.mark.parametrize("precision", [0.5, 0.65, 0.8, 0.9, 0.99])
def test_the_fewest_are_the_fewest_by_trying(precision: float, delta: float) -> None:
    enough = next(count for count in range(1, 2000) if broken_next(0, count, 1 - precision) <= delta)
    assert fewest(precision, delta) >= enough
    assert broken_next(0, fewest(precision, delta), 1 - precision) <= delta


def tracks(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    confidence = generator.beta(3, 1.2, count)
    return confidence, generator.random(count) < confidence


@given(st.integers(0, 2**31))
@settings(max_examples=10)
def test_the_order_of_the_tracks_does_not_change_the_certificate(seed: int) -> None:
    confidence, right = tracks(500)
    order = np.random.default_rng(seed).permutation(500)
    assert certify(confidence[order], right[order], 0.8) == certify(confidence, right, 0.8)


@pytest.mark.parametrize("seed", range(8))
def test_less_precision_or_less_probability_never_asks_for_a_higher_threshold(seed: int) -> None:
    confidence, right = tracks(600, seed)

    def threshold(precision: float, delta: float) -> float:
        found = certify(confidence, right, precision, delta)
        return 1.0 if found is None or found.threshold is None else found.threshold

    by_delta = [threshold(0.8, delta) for delta in (0.01, 0.05, 0.1, 0.2)]
    assert by_delta == sorted(by_delta, reverse=True)
    assert threshold(0.6, 0.1) <= threshold(0.9, 0.1)


def test_a_certificate_states_the_errors_above_its_threshold_and_they_pass_the_test() -> None:
    confidence, right = tracks(800, seed=4)
    found = certify(confidence, right, 0.75, 0.05)
    assert found is not None
    assert found.certified
    assert found.threshold in GRID.tolist()
    above = confidence >= found.threshold
    assert (found.count, found.errors) == (above.sum(), (~right[above]).sum())
    assert broken_next(found.errors, found.count, 0.25) <= 0.05
    assert stats.binom.cdf(found.errors, found.count, 0.25) <= 0.05  # what Learn then Test asks for


def test_the_first_step_that_fails_ends_the_search() -> None:
    """Errors at the top: a lower threshold that would pass is not reached, which the error rate of the test needs."""
    confidence = np.repeat([0.95, 0.55], [600, 2400])
    assert certify(confidence, np.ones(3000, dtype=bool), 0.8) is not None
    right = np.arange(3000) >= 300
    assert broken_next(300, 3000, 0.2) <= 0.1
    assert certify(confidence, right, 0.8) is None


def test_one_row_an_artist_is_drawn_by_the_seed() -> None:
    confidence, right = tracks(900, seed=2)
    groups = np.arange(900) // 3
    first = certified_threshold(confidence, right, groups, 0.7)
    assert first == certified_threshold(confidence, right, groups, 0.7)
    assert first.count <= 300
    assert len({certified_threshold(confidence, right, groups, 0.7, seed=seed).errors for seed in range(8)}) > 1


def test_without_any_track_nothing_is_certified() -> None:
    found = certified_threshold(np.zeros(0), np.zeros(0, dtype=bool), np.zeros(0, dtype=np.int64), 0.8)
    assert not found.certified
    assert found.threshold is None
    assert found.count == 0


def test_a_default_target_falls_back_on_cautious_thresholds_and_a_users_does_not() -> None:
    confidence, right = tracks(30)
    groups = np.arange(30)
    default = certified_thresholds([(confidence, right)], groups, PrecisionTarget())
    assert {name: one.threshold for name, one in default.items()} == PLAIN
    assert not any(one.certified for one in default.values())
    asked = certified_thresholds([(confidence, right)], groups, PrecisionTarget.of(0.9))
    assert {one.threshold for one in asked.values()} == {None}


def test_the_guarantee_holds_on_every_version_of_the_rows() -> None:
    clean, degraded = tracks(900, seed=1), tracks(900, seed=1)
    worse = degraded[1].copy()
    worse[np.flatnonzero(degraded[0] > 0.6)[::8]] = False
    groups, target = np.arange(900), PrecisionTarget(0.75, 0.6)
    alone = certified_thresholds([clean], groups, target)
    both = certified_thresholds([clean, (degraded[0], worse)], groups, target)
    for name in ("confident", "likely"):
        lower, higher = alone[name].threshold, both[name].threshold
        assert lower is not None
        assert higher is not None
        assert higher >= lower
    assert both["likely"].threshold <= both["confident"].threshold  # type: ignore[operator]


@pytest.mark.parametrize(("precision", "likely"), [(0.95, 0.9), (0.9, 0.8), (0.75, 0.5), (0.6, 0.5)])
def test_likely_may_err_twice_as_often_but_is_right_in_half_of_the_cases(precision: float, likely: float) -> None:
    target = PrecisionTarget.of(precision)
    assert (target.confident, target.likely) == (precision, pytest.approx(likely))


def test_certificates_survive_json() -> None:
    held = Certificate(0.8, 0.1, 240, 0.62, 21)
    missing = Certificate(0.9, 0.1, 40, more=300, why="not certified at 90%: too few")
    for one, threshold in ((held, 0.62), (missing, None), (missing, 0.85)):
        back = Certificate.from_manifest(json.loads(json.dumps(one.as_manifest())), threshold)
        assert (back.precision, back.count, back.threshold) == (one.precision, one.count, threshold)
        assert back.certified == one.certified
        assert back.more == one.more


def test_a_certificate_moved_to_where_it_is_stays_and_elsewhere_is_void() -> None:
    held = Certificate(0.8, 0.1, 240, 0.62, 21)
    assert held.moved(0.62, "never mind") is held
    moved = held.moved(0.7, "somebody wished so")
    assert (moved.threshold, moved.certified) == (0.7, False)
    assert moved.why == "not certified at 80%: somebody wished so"
    assert moved.moved(0.8, "another reason").why == moved.why  # the first reason is the one that counts
