"""Counts of decisions by outcome, stage and confidence, beside tags that the user gave; causes of failures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from music_reclass.domain import Track
from music_reclass.features.database import Database
from music_reclass.features.decisions import DECIDED, FOR_GENRES, VOTES, with_votes
from music_reclass.features.library import FROM_TRACK, TAGGED_BY_USER, TRACK, batched_rows, track_of

if TYPE_CHECKING:
    from music_reclass.features.scope import Scope

BINS = 20
"""Steps of confidence in which decisions are counted, from 0 to 1."""

BY_MODEL = "d.outcome IN ('confident', 'likely') AND d.stage <> 'user'"  # what the user decided proves nothing

_COUNTED = (
    f"d.outcome, coalesce(json_extract(d.genres, '$[0]'), ''), min(CAST(d.confidence * {BINS} AS INTEGER), {BINS - 1}),"
    " count(*), sum(d.confidence)"
)


@dataclass(frozen=True, slots=True)
class Cell:
    """Tracks that are alike: outcome, genre, step of confidence, and the stages that voted, or the genres that the user
    gave, whichever was asked for."""

    outcome: str
    genre: str  # "" where none was decided
    bin: int
    count: int
    confidence: float  # sum
    stages: frozenset[str] = frozenset()
    by_album: bool = False
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cause:
    """Tracks that were skipped or failed for one reason, with the first of them: path and detail."""

    outcome: str
    reason: str
    count: int
    examples: tuple[tuple[str, str], ...]


class Outcomes:
    """Questions about decisions of the tracks that are there; with a `scope` about those of it alone."""

    def __init__(self, database: Database, scope: Scope | None = None) -> None:
        self._sql = database.connection
        # CROSS JOIN keeps the order: a small scope is gone through, never the library.
        self._track = "track t" if scope is None else f"{scope.tracks} s CROSS JOIN track t ON t.id = s.track_id"
        self._tables = FROM_TRACK.replace("track t", self._track, 1)

    def cells(self) -> list[Cell]:
        """All decided tracks, counted by what they have in common, the stages that voted among it."""
        rows = self._sql.execute(
            f"SELECT {_COUNTED},"  # noqa: S608
            f" (SELECT group_concat(stage) FROM (SELECT stage FROM vote WHERE track_id = t.id AND {FOR_GENRES}"
            " ORDER BY stage)) AS voted,"
            f" d.stage = 'album' AS by_album {self._tables} WHERE {DECIDED} GROUP BY 1, 2, 3, voted, by_album"
        )
        return [
            Cell(outcome, genre, step, tracks, total, frozenset((voted or "").split(",")) - {""}, bool(album))
            for outcome, genre, step, tracks, total, voted, album in rows.fetchall()
        ]

    def cells_by_tags(self) -> list[Cell]:
        """Tracks with a genre that models decided and a tag that the user gave, counted by what they have in common."""
        rows = self._sql.execute(
            f"SELECT {_COUNTED},"
            f" t.genres {self._tables} WHERE {DECIDED} AND {BY_MODEL} AND {TAGGED_BY_USER}"
            " GROUP BY t.genres, 2, 1, 3"
        )
        return [
            Cell(outcome, genre, step, tracks, total, tags=tuple(json.loads(tags)))
            for outcome, genre, step, tracks, total, tags in rows.fetchall()
        ]

    def manifests(self) -> dict[str, Mapping[str, Any]]:
        """The stages that have votes for genres, with the manifest of the bundle that cast most of each one's votes;
        those that need fewer kinds of vectors first."""
        rows = self._sql.execute(
            "SELECT most.stage, b.manifest FROM (SELECT stage, bundle_id, count(*) AS n"  # noqa: S608
            f" FROM {self._track} CROSS JOIN vote ON vote.track_id = t.id GROUP BY 1, 2) most"
            f" JOIN bundle b ON b.id = most.bundle_id WHERE {FOR_GENRES} ORDER BY most.n"
        )
        found = {str(stage): json.loads(manifest) for stage, manifest in rows.fetchall()}
        return dict(sorted(found.items(), key=lambda item: (len(item[1].get("kinds", ())), item[0])))

    def tagged_by_user(self) -> Iterator[Track]:
        """The tracks with a genre that models decided and a tag that the user gave, by path; without votes."""
        for row in self._rows(TRACK, f"{BY_MODEL} AND {TAGGED_BY_USER}"):
            yield track_of(row)

    def unsure(self) -> Iterator[Track]:
        """The tracks nobody is sure of, with their votes, by path; not those that the user wants left alone."""
        for row in self._rows(f"{TRACK}, {VOTES}", "d.outcome = 'unsure' AND d.reason <> 'left'"):
            yield with_votes(row)

    def tracks(self, track_ids: Sequence[int]) -> list[Track]:
        """Some of these tracks with their votes, in the order asked."""
        query = f"{TRACK}, {VOTES} {FROM_TRACK} WHERE t.id = ?"
        rows = (self._sql.execute(query, (track_id,)).fetchone() for track_id in track_ids)
        return [with_votes(row) for row in rows if row is not None]

    def _rows(self, select: str, condition: str) -> Iterator[tuple[Any, ...]]:
        cursor = self._sql.execute(f"{select} {self._tables} WHERE {DECIDED} AND {condition} ORDER BY t.path")
        for rows in batched_rows(cursor):
            yield from rows

    def failed_since(self, moment: float) -> int:
        """How many tracks failed at `moment` (seconds since the epoch) or later, and not before for the same reason."""
        (count,) = self._sql.execute(
            f"SELECT count(*) FROM {self._track} CROSS JOIN failure f ON f.track_id = t.id"  # noqa: S608
            " WHERE t.missing_since IS NULL AND f.outcome = 'failed' AND f.at >= ?",
            (moment,),
        ).fetchone()
        return int(count)

    def causes(self, examples: int) -> list[Cause]:
        """Skips and failures by reason, the most frequent first, each with at most `examples` tracks."""
        cause = "coalesce(f.outcome, d.outcome)", "coalesce(f.reason, d.reason)"
        tables = f"{self._tables} WHERE t.missing_since IS NULL AND (f.track_id IS NOT NULL OR d.outcome = 'skipped')"
        counted = self._sql.execute(
            f"SELECT {', '.join(cause)}, count(*) AS n {tables} GROUP BY 1, 2 ORDER BY n DESC, 1, 2"
        ).fetchall()
        found = []
        for outcome, reason, count in counted:
            chosen = f"SELECT t.id {tables} AND {cause[0]} = ? AND {cause[1]} = ? ORDER BY t.path LIMIT ?"
            rows = self._sql.execute(
                f"{TRACK}, {VOTES} {FROM_TRACK} WHERE t.id IN ({chosen}) ORDER BY t.path", (outcome, reason, examples)
            )
            shown = tuple((track.path, track.obstacle[1]) for track in map(with_votes, rows.fetchall()))
            found.append(Cause(outcome, reason, count, shown))
        return found
