"""Exit policies become one threshold a stage; a cheaper price and a higher fixed confidence never ask fewer tracks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_reclass import config
from music_reclass.domain import FeatureKind
from music_reclass.models.early_exit import ExitRule, exit_as_manifest
from music_reclass.models.exit_policy import EFFORTS, SECONDS, ExitPolicy, worthless_from

FMA, EFFICIENT, MUSICNN, MERT = (
    FeatureKind(name, "1", 2, "mid30") for name in ("fma518", "efficientat", "musicnn", "mert")
)
CURVE = ((0.3, 0.3), (0.6, 0.1), (0.8, 0.04), (0.95, 0.0))
curves = st.lists(
    st.tuples(st.floats(0.05, 1.0), st.floats(-0.2, 0.6)), min_size=1, max_size=6, unique_by=lambda pair: pair[0]
).map(lambda pairs: tuple(zip(sorted(p[0] for p in pairs), sorted((p[1] for p in pairs), reverse=True), strict=True)))


def bundle(stage: str, kinds: tuple[FeatureKind, ...], *rules: ExitRule, likely: float = 0.5) -> Any:
    manifest = {"exits": [exit_as_manifest(rule) for rule in rules]}
    return SimpleNamespace(stage=stage, kinds=kinds, digest=stage, manifest=manifest, thresholds={"likely": likely})


def two(*rules: ExitRule, likely: float = 0.5) -> list[Any]:
    return [bundle("fma518", (FMA,), *rules), bundle("musicnn", (FMA, MUSICNN), likely=likely)]


def rule(threshold: float | None = 0.84, gain: Any = CURVE, against: tuple[str, ...] = ("musicnn",)) -> ExitRule:
    return ExitRule(threshold, count=500, against=against, gain=gain)


def threshold(policy: ExitPolicy, bundles: list[Any]) -> float:
    found = policy.rules(bundles)[0]
    return float("inf") if found is None or found.threshold is None else found.threshold


def test_certified_is_the_rule_of_the_bundle_unchanged() -> None:
    assert ExitPolicy().rules(two(rule())) == [rule(), None]
    assert ExitPolicy().rules(two()) == [None, None]


def test_expected_exits_where_the_gain_falls_below_the_price_of_the_seconds() -> None:
    policy = ExitPolicy("expected", price=0.2, measured={"musicnn": 0.5})
    assert threshold(policy, two(rule())) == pytest.approx(0.6)  # a gain of 0.1 for half a second
    (found, last) = policy.rules(two(rule()))
    assert last is None
    assert found is not None
    assert (found.policy, found.gain) == ("expected", CURVE)
    assert "gains less than 10.0%" in found.sentence()
    assert "certified" not in found.sentence().replace("not certified", "")


def test_without_a_curve_or_a_cost_expected_falls_back_to_certified() -> None:
    policy = ExitPolicy("expected", price=0.2)
    assert policy.rules(two(rule(gain=()))) == [rule(gain=()), None]
    assert policy.rules(two(rule(against=("another",)))) == [None, None]
    unknown = FeatureKind("unknown", "1", 2, "mid30")
    bundles = [bundle("fma518", (FMA,), rule(against=("x",))), bundle("x", (FMA, unknown))]
    assert policy.rules(bundles) == [rule(against=("x",)), None]
    assert policy.cost(bundles, 1) is None


def test_where_going_on_always_pays_no_track_exits() -> None:
    found = ExitPolicy("expected", price=0.001).rules(two(rule(gain=((0.5, 0.2), (0.9, 0.1)))))[0]
    assert found is not None
    assert found.threshold is None
    assert "always expected to gain" in found.sentence()


def test_going_on_can_pay_by_two_stages_together_or_by_the_next_alone() -> None:
    later = [bundle("musicnn", (FMA, MUSICNN)), bundle("mert", (FMA, MERT))]
    next_alone = rule(gain=((0.5, 0.3), (0.9, 0.0)))
    flat = rule(gain=((0.5, 0.01), (0.9, 0.0)), against=("musicnn", "mert"))
    policy = ExitPolicy("expected", price=0.1, measured={"musicnn": 1.0, "mert": 1.0})
    both = threshold(policy, [bundle("fma518", (FMA,), next_alone, flat), *later])
    assert both == threshold(policy, [bundle("fma518", (FMA,), next_alone), later[0]])
    assert both > threshold(policy, [bundle("fma518", (FMA,), flat), *later])


def test_fixed_is_what_it_says_at_every_stage_but_the_last() -> None:
    policy = ExitPolicy.of("fixed:0.85")
    three = [*two(rule()), bundle("mert", (FMA, MERT))]
    assert [one and one.threshold for one in policy.rules(three)] == [0.85, 0.85, None]
    assert policy.label == "fixed:0.85"


def test_no_exit_lies_below_one_half_or_below_what_a_later_stage_finds_likely() -> None:
    for policy in (ExitPolicy(), ExitPolicy("expected", price=9.0), ExitPolicy("fixed", confidence=0.2)):
        assert threshold(policy, two(rule(0.3))) == 0.5
        assert threshold(policy, two(rule(0.3), likely=0.62)) == 0.62
        third = bundle("mert", (FMA, MERT), likely=0.7)
        assert threshold(policy, [*two(rule(0.3, against=("musicnn", "mert"))), third]) == 0.7


def test_no_track_exits_before_a_stage_whose_features_are_there_already_unless_that_is_fixed() -> None:
    against = ("efficientat", "musicnn")
    bundles = [
        bundle("fma518", (FMA,), rule(against=against)),
        bundle("efficientat", (FMA, EFFICIENT), rule(0.7)),
        bundle("musicnn", (FMA, EFFICIENT, MUSICNN)),
    ]
    for policy in (ExitPolicy(), ExitPolicy("expected", price=9.0)):
        first, second, last = policy.rules(bundles)
        assert first is not None
        assert first.threshold is None
        assert "efficientat" in first.sentence()
        assert second is not None
        assert second.threshold is not None
        assert last is None
    assert threshold(ExitPolicy("fixed", confidence=0.85), bundles) == 0.85


def test_a_rule_that_was_certified_on_the_library_counts_before_what_is_expected() -> None:
    mine = rule(0.93)
    assert ExitPolicy("expected", price=9.0).rules(two(rule()), {"fma518": [mine]}) == [mine, None]
    void = rule(0.93, against=("another",))
    assert ExitPolicy("expected", price=9.0).rules(two(rule()), {"fma518": [void]})[0] != void
    assert threshold(ExitPolicy("expected", price=9.0), two(rule())) == 0.5


@given(curves, st.floats(0.0, 2.0), st.floats(0.0, 2.0), st.floats(0.01, 60.0))
def test_a_cheaper_price_never_asks_fewer(curve: Any, one: float, other: float, seconds: float) -> None:
    cheap, costly = sorted((one, other))
    measured = {"musicnn": seconds}
    bundles = two(rule(gain=curve))
    assert threshold(ExitPolicy("expected", cheap, measured=measured), bundles) >= threshold(
        ExitPolicy("expected", costly, measured=measured), bundles
    )


@given(curves, st.floats(0.01, 60.0), st.floats(0.01, 60.0))
def test_a_slower_stage_is_never_asked_about_more(curve: Any, one: float, other: float) -> None:
    quick, slow = sorted((one, other))
    bundles = two(rule(gain=curve))
    assert threshold(ExitPolicy("expected", 0.1, measured={"musicnn": quick}), bundles) >= threshold(
        ExitPolicy("expected", 0.1, measured={"musicnn": slow}), bundles
    )


@given(st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_a_higher_fixed_threshold_never_asks_fewer(one: float, other: float) -> None:
    low, high = sorted((one, other))
    bundles = two(rule(), likely=0.6)
    assert threshold(ExitPolicy("fixed", confidence=low), bundles) <= threshold(
        ExitPolicy("fixed", confidence=high), bundles
    )


@given(curves, st.floats(-0.5, 1.0))
def test_from_the_threshold_on_nothing_gains_more_than_the_price(curve: Any, price: float) -> None:
    found = worthless_from(rule(gain=curve), price)
    if found is None:
        assert rule(gain=curve).expected_gain(1.0) > price
    else:
        assert rule(gain=curve).expected_gain(found) <= price
        if found > 0.02:
            assert rule(gain=curve).expected_gain(found - 0.011) >= rule(gain=curve).expected_gain(found)


def test_measured_seconds_count_as_powers_of_two_so_that_one_more_scan_changes_nothing() -> None:
    near = [ExitPolicy.of("expected", measured={"musicnn": seconds}) for seconds in (0.24, 0.25, 0.3)]
    assert [policy.measured["musicnn"] for policy in near] == [0.25] * 3
    assert ExitPolicy.of("expected", measured={"musicnn": 0.0}).measured == {}
    usual = ExitPolicy.of("expected")
    assert usual.cost(two(), 1) == near[0].cost(two(), 1)  # nor does the first, on a usual machine


def test_the_settings_and_the_policies_have_the_same_words() -> None:
    assert tuple(EFFORTS) == config.EFFORTS
    assert list(EFFORTS.values()) == sorted(EFFORTS.values(), reverse=True)
    assert set(SECONDS["cpu"]) == set(SECONDS["cuda"])
    assert ExitPolicy.of(config.Settings().exit_policy, config.Settings().effort).label == "expected (balanced)"
    assert ExitPolicy.of("certified").label == "certified"
