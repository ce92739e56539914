"""A certified style is written in the place of the genre it lies below, and never over a tag that knows better."""

from __future__ import annotations

import pytest

from music_reclass.domain import OnExisting, Relation, Track
from music_reclass.tagging.apply import WritePlan, as_json
from music_reclass.tagging.policy import Proposal
from tests.tagging.test_apply import TAXONOMY, track


def proposed(state: Track, policy: OnExisting = OnExisting.REPLACE_JUNK, style: str | None = "Punk") -> Proposal:
    plan = WritePlan(lambda: iter((state,)), TAXONOMY, policy, finer=lambda track, genre: style)
    ((_, proposal),) = plan
    assert proposal is not None
    return proposal


def test_an_empty_or_junk_field_gets_the_style() -> None:
    for before in (None, ("Other",)):
        proposal = proposed(track("tune", before))
        assert (proposal.genres, proposal.style, proposal.writes) == (("Punk",), "Punk", True)


def test_a_wider_genre_that_is_there_is_refined_only_where_the_policy_replaces() -> None:
    kept = proposed(track("tune", ("Rock",)))
    assert (kept.relation, kept.writes, kept.style) == (Relation.REFINE, False, "")
    assert proposed(track("tune", ("Rock",)), OnExisting.REPLACE_CONFLICT).genres == ("Punk",)


@pytest.mark.parametrize("policy", [OnExisting.REPLACE_JUNK, OnExisting.REPLACE_CONFLICT, OnExisting.MERGE])
def test_another_fine_genre_below_the_decided_one_stays(policy: OnExisting) -> None:
    proposal = proposed(track("tune", ("Shoegaze",)), policy)
    assert (proposal.relation, proposal.writes) == (Relation.AGREE, False)


def test_the_same_style_or_a_finer_one_agrees() -> None:
    for before in (("Punk",), ("Ska Punk",)):
        assert proposed(track("tune", before), OnExisting.REPLACE_CONFLICT).relation is Relation.AGREE


def test_without_a_style_or_a_decision_everything_is_as_before() -> None:
    assert proposed(track("tune", None), style=None).genres == ("Rock",)
    unsure = proposed(track("tune", None, ()))
    assert (unsure.writes, unsure.style) == (False, "")


def test_further_genres_stay_behind_the_style() -> None:
    assert proposed(track("tune", None, ("Rock", "Pop"))).genres == ("Punk", "Pop")


def test_json_names_the_style_beside_the_decided_genre() -> None:
    state = track("tune", None)
    shown = as_json(state, proposed(state), True)
    assert (shown["genres"], shown["style"]) == (["Rock"], "Punk")
    assert "style" not in as_json(state, proposed(state, style=None), True)
