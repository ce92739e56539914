"""Exits hold on new artists, on every view and on collections never seen; the promise is kept as often as it says."""

from __future__ import annotations

import numpy as np

from music_reclass.models.early_exit import CalibrationSet, RiskTarget, certified_exit_rule


def trial(name: str, count: int, seed: int, overconfident: float = 0.0, artists: int | None = None) -> CalibrationSet:
    """Rows on which a cheap stage is right as often as it says (less `overconfident`), and an expensive one at 0.85."""
    generator = np.random.default_rng(seed)
    confidence = generator.uniform(0.2, 1.0, count)
    cheap = generator.random(count) < confidence - overconfident
    expensive = generator.random(count) < 0.85
    groups = np.arange(count) if artists is None else generator.integers(0, artists, count)
    return CalibrationSet(name, groups, np.stack([confidence, np.full(count, 0.85)]), np.stack([cheap, expensive]))


def true_loss(threshold: float) -> float:
    """P(leaves, cheap wrong, dear right) of the rows that `trial` makes: 0.85 * E[(1 - c) 1(c >= t)], c ~ U(0.2, 1)."""
    return 0.85 * (1 - threshold) ** 2 / 2 / 0.8


def test_the_strictest_of_all_trials_counts_and_each_is_on_record() -> None:
    clean, shifted = trial("clean", 2000, 1), trial("shifted", 2000, 2, overconfident=0.25)

    alone = certified_exit_rule([clean], (0, 1), RiskTarget(), ["digest"])
    both = certified_exit_rule([clean, shifted], (0, 1), RiskTarget(), ["digest"])

    assert alone.threshold is not None
    assert both.threshold is not None
    assert both.threshold > alone.threshold
    assert both.held_on["clean"]["threshold"] == alone.threshold
    assert both.held_on["shifted"]["threshold"] == both.threshold
    assert both.exits < alone.exits == np.mean(clean.confidence[0] >= alone.threshold)
    assert both.against == ("digest",)


def test_a_collection_too_small_for_a_certificate_is_watched_and_said_to_be() -> None:
    clean = trial("clean", 2000, 1)
    small = trial("small", 200, 3, overconfident=0.6, artists=40)

    found = certified_exit_rule([clean, small], (0, 1), RiskTarget(), [])

    own = found.held_on["small"]
    assert own["certified"] is False
    assert own["share lost"] <= 0.02
    assert found.threshold is not None
    assert found.threshold >= own["threshold"] > found.held_on["clean"]["threshold"]
    assert found.count == 2000  # the numbers of the promise are those of rows that can carry one
    assert small.share_lost(0, 1, found.threshold) <= 0.02


def test_a_handful_of_artists_says_nothing() -> None:
    found = certified_exit_rule(
        [trial("clean", 2000, 1), trial("few", 30, 3, 0.6, artists=10)], (0, 1), RiskTarget(), []
    )

    assert "few" not in found.held_on


def test_without_enough_artists_nobody_leaves() -> None:
    found = certified_exit_rule([trial("clean", 80, 1)], (0, 1), RiskTarget(), [])

    assert found.threshold is None
    assert "too few" in found.why


def test_rows_of_one_artist_count_once() -> None:
    many = trial("clean", 2000, 1, artists=90)

    assert certified_exit_rule([many], (0, 1), RiskTarget(), []).threshold is None


def test_the_gain_of_going_on_falls_with_confidence_and_is_what_it_is() -> None:
    clean = trial("clean", 4000, 5)

    found = certified_exit_rule([clean], (0, 1), RiskTarget(), [])

    gains = [gain for _, gain in found.gain]
    assert gains == sorted(gains, reverse=True)
    assert abs(found.expected_gain(0.35) - 0.5) < 0.1  # right 0.85 of the time instead of 0.35
    assert found.expected_gain(0.95) < 0.0


def test_over_500_calibration_sets_the_promise_is_broken_no_more_often_than_delta() -> None:
    broken = made = 0
    for seed in range(500):
        found = certified_exit_rule([trial("clean", 600, 10_000 + seed)], (0, 1), RiskTarget(), [])
        made += found.threshold is not None
        broken += found.threshold is not None and true_loss(found.threshold) > 0.02

    assert made == 500
    assert broken <= 50 + 2 * (500 * 0.1 * 0.9) ** 0.5  # two standard errors: a fair coin of 0.1 may overshoot
    assert broken >= 5  # and the thresholds are not merely far too cautious
