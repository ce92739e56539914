"""A certified style is written in the place of the genre it lies below, and never over a tag that knows better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mutagen.flac
import numpy as np
import pytest

from music_reclass.containers.sniff import payload_digest
from music_reclass.domain import FeatureKind, OnExisting, Relation, Track, TrackTags
from music_reclass.features.journal import Journal
from music_reclass.features.library import Library
from music_reclass.tagging.apply import WritePlan, WriteReport, as_json, styles_held, track_writer
from music_reclass.tagging.commit import WriteOptions
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


# --- into a field of its own ---------------------------------------------------------------------------------------

Held = tuple[str, ...] | bool | None


def beside(
    state: Track, policy: OnExisting = OnExisting.REPLACE_JUNK, *, style: str | None = "Punk", held: Held = None
) -> Proposal:
    plan = WritePlan(
        lambda: iter((state,)), TAXONOMY, policy, finer=lambda track, genre: style, held=lambda track, with_genre: held
    )
    ((_, proposal),) = plan
    assert proposal is not None
    return proposal


def test_the_genre_is_written_as_without_styles_and_the_style_beside_it() -> None:
    for before in (None, ("Other",)):
        proposal = beside(track("tune", before))
        assert (proposal.genres, proposal.style, proposal.style_field) == (("Rock",), "", "Punk")
        assert (proposal.action, proposal.writes, proposal.shown) == ("write", True, "Rock, style Punk")


def test_beside_a_genre_that_stays_the_style_is_written_alone() -> None:
    proposal = beside(track("tune", ("Rock",)))
    assert (proposal.action, proposal.genres, proposal.style_field) == ("keep", (), "Punk")
    assert (proposal.writes, proposal.shown) == (True, "style Punk")


@pytest.mark.parametrize("before", [("Punk",), ("Ska Punk",), ("Shoegaze",), ("Jazz",)])
def test_beside_a_genre_that_it_does_not_lie_below_no_style_is_written(before: tuple[str, ...]) -> None:
    assert not beside(track("tune", before)).writes


def test_a_style_that_is_there_already_or_must_stay_is_not_proposed() -> None:
    assert not beside(track("tune", ("Rock",)), held=("Punk",)).writes
    assert not beside(track("tune", ("Rock",)), held=False).writes
    assert beside(track("tune", ("Rock",)), held=("Grunge",)).style_field == "Punk"
    assert (beside(track("tune", None), held=False).genres, beside(track("tune", None), held=False).style_field) == (
        ("Rock",),
        "",
    )


def test_without_a_style_or_a_decision_no_style_is_written_beside() -> None:
    assert not beside(track("tune", ("Rock",)), style=None).writes
    assert not beside(track("tune", None, ())).writes
    assert not beside(replace(track("tune", ("Rock",)), warnings=("unwritable: unsupported",))).writes


def test_json_and_the_counts_name_the_style_beside_the_genre() -> None:
    state = track("tune", ("Rock",))
    shown = as_json(state, beside(state), True)
    assert (shown["genres"], shown["action"], shown["style_field"], "style" in shown) == (
        ["Rock"],
        "keep",
        "Punk",
        False,
    )
    assert "style_field" not in as_json(state, beside(state, style=None), True)
    tally = WriteReport()
    tally.count(state, beside(state))
    assert (tally.writes, tally.styles, tally.kinds) == (1, 1, {("Rock", "style Punk"): 1})
    assert tally.changes == {"agree": 0}


def test_a_style_is_written_into_the_file_and_the_users_one_is_seen_before(
    journal: Journal, place: Callable[..., Path]
) -> None:
    path = place("flac", ("Rock",))
    status = path.stat()
    scanned = replace(track(str(path), ("Rock",)), path=str(path), size=status.st_size, mtime_ns=status.st_mtime_ns)
    held = styles_held(journal)
    plan = WritePlan(
        lambda: iter((scanned,)), TAXONOMY, OnExisting.REPLACE_JUNK, finer=lambda track, genre: "Punk", held=held
    )
    library, run = Library(journal.database), journal.begin_run("apply", {})
    tally = plan.write(track_writer(journal, library, run, WriteOptions()), lambda: False, lambda *_: None)
    assert (tally.written, tally.styles) == (1, 1)
    assert mutagen.flac.FLAC(path)["style"] == ["Punk"]
    assert held(scanned, False) == ("Punk",)  # ours: may be replaced
    file = mutagen.flac.FLAC(path)
    file["style"] = "Grunge"
    file.save()
    assert held(scanned, False) is False
    path.unlink()
    assert held(scanned, False) is False


def test_a_genre_beside_which_a_style_was_written_stays_the_users(journal: Journal, place: Callable[..., Path]) -> None:
    path = place("flac", ("Rock",))
    status, library = path.stat(), Library(journal.database)
    kind = FeatureKind("fma518", "1", 3, "mid30")
    scanned = Track(
        str(path), status.st_size, status.st_mtime_ns, digest=payload_digest(path), tags=TrackTags(genres=("Rock",)),
        vector=np.ones(3, np.float32),
    )  # fmt: skip
    (number,) = library.save([scanned], kind)
    write_one = track_writer(journal, library, journal.begin_run("apply", {}), WriteOptions())
    write_one(scanned, (), "Punk")
    assert library.user_genres([number]) == {number: ("Rock",)}
    status = path.stat()
    write_one(replace(scanned, size=status.st_size, mtime_ns=status.st_mtime_ns), ("Pop",), "Grunge")
    assert library.user_genres([number]) == {}
