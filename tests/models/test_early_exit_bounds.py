"""Exit rules: bounds of the binomial distribution, what must not change a rule, and stored rules that make no sense."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from music_reclass.errors import BundleError
from music_reclass.models.early_exit import (
    GRID,
    CalibrationSet,
    ExitRule,
    RiskTarget,
    certified_exit_rule,
    certify_exit_rule,
    exit_as_manifest,
    exit_from_manifest,
    exit_rules_of,
    gain_curve,
    lower_bound,
    one_a_group,
    strictest,
    upper_bound,
)


@given(st.integers(1, 3000), st.data(), st.sampled_from([0.01, 0.05, 0.1, 0.3]))
def test_at_the_upper_bound_so_few_errors_have_probability_delta(count: int, data: st.DataObject, delta: float) -> None:
    errors = data.draw(st.integers(0, count - 1))
    bound = upper_bound(errors, count, delta)
    assert stats.binom.cdf(errors, count, bound) == pytest.approx(delta, abs=1e-6)
    assert errors / count < bound <= 1.0


@given(st.integers(1, 3000), st.data(), st.sampled_from([0.01, 0.05, 0.1, 0.3]))
def test_at_the_lower_bound_so_many_errors_have_probability_delta(
    count: int, data: st.DataObject, delta: float
) -> None:
    errors = data.draw(st.integers(1, count))
    bound = lower_bound(errors, count, delta)
    assert stats.binom.sf(errors - 1, count, bound) == pytest.approx(delta, abs=1e-6)
    assert 0.0 <= bound < errors / count


def test_the_bounds_are_mirror_images_and_close_in_on_the_share() -> None:
    for errors, count in ((0, 7), (3, 20), (50, 400)):
        assert upper_bound(errors, count, 0.1) == pytest.approx(1 - lower_bound(count - errors, count, 0.1))
    widths = [upper_bound(n, 10 * n, 0.1) - lower_bound(n, 10 * n, 0.1) for n in (1, 10, 100, 1000)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.02


@pytest.mark.parametrize(("epsilon", "delta"), [(0.02, 0.1), (0.01, 0.05), (0.1, 0.2), (0.005, 0.01)])
def test_the_fewest_tracks_of_a_target_are_just_enough_where_none_is_lost(epsilon: float, delta: float) -> None:
    fewest = RiskTarget(epsilon, delta).fewest
    assert upper_bound(0, fewest, delta) <= epsilon < upper_bound(0, fewest - 1, delta)
    assert (1 - epsilon) ** fewest <= delta < (1 - epsilon) ** (fewest - 1)


def test_exits_of_one_cascade_share_delta_and_so_ask_for_more_tracks() -> None:
    target = RiskTarget(0.02, 0.1)
    assert target.shared(1) == target
    assert target.shared(2) == RiskTarget(0.02, 0.05)
    assert target.shared(2).fewest > target.fewest


def tracks(count: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    confidence = generator.random(count)
    return confidence, generator.random(count) < 0.2 * (1 - confidence) ** 2


@given(st.integers(0, 2**31))
@settings(max_examples=20)
def test_the_order_of_the_tracks_does_not_change_the_rule(seed: int) -> None:
    confidence, lost = tracks()
    order = np.random.default_rng(seed).permutation(len(lost))
    assert certify_exit_rule(confidence[order], lost[order]) == certify_exit_rule(confidence, lost)


def test_one_more_lost_track_never_lets_tracks_exit_earlier() -> None:
    confidence, lost = tracks()
    before = certify_exit_rule(confidence, lost).threshold
    assert before is not None
    for place in np.flatnonzero(~lost)[:40]:
        worse = lost.copy()
        worse[place] = True
        after = certify_exit_rule(confidence, worse).threshold
        assert after is None or after >= before


def test_the_threshold_is_one_of_the_grid_and_states_what_lies_above_it() -> None:
    confidence, lost = tracks(seed=3)
    rule = certify_exit_rule(confidence, lost, against=["a", "b"])
    assert rule.threshold in GRID.tolist()
    above = confidence >= rule.threshold
    assert rule.lost == (above & lost).sum()
    assert rule.exits == above.mean()
    assert upper_bound(rule.lost, rule.count, rule.delta) <= rule.epsilon
    assert rule.against == ("a", "b")


def test_tracks_that_never_exit_count_for_the_guarantee_too() -> None:
    confidence, lost = np.full(200, 0.995), np.arange(200) < 6
    alone = certify_exit_rule(confidence, lost)
    among = certify_exit_rule(np.append(confidence, np.zeros(600)), np.append(lost, np.zeros(600, dtype=bool)))
    assert alone.threshold is None  # 6 of 200 are more than two in a hundred
    assert among.threshold is not None  # 6 of 800 are not


def test_a_sentence_says_on_what_a_rule_rests_and_what_it_guarantees() -> None:
    rule = ExitRule(0.7, 0.02, 0.1, count=1200, lost=12, exits=0.4)
    assert rule.sentence() == (
        "exits from 0.70 (40% of tracks): at most 2.0% of all tracks wrong where the whole cascade is right, with "
        "probability 90% (12 of 1,200 independent tracks)"
    )
    assert "another genre than the whole cascade says" in replace(rule, labels=False).sentence()
    assert ExitRule(None, why="not certified: too few").sentence() == "never exits: not certified: too few"


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 0.0}, {"threshold": 1.01}, {"threshold": float("nan")}, {"threshold": "high"}, {"epsilon": 0.0},
        {"epsilon": 1.0}, {"delta": 0}, {"delta": None}, {"count": "many"}, {"count": -1}, {"lost": 3, "count": 2},
        {"lost": -1}, {"against": 7}, {"gain": [[0.1]]}, {"gain": [[0.1, "x"]]}, {"gain": 3}, {"held_on": 5},
        {"exits": []}, {"count": float("inf")},
    ],
    ids=str,
)  # fmt: skip
def test_a_stored_rule_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    kept = exit_as_manifest(ExitRule(0.7, count=300, lost=2))
    with pytest.raises(BundleError, match="makes no sense"):
        exit_from_manifest({**kept, **wrong})


@pytest.mark.parametrize("stored", [5, None, [None], ["rule"], [[]]], ids=str)
def test_exits_that_are_no_list_of_rules_are_refused(stored: object) -> None:
    with pytest.raises(BundleError, match="makes no sense"):
        exit_rules_of({"exits": stored})


@pytest.mark.parametrize("name", sorted(exit_as_manifest(ExitRule(0.5))))
def test_no_part_of_a_stored_rule_may_be_missing(name: str) -> None:
    kept = exit_as_manifest(ExitRule(0.7))
    del kept[name]
    with pytest.raises(BundleError):
        exit_from_manifest(kept)


def test_a_rule_survives_json() -> None:
    rule = ExitRule(
        0.66, 0.03, 0.05, 900, 4, 0.25, ("a",), False, "", ((0.1, 0.3), (0.8, 0.0)), {"clean": {"count": 900}}
    )
    assert exit_from_manifest(json.loads(json.dumps(exit_as_manifest(rule)))) == rule


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from([-1.0, 0.0, 1.0])), min_size=1, max_size=80))
def test_the_gain_curve_falls_and_keeps_the_mean_gain(rows: list[tuple[float, float]]) -> None:
    confidence, gained = (np.array(column) for column in zip(*rows, strict=True))
    curve = gain_curve(confidence, gained)
    places, gains = [place for place, _ in curve], [gain for _, gain in curve]
    assert places == sorted(places)
    assert gains == sorted(gains, reverse=True)
    assert min(gained) - 1e-4 <= min(gains)
    assert max(gains) <= max(gained) + 1e-4
    if len(curve) == 1:
        assert gains[0] == pytest.approx(gained.mean(), abs=1e-4)


def test_beyond_its_ends_the_gain_curve_goes_on_level() -> None:
    rule = replace(ExitRule(0.9), gain=((0.2, 0.4), (0.8, 0.1)))
    assert [rule.expected_gain(place) for place in (0.0, 0.2, 0.5, 0.8, 1.0)] == pytest.approx(
        [0.4, 0.4, 0.25, 0.1, 0.1]
    )


def test_one_row_of_every_group_is_drawn_and_each_row_has_its_chance() -> None:
    groups = np.array([5, 5, 2, 2, 2, 9])
    drawn = np.array([one_a_group(groups, seed) for seed in range(300)])
    assert {tuple(sorted(groups[row].tolist())) for row in drawn} == {(2, 5, 9)}
    counts = np.bincount(drawn.reshape(-1), minlength=6)
    assert counts[5] == 300
    assert counts[:2].min() > 110
    assert counts[2:5].min() > 65


def test_the_strictest_rule_of_equal_ones_is_any_of_them_and_each_is_on_record() -> None:
    rule = ExitRule(0.7, count=500, lost=1, exits=0.12345)
    both = strictest({"clean": rule, "phone": rule})
    assert replace(both, held_on={}) == rule
    each = {"threshold": 0.7, "count": 500, "lost": 1, "exits": 0.1235}
    assert both.held_on == {"clean": each, "phone": each}


def calibration_set(name: str, count: int, seed: int = 0) -> CalibrationSet:
    """A first stage that is right with its confidence, and a second that mends half of its errors."""
    generator = np.random.default_rng(seed)
    sure = generator.beta(4, 1, count)
    right = generator.random(count) < sure
    later = right | (generator.random(count) < 0.5)
    return CalibrationSet(name, np.arange(count), np.stack([sure, np.ones(count)]), np.stack([right, later]))


def test_another_set_of_rows_never_lets_tracks_exit_earlier() -> None:
    clean = calibration_set("clean", 2000)
    alone = certified_exit_rule([clean], (0, 1), RiskTarget())
    assert alone.threshold is not None
    for seed in range(1, 6):
        with_other = certified_exit_rule([clean, calibration_set("other", 900, seed)], (0, 1), RiskTarget())
        assert with_other.threshold is None or with_other.threshold >= alone.threshold
        assert set(with_other.held_on) == {"clean", "other"}


def test_probabilities_and_label_sets_make_a_calibration_set() -> None:
    first = np.array([[0.7, 0.3], [0.4, 0.6]])
    second = np.array([[0.1, 0.9], [0.2, 0.8]])
    labels = np.array([[True, False], [False, True]])
    found = CalibrationSet.of("clean", np.array([3, 3]), [first, second], labels)
    assert found.artists == 1
    assert found.confidence.tolist() == [[0.7, 0.6], [0.9, 0.8]]
    assert found.right.tolist() == [[True, True], [False, True]]
    assert found.lost(0, 1).tolist() == [False, False]  # where the last stage is wrong too nothing is lost
    assert found.lost(1, 0).tolist() == [True, False]
    assert found.share_lost(1, 0, 0.85) == pytest.approx(0.5)


def test_the_lost_share_counts_every_artist_once() -> None:
    right = np.array([[False, False, False, True], [True, True, True, True]])
    found = CalibrationSet("clean", np.array([0, 0, 0, 1]), np.full((2, 4), 0.9), right)
    assert found.share_lost(0, 1, 0.5) == pytest.approx(0.5)
    assert found.share_lost(0, 1, 0.95) == 0.0
