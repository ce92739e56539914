"""What tracks, albums and artists shall say."""

import json
from pathlib import Path

import pytest

from music_reclass.domain import Decision, Outcome
from music_reclass.plex.plan import desired_group_state, desired_track_state, spelling, split
from music_reclass.taxonomy import Taxonomy, load

RECORDED = Path(__file__).parents[3] / "shared" / "data" / "plex_recorded"


@pytest.fixture(scope="module")
def taxonomy() -> Taxonomy:
    return load()


def decided(*genres: str, outcome: Outcome = Outcome.CONFIDENT) -> Decision:
    return Decision(outcome, "sure", genres, 0.8, "fma518")


def test_a_sub_genre_is_parted_from_its_top_genre(taxonomy: Taxonomy) -> None:
    assert split(("Shoegaze",), taxonomy) == (("Rock",), ("Shoegaze",))
    assert split(("Rock", "Shoegaze", "Jazz"), taxonomy) == (("Rock", "Jazz"), ("Shoegaze",))
    assert split(("Zorbcore",), taxonomy) == (("Zorbcore",), ())


def test_a_track_says_its_top_genre_and_more_only_if_asked(taxonomy: Taxonomy) -> None:
    plain = desired_track_state(decided("Shoegaze"), "/x", taxonomy)
    both = desired_track_state(decided("Shoegaze"), "/x", taxonomy, subgenres=True)
    assert plain.decision is not None
    assert both.decision is not None
    assert (plain.decision.genres, plain.styles, both.decision.genres) == (("Rock",), (), ("Rock", "Shoegaze"))
    assert desired_track_state(None, "/x", taxonomy).reason == "undecided"


def test_an_album_says_what_most_of_its_tracks_say(taxonomy: Taxonomy) -> None:
    desired = desired_group_state([decided("Shoegaze")] * 7 + [decided("Jazz")] * 3, taxonomy)
    assert desired.decision is not None
    assert (desired.decision.genres, desired.styles) == (("Rock",), ("Shoegaze",))
    assert desired.decision.outcome is Outcome.CONFIDENT


def test_two_genres_that_share_an_album_are_both_said(taxonomy: Taxonomy) -> None:
    desired = desired_group_state([decided("Rock")] * 5 + [decided("Jazz")] * 4 + [decided("Folk")], taxonomy)
    assert desired.decision is not None
    assert desired.decision.genres == ("Rock", "Jazz")
    assert desired.styles == ()


@pytest.mark.parametrize(
    ("decisions", "reason"),
    [
        ([decided(genre) for genre in ("Rock", "Jazz", "Folk", "Blues")], "no-consensus"),
        ([decided("Rock"), None, None], "unsure"),
        ([], "unsure"),
        ([decided(outcome=Outcome.UNSURE)] * 3, "unsure"),
    ],
)
def test_an_album_without_agreement_says_nothing(
    decisions: list[Decision | None], reason: str, taxonomy: Taxonomy
) -> None:
    desired = desired_group_state(decisions, taxonomy)
    assert (desired.decision, desired.reason) == (None, reason)


def test_likely_tracks_make_a_likely_album(taxonomy: Taxonomy) -> None:
    desired = desired_group_state([decided("Rock", outcome=Outcome.LIKELY)] * 3, taxonomy)
    assert desired.decision is not None
    assert desired.decision.outcome is Outcome.LIKELY


@pytest.mark.skipif(not RECORDED.is_dir(), reason="../shared/data/plex_recorded is not here")
def test_every_top_genre_keeps_its_name_in_the_recorded_list_of_a_large_library(taxonomy: Taxonomy) -> None:
    listed = json.loads((RECORDED / "perplexed" / "library~genres.json").read_text())["MediaContainer"]["Directory"]
    spell = spelling([one["title"] for one in listed], taxonomy)
    changed = {name: spell(name) for name in taxonomy.roots if spell(name) != name}
    assert (len(listed), changed) == (572, {"Soul-RnB": "Soul/R&B"})
