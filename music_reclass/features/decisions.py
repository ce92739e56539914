"""Votes and decisions as stored, each track's whole state, and decisions taken anew from stored votes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from music_reclass.domain import Decision, Outcome, TrackTags, Vote
from music_reclass.errors import SkipTrack, TrackError
from music_reclass.features.database import Database
from music_reclass.features.library import stored_error

_STATE = """
    SELECT t.id, t.path, t.size, t.mtime_ns, t.genres, t.title, t.artist, t.album_artist, t.album, t.compilation,
           t.duration, t.warnings, t.missing_since, d.outcome, d.reason, d.genres, d.confidence, d.stage,
           f.outcome, f.reason, f.detail,
           (SELECT json_group_object(stage, json(probabilities))
            FROM (SELECT stage, probabilities FROM vote WHERE track_id = t.id ORDER BY rowid))
    FROM track t LEFT JOIN decision d ON d.track_id = t.id LEFT JOIN failure f ON f.track_id = t.id
"""


@dataclass(frozen=True, slots=True)
class TrackState:
    """All that is known of one track. `decision` is None until one was taken; `error` says why none could be."""

    id: int
    path: str
    size: int
    mtime_ns: int
    tags: TrackTags
    duration: float | None
    warnings: tuple[str, ...]
    missing: bool
    decision: Decision | None
    error: TrackError | None

    @property
    def outcome(self) -> Outcome | None:
        """The outcome of the decision, or of the failure; None where the track was never reached."""
        if self.error is not None:
            return Outcome.SKIPPED if isinstance(self.error, SkipTrack) else Outcome.FAILED
        return None if self.decision is None else self.decision.outcome


class Decisions:
    """Questions and statements about what was concluded."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._sql = database.connection

    def register_bundle(self, name: str, digest: str, manifest: Mapping[str, Any]) -> int:
        """The id of a bundle, stored with its manifest the first time it is met."""
        with self.database.transaction():
            self._sql.execute(
                "INSERT INTO bundle (name, digest, manifest, seen) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (digest) DO UPDATE SET seen = excluded.seen",
                (name, digest, json.dumps(manifest, sort_keys=True), time.time()),
            )
        return int(self._sql.execute("SELECT id FROM bundle WHERE digest = ?", (digest,)).fetchone()[0])

    def save(self, decisions: Mapping[int, Decision], bundles: Mapping[str, int], basis: str) -> None:
        """Store decisions by track id with their votes in cascade order, in one transaction. `bundles`: stage -> bundle
        id."""
        now = time.time()
        with self.database.transaction():
            for track_id, decision in decisions.items():
                self._sql.execute("DELETE FROM vote WHERE track_id = ?", (track_id,))
                for vote in decision.votes:
                    if vote.stage in bundles:  # the album's vote is derived and not stored
                        probabilities = json.dumps({k: round(float(p), 6) for k, p in vote.probabilities.items()})
                        self._sql.execute(
                            "INSERT INTO vote (track_id, stage, bundle_id, probabilities) VALUES (?, ?, ?, ?)",
                            (track_id, vote.stage, bundles[vote.stage], probabilities),
                        )
                self._sql.execute(
                    "INSERT INTO decision (track_id, basis, outcome, reason, genres, confidence, stage, decided)"
                    " VALUES (:id, :basis, :outcome, :reason, :genres, :confidence, :stage, :now)"
                    " ON CONFLICT (track_id) DO UPDATE SET basis = :basis, outcome = :outcome, reason = :reason,"
                    " genres = :genres, confidence = :confidence, stage = :stage, decided = :now",
                    {
                        "id": track_id, "basis": basis, "outcome": decision.outcome.value,
                        "reason": decision.reason, "genres": json.dumps(list(decision.genres)),
                        "confidence": float(decision.confidence), "stage": decision.stage, "now": now,
                    },
                )  # fmt: skip

    def states(self, track_ids: Sequence[int]) -> list[TrackState]:
        """The states of some tracks, in the order asked."""
        rows = (self._sql.execute(f"{_STATE} WHERE t.id = ?", (track_id,)).fetchone() for track_id in track_ids)
        return [_state(row) for row in rows if row is not None]

    def state_of(self, path: str) -> TrackState | None:
        """The state of the track at `path`, if it is known."""
        row = self._sql.execute(f"{_STATE} WHERE t.path = ?", (os.fsencode(path),)).fetchone()
        return None if row is None else _state(row)

    def on_album(self, album: str) -> list[TrackState]:
        """The states of the tracks whose album tag is `album`; none for an empty one."""
        if not album:
            return []
        return [
            _state(row)
            for row in self._sql.execute(f"{_STATE} WHERE t.album = ? AND t.missing_since IS NULL", (album,))
        ]

    def in_scope(self) -> Iterator[TrackState]:
        """The states of the tracks of this run's scope, by path."""
        return self._paged(f"{_STATE} JOIN temp.scope s ON s.track_id = t.id WHERE t.path > ?")

    def below(self, folders: Sequence[str] = ()) -> Iterator[TrackState]:
        """The states of all tracks that are not missing, or of those at or below `folders`, by path."""
        prefixes = [os.fsencode(folder) for folder in folders]
        for state in self._paged(f"{_STATE} WHERE t.missing_since IS NULL AND t.path > ?"):
            path = os.fsencode(state.path)
            if not prefixes or any(path == p or path.startswith(p.rstrip(b"/") + b"/") for p in prefixes):
                yield state

    def _paged(self, query: str) -> Iterator[TrackState]:
        last = b""
        while True:  # keyset paging, so that the caller may write between two rows
            rows = self._sql.execute(f"{query} ORDER BY t.path LIMIT 500", (last,)).fetchall()
            if not rows:
                return
            for row in rows:
                yield _state(row)
            last = rows[-1][1]

    def counts(self) -> dict[str, dict[str, int]]:
        """Tracks that are not missing by outcome, and by reason within skipped and failed."""
        outcomes: dict[str, int] = dict(
            self._sql.execute(
                "SELECT d.outcome, count(*) FROM decision d JOIN track t ON t.id = d.track_id"
                " WHERE t.missing_since IS NULL GROUP BY d.outcome"
            ).fetchall()
        )
        reasons: dict[str, int] = {}
        for outcome, reason, count in self._sql.execute(
            "SELECT f.outcome, f.reason, count(*) FROM failure f JOIN track t ON t.id = f.track_id"
            " WHERE t.missing_since IS NULL GROUP BY f.outcome, f.reason"
        ):
            outcomes[outcome] = outcomes.get(outcome, 0) + count
            reasons[f"{outcome}: {reason}"] = count
        genres: dict[str, int] = dict(
            self._sql.execute(
                "SELECT json_extract(d.genres, '$[0]') AS genre, count(*) AS n FROM decision d"
                " JOIN track t ON t.id = d.track_id WHERE t.missing_since IS NULL AND genre IS NOT NULL"
                " AND d.outcome <> 'unsure' GROUP BY genre ORDER BY n DESC, genre"
            ).fetchall()
        )
        return {"outcomes": outcomes, "reasons": reasons, "genres": genres}


def _state(row: tuple[Any, ...]) -> TrackState:
    (track_id, path, size, mtime_ns, genres, title, artist, album_artist, album, compilation, duration, warnings,
     missing, outcome, reason, decided, confidence, stage, failed, why, detail, votes) = row  # fmt: skip
    tags = TrackTags(
        genres=None if genres is None else tuple(json.loads(genres)),
        title=title, artist=artist, album_artist=album_artist, album=album, compilation=bool(compilation),
    )  # fmt: skip
    decision = None
    if outcome is not None:
        ballots = tuple(Vote(name, p) for name, p in json.loads(votes or "{}").items())
        decision = Decision(Outcome(outcome), reason, tuple(json.loads(decided)), confidence, stage, ballots)
    error = None if failed is None else stored_error(failed, why, detail)
    return TrackState(
        track_id,
        os.fsdecode(path),
        size,
        mtime_ns,
        tags,
        duration,
        tuple(json.loads(warnings)),
        missing is not None,
        decision,
        error,
    )


class StoredVotes:
    """Questions about votes, and statements that leave them as they are."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.connection

    def all_tracks(self) -> list[int]:
        """The ids of all tracks that are there."""
        return [int(row[0]) for row in self._sql.execute("SELECT id FROM track WHERE missing_since IS NULL")]

    def of(self, track_ids: Sequence[int], digests: Mapping[str, str]) -> dict[int, tuple[Vote, ...]]:
        """The votes of those tracks all of whose votes were cast by the bundles with these digests, by stage.

        In the order of `digests`, the ladder's. Tracks without a vote, or with one of another bundle, are absent.
        """
        order = {stage: number for number, stage in enumerate(digests)}
        found: dict[int, tuple[Vote, ...]] = {}
        for track_id in track_ids:
            rows = self._sql.execute(
                "SELECT v.stage, b.digest, v.probabilities FROM vote v JOIN bundle b ON b.id = v.bundle_id"
                " WHERE v.track_id = ?",
                (track_id,),
            ).fetchall()
            if rows and all(digests.get(stage) == digest for stage, digest, _ in rows):
                rows.sort(key=lambda row: order[row[0]])
                found[track_id] = tuple(Vote(stage, json.loads(shares)) for stage, _, shares in rows)
        return found

    def conclude(self, decisions: Mapping[int, Decision], basis: str) -> int:
        """Store decisions by track id in one transaction and leave the votes alone; how many name other genres now."""
        now, changed = time.time(), 0
        with self._database.transaction():
            for track_id, decision in decisions.items():
                genres = json.dumps(list(decision.genres))
                before = self._sql.execute("SELECT genres FROM decision WHERE track_id = ?", (track_id,)).fetchone()
                changed += before is None or before[0] != genres
                self._sql.execute(
                    "INSERT INTO decision (track_id, basis, outcome, reason, genres, confidence, stage, decided)"
                    " VALUES (:id, :basis, :outcome, :reason, :genres, :confidence, :stage, :now)"
                    " ON CONFLICT (track_id) DO UPDATE SET basis = :basis, outcome = :outcome, reason = :reason,"
                    " genres = :genres, confidence = :confidence, stage = :stage, decided = :now",
                    {
                        "id": track_id, "basis": basis, "outcome": decision.outcome.value, "reason": decision.reason,
                        "genres": genres, "confidence": float(decision.confidence), "stage": decision.stage, "now": now,
                    },
                )  # fmt: skip
        return changed
