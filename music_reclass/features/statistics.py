"""Counts of decisions by outcome, stage and confidence; tracks from which a sample may be drawn."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from music_reclass.domain import FeatureKind, Outcome, TrackTags, Vote
from music_reclass.features.database import Database
from music_reclass.features.library import WRITTEN_BY_US, batched_rows

BINS = 20
"""Steps of confidence in which decisions are counted, from 0 to 1."""

_HEARD = "t.missing_since IS NULL AND f.track_id IS NULL"
_TABLES = "track t JOIN decision d ON d.track_id = t.id LEFT JOIN failure f ON f.track_id = t.id"
_BIN = f"min(CAST(d.confidence * {BINS} AS INTEGER), {BINS - 1})"
_TAGS = "t.genres, t.title, t.artist, t.album_artist, t.album, t.compilation"


@dataclass(frozen=True, slots=True)
class Cell:
    """Tracks that are alike: outcome, genre, step of confidence, the stages that voted, and whether the album spoke."""

    outcome: str
    genre: str | None
    bin: int
    stages: frozenset[str]
    by_album: bool
    count: int
    confidence: float  # sum


@dataclass(frozen=True, slots=True)
class TaggedCell:
    """Decided tracks that carry the same genre values, given by somebody, and got the same genre."""

    tags: tuple[str, ...]
    genre: str
    outcome: str
    bin: int
    count: int
    confidence: float  # sum


@dataclass(frozen=True, slots=True)
class DecidedTrack:
    """One track beside its decision; `genre` is None where it is unsure. Has the shape of `albums.TaggedTrack`."""

    id: int
    path: str
    tags: TrackTags
    outcome: str
    genre: str | None
    confidence: float
    votes: int = 1


@dataclass(frozen=True, slots=True)
class Voter:
    """A stage that voted, and the manifest of the bundle that cast most of its votes."""

    stage: str
    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cause:
    """Tracks that were skipped or failed for one reason, with the first of them: path and detail."""

    outcome: str
    reason: str
    count: int
    examples: tuple[tuple[str, str], ...]


class Outcomes:
    """Questions about decisions of the tracks that are there; `scoped`: of those of this run's scope alone."""

    def __init__(self, database: Database, scoped: bool = False) -> None:
        self._sql = database.connection
        self._tables = _TABLES + (" JOIN temp.scope s ON s.track_id = t.id" if scoped else "")

    def cells(self) -> list[Cell]:
        """All decided tracks, counted by what they have in common."""
        rows = self._sql.execute(
            f"SELECT d.outcome, json_extract(d.genres, '$[0]'), {_BIN} AS step,"  # noqa: S608
            " (SELECT group_concat(stage) FROM (SELECT stage FROM vote WHERE track_id = t.id ORDER BY stage)) AS voted,"
            f" d.stage = 'album', count(*), sum(d.confidence) FROM {self._tables} WHERE {_HEARD}"
            " GROUP BY 1, 2, step, voted, 5"
        )
        return [
            Cell(outcome, genre, step, frozenset((voted or "").split(",")) - {""}, bool(album), count, total)
            for outcome, genre, step, voted, album, count, total in rows.fetchall()
        ]

    def voters(self) -> list[Voter]:
        """The stages that have votes in the library, those that need fewer kinds of vectors first."""
        rows = self._sql.execute(
            "SELECT v.stage, b.manifest FROM (SELECT stage, bundle_id, count(*) AS n FROM vote GROUP BY 1, 2) v"
            " JOIN bundle b ON b.id = v.bundle_id ORDER BY v.n"
        )
        found = {str(stage): json.loads(manifest) for stage, manifest in rows.fetchall()}
        return sorted(
            (Voter(stage, manifest) for stage, manifest in found.items()),
            key=lambda own: (len(own.manifest.get("kinds", ())), own.stage),
        )

    def beside_tags(self) -> list[TaggedCell]:
        """Tracks with a decided genre and a tag that we did not write, counted by what they have in common."""
        rows = self._sql.execute(
            f"SELECT t.genres, json_extract(d.genres, '$[0]'), d.outcome, {_BIN} AS step,"  # noqa: S608
            f" count(*), sum(d.confidence) FROM {self._tables} WHERE {_HEARD} AND d.outcome <> 'unsure'"
            f" AND json_array_length(t.genres) > 0 AND NOT {WRITTEN_BY_US} GROUP BY 1, 2, 3, step"
        )
        return [TaggedCell(tuple(json.loads(tags)), *rest) for tags, *rest in rows.fetchall()]

    def with_own_tag(self) -> Iterator[DecidedTrack]:
        """The tracks with a decided genre and a tag that we did not write, by path."""
        return self._tracks(f"d.outcome <> 'unsure' AND json_array_length(t.genres) > 0 AND NOT {WRITTEN_BY_US}")

    def unsure(self) -> Iterator[DecidedTrack]:
        """The tracks nobody is sure of, by path."""
        return self._tracks("d.outcome = 'unsure'")

    def _tracks(self, condition: str) -> Iterator[DecidedTrack]:
        cursor = self._sql.execute(
            f"SELECT t.id, t.path, d.outcome, json_extract(d.genres, '$[0]'), d.confidence,"  # noqa: S608
            f" (SELECT count(*) FROM vote WHERE track_id = t.id), {_TAGS}"
            f" FROM {self._tables} WHERE {_HEARD} AND {condition} ORDER BY t.path"
        )
        for rows in batched_rows(cursor):
            for number, path, outcome, genre, confidence, votes, *tags in rows:
                yield DecidedTrack(number, os.fsdecode(path), _tags(*tags), outcome, genre, confidence, votes)

    def causes(self, examples: int) -> list[Cause]:
        """Skips and failures by reason, the most frequent first, each with at most `examples` tracks."""
        scope = "JOIN temp.scope s ON s.track_id = t.id" if "temp.scope" in self._tables else ""
        tables = f"FROM failure f JOIN track t ON t.id = f.track_id {scope} WHERE t.missing_since IS NULL"
        counted = self._sql.execute(
            f"SELECT f.outcome, f.reason, count(*) AS n {tables} GROUP BY 1, 2 ORDER BY n DESC, 1, 2"
        ).fetchall()
        found = []
        for outcome, reason, count in counted:
            rows = self._sql.execute(
                f"SELECT t.path, f.detail {tables} AND f.outcome = ? AND f.reason = ? ORDER BY t.path LIMIT ?",
                (outcome, reason, examples),
            ).fetchall()
            shown = tuple((os.fsdecode(path), str(detail)) for path, detail in rows)
            found.append(Cause(outcome, reason, count, shown))
        return found

    def last_votes(self, track_ids: Iterable[int], order: Sequence[str]) -> dict[int, Vote]:
        """The vote of the last stage of `order` that voted, for those of `track_ids` that have one."""
        place = {stage: number for number, stage in enumerate(order)}
        found = {}
        for track_id in track_ids:
            rows = self._sql.execute("SELECT stage, probabilities FROM vote WHERE track_id = ?", (track_id,)).fetchall()
            known = [(place[stage], stage, shares) for stage, shares in rows if stage in place]
            if known:
                _, stage, shares = max(known)
                found[track_id] = Vote(stage, json.loads(shares))
        return found


class Candidates:
    """Questions about tracks from which a sample may be drawn: ids, and the tags that people gave."""

    def __init__(self, database: Database) -> None:
        self._sql = database.connection

    def left_before(self, stages: int, basis: str) -> list[int]:
        """The tracks that a ladder of `basis` decided with fewer than `stages` votes, at least one; in order."""
        rows = self._sql.execute(
            f"SELECT t.id FROM {_TABLES} WHERE {_HEARD} AND d.basis = ?"  # noqa: S608
            " AND (SELECT count(*) FROM vote WHERE track_id = t.id) BETWEEN 1 AND ? ORDER BY t.id",
            (basis, stages - 1),
        )
        return [int(row[0]) for row in rows.fetchall()]

    def voted_on(self) -> int:
        """How many tracks have a vote."""
        return int(
            self._sql.execute(
                f"SELECT count(*) FROM {_TABLES} WHERE {_HEARD} AND EXISTS"  # noqa: S608
                " (SELECT 1 FROM vote WHERE track_id = t.id)"
            ).fetchone()[0]
        )

    def heard(self, kind: FeatureKind, tagged: bool) -> Iterator[tuple[int, str, TrackTags]]:
        """Tracks with a vector of `kind`, by id; with `tagged` those alone that carry a genre that we did not write."""
        condition = f" AND json_array_length(t.genres) > 0 AND NOT {WRITTEN_BY_US}" if tagged else ""
        cursor = self._sql.execute(
            f"SELECT t.id, t.path, {_TAGS} FROM track t JOIN vector v ON v.track_id = t.id AND v.kind = ?"  # noqa: S608
            f" LEFT JOIN failure f ON f.track_id = t.id WHERE {_HEARD}{condition} ORDER BY t.id",
            (kind.key,),
        )
        for rows in batched_rows(cursor):
            for number, path, *tags in rows:
                yield number, os.fsdecode(path), _tags(*tags)

    def own_genres(self, track_ids: Iterable[int]) -> dict[int, tuple[str, ...]]:
        """The genre values of those of `track_ids` that carry some that we did not write."""
        wanted, found = list(track_ids), dict[int, tuple[str, ...]]()
        for start in range(0, len(wanted), 500):  # many at once: what we wrote is gathered anew for each question
            part = wanted[start : start + 500]
            marks = ", ".join("?" * len(part))
            rows = self._sql.execute(
                f"SELECT t.id, t.genres FROM track t WHERE t.id IN ({marks})"  # noqa: S608
                f" AND json_array_length(t.genres) > 0 AND NOT {WRITTEN_BY_US}",
                part,
            )
            found.update({number: tuple(json.loads(genres)) for number, genres in rows.fetchall()})
        return found


def _tags(genres: str | None, title: str, artist: str, album_artist: str, album: str, compilation: int) -> TrackTags:
    values = None if genres is None else tuple(json.loads(genres))
    return TrackTags(values, title, artist, album_artist, album, bool(compilation))


def counts_by_outcome(cells: Iterable[Cell]) -> Mapping[str, int]:
    """Tracks by outcome, in the order of `Outcome`."""
    found = {outcome.value: 0 for outcome in Outcome}
    for cell in cells:
        found[cell.outcome] += cell.count
    return {name: count for name, count in found.items() if count}
