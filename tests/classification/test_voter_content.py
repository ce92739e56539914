"""What is no music gets no genre: stages that tell it from music vote first, and no other stage is asked about it."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from music_reclass.classification.policy import Thresholds
from music_reclass.classification.voter import Cascade, Stage, row_votes
from music_reclass.domain import CONTENT, Decision, FeatureKind, Outcome, TrackTags, Vote
from music_reclass.taxonomy import load
from tests.classification.fakes import CHEAP, COSTLY, Echo, Track, Vectors, stage


def last_votes(*arguments: Any, **options: Any) -> list[Vote]:
    """The last vote for each row."""
    return [votes[-1] for votes in row_votes(*arguments, **options)]


SOUNDS = ("music", "speech", "tone")
SOUND = FeatureKind("sound", "1", 3, "mid30")
TAGS = FeatureKind("sound-tags", "1", 3, "mid30")
TREE = load()
MUSIC, SPEECH, PERHAPS = [0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.6, 0.4, 0.0]
JAZZ = [0.6, 0.3, 0.1]


def detector(name: str, kind: FeatureKind) -> Stage:
    bundle = Echo(name, (kind,), SOUNDS, {"likely": 0.7}, digest=f"digest of {name}")
    return Stage(bundle, SOUNDS)  # type: ignore[arg-type]


GENRES = (stage("cheap", CHEAP, Thresholds(0.95, 0.5)), stage("costly", COSTLY))
CASCADE = Cascade(GENRES, TREE, content=(detector("content", SOUND),))
BOTH = dataclasses.replace(
    CASCADE,
    stages=(GENRES[0], stage("costly", TAGS)),
    content=(detector("content", SOUND), detector("content-tags", TAGS)),
)


def decided(cascade: Cascade, source: Vectors, count: int = 1, **tags: str) -> dict[int, Decision]:
    return cascade.decide({n: Track(f"/m/{n}.mp3", TrackTags(**tags)) for n in range(count)}, source)  # type: ignore[arg-type]


def test_what_is_no_music_gets_no_genre_and_no_other_stage_is_asked() -> None:
    source = Vectors({SOUND: {0: SPEECH, 1: MUSIC}, CHEAP: {0: JAZZ, 1: JAZZ}, COSTLY: {0: JAZZ, 1: JAZZ}})
    found = decided(CASCADE, source, 2)
    assert (found[0].outcome, found[0].reason, found[0].genres) == (Outcome.SKIPPED, "not_music", ())
    assert (found[0].stage, round(found[0].confidence, 4)) == ("content", 0.95)
    assert [vote.stage for vote in found[0].votes] == ["content"]
    assert (found[1].outcome, found[1].genres) == (Outcome.LIKELY, ("Jazz",))
    assert [vote.stage for vote in found[1].votes] == ["content", "cheap", "costly"]
    assert source.asked[CHEAP] == source.asked[COSTLY] == {1}


def test_what_is_music_is_decided_as_if_nobody_had_asked() -> None:
    vectors = {CHEAP: {0: JAZZ}, COSTLY: {0: JAZZ}}
    without = decided(dataclasses.replace(CASCADE, content=()), Vectors(vectors))[0]
    found = decided(CASCADE, Vectors({**vectors, SOUND: {0: MUSIC}}))[0]
    assert dataclasses.replace(found, votes=found.votes[1:]) == without


def test_what_is_neither_surely_music_nor_surely_something_else_gets_no_genre() -> None:
    found = decided(CASCADE, Vectors({CHEAP: {0: JAZZ}, COSTLY: {0: JAZZ}, SOUND: {0: PERHAPS}}))[0]
    assert (found.outcome, found.reason, found.genres) == (Outcome.UNSURE, "perhaps_not_music", ())
    assert found.confidence == pytest.approx(0.6)  # the genre's, for whoever looks at it


def test_without_a_vector_of_the_sound_a_track_counts_as_music() -> None:
    assert decided(CASCADE, Vectors({CHEAP: {0: JAZZ}}))[0].genres == ("Jazz",)


def test_speech_gets_a_genre_only_where_one_is_asked_for() -> None:
    source = Vectors({SOUND: {0: SPEECH, 1: [0.05, 0.05, 0.9]}, CHEAP: {0: JAZZ, 1: JAZZ}})
    found = decided(dataclasses.replace(CASCADE, speech_genre="Spoken"), source, 2)
    assert (found[0].outcome, found[0].reason, found[0].genres) == (Outcome.CONFIDENT, "speech", ("Spoken",))
    assert (found[1].outcome, found[1].genres) == (Outcome.SKIPPED, ())


def test_an_album_votes_without_its_spoken_tracks() -> None:
    album = {"artist": "A", "album": "One"}
    vectors = dict.fromkeys(range(5), JAZZ)
    sounds = {n: SPEECH if n == 4 else MUSIC for n in range(5)}
    spoken = decided(CASCADE, Vectors({SOUND: sounds, CHEAP: vectors}), 5, **album)
    four = decided(CASCADE, Vectors({SOUND: sounds, CHEAP: vectors}), 4, **album)
    assert [spoken[n] for n in range(4)] == [four[n] for n in range(4)]
    assert spoken[0].stage == "album"
    assert spoken[4].outcome is Outcome.SKIPPED


def test_the_stage_that_looks_closer_overrules_the_first_both_ways() -> None:
    sounds = {SOUND: {0: SPEECH, 1: MUSIC}, TAGS: {0: MUSIC, 1: SPEECH}}
    found = decided(BOTH, Vectors({**sounds, CHEAP: {0: JAZZ, 1: JAZZ}}), 2)
    assert found[0].genres
    assert found[1].outcome is Outcome.SKIPPED
    assert found[1].stage == "content-tags"


def test_a_stage_whose_features_may_show_music_is_asked_about_a_refused_track() -> None:
    votes = BOTH.predict([0], Vectors({SOUND: {0: SPEECH}, CHEAP: {0: JAZZ}}), [])  # type: ignore[arg-type]
    assert BOTH.uncertain(votes, 1, []) == [0]
    again = BOTH.predict([0], Vectors({TAGS: {0: SPEECH}, CHEAP: {0: JAZZ}}), [], votes)  # type: ignore[arg-type]
    assert [vote.stage for vote in again[0]] == ["content", "content-tags"]
    assert BOTH.uncertain(again, 1, []) == []
    assert CASCADE.uncertain({0: votes[0]}, 1, []) == []


def test_stored_votes_are_concluded_from_as_they_are() -> None:
    votes = CASCADE.predict([0], Vectors({SOUND: {0: SPEECH}}), [])  # type: ignore[arg-type]
    silent = Vectors({})
    assert CASCADE.predict([0], silent, [], votes) == votes  # type: ignore[arg-type]
    assert CASCADE.conclude(votes, [])[0].outcome is Outcome.SKIPPED


def test_the_basis_of_decisions_holds_what_tells_music_from_other_sounds() -> None:
    others = [
        dataclasses.replace(CASCADE, content=()),
        dataclasses.replace(CASCADE, content=(Stage(Echo("content", (SOUND,), SOUNDS, {"likely": 0.8}), SOUNDS),)),  # type: ignore[arg-type]
        dataclasses.replace(CASCADE, speech_genre="Spoken"),
    ]
    assert len({CASCADE.basis, *(other.basis for other in others)}) == 4


def test_rows_that_are_no_music_have_the_vote_that_says_so() -> None:
    rows = {SOUND: [SPEECH, MUSIC, MUSIC], TAGS: [MUSIC, SPEECH, [float("nan")] * 3], CHEAP: [JAZZ] * 3}
    votes = last_votes(
        [GENRES[0].bundle],
        lambda bundle: np.array(rows[bundle.kinds[0]], dtype=np.float32),
        3,
        content=[one.bundle for one in BOTH.content],
    )
    assert [vote.stage for vote in votes] == ["cheap", "content-tags", "cheap"]
    assert tuple(one.name for one in BOTH.content) == CONTENT
