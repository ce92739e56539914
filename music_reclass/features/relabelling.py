"""Votes as stored, and decisions taken from them anew: what `relabel` asks of the library and tells it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence

from music_reclass.domain import Decision, Vote
from music_reclass.features.database import Database


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
