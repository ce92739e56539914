"""Votes become decisions by the thresholds, and no vote becomes no genre."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_reclass.classification.policy import REASONS, Thresholds, decide, is_sure, may_exit, with_prior
from music_reclass.domain import Outcome, Vote
from music_reclass.errors import BundleError
from music_reclass.taxonomy import load
from tests.classification.fakes import LIMITS, MET, vote

TREE = load()
TIES = Thresholds(
    0.8, 0.5, 0.5, confusable=frozenset({frozenset(("Pop", "Rock")), frozenset(("Ambient", "Electronic"))})
)
BOTH = {"cheap": LIMITS, "costly": LIMITS}


def stated(**thresholds: float | None) -> Thresholds:
    """What a bundle with these thresholds, all of them certified, amounts to."""
    return Thresholds.from_manifest({"thresholds": thresholds, "certificates": MET})


def test_no_vote_never_gives_a_genre() -> None:
    decision = decide([], BOTH, TREE)
    assert (decision.outcome, decision.reason, decision.genres) == (Outcome.UNSURE, "no_vote", ())


@pytest.mark.parametrize(
    ("probability", "outcome", "reason", "genres"),
    [
        (0.9, Outcome.CONFIDENT, "sure", ("Rock",)),
        (0.8, Outcome.CONFIDENT, "sure", ("Rock",)),
        (0.6, Outcome.LIKELY, "likely", ("Rock",)),
        (0.4, Outcome.UNSURE, "doubt", ()),
    ],
)
def test_the_thresholds_make_the_outcome(
    probability: float, outcome: Outcome, reason: str, genres: tuple[str, ...]
) -> None:
    rest = (1 - probability) / 2
    decision = decide([vote(rest, rest, probability)], BOTH, TREE)
    assert (decision.outcome, decision.reason, decision.genres) == (outcome, reason, genres)
    assert (decision.confidence, decision.stage) == (probability, "cheap")


def test_the_last_vote_counts_and_all_are_kept() -> None:
    votes = [vote(0.1, 0.2, 0.7), vote(0.9, 0.1, 0.0, by="costly")]
    decision = decide(votes, BOTH, TREE)
    assert (decision.genres, decision.stage, decision.votes) == (("Jazz",), "costly", tuple(votes))


def test_an_uncertain_track_takes_the_opinion_of_its_album() -> None:
    album = Vote("album", {"Jazz": 0.7, "Pop": 0.2, "Rock": 0.1})
    decision = decide([vote(0.3, 0.3, 0.4)], BOTH, TREE, album)
    assert (decision.outcome, decision.reason, decision.genres) == (Outcome.LIKELY, "album", ("Jazz",))
    assert (decision.stage, decision.votes[-1]) == ("album", album)


def test_an_uncertain_album_makes_a_likely_track_unsure() -> None:
    decision = decide([vote(0.1, 0.3, 0.6)], BOTH, TREE, Vote("album", {"Jazz": 0.4, "Pop": 0.3, "Rock": 0.3}))
    assert (decision.outcome, decision.reason, decision.genres) == (Outcome.UNSURE, "album_doubt", ())


def test_a_sure_track_keeps_its_own_opinion_against_its_album() -> None:
    album = Vote("album", {"Jazz": 0.9, "Pop": 0.1, "Rock": 0.0})
    decision = decide([vote(0.0, 0.1, 0.9)], BOTH, TREE, album)
    assert (decision.genres, decision.reason, decision.stage) == (("Rock",), "sure", "cheap")


def test_a_weak_genre_is_decided_only_when_sure() -> None:
    likely = Vote("cheap", {"International": 0.7, "Rock": 0.3})
    sure = Vote("cheap", {"International": 0.9, "Rock": 0.1})
    assert decide([likely], BOTH, TREE).reason == "weak_genre"
    assert decide([sure], BOTH, TREE).genres == ("International",)


def test_a_dropped_genre_is_not_decided(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[drop]\nvalues = ["Rock", "Shoegaze"]\n[output]\nJazz = "Jazz Music"\n')
    tree = load(file)
    assert decide([vote(0.0, 0.1, 0.9)], BOTH, tree).reason == "dropped"
    assert decide([vote(0.9, 0.1, 0.0)], BOTH, tree).genres == ("Jazz Music",)


def test_a_second_genre_is_nearly_as_likely_as_the_first_and_asked_for() -> None:
    near = vote(0.36, 0.04, 0.6)
    far = vote(0.25, 0.15, 0.6)
    assert decide([near], BOTH, TREE).genres == ("Rock",)
    assert decide([near], BOTH, TREE, max_genres=2).genres == ("Rock", "Jazz")
    assert decide([far], BOTH, TREE, max_genres=3).genres == ("Rock",)


def test_a_second_genre_is_neither_weak_nor_above_or_below_the_first() -> None:
    shares = {"Ambient": 0.5, "Electronic": 0.25, "Easy Listening": 0.25}
    decision = decide([Vote("cheap", shares)], {"cheap": Thresholds(0.5, 0.5)}, TREE, max_genres=3)
    assert decision.genres == ("Ambient",)


def test_an_uncertified_threshold_is_never_reached() -> None:
    only_likely = stated(likely=0.5)
    assert only_likely == Thresholds(math.inf, 0.5, sure=math.inf)
    assert only_likely.outcome(1.0) is Outcome.LIKELY
    assert stated().outcome(1.0) is Outcome.UNSURE
    assert stated(confident=0.7, likely=None) == Thresholds(0.7, 0.7, sure=0.7)


@pytest.mark.parametrize(
    "certificates",
    [{}, {"confident": {"certified": False}}, {"confident": {"certified": True, "threshold": 0.9}}],
    ids=["none", "not met", "of another threshold"],
)
def test_without_a_certificate_that_was_met_nothing_is_confident(certificates: dict[str, object]) -> None:
    limits = Thresholds.from_manifest({"thresholds": {"confident": 0.7, "likely": 0.6}, "certificates": certificates})
    assert limits.outcome(1.0) is Outcome.LIKELY
    album = Vote("album", {"Jazz": 0.9, "Pop": 0.1, "Rock": 0.0})
    decision = decide([vote(0.0, 0.1, 0.9)], {"cheap": limits}, TREE, album)
    assert (decision.outcome, decision.reason, decision.genres) == (Outcome.LIKELY, "likely", ("Rock",))
    weak = decide([Vote("cheap", {"International": 0.7, "Rock": 0.3})], {"cheap": limits}, TREE)
    assert (weak.outcome, weak.genres) == (Outcome.LIKELY, ("International",))


@given(*(st.one_of(st.none(), st.floats(0.01, 1.0)) for _ in range(2)))
def test_nothing_is_decided_below_one_half_whatever_a_bundle_says(high: float | None, low: float | None) -> None:
    if high is not None and low is not None:
        high, low = max(high, low), min(high, low)
    limits = stated(confident=high, likely=low)
    assert min(limits.likely, limits.confident, limits.keeps) >= 0.5
    if high is not None:
        assert limits.keeps == max(high, 0.5)


@pytest.mark.parametrize(
    "manifest",
    [{"certificates": 5}, {"certificates": {"confident": 5}}, {"confusable": 5}, {"confusable": [5]},
     {"confusable": [[["Pop"], "Rock"]]}],
)  # fmt: skip
def test_a_manifest_whose_thresholds_make_no_sense_is_refused(manifest: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="make"):
        Thresholds.from_manifest(manifest)


def test_an_exit_that_is_no_probability_is_refused() -> None:
    for nonsense in (0.0, -1.0, math.nan):
        with pytest.raises(BundleError, match="make no sense"):
            Thresholds(0.9, 0.5, exit=nonsense)


@pytest.mark.parametrize(("confident", "likely"), [(0.5, 0.6), (math.nan, 0.5), (0.5, math.nan), (0.5, 0.0)])
def test_thresholds_without_sense_are_refused(confident: float, likely: float) -> None:
    with pytest.raises(BundleError, match="make no sense"):
        Thresholds(confident, likely)


def test_only_a_confident_last_vote_is_sure() -> None:
    assert not is_sure([], BOTH)
    assert is_sure([vote(0.1, 0.1, 0.8)], BOTH)
    assert not is_sure([vote(0.0, 0.0, 1.0), vote(0.3, 0.3, 0.4, by="costly")], BOTH)


def test_a_stage_without_a_certified_exit_never_lets_a_track_go() -> None:
    never = {"cheap": stated(confident=0.5, likely=0.4)}
    assert not may_exit([vote(0.0, 0.0, 1.0)], never)
    assert not may_exit([vote(0.0, 0.0, 1.0)], never, Vote("album", {"Jazz": 0.0, "Pop": 0.0, "Rock": 1.0}))
    assert not may_exit([], never)


def test_a_track_leaves_by_its_own_vote_or_by_an_album_that_names_its_genre() -> None:
    exits = {"cheap": Thresholds(0.9, 0.4, exit=0.7)}
    rock, jazz = (Vote("album", dict(zip(("Jazz", "Pop", "Rock"), row, strict=True))) for row in
                  ((0.1, 0.1, 0.8), (0.8, 0.1, 0.1)))  # fmt: skip
    uncertain = [vote(0.3, 0.2, 0.5)]
    assert may_exit([vote(0.2, 0.1, 0.7)], exits)
    assert not may_exit(uncertain, exits)
    assert may_exit(uncertain, exits, rock)
    assert not may_exit(uncertain, exits, jazz)


def test_genres_that_training_never_told_apart_are_not_chosen_between_on_a_near_tie() -> None:
    limits = {"cheap": TIES}
    near, far = vote(0.02, 0.4, 0.58), vote(0.05, 0.3, 0.65)
    assert decide([near], limits, TREE).reason == "tie"
    assert decide([near], limits, TREE).outcome is Outcome.UNSURE
    assert decide([near], BOTH, TREE).genres == ("Rock",)  # told apart by that bundle
    assert decide([far], limits, TREE).genres == ("Rock",)
    assert decide([vote(0.4, 0.02, 0.58)], limits, TREE).genres == ("Rock",)  # Jazz and Rock are another matter
    assert decide([vote(0.3, 0.3, 0.4)], limits, TREE).reason == "doubt"
    tie = Vote("album", dict(zip(("Jazz", "Pop", "Rock"), (0.02, 0.4, 0.58), strict=True)))
    assert decide([far], limits, TREE, tie).reason == "tie"


def test_a_near_tie_below_one_genre_is_that_genre_and_never_more_than_likely() -> None:
    decision = decide([Vote("cheap", {"Ambient": 0.5, "Electronic": 0.45, "Rock": 0.05})], {"cheap": TIES}, TREE)
    assert (decision.outcome, decision.reason, decision.genres) == (Outcome.LIKELY, "tie", ("Electronic",))
    assert decision.confidence == pytest.approx(0.95)
    few = decide([Vote("cheap", {"Ambient": 0.2, "Electronic": 0.2, "Rock": 0.6})], {"cheap": TIES}, TREE)
    assert few.genres == ("Rock",)


def test_a_frequent_genre_needs_less_evidence_and_the_prior_alone_makes_nothing_confident() -> None:
    jazz = Vote("prior", {"Jazz": 0.8, "Pop": 0.1, "Rock": 0.1})
    close = vote(0.4, 0.15, 0.45)
    assert decide([close], BOTH, TREE).outcome is Outcome.UNSURE
    decision = decide([close], BOTH, TREE, prior=jazz)
    assert (decision.outcome, decision.reason, decision.genres) == (Outcome.LIKELY, "prior", ("Jazz",))
    assert decision.confidence == pytest.approx(0.32 / (0.32 + 0.015 + 0.045))
    assert decision.votes == (close,)  # what is stored is what the stage said
    sure = decide([vote(0.05, 0.05, 0.9)], BOTH, TREE, prior=jazz)
    assert sure.outcome is Outcome.LIKELY or sure.confidence >= 0.8


def test_a_near_tie_never_exits_because_a_later_stage_may_break_it() -> None:
    tie, album = vote(0.02, 0.4, 0.58), Vote("album", {"Jazz": 0.02, "Pop": 0.4, "Rock": 0.58})
    assert not may_exit([tie], {"cheap": TIES})
    assert may_exit([tie], {"cheap": Thresholds(0.8, 0.5, 0.5)})
    assert not may_exit([vote(0.3, 0.25, 0.45)], {"cheap": TIES}, album)


def test_every_reason_has_its_sentence_and_its_line_in_the_docs() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "decisions.md"
    text = page.read_text(encoding="utf-8")
    assert not [reason for reason in REASONS if f"`{reason}`" not in text]
    album = Vote("album", {"Jazz": 0.4, "Pop": 0.3, "Rock": 0.3})
    for opinion in (None, album):
        assert decide([vote(0.3, 0.3, 0.4)], BOTH, TREE, opinion).reason in REASONS


def tags(jazz: float, pop: float, rock: float) -> Vote:
    return Vote("tags", {"Jazz": jazz, "Pop": pop, "Rock": rock})


def test_a_prior_multiplies_the_opinion_and_leaves_labels_alone_that_it_does_not_know() -> None:
    found = with_prior(vote(0.2, 0.2, 0.6), tags(0.6, 0.3, 0.1))
    assert found.probabilities == pytest.approx({"Jazz": 0.12 / 0.24, "Pop": 0.06 / 0.24, "Rock": 0.06 / 0.24})
    assert found.stage == "cheap"
    wider = with_prior(Vote("cheap", {"Jazz": 0.5, "Ska": 0.5}), tags(1 / 3, 1 / 3, 1 / 3))
    assert wider.probabilities == pytest.approx({"Jazz": 0.5, "Ska": 0.5})
    assert with_prior(Vote("cheap", {"Jazz": 1.0}), Vote("tags", {"Jazz": 0.0, "Pop": 1.0})).genre == "Jazz"


def test_tags_tip_the_balance_and_are_named_as_the_reason() -> None:
    decision = decide([vote(0.4, 0.2, 0.4)], BOTH, TREE, tags=tags(0.8, 0.1, 0.1))
    assert (decision.outcome, decision.reason, decision.genres) == (Outcome.LIKELY, "tags", ("Jazz",))
    assert [one.stage for one in decision.votes] == ["cheap", "tags"]


def test_tags_make_nothing_confident_that_was_not_certified_and_can_make_a_sure_track_doubtful() -> None:
    lifted = decide([vote(0.1, 0.2, 0.7)], BOTH, TREE, tags=tags(0.05, 0.05, 0.9))
    assert (lifted.outcome, lifted.reason) == (Outcome.LIKELY, "likely")
    assert lifted.confidence > LIMITS.confident
    kept = decide([vote(0.0, 0.1, 0.9)], BOTH, TREE, tags=tags(0.2, 0.2, 0.6))
    assert (kept.outcome, kept.reason) == (Outcome.CONFIDENT, "sure")
    against = decide([vote(0.15, 0.0, 0.85)], BOTH, TREE, tags=tags(0.8, 0.1, 0.1))
    assert against.outcome is not Outcome.CONFIDENT


def test_tags_without_a_vote_decide_nothing() -> None:
    assert decide([], BOTH, TREE, tags=tags(0.9, 0.05, 0.05)).reason == "no_vote"
