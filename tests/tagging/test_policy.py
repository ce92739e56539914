"""The policy: what is written over what, decided without opening anything."""

from __future__ import annotations

import pytest

from music_reclass.domain import Decision, OnExisting, Outcome, Relation
from music_reclass.tagging.policy import Proposal, propose
from music_reclass.taxonomy import load

TAXONOMY = load()


def proposed(
    genre: str | tuple[str, ...],
    existing: tuple[str, ...] | None,
    policy: OnExisting = OnExisting.REPLACE_JUNK,
    outcome: Outcome = Outcome.CONFIDENT,
) -> Proposal:
    genres = (genre,) if isinstance(genre, str) else genre
    decision = Decision(outcome, "because", genres, 0.9)
    return propose(decision, existing, TAXONOMY.relation(genres[0], existing), on_existing=policy, taxonomy=TAXONOMY)


@pytest.mark.parametrize("existing", [None, (), ("Other",), ("genre", "http://example.org"), ("255",)])
def test_empty_and_junk_fields_are_filled_by_default(existing: tuple[str, ...] | None) -> None:
    assert proposed(("Rock", "Jazz"), existing).genres == ("Rock", "Jazz")


@pytest.mark.parametrize("existing", [("Jazz",), ("Shoegaze",), ("Rock",), ("No Known Genre Name",)])
def test_a_genre_that_is_there_is_kept_by_default(existing: tuple[str, ...]) -> None:
    assert proposed("Rock", existing).action == "keep"


@pytest.mark.parametrize("outcome", [Outcome.UNSURE, Outcome.SKIPPED, Outcome.FAILED])
@pytest.mark.parametrize("policy", OnExisting)
def test_what_nobody_is_sure_of_is_never_written(outcome: Outcome, policy: OnExisting) -> None:
    assert proposed("Rock", None, policy, outcome).action == "none"


def test_confident_and_likely_decisions_are_written() -> None:
    assert proposed("Rock", None, outcome=Outcome.LIKELY).writes
    assert proposed("Rock", None, outcome=Outcome.CONFIDENT).writes


@pytest.mark.parametrize("policy", [policy for policy in OnExisting if policy is not OnExisting.REPLACE])
def test_a_finer_genre_is_not_coarsened_unless_replace_is_asked_for(policy: OnExisting) -> None:
    assert proposed("Rock", ("Shoegaze",), policy).action == "keep"
    assert proposed("Rock", ("Shoegaze",), OnExisting.REPLACE).genres == ("Rock",)


@pytest.mark.parametrize(
    ("policy", "fill", "junk", "agree", "refine", "conflict"),
    [
        (OnExisting.KEEP, True, False, False, False, False),
        (OnExisting.REPLACE_JUNK, True, True, False, False, False),
        (OnExisting.REPLACE_CONFLICT, True, True, False, True, True),
        (OnExisting.REPLACE, True, True, True, True, True),
        (OnExisting.MERGE, True, True, False, True, True),
    ],
)
def test_each_policy_writes_in_its_relations(
    policy: OnExisting, fill: bool, junk: bool, agree: bool, refine: bool, conflict: bool
) -> None:
    cases = {
        Relation.FILL: ("Punk", None, fill),
        Relation.JUNK: ("Punk", ("Other",), junk),
        Relation.AGREE: ("Rock", ("Punk",), agree),
        Relation.REFINE: ("Punk", ("Rock",), refine),
        Relation.CONFLICT: ("Punk", ("Jazz",), conflict),
    }
    for relation, (genre, existing, writes) in cases.items():
        proposal = proposed(genre, existing, policy)
        assert (proposal.relation, proposal.writes) == (relation, writes)


def test_merge_appends_what_is_not_there() -> None:
    assert proposed(("Rock", "Jazz"), ("JAZZ",), OnExisting.MERGE).genres == ("JAZZ", "Rock")
    assert proposed(("Rock", "Folk"), ("Jazz",), OnExisting.MERGE).genres == ("Jazz", "Rock", "Folk")
    assert proposed(("Rock", "Folk"), ("Jazz", "folk"), OnExisting.MERGE).genres == ("Jazz", "folk", "Rock")


def test_merge_drops_junk() -> None:
    assert proposed("Rock", ("Other",), OnExisting.MERGE).genres == ("Rock",)


@pytest.mark.parametrize("weak", sorted(TAXONOMY.weak))
def test_a_weak_root_needs_certainty_and_an_empty_place(weak: str) -> None:
    assert proposed(weak, None).writes
    assert proposed(weak, ("Other",)).writes
    assert proposed(weak, None, outcome=Outcome.LIKELY).action == "none"
    for policy in OnExisting:
        if policy is not OnExisting.MERGE:
            assert not proposed(weak, ("Jazz",), policy).writes


def test_what_is_there_already_is_not_written_again() -> None:
    assert proposed("Rock", ("Rock",), OnExisting.REPLACE).action == "keep"


def test_every_proposal_says_why() -> None:
    for policy in OnExisting:
        for existing in (None, ("Other",), ("Jazz",), ("Punk",), ("Rock",)):
            assert proposed("Rock", existing, policy).reason


@pytest.mark.parametrize("policy", [one for one in OnExisting if one is not OnExisting.KEEP])
def test_what_the_user_chose_replaces_any_genre_unless_all_are_to_be_kept(policy: OnExisting) -> None:
    chosen = Decision(Outcome.CONFIDENT, "chosen", ("Rock",), 1.0, "user")
    for there in ("Jazz", "Shoegaze", "Pop"):
        relation = TAXONOMY.relation("Rock", (there,))
        found = propose(chosen, (there,), relation, on_existing=policy, taxonomy=TAXONOMY)
        assert (found.action, found.genres) == ("write", ("Rock",))
        kept = propose(chosen, (there,), relation, on_existing=OnExisting.KEEP, taxonomy=TAXONOMY)
        assert not kept.writes
