"""Decisions and votes: stored, and asked for together with their tracks."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from music_reclass.domain import CONTENT, Decision, Outcome, Track, Vote
from music_reclass.features.database import Database, ranges_below
from music_reclass.features.library import FROM_TRACK, TRACK, USABLE, track_of
from music_reclass.features.user_decisions import TRACK as THIS_TRACK
from music_reclass.features.user_decisions import UserDecision, UserDecisions, keys_of, title_of

if TYPE_CHECKING:
    from music_reclass.features.scope import Scope

# The votes of track t in the order in which they were cast, that of the cascade.
VOTES = """(
    SELECT json_group_object(stage, json(probabilities))
    FROM (SELECT stage, probabilities FROM vote WHERE track_id = t.id ORDER BY rowid)
)"""
_IN_RANGE = "t.path >= ? AND t.path < ?"
_PAGE = 500  # tracks in memory at a time
DECIDED = f"{USABLE} AND d.track_id IS NOT NULL"
FOR_GENRES = f"stage NOT IN {CONTENT}"  # votes that are about genres
_TRACK = f"{TRACK}, {VOTES} {FROM_TRACK}"


class Decisions:
    """Questions and statements about tracks, votes and decisions."""

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
        id. What the user decided stands in their place."""
        with self.database.transaction():
            for track_id, decision in UserDecisions(self.database).overlaid(decisions).items():
                self._sql.execute("DELETE FROM vote WHERE track_id = ?", (track_id,))
                for vote in decision.votes:
                    if vote.stage in bundles:  # the album's vote is derived and not stored
                        probabilities = json.dumps({k: round(float(p), 6) for k, p in vote.probabilities.items()})
                        self._sql.execute(
                            "INSERT INTO vote (track_id, stage, bundle_id, probabilities) VALUES (?, ?, ?, ?)",
                            (track_id, vote.stage, bundles[vote.stage], probabilities),
                        )
                self._store(track_id, decision, basis)

    def save_without_votes(self, decisions: Mapping[int, Decision], basis: str) -> None:
        """Store decisions by track id in one transaction, and leave the stored votes as they are. What the user decided
        stands in their place."""
        with self.database.transaction():
            for track_id, decision in UserDecisions(self.database).overlaid(decisions).items():
                self._store(track_id, decision, basis)

    def decide(
        self, tracks: Iterable[Track], genres: Sequence[str] | None, source: str, *, scope: str, author: str = ""
    ) -> int:
        """Store what the user said of these tracks (None: leave their tags alone), for each or for their albums or
        artists, as `scope` says; how many decisions that are. It holds for the stored decisions at once.

        A track that has no such scope, as no album is named, is decided by itself. Narrower decisions of these tracks,
        which would hold against it, go.
        """
        chosen, now = None if genres is None else tuple(genres), time.time()
        found: dict[tuple[str, str], UserDecision] = {}
        narrower: list[tuple[str, str]] = []
        for track in tracks:
            keys = keys_of(track.digest, track.tags)
            place = scope if scope in keys else THIS_TRACK
            if place in keys:
                narrower += list(keys.items())[: list(keys).index(place)]
                title = title_of(place, track.path, track.tags)
                found[place, keys[place]] = UserDecision(place, keys[place], chosen, source, now, author, title)
        self.store_user_decisions(found.values(), narrower)
        return len(found)

    def store_user_decisions(self, found: Collection[UserDecision], dropped: Iterable[tuple[str, str]] = ()) -> None:
        """Store what the user decided, in the place of those `dropped`; it holds for the stored decisions at once."""
        known = UserDecisions(self.database)
        with self.database.transaction():
            known.drop(dropped)
            known.store(found)
        self.put_user_decisions(list(known.tracks_of((one.scope, one.key) for one in found)))

    def withdraw(self, tracks: Iterable[Track], scope: str) -> int:
        """Drop what the user decided of these tracks, for each and for the `scope` of them; how many that were. They
        are undecided until the next scan or relabel."""
        keys = [keys_of(track.digest, track.tags) for track in tracks]
        places = {(place, found[place]) for found in keys for place in (scope, THIS_TRACK) if place in found}
        known = UserDecisions(self.database)
        with self.database.transaction():
            dropped = known.drop(places)
        self.put_user_decisions(list(known.tracks_of(places)))
        return dropped

    def put_user_decisions(self, track_ids: Sequence[int]) -> None:
        """Let what the user decided stand in the place of the stored decisions of some tracks at once; tracks of which
        nothing is decided by the user any more are undecided until the next scan or relabel."""
        with self.database.transaction():
            self.overlay(track_ids)

    def overlay(self, track_ids: Sequence[int]) -> None:
        """As `put_user_decisions`, within a transaction of the caller."""
        known = UserDecisions(self.database)
        for track in self.tracks(track_ids):
            if track.decision is None:
                continue
            (decision,) = known.overlaid({track.id: track.decision}).values()
            if decision is not track.decision:
                row = self._sql.execute("SELECT basis FROM decision WHERE track_id = ?", (track.id,)).fetchone()
                self._store(track.id, decision, str(row[0]))
            elif decision.reason in ("chosen", "left"):  # nobody says so any more, and nobody may write it
                self._store(track.id, Decision(Outcome.UNSURE, "", stage=decision.stage), "")

    def rows(self, track_ids: Sequence[int]) -> list[tuple[Any, ...]]:
        """The stored decisions of some tracks as they are, for `put_back`."""
        query = (
            "SELECT track_id, basis, outcome, reason, genres, confidence, stage, decided FROM decision"
            " WHERE track_id = ?"
        )
        found = (self._sql.execute(query, (track_id,)).fetchone() for track_id in track_ids)
        return [row for row in found if row is not None]

    def put_back(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Store what `rows` gave, in the place of what is stored now; within a transaction of the caller."""
        self._sql.executemany(
            "INSERT OR REPLACE INTO decision (track_id, basis, outcome, reason, genres, confidence, stage, decided)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )

    def _store(self, track_id: int, decision: Decision, basis: str) -> None:
        self._sql.execute(
            "INSERT INTO decision (track_id, basis, outcome, reason, genres, confidence, stage, decided)"
            " VALUES (:id, :basis, :outcome, :reason, :genres, :confidence, :stage, :now)"
            " ON CONFLICT (track_id) DO UPDATE SET basis = :basis, outcome = :outcome, reason = :reason,"
            " genres = :genres, confidence = :confidence, stage = :stage, decided = :now",
            {
                "id": track_id, "basis": basis, "outcome": decision.outcome.value, "reason": decision.reason,
                "genres": json.dumps(list(decision.genres)), "confidence": float(decision.confidence),
                "stage": decision.stage, "now": time.time(),
            },
        )  # fmt: skip

    def tracks(self, track_ids: Sequence[int]) -> list[Track]:
        """What is known of some tracks, in the order asked."""
        rows = (self._sql.execute(f"{_TRACK} WHERE t.id = ?", (track_id,)).fetchone() for track_id in track_ids)
        return [with_votes(row) for row in rows if row is not None]

    def track_at(self, path: str) -> Track | None:
        """The track at `path`, if it is known."""
        row = self._sql.execute(f"{_TRACK} WHERE t.path = ?", (os.fsencode(path),)).fetchone()
        return None if row is None else with_votes(row)

    def on_album(self, album: str) -> list[Track]:
        """The tracks whose album tag is `album`; none for an empty one."""
        if not album:
            return []
        rows = self._sql.execute(f"{_TRACK} WHERE t.album = ? AND t.missing_since IS NULL", (album,))
        return [with_votes(row) for row in rows]

    def in_scope(self, scope: Scope) -> Iterator[Track]:
        """The tracks of a scope, by path."""
        query = f"SELECT t.id FROM {scope.tracks} s CROSS JOIN track t ON t.id = s.track_id ORDER BY t.path"  # noqa: S608
        numbers = [number for (number,) in self._sql.execute(query)]
        for start in range(0, len(numbers), _PAGE):
            page = numbers[start : start + _PAGE]
            marks = ", ".join("?" * len(page))
            rows = self._sql.execute(f"{_TRACK} WHERE t.id IN ({marks}) ORDER BY t.path", page)
            yield from map(with_votes, rows.fetchall())

    def below(self, folders: Sequence[str] = ()) -> Iterator[Track]:
        """All tracks that are not missing, or those at or below `folders`, by path."""
        for start, end in ranges_below(folders):
            yield from self._paged(f"{_TRACK} WHERE t.missing_since IS NULL AND {_IN_RANGE}", start, end)

    def _paged(self, query: str, start: bytes = b"", end: bytes = b"\xff\xff") -> Iterator[Track]:
        while True:  # keyset paging, so that the caller may write between two rows
            rows = self._sql.execute(f"{query} ORDER BY t.path LIMIT {_PAGE}", (start, end)).fetchall()
            if not rows:
                return
            for row in rows:
                yield with_votes(row)
            start = rows[-1][1] + b"\0"

    def votes_cast_by(self, digests: Mapping[str, str], track_ids: Sequence[int]) -> dict[int, tuple[Vote, ...]]:
        """The votes of those tracks all of whose votes were cast by the bundles with these digests, by stage.

        In the order of `digests`, that of the cascade. Tracks without a vote, or with one of another bundle, are
        absent.
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

    def exited_before(self, stages: int, basis: str) -> list[int]:
        """The tracks that a cascade of `basis` decided with fewer than `stages` votes for genres, at least one."""
        rows = self._sql.execute(
            f"SELECT t.id {FROM_TRACK} WHERE {DECIDED} AND d.basis = ?"  # noqa: S608
            f" AND (SELECT count(*) FROM vote WHERE track_id = t.id AND {FOR_GENRES}) BETWEEN 1 AND ? ORDER BY t.id",
            (basis, stages - 1),
        )
        return [int(row[0]) for row in rows.fetchall()]

    def least_sure(self, count: int, folders: Sequence[str] = ()) -> list[int]:
        """Up to `count` tracks (at or below `folders`) that models decided or were unsure of, the least sure first."""
        found: list[tuple[float, bytes, int]] = []
        for start, end in ranges_below(folders):
            found += self._sql.execute(
                f"SELECT d.confidence, t.path, t.id {FROM_TRACK} WHERE {DECIDED} AND d.outcome <> 'skipped'"
                " AND d.stage <> 'user' AND d.reason <> 'left' AND t.path >= ? AND t.path < ?"
                " ORDER BY d.confidence, t.path LIMIT ?",
                (start, end, count),
            ).fetchall()
        return list(dict.fromkeys(track for _, _, track in sorted(found)))[:count]

    def count_voted(self) -> int:
        """How many tracks have a vote for a genre."""
        return len(self.voted())

    def voted(self) -> list[int]:
        """The tracks that have a vote for a genre, in order."""
        condition = f"EXISTS (SELECT 1 FROM vote WHERE track_id = t.id AND {FOR_GENRES})"  # noqa: S608
        query = f"SELECT t.id {FROM_TRACK} WHERE {DECIDED} AND {condition} ORDER BY t.id"
        rows = self._sql.execute(query)
        return [int(row[0]) for row in rows.fetchall()]

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
        for reason, count in self._sql.execute(
            "SELECT d.reason, count(*) FROM decision d JOIN track t ON t.id = d.track_id"
            " WHERE t.missing_since IS NULL AND d.outcome = 'skipped' GROUP BY d.reason"
        ):
            reasons[f"skipped: {reason}"] = count
        genres: dict[str, int] = dict(
            self._sql.execute(
                "SELECT json_extract(d.genres, '$[0]') AS genre, count(*) AS n FROM decision d"
                " JOIN track t ON t.id = d.track_id WHERE t.missing_since IS NULL AND genre IS NOT NULL"
                " AND d.outcome <> 'unsure' GROUP BY genre ORDER BY n DESC, genre"
            ).fetchall()
        )
        return {"outcomes": outcomes, "reasons": reasons, "genres": genres}


def with_votes(row: Sequence[Any]) -> Track:
    """A row of TRACK with VOTES behind it as a track."""
    *known, votes = row
    return track_of(known, [Vote(stage, shares) for stage, shares in json.loads(votes or "{}").items()])
