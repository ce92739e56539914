"""Counts of decisions are those that one would make by hand, whatever was decided."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.domain import Decision, FeatureKind, Outcome, Track, TrackTags, Vote
from music_reclass.errors import FailTrack, SkipTrack, TrackError
from music_reclass.features.database import Database
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library
from music_reclass.features.scope import Scope
from music_reclass.features.statistics import BINS, Outcomes

KIND = FeatureKind("fma518", "1", 2, "mid30")

DECISIONS = st.lists(
    st.tuples(
        st.sampled_from([Outcome.CONFIDENT, Outcome.LIKELY, Outcome.UNSURE]),
        st.sampled_from(["Rock", "Jazz", "Älpler"]),
        st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.05, 0.15, 0.3, 0.95, 1.0])),
        st.sets(st.sampled_from(["fma518", "mert", "jmla"])),
        st.booleans(),
    ),
    max_size=12,
)


def library_of(rows: list[tuple[Outcome, str, float, set[str], bool]], tag: str | None = None) -> Database:
    """A library in memory whose track `/n` has the n-th decision: outcome, genre, confidence, votes, by album."""
    database = Database(Path(":memory:"))
    vector, tags = np.ones(2, np.float32), TrackTags((tag,) if tag else None)
    tracks = [Track(f"/{n:02}", 1, 1, bytes([n]), tags=tags, vector=vector) for n in range(len(rows))]
    ids = Library(database).save(tracks, KIND)
    decisions = Decisions(database)
    bundles = {stage: decisions.register_bundle(stage, stage, {}) for stage in ("fma518", "mert", "jmla")}
    for track, (outcome, genre, confidence, stages, by_album) in zip(ids, rows, strict=True):
        votes = tuple(Vote(stage, {genre: 1.0}) for stage in sorted(stages))
        last = "album" if by_album else "fma518"
        decisions.save({track: Decision(outcome, "", (genre,), confidence, last, votes)}, bundles, "b")
    return database


@settings(max_examples=60, deadline=None)
@given(DECISIONS)
def test_cells_count_every_decided_track_once_under_what_it_is(
    rows: list[tuple[Outcome, str, float, set[str], bool]],
) -> None:
    wanted: Counter[tuple[object, ...]] = Counter()
    for outcome, genre, confidence, stages, by_album in rows:
        wanted[outcome.value, genre, min(int(confidence * BINS), BINS - 1), frozenset(stages), by_album] += 1
    cells = Outcomes(library_of(rows)).cells()
    assert {(c.outcome, c.genre, c.bin, c.stages, c.by_album): c.count for c in cells} == wanted
    assert len(cells) == len(wanted)
    assert sum(cell.confidence for cell in cells) == pytest.approx(sum(row[2] for row in rows))


@settings(max_examples=40, deadline=None)
@given(DECISIONS, st.sets(st.integers(0, 11)))
def test_a_scope_and_the_rest_of_the_library_add_up_to_all(
    rows: list[tuple[Outcome, str, float, set[str], bool]], inside: set[int]
) -> None:
    database = library_of(rows, tag="Blues")
    ids = [track.id for track in Decisions(database).below()]
    one, other = Scope(database), Scope(database)
    one.add([track for n, track in enumerate(ids) if n in inside])
    other.add([track for n, track in enumerate(ids) if n not in inside])

    def counted(scope: Scope | None) -> Counter[tuple[object, ...]]:
        counts: Counter[tuple[object, ...]] = Counter()
        for cell in (*Outcomes(database, scope).cells(), *Outcomes(database, scope).cells_by_tags()):
            counts[cell.outcome, cell.genre, cell.bin, cell.stages, cell.by_album, cell.tags] += cell.count
        return counts

    assert counted(one) + counted(other) == counted(None)
    unsure = [track.path for scope in (one, other) for track in Outcomes(database, scope).unsure()]
    assert sorted(unsure) == [f"/{n:02}" for n, row in enumerate(rows) if row[0] is Outcome.UNSURE]


@settings(max_examples=40, deadline=None)
@given(DECISIONS)
def test_tracks_beside_the_users_tags_are_those_with_a_genre_by_path(
    rows: list[tuple[Outcome, str, float, set[str], bool]],
) -> None:
    wanted = [f"/{n:02}" for n, row in enumerate(rows) if row[0] is not Outcome.UNSURE]
    tagged, bare = Outcomes(library_of(rows, tag="Blues")), Outcomes(library_of(rows))
    assert [track.path for track in tagged.tagged_by_user()] == wanted
    assert sum(cell.count for cell in tagged.cells_by_tags()) == len(wanted)
    assert {cell.tags for cell in tagged.cells_by_tags()} <= {("Blues",)}
    assert (list(bare.tagged_by_user()), bare.cells_by_tags()) == ([], [])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["decode", "permission", "silence", "short"]), max_size=12), st.integers(0, 3))
def test_causes_count_every_failure_and_show_the_first_by_path(reasons: list[str], examples: int) -> None:
    database = Database(Path(":memory:"))

    def error(reason: str) -> TrackError:
        return (SkipTrack if reason in ("silence", "short") else FailTrack)(reason, f"why {reason}")

    Library(database).save([Track(f"/{n:02}", 1, 1, error=error(reason)) for n, reason in enumerate(reasons)], KIND)
    causes = Outcomes(database).causes(examples)
    assert {cause.reason: cause.count for cause in causes} == Counter(reasons)
    assert [cause.count for cause in causes] == sorted((cause.count for cause in causes), reverse=True)
    for cause in causes:
        paths = [f"/{n:02}" for n, reason in enumerate(reasons) if reason == cause.reason]
        assert cause.examples == tuple((path, f"why {cause.reason}") for path in paths[:examples])
        assert cause.outcome == ("skipped" if cause.reason in ("silence", "short") else "failed")
    counts = Decisions(database).counts()
    assert sum(counts["outcomes"].values()) == sum(counts["reasons"].values()) == len(reasons)
