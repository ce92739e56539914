"""An exit is certified by what it loses, never from too few tracks, and holds in repeated draws."""

import dataclasses
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_reclass.errors import BundleError
from music_reclass.models.bundle import Bundle
from music_reclass.models.early_exit import (
    ExitRule,
    RiskTarget,
    certify_exit_rule,
    exit_as_manifest,
    exit_from_manifest,
    exit_rules,
    exit_rules_of,
    gain_curve,
    lower_bound,
    strictest,
    upper_bound,
)


def population(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A calibrated stage: right with its confidence; the ladder behind it mends seven of ten errors."""
    generator = np.random.default_rng(seed)
    confidence = generator.beta(2.0, 1.5, count)
    lost = (generator.random(count) > confidence) & (generator.random(count) < 0.7)
    return confidence, lost


def test_the_bounds_are_those_of_the_binomial_tables() -> None:
    # 1 - 0.1 ** (1 / 100), and the published Clopper-Pearson interval of 5 in 50 at 95 % (0.0333, 0.2181)
    assert upper_bound(0, 100, 0.1) == pytest.approx(1 - 0.1**0.01)
    assert upper_bound(5, 50, 0.025) == pytest.approx(0.2181, abs=1e-4)
    assert lower_bound(5, 50, 0.025) == pytest.approx(0.0333, abs=1e-4)
    assert (lower_bound(0, 9, 0.1), upper_bound(9, 9, 0.1)) == (0.0, 1.0)


def test_the_lowest_threshold_within_epsilon_is_chosen() -> None:
    confidence = np.repeat([0.95, 0.85, 0.75, 0.65], 200)
    lost = np.zeros(800, dtype=bool)
    lost[400:403] = True  # three at 0.75: still within 2 % of 800
    lost[600:640] = True
    found = certify_exit_rule(confidence, lost)
    assert found.threshold == pytest.approx(0.66)
    assert (found.count, found.lost, found.exits) == (800, 3, 0.75)
    assert upper_bound(3, 800, 0.1) <= 0.02 < upper_bound(43, 800, 0.1)


def test_too_few_tracks_certify_nothing_and_the_sentence_says_how_many_are_needed() -> None:
    found = certify_exit_rule(np.ones(113), np.zeros(113, dtype=bool))
    assert found.threshold is None
    assert "114 are the least" in found.sentence()
    assert certify_exit_rule(np.ones(114), np.zeros(114, dtype=bool)).threshold == pytest.approx(0.01)
    assert certify_exit_rule(np.zeros(0), np.zeros(0, dtype=bool)).threshold is None


def test_a_stage_that_is_wrong_where_it_is_surest_never_exits() -> None:
    found = certify_exit_rule(np.full(500, 0.999), np.arange(500) < 30)
    assert found.threshold is None
    assert "even the surest" in found.why


def test_over_500_calibration_sets_the_promise_is_broken_no_more_often_than_delta() -> None:
    confidence, lost = population(200_000)
    generator = np.random.default_rng(1)
    for count, epsilon, delta in ((300, 0.02, 0.1), (900, 0.02, 0.1), (900, 0.01, 0.05), (900, 0.05, 0.2)):
        broken = exits = 0
        for _ in range(500):
            drawn = generator.integers(0, len(confidence), count)
            found = certify_exit_rule(confidence[drawn], lost[drawn], RiskTarget(epsilon, delta))
            if found.threshold is not None:
                exits += 1
                broken += bool((lost & (confidence >= found.threshold)).mean() > epsilon)
        assert exits > 400
        # 500 draws of a share that is at most delta: three standard deviations of patience, no more
        assert broken <= 500 * delta + 3 * (500 * delta * (1 - delta)) ** 0.5
        assert broken > 0  # it is not merely timid


@given(st.integers(1, 400), st.integers(0, 50), st.integers(0, 2**31))
def test_a_looser_promise_never_exits_later(count: int, errors: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    confidence, lost = generator.random(count), generator.permutation(np.arange(count) < errors)
    strict, loose = (
        certify_exit_rule(confidence, lost, RiskTarget(epsilon)).threshold or 1.0 for epsilon in (0.02, 0.05)
    )
    assert loose <= strict


def test_the_strictest_of_several_sets_of_rows_counts() -> None:
    easy, hard = ExitRule(0.5, count=900, lost=3, exits=0.6), ExitRule(0.8, count=300, lost=1, exits=0.1)
    both = strictest({"clean": easy, "phone": hard})
    assert (both.threshold, both.count, both.exits) == (0.8, 300, 0.1)
    assert both.held_on["clean"]["threshold"] == 0.5
    none = strictest({"clean": easy, "strange": certify_exit_rule(np.ones(5), np.zeros(5, dtype=bool))})
    assert none.threshold is None
    assert "(on strange)" in none.why


def test_an_exit_survives_the_manifest_and_nonsense_is_refused() -> None:
    own = dataclasses.replace(ExitRule(0.7, count=9, lost=1), against=("a", "b"), gain=((0.2, 0.3), (0.9, 0.0)))
    kept = exit_as_manifest(own)
    assert exit_from_manifest(kept) == own
    assert exit_rules_of({"exits": [kept]}) == (own,)
    assert exit_rules_of({}) == ()
    for wrong in ({**kept, "threshold": 1.5}, {**kept, "lost": 10}, {"threshold": 0.5}, {**kept, "gain": [1]}):
        with pytest.raises(BundleError, match="makes no sense"):
            exit_from_manifest(wrong)


def stage(name: str, *rules: ExitRule) -> Bundle:
    manifest = {"exits": [exit_as_manifest(rule) for rule in rules]}
    return cast(Bundle, SimpleNamespace(digest=name, manifest=manifest))


def test_a_rule_holds_for_the_very_stages_behind_it_and_the_users_comes_first() -> None:
    two, three, later = ExitRule(0.7, against=("b",)), ExitRule(0.9, against=("b", "c")), ExitRule(0.8, against=("b",))
    first, second, third = stage("a", two, three), stage("b"), stage("c", two)
    assert exit_rules([first, second, third]) == [three, None, None]
    assert exit_rules([first, second]) == [two, None]
    assert exit_rules([first, third]) == [None, None]
    assert exit_rules([first]) == [None]
    assert exit_rules([first, second], {"a": (later, three)}) == [later, None]
    assert exit_rules([first, second], {"a": (three,)}) == [two, None]  # the user's was made for another cascade
    assert exit_rules([stage("a", two, later), second]) == [later, None]


def test_the_expected_gain_falls_with_confidence_and_says_what_was_seen() -> None:
    confidence, lost = population(4000)
    curve = gain_curve(confidence, lost.astype(float))
    gains = [gain for _, gain in curve]
    assert gains == sorted(gains, reverse=True)
    own = dataclasses.replace(ExitRule(0.9), gain=curve)
    assert own.expected_gain(0.1) > 0.4 > 0.2 > own.expected_gain(0.95)
    assert own.expected_gain(0.5) == pytest.approx(0.35, abs=0.06)
    assert ExitRule(0.9).expected_gain(0.3) == pytest.approx(0.7)


def test_lucky_rows_do_not_send_a_sure_track_first() -> None:
    confidence = np.linspace(0, 1, 80)
    gained = np.where(confidence > 0.9, 1.0, 0.0)
    assert {gain for _, gain in gain_curve(confidence, gained)} == {0.1}
