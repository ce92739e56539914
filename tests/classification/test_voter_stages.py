"""A stage votes for tracks with the very vectors it was trained on, and refuses all others."""

from dataclasses import replace

import numpy as np
import pytest

from music_reclass.classification.policy import Thresholds
from music_reclass.classification.voter import Cascade, Stage
from music_reclass.domain import FeatureKind
from music_reclass.errors import BundleError
from music_reclass.taxonomy import load
from tests.classification.fakes import CHEAP, COSTLY, MET, Echo, Vectors, echo_stage, stage, vote

TREE = load()


def test_a_bundle_becomes_a_stage() -> None:
    made = Stage.from_bundle(Echo(labels=("jazz", "Pop music", "R&B")), TREE)
    assert made.genres == ("Jazz", "Pop", "Soul-RnB")
    assert (made.name, made.kinds, made.digest) == ("cheap", (CHEAP,), "d1")
    assert made.thresholds == Thresholds(0.8, 0.5, sure=0.8)


def test_confusable_labels_are_named_as_the_taxonomy_names_them() -> None:
    pairs = {"certificates": MET, "confusable": [["jazz", "R&B"], ["Pop music", "Pop"]]}
    made = Stage.from_bundle(Echo(labels=("jazz", "Pop music", "R&B"), manifest=pairs), TREE)
    assert frozenset(("Jazz", "Soul-RnB")) in made.thresholds.confusable


def test_a_label_outside_the_taxonomy_is_refused() -> None:
    with pytest.raises(BundleError, match="“Nonsensecore”, which is no genre"):
        Stage.from_bundle(Echo(labels=("Jazz", "Pop", "Nonsensecore")), TREE)


def test_a_stage_votes_only_for_tracks_with_a_vector() -> None:
    source = Vectors({CHEAP: {1: [0.5, 0.25, 0.25], 3: [0.0, 0.0, 1.0]}})
    assert stage("cheap", CHEAP).votes([3, 2, 1], source) == {1: vote(0.5, 0.25, 0.25), 3: vote(0.0, 0.0, 1.0)}


def test_a_stage_of_two_kinds_sees_both_side_by_side_and_never_asks_the_costly_one_in_vain() -> None:
    both = echo_stage("costly", (CHEAP, COSTLY))
    source = Vectors({CHEAP: {1: [1, 0, 0], 2: [1, 0, 0]}, COSTLY: {1: [0, 1, 0], 3: [0, 1, 0]}})
    assert both.votes([1, 2, 3], source) == {1: vote(0.0, 1.0, 0.0, by="costly")}
    assert source.asked[COSTLY] == {1, 2}


def test_a_vector_of_another_excerpt_is_not_used() -> None:
    full = FeatureKind("cheap", "1", 3, "full")
    assert stage("cheap", CHEAP).votes([1], Vectors({full: {1: [1, 0, 0]}})) == {}
    with pytest.raises(BundleError, match=r"cheap/1/mid30 .* cheap/1/full"):
        stage("cheap", CHEAP).require(full)
    stage("cheap", CHEAP).require(CHEAP)


def test_a_vector_of_another_length_is_refused() -> None:
    with pytest.raises(BundleError, match="needs 3 numbers"):
        stage("cheap", CHEAP).votes([1], Vectors({CHEAP: {1: [0.5, 0.5]}}))


def test_a_damaged_vector_costs_its_own_vote_only() -> None:
    source = Vectors({CHEAP: {1: [float("nan"), 0, 1], 2: [0, 0, 1]}})
    assert list(stage("cheap", CHEAP).votes([1, 2], source)) == [2]


def test_a_bundle_that_gives_no_probabilities_is_refused() -> None:
    class Broken(Echo):
        def predict_proba(self, rows):  # type: ignore[no-untyped-def]
            return np.full((len(rows), 3), np.nan)

    with pytest.raises(BundleError, match="gives no probabilities"):
        Stage.from_bundle(Broken(), TREE).votes([1], Vectors({CHEAP: {1: [0, 0, 1]}}))


def test_labels_that_mean_one_genre_are_added_up() -> None:
    made = Stage.from_bundle(Echo(labels=("Rock", "rock music", "Pop")), TREE)
    votes = made.votes([1], Vectors({CHEAP: {1: [0.25, 0.5, 0.25]}}))
    assert votes[1].probabilities == {"Rock": 0.75, "Pop": 0.25}


def test_stages_behind_one_that_lets_no_track_exit_are_asked_about_every_track() -> None:
    kinds = [FeatureKind(name, "1", 3, "mid30") for name in ("fma518", "musicnn", "musicnn-tags", "mert")]
    never = Thresholds(0.8, 0.5)
    first, second = echo_stage("a", (kinds[0],), never), echo_stage("b", tuple(kinds[:3]), never)
    third = echo_stage("c", (kinds[0], kinds[3]), never)

    every = Cascade((first, second, third), TREE)
    assert every.always_asked == (first, second, third)
    assert every.first_read == tuple(kinds[:3])  # the third needs a network
    exits = Cascade((stage("a", kinds[0]), second, third), TREE)
    assert [asked.name for asked in exits.always_asked] == ["a"]
    assert exits.first_read == (kinds[0],)
    between = Cascade((first, stage("b", kinds[1]), third), TREE)
    assert [asked.name for asked in between.always_asked] == ["a", "b"]
    assert between.first_read == (kinds[0], kinds[1])
    assert Cascade((), TREE).first_read == ()
    assert Cascade((third,), TREE).first_read == (kinds[0],)  # nothing that needs a network


def test_a_kind_of_another_excerpt_or_one_that_is_unknown_is_not_read_with_the_first() -> None:
    first = FeatureKind("fma518", "1", 3, "mid30")
    for other in (FeatureKind("musicnn", "1", 3, "full"), FeatureKind("unknown", "1", 3, "mid30")):
        cascade = Cascade((echo_stage("a", (first,), Thresholds(0.8, 0.5)), echo_stage("b", (first, other))), TREE)
        assert cascade.first_read == (first,)


def test_a_vote_is_the_mean_over_the_excerpts_of_which_there_are_vectors() -> None:
    start, end = (replace(CHEAP, excerpt=name) for name in ("start30", "end30"))
    middle = {1: [0.6, 0.2, 0.2], 2: [0.6, 0.2, 0.2]}
    source = Vectors({CHEAP: middle, start: {1: [0.0, 1.0, 0.0]}, end: {1: [0.0, 0.6, 0.4], 3: [1, 0, 0]}})
    votes = stage("cheap", CHEAP).votes([1, 2, 3], source, ("start30", "end30"))
    assert votes.keys() == {1, 2}  # without a vector of the middle there is no vote
    assert list(votes[1].probabilities.values()) == pytest.approx([0.2, 0.6, 0.2])
    assert list(votes[2].probabilities.values()) == pytest.approx([0.6, 0.2, 0.2])


def test_windows_vote_at_stages_of_the_first_reading_only() -> None:
    start = replace(CHEAP, excerpt="start30")
    cheap = stage("cheap", CHEAP)
    cascade = Cascade((cheap, stage("costly", COSTLY)), TREE, windows=2)
    source = Vectors({CHEAP: {1: [0.4, 0.3, 0.3]}, start: {1: [0.0, 0.5, 0.5]}, COSTLY: {1: [0.0, 0.0, 1.0]}})
    first, second = cascade.predict([1], source, [])[1]
    assert first.probabilities["Jazz"] == pytest.approx(0.2)
    assert second.probabilities["Rock"] == 1.0
    assert replace(COSTLY, excerpt="start30") not in source.asked
