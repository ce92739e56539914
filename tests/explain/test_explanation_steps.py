"""Why the next stage was asked or not, and how the stages stand to each other."""

from dataclasses import replace

import pytest

from music_reclass.classification.policy import Thresholds
from music_reclass.classification.voter import Cascade
from music_reclass.domain import TrackTags, Vote
from music_reclass.explain.explanation import (
    ALBUM_EXIT,
    ASKED,
    EARLY_EXIT,
    LAST,
    NOT_EXTRACTED,
    Step,
    limit,
    stage_agreement,
    steps,
)
from music_reclass.models.early_exit import ExitRule, exit_as_manifest
from music_reclass.taxonomy import load
from tests.classification.fakes import CHEAP, COSTLY, Track, Vectors, echo_stage, stage, vote

EXIT = ExitRule(0.8, count=300, lost=1, exits=0.3, against=("digest of costly",), gain=((0.3, 0.3), (0.9, 0.0)))
FIRST = replace(stage("cheap", CHEAP), exit_rule=EXIT)
TWO = Cascade((FIRST, stage("costly", COSTLY)), load())
CONFIDENT, UNCERTAIN = [0.0, 0.1, 0.9], [0.3, 0.1, 0.6]


def steps_of(cascade: Cascade, source: Vectors, tracks: dict[int, Track] | None = None) -> tuple[Step, ...]:
    tracks = tracks or {1: Track()}
    albums = cascade.albums(tracks)
    return steps(cascade, cascade.predict(tracks, source, albums), albums, 1)


def test_a_confident_track_exits_by_its_vote() -> None:
    (only,) = steps_of(TWO, Vectors({CHEAP: {1: CONFIDENT}, COSTLY: {1: UNCERTAIN}}))
    assert (only.after, only.following, only.threshold) == (EARLY_EXIT, "costly", 0.8)
    assert only.gain == pytest.approx(0.0, abs=1e-6)


def test_an_uncertain_track_goes_on_and_the_last_stage_ends_it() -> None:
    first, last = steps_of(TWO, Vectors({CHEAP: {1: UNCERTAIN}, COSTLY: {1: CONFIDENT}}))
    assert (first.after, first.following) == (ASKED, "costly")
    assert first.gain == pytest.approx(0.15)  # between 0.3 at 0.3 and nothing at 0.9
    assert (last.after, last.following, last.exit_rule, last.gain) == (LAST, "", None, None)


def test_a_needed_stage_without_a_vector_is_named() -> None:
    (only,) = steps_of(TWO, Vectors({CHEAP: {1: UNCERTAIN}}))
    assert (only.after, only.following) == (NOT_EXTRACTED, "costly")


def test_an_album_settles_an_uncertain_track() -> None:
    tags = TrackTags(artist="A", album="One")
    album = {number: Track(f"/m/{number}.mp3", tags) for number in range(1, 9)}
    vectors = {1: [0.2, 0.1, 0.7], **dict.fromkeys(range(2, 9), CONFIDENT)}
    (only,) = steps_of(TWO, Vectors({CHEAP: vectors}), album)
    assert only.after == ALBUM_EXIT


def test_without_a_certificate_every_track_goes_on() -> None:
    never = Thresholds(confident=0.8, likely=0.5)
    cascade = Cascade((stage("cheap", CHEAP, never), stage("costly", COSTLY)), load())
    first, _ = steps_of(cascade, Vectors({CHEAP: {1: CONFIDENT}, COSTLY: {1: CONFIDENT}}))
    assert (first.after, first.threshold, first.exit_rule, first.gain) == (ASKED, None, None, None)


def test_a_certificate_that_the_bundle_does_not_bring_is_from_the_library() -> None:
    shipped = replace(echo_stage("cheap", (CHEAP,), exits=[exit_as_manifest(EXIT)]), exit_rule=EXIT)
    cascade = Cascade((shipped, TWO.stages[1]), TWO.taxonomy)
    source = Vectors({CHEAP: {1: CONFIDENT}})
    assert not steps_of(cascade, source)[0].from_library
    assert steps_of(TWO, source)[0].from_library


def test_a_stage_without_a_vote_has_no_step() -> None:
    (only,) = steps_of(TWO, Vectors({COSTLY: {1: CONFIDENT}}))
    assert (only.vote.stage, only.after) == ("costly", LAST)


def votes_for(*genres: str) -> list[Vote]:
    rows = {"Jazz": (0.8, 0.1, 0.1), "Pop": (0.1, 0.8, 0.1), "Rock": (0.1, 0.1, 0.8)}
    return [vote(*rows[genre], by=f"s{place}") for place, genre in enumerate(genres)]


@pytest.mark.parametrize(
    ("genres", "words"),
    [
        ((), ""),
        (("Rock",), ""),
        (("Rock", "Rock"), "both stages say Rock"),
        (("Rock", "Rock", "Rock"), "all three stages say Rock"),
        (("Jazz", "Rock"), "the second overrules the first: Rock, not Jazz"),
        (("Jazz", "Jazz", "Rock"), "the third overrules the first and the second: Rock, not Jazz"),
        (("Jazz", "Pop", "Rock"), "the third overrules the first and the second: Rock, not Jazz or Pop"),
        (("Rock", "Pop", "Rock"), "the third says Rock like the first; the second said Pop"),
        (("Pop", "Rock", "Rock"), "the third says Rock like the second; the first said Pop"),
    ],
)
def test_agreement_reads_like_a_sentence(genres: tuple[str, ...], words: str) -> None:
    assert stage_agreement(votes_for(*genres)) == words


def test_never_is_null_in_json() -> None:
    assert limit(float("inf")) is None
    assert limit(0.5) == 0.5
