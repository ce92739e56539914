"""The cascade asks later stages only about uncertain tracks, invents nothing, and does not depend on order."""

import dataclasses
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_reclass.classification.policy import Thresholds
from music_reclass.classification.voter import Cascade, Votes
from music_reclass.domain import Decision, Outcome, TrackTags, Vote
from music_reclass.errors import BundleError
from music_reclass.models.early_exit import ExitRule, exit_as_manifest
from music_reclass.taxonomy import load
from tests.classification.fakes import CHEAP, COSTLY, Echo, Track, Vectors, cast, stage, vote

TREE = load()
TWO = Cascade((stage("cheap", CHEAP), stage("costly", COSTLY)), TREE)
SURE, UNCERTAIN = [0.0, 0.1, 0.9], [0.3, 0.3, 0.4]


def rows() -> st.SearchStrategy[list[float]]:
    """Three probabilities."""
    return st.tuples(*[st.integers(0, 20)] * 3).filter(any).map(lambda row: [part / sum(row) for part in row])


def some_tracks() -> st.SearchStrategy[dict[int, Track]]:
    """Tracks on few albums by few artists, some of them compilations."""
    tags = st.builds(
        TrackTags,
        artist=st.sampled_from(["A", "B", ""]),
        album=st.sampled_from(["One", "Two", ""]),
        compilation=st.booleans(),
    )
    return st.dictionaries(st.integers(1, 12), st.builds(Track, st.just("/m/x.mp3"), tags), max_size=12)


def predicted(
    cascade: Cascade, tracks: dict[int, Track], source: Vectors, known: dict[int, list[Vote]] | None = None
) -> dict[int, Votes]:
    return cascade.predict(tracks, source, cascade.albums(tracks), known)  # type: ignore[arg-type]


def decided(cascade: Cascade, tracks: dict[int, Track], source: Vectors) -> dict[int, Decision]:
    return cascade.decide(tracks, source)  # type: ignore[arg-type]


stored = st.dictionaries(st.integers(1, 12), rows(), max_size=12)


def test_a_sure_track_never_reaches_the_costly_stage() -> None:
    source = Vectors({CHEAP: {1: SURE, 2: UNCERTAIN}, COSTLY: {1: [1, 0, 0], 2: [1, 0, 0]}})
    votes = predicted(TWO, {1: Track(), 2: Track()}, source)
    assert source.asked[COSTLY] == {2}
    assert votes == {1: (cast(SURE),), 2: (cast(UNCERTAIN), vote(1.0, 0.0, 0.0, by="costly"))}


def test_without_uncertain_tracks_no_later_stage_is_asked() -> None:
    source = Vectors({CHEAP: {1: SURE}})
    predicted(TWO, {1: Track()}, source)
    assert COSTLY not in source.asked


def test_an_absent_costly_stage_leaves_the_cheap_vote() -> None:
    decision = decided(TWO, {1: Track()}, Vectors({CHEAP: {1: [0.1, 0.3, 0.6]}}))[1]
    assert (decision.outcome, decision.genres, decision.stage) == (Outcome.LIKELY, ("Rock",), "cheap")


def test_a_track_without_a_cheap_vector_is_asked_of_the_costly_stage() -> None:
    assert predicted(TWO, {1: Track()}, Vectors({COSTLY: {1: SURE}})) == {1: (cast(SURE, by="costly"),)}


@given(some_tracks(), stored)
def test_without_a_stage_there_is_never_a_vote(tracks: dict[int, Track], vectors: dict[int, list[float]]) -> None:
    decisions = decided(Cascade((), TREE), tracks, Vectors({CHEAP: vectors}))
    assert decisions.keys() == tracks.keys()
    assert all(d.reason == "no_vote" and not d.genres and not d.votes for d in decisions.values())


@given(some_tracks(), stored, stored)
def test_a_missing_vector_never_invents_a_vote(
    tracks: dict[int, Track], cheap: dict[int, list[float]], costly: dict[int, list[float]]
) -> None:
    decisions = decided(TWO, tracks, Vectors({CHEAP: cheap, COSTLY: costly}))
    for track_id, decision in decisions.items():
        stages = {vote.stage for vote in decision.votes}
        assert "cheap" not in stages or track_id in cheap
        assert "costly" not in stages or track_id in costly
        assert stages or (decision.outcome is Outcome.UNSURE and decision.genres == ())


@given(some_tracks(), stored, stored)
def test_sure_tracks_are_never_extracted_again(
    tracks: dict[int, Track], cheap: dict[int, list[float]], costly: dict[int, list[float]]
) -> None:
    source = Vectors({CHEAP: cheap, COSTLY: costly})
    votes = predicted(TWO, tracks, source)
    sure = {
        track_id for track_id, cast in votes.items() if cast and cast[0].stage == "cheap" and cast[0].confidence >= 0.8
    }
    assert not sure & source.asked.get(COSTLY, set())


@given(some_tracks(), stored, stored, st.randoms())
def test_order_does_not_matter_and_the_same_input_gives_the_same_output(
    tracks: dict[int, Track], cheap: dict[int, list[float]], costly: dict[int, list[float]], chance: random.Random
) -> None:
    shuffled = list(tracks)
    chance.shuffle(shuffled)
    source = Vectors({CHEAP: cheap, COSTLY: costly})
    first = decided(TWO, tracks, source)
    assert decided(TWO, {track_id: tracks[track_id] for track_id in shuffled}, source) == first
    assert decided(TWO, tracks, source) == first


@given(some_tracks(), stored)
def test_a_sure_track_keeps_its_opinion_whatever_its_album_says(
    tracks: dict[int, Track], cheap: dict[int, list[float]]
) -> None:
    cascade = Cascade((stage("cheap", CHEAP),), TREE)
    for track_id, decision in decided(cascade, tracks, Vectors({CHEAP: cheap})).items():
        own = max(cheap.get(track_id, [0.0]))
        if own >= 0.8 + 1e-6:
            assert (decision.reason, decision.stage) == ("sure", "cheap")


def album(count: int, **tags: str | bool) -> dict[int, Track]:
    said = TrackTags(**{"artist": "A", "album": "One", **tags})  # type: ignore[arg-type]
    return {number: Track(f"/m/{number}.mp3", said) for number in range(count)}


def test_an_album_settles_its_uncertain_track() -> None:
    vectors = {0: UNCERTAIN, 1: [0.0, 0.3, 0.7], 2: [0.0, 0.3, 0.7], 3: [0.1, 0.2, 0.7]}
    decisions = decided(Cascade((stage("cheap", CHEAP),), TREE), album(4), Vectors({CHEAP: vectors}))
    assert [(d.reason, d.genres) for d in decisions.values()] == [("album", ("Rock",))] * 4


@pytest.mark.parametrize("tags", [{"compilation": True}, {"album_artist": "Various Artists"}, {"album": ""}])
def test_tracks_of_a_compilation_decide_alone(tags: dict[str, str | bool]) -> None:
    vectors = {0: UNCERTAIN, 1: [0.0, 0.3, 0.7], 2: [0.0, 0.3, 0.7], 3: [0.1, 0.2, 0.7]}
    decisions = decided(Cascade((stage("cheap", CHEAP),), TREE), album(4, **tags), Vectors({CHEAP: vectors}))
    assert [d.reason for d in decisions.values()] == ["doubt", "likely", "likely", "likely"]


def test_tracks_without_a_vote_get_none_from_their_album() -> None:
    vectors = {1: [0.0, 0.3, 0.7], 2: [0.0, 0.3, 0.7], 3: [0.1, 0.2, 0.7]}
    decisions = decided(Cascade((stage("cheap", CHEAP),), TREE), album(4), Vectors({CHEAP: vectors}))
    assert (decisions[0].reason, decisions[1].reason) == ("no_vote", "album")


def test_known_votes_are_concluded_without_vectors() -> None:
    votes: dict[int, list[Vote]] = {0: [cast(UNCERTAIN)], 1: [cast(SURE)], 2: []}
    decisions = TWO.conclude(votes, [])
    assert [d.reason for d in decisions.values()] == ["doubt", "sure", "no_vote"]


def test_the_basis_changes_with_everything_a_decision_rests_on() -> None:
    other_limits = Cascade((stage("cheap", CHEAP, Thresholds(0.9, 0.5)), stage("costly", COSTLY)), TREE)
    other_tree = dataclasses.replace(TWO, taxonomy=dataclasses.replace(TREE, digest="other"))
    other_count = dataclasses.replace(TWO, max_genres=2)
    fewer = Cascade(TWO.stages[:1], TREE)
    assert len({cascade.basis for cascade in (TWO, other_limits, other_tree, other_count, fewer)}) == 5
    assert Cascade(TWO.stages, TREE).basis == TWO.basis


def test_bundles_become_a_cascade_and_two_for_one_stage_are_refused() -> None:
    cascade = Cascade.from_bundles([Echo(), Echo(stage="costly", kinds=(COSTLY,))], TREE, max_genres=2)
    assert [made.name for made in cascade.stages] == ["cheap", "costly"]
    with pytest.raises(BundleError, match="same stage"):
        Cascade.from_bundles([Echo(), Echo()], TREE)


def test_albums_need_not_vote() -> None:
    vectors = {0: UNCERTAIN, 1: [0.0, 0.3, 0.7], 2: [0.0, 0.3, 0.7], 3: [0.1, 0.2, 0.7]}
    cascade = Cascade((stage("cheap", CHEAP),), TREE, by_album=False)
    assert [d.reason for d in decided(cascade, album(4), Vectors({CHEAP: vectors})).values()] == [
        "doubt",
        *["likely"] * 3,
    ]
    assert cascade.basis != Cascade((stage("cheap", CHEAP),), TREE).basis


CAUTIOUS = Cascade((stage("cheap", CHEAP, Thresholds(0.8, 0.5)), stage("costly", COSTLY)), TREE)


def test_without_a_certified_exit_every_track_goes_on() -> None:
    source = Vectors({CHEAP: {1: SURE, 2: UNCERTAIN}, COSTLY: {1: [1, 0, 0], 2: [1, 0, 0]}})
    assert [len(votes) for votes in predicted(CAUTIOUS, {1: Track(), 2: Track()}, source).values()] == [2, 2]
    assert source.asked[COSTLY] == {1, 2}


def test_an_album_lets_its_uncertain_track_exit_only_if_the_track_agrees() -> None:
    strong = [0.01, 0.04, 0.95]
    rows = {0: UNCERTAIN, 1: strong, 2: strong, 3: strong, 4: [0.45, 0.15, 0.4]}
    source = Vectors({CHEAP: rows, COSTLY: {}})
    votes = predicted(TWO, album(5), source)
    assert TWO.uncertain(votes, 1, TWO.albums(album(5))) == [4]
    assert source.asked[COSTLY] == {4}
    assert TWO.uncertain(votes, 1, []) == [0, 4]


def test_known_votes_are_not_cast_again_and_those_behind_an_exit_do_not_count() -> None:
    source = Vectors({CHEAP: {1: SURE, 2: SURE}, COSTLY: {2: SURE}})
    known: dict[int, list[Vote]] = {1: [cast(UNCERTAIN), vote(1.0, 0.0, 0.0, by="costly")], 2: [cast(SURE)]}
    known[3] = [cast(SURE), vote(1.0, 0.0, 0.0, by="costly")]
    votes = predicted(TWO, {1: Track(), 2: Track(), 3: Track()}, source, known)
    assert votes == {1: tuple(known[1]), 2: (cast(SURE),), 3: (cast(SURE),)}
    assert not source.asked.get(CHEAP)
    assert not source.asked.get(COSTLY)


def test_unfinished_are_those_that_a_later_stage_has_yet_to_vote_for() -> None:
    tracks = {1: Track(), 2: Track(), 3: Track()}
    votes = predicted(TWO, tracks, Vectors({CHEAP: {1: SURE, 2: UNCERTAIN, 3: UNCERTAIN}, COSTLY: {3: UNCERTAIN}}))
    assert TWO.unfinished(votes, []) == [2]
    assert Cascade(TWO.stages[:1], TREE).unfinished(votes, []) == []


@given(some_tracks(), stored, stored)
def test_predicting_by_steps_ends_where_one_prediction_ends(
    tracks: dict[int, Track], cheap: dict[int, list[float]], costly: dict[int, list[float]]
) -> None:
    whole = predicted(TWO, tracks, Vectors({CHEAP: cheap, COSTLY: costly}))
    first = predicted(TWO, tracks, Vectors({CHEAP: cheap}))
    asked = TWO.uncertain(first, 1, TWO.albums(tracks))
    assert {i for i, votes in whole.items() if any(v.stage == "costly" for v in votes)} == {
        i for i in asked if i in costly
    }
    assert (
        predicted(TWO, tracks, Vectors({CHEAP: cheap, COSTLY: {i: costly[i] for i in asked if i in costly}})) == whole
    )


def certified(threshold: float | None, against: tuple[str, ...] = ("d2",)) -> dict[str, object]:
    return {
        "exits": [exit_as_manifest(ExitRule(threshold, count=200, against=against, why="" if threshold else "too few"))]
    }


def test_an_exit_counts_only_with_the_very_stages_it_was_certified_with() -> None:
    first, second = Echo(manifest=certified(0.7)), Echo(stage="costly", kinds=(COSTLY,), digest="d2")
    assert Cascade.from_bundles([first, second], TREE).thresholds["cheap"].exit == 0.7
    retrained = dataclasses.replace(second, digest="d3")
    assert Cascade.from_bundles([first, retrained], TREE).thresholds["cheap"].exit == math.inf
    third = Echo(stage="costliest", kinds=(COSTLY,), digest="d9")
    assert Cascade.from_bundles([first, second, third], TREE).thresholds["cheap"].exit == math.inf
    assert Cascade.from_bundles([first], TREE).thresholds["cheap"].exit == math.inf
    nowhere = dataclasses.replace(first, manifest=certified(None))
    assert Cascade.from_bundles([nowhere, second], TREE).thresholds["cheap"].exit == math.inf


def test_the_users_own_certificate_goes_before_the_bundles() -> None:
    first, second = Echo(manifest=certified(0.7)), Echo(stage="costly", kinds=(COSTLY,), digest="d2")
    own = {"d1": [ExitRule(0.9, count=200, against=("d2",))]}
    assert Cascade.from_bundles([first, second], TREE, library_exits=own).thresholds["cheap"].exit == 0.9
    stale = {"d1": [ExitRule(0.9, count=200, against=("other",))]}
    assert Cascade.from_bundles([first, second], TREE, library_exits=stale).thresholds["cheap"].exit == 0.7
