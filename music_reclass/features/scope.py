"""The tracks of one run: those it met, must read, must decide; in temporary tables, so that memory stays flat."""

# ruff: noqa: S608 (the names of the tables are made here)

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count

from music_reclass.domain import FeatureKind, Track, Vote
from music_reclass.features.database import Database
from music_reclass.features.library import PASSING, batched_rows
from music_reclass.features.results import ScanStats

_NUMBERS = count(1)


class Scope:
    """The tracks of one run, those it must read and those it must decide, in temporary tables of its connection.

    Who asks about the tracks of a run is given the scope; `tracks` is its table of track ids (`track_id`).
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._sql = database.connection
        self._pending_count = 0  # files that must be read
        number = next(_NUMBERS)  # scopes of one connection do not meet
        self.tracks, self._pending = f"temp.scope_{number}", f"temp.pending_{number}"
        self._undecided, self._open = f"temp.undecided_{number}", f"temp.open_{number}"
        self._queue = f"temp.queue_{number}"
        for statement in (
            f"CREATE TABLE {self.tracks} (track_id INTEGER PRIMARY KEY)",
            f"CREATE TABLE {self._pending} (place INTEGER PRIMARY KEY, path BLOB UNIQUE, size INTEGER,"
            " mtime_ns INTEGER)",
            f"CREATE TABLE {self._undecided} (track_id INTEGER PRIMARY KEY)",
            f"CREATE TABLE {self._open} (track_id INTEGER PRIMARY KEY, album INTEGER, votes TEXT, position INTEGER,"
            " gain REAL)",
            f"CREATE INDEX {self._open}_album ON open_{number} (album)",
            f"CREATE TABLE {self._queue} (place INTEGER PRIMARY KEY, track_id INTEGER)",
        ):
            self._sql.execute(statement)

    def sort_found(self, files: Sequence[Track], kind: FeatureKind, stats: ScanStats, rescan: bool) -> None:
        """Put each file into the scope if its size and mtime are known and its vector (or lasting failure) is stored,
        else among the pending; counted in `stats`. Nothing is opened."""
        now = time.time()
        with self.database.transaction():
            for file in files:
                path = os.fsencode(file.path)
                row = self._sql.execute(
                    "SELECT t.id, t.size = :size AND t.mtime_ns = :mtime, v.track_id IS NOT NULL, f.reason"
                    " FROM track t LEFT JOIN vector v ON v.track_id = t.id AND v.kind = :kind"
                    " LEFT JOIN failure f ON f.track_id = t.id WHERE t.path = :path",
                    {"size": file.size, "mtime": file.mtime_ns, "kind": kind.key, "path": path},
                ).fetchone()
                settled = row is not None and row[1] and (row[2] or (row[3] is not None and row[3] not in PASSING))
                if settled and not rescan:
                    if self._sql.execute(f"INSERT OR IGNORE INTO {self.tracks} VALUES (?)", (row[0],)).rowcount:
                        stats.found += 1
                    self._sql.execute("UPDATE track SET seen = ?, missing_since = NULL WHERE id = ?", (now, row[0]))
                elif self._sql.execute(
                    f"INSERT OR IGNORE INTO {self._pending} (path, size, mtime_ns) VALUES (?, ?, ?)",
                    (path, file.size, file.mtime_ns),
                ).rowcount:
                    self._pending_count += 1
                    stats.found += 1
                    if row is None:
                        stats.new += 1
                    else:
                        stats.changed += 1

    def pending_count(self) -> int:
        """How many files must be read."""
        return self._pending_count

    def pending(self, find_more: Callable[[], bool] = lambda: False) -> Iterator[Track]:
        """The files that must be read, in the order in which they were found, folder by folder.

        Where none is left, `find_more` may put more of them into the scope; false: there are no more.
        """
        last = 0
        while True:  # keyset paging: other statements may run between two rows
            rows = self._sql.execute(
                f"SELECT place, path, size, mtime_ns FROM {self._pending} WHERE place > ? ORDER BY place LIMIT 500",
                (last,),
            ).fetchall()
            for place, path, size, mtime_ns in rows:
                yield Track(os.fsdecode(path), size, mtime_ns)
                last = place
            if not rows and not find_more():
                return

    def count(self) -> int:
        """How many tracks are in the scope."""
        return int(self._sql.execute(f"SELECT count(*) FROM {self.tracks}").fetchone()[0])

    def add(self, track_ids: Sequence[int]) -> None:
        """Take tracks into the scope."""
        for track_id in track_ids:
            self._sql.execute(f"INSERT OR IGNORE INTO {self.tracks} VALUES (?)", (track_id,))

    def add_all(self) -> None:
        """Take every track that is not missing into the scope."""
        with self.database.transaction(temporary=True):
            self._sql.execute(f"INSERT OR IGNORE INTO {self.tracks} SELECT id FROM track WHERE missing_since IS NULL")

    def mark_missing(self, roots: Sequence[str], *, with_folders_below: bool = True) -> int:
        """Mark the tracks below the folders `roots`, or in these very folders, that were not met; their rows and
        vectors stay."""
        gone = 0
        now = time.time()
        with self.database.transaction():
            for root in roots:
                prefix = os.fsencode(root).rstrip(b"/") + b"/"
                gone += self._sql.execute(
                    "UPDATE track SET missing_since = ? WHERE path >= ? AND path < ? AND missing_since IS NULL"
                    f" AND id NOT IN (SELECT track_id FROM {self.tracks})"
                    f" AND path NOT IN (SELECT path FROM {self._pending})"
                    " AND (? OR NOT instr(substr(path, ?), x'2F'))",
                    # "0" follows "/": everything that starts with the prefix
                    (now, prefix, prefix[:-1] + b"0", with_folders_below, len(prefix) + 1),
                ).rowcount
        return gone

    def collect_undecided(self, basis: str, kind: FeatureKind) -> int:
        """Gather the tracks with a vector whose decision is missing or rests on something else, with the rest of
        their albums (they vote together); how many."""
        with self.database.transaction(temporary=True):
            self._sql.execute(f"DELETE FROM {self._undecided}")
            self._sql.execute(
                f"INSERT INTO {self._undecided} SELECT s.track_id FROM {self.tracks} s"
                " CROSS JOIN vector v ON v.track_id = s.track_id AND v.kind = ?"
                " LEFT JOIN decision d ON d.track_id = s.track_id WHERE d.basis IS NOT ?",
                (kind.key, basis),
            )
            self._sql.execute(
                f"INSERT OR IGNORE INTO {self._undecided} SELECT DISTINCT other.id"
                f" FROM {self._undecided} u CROSS JOIN track t ON t.id = u.track_id"
                " CROSS JOIN track other ON other.album = t.album AND other.missing_since IS NULL"
                " CROSS JOIN vector v ON v.track_id = other.id AND v.kind = ? WHERE t.album <> ''",
                (kind.key,),
            )
        return int(self._sql.execute(f"SELECT count(*) FROM {self._undecided}").fetchone()[0])

    def undecided_without(
        self, kind: FeatureKind, shortest: float, longest: float, *, after: str, count: int = 1000
    ) -> list[tuple[int, str]]:
        """The first `count` of the gathered tracks behind the path `after` that have no vector of `kind` and last from
        `shortest` to less than `longest` seconds: (track id, path), by path."""
        rows = self._sql.execute(
            f"SELECT u.track_id, t.path FROM {self._undecided} u JOIN track t ON t.id = u.track_id"
            " LEFT JOIN vector v ON v.track_id = u.track_id AND v.kind = ?"
            " WHERE v.track_id IS NULL AND t.missing_since IS NULL AND t.duration >= ? AND t.duration < ?"
            " AND t.path > ? ORDER BY t.path LIMIT ?",
            (kind.key, shortest, longest, os.fsencode(after), count),
        )
        return [(track_id, os.fsdecode(path)) for track_id, path in rows]

    def undecided_by_album(self, size: int = 2000) -> Iterator[list[int]]:
        """The gathered tracks in lists of about `size`, no album of the library cut in two."""
        cursor = self._sql.execute(
            f"SELECT t.id, t.album FROM {self._undecided} u JOIN track t ON t.id = u.track_id"
            " ORDER BY t.album, t.album_artist, t.artist, t.path"
        )
        chunk: list[int] = []
        album = ""
        for rows in batched_rows(cursor):
            for track_id, name in rows:
                if len(chunk) >= size and (name != album or not name):
                    yield chunk
                    chunk = []
                chunk.append(track_id)
                album = name
        if chunk:
            yield chunk

    def keep_open(
        self,
        votes: Mapping[int, Sequence[Vote]],
        albums: Sequence[Sequence[int]],
        waiting: Mapping[int, tuple[int, float]],
    ) -> None:
        """Keep the `votes` of tracks that may be decided again in this run: those `waiting` for a later stage, by its
        position and the gain expected of it, with the rest of their `albums`. All others of `votes` are finished."""
        first = {track: members[0] for members in albums for track in members}
        kept = {first.get(track, track) for track in waiting}
        with self.database.transaction(temporary=True):
            self._sql.executemany(f"DELETE FROM {self._open} WHERE track_id = ?", ((track,) for track in votes))
            self._sql.executemany(
                f"INSERT INTO {self._open} VALUES (?, ?, ?, ?, ?)",
                (
                    (track, first.get(track, track), _votes_as_json(cast), *_place(waiting.get(track)))
                    for track, cast in votes.items()
                    if first.get(track, track) in kept
                ),
            )

    def waiting(self) -> dict[int, int]:
        """How many tracks wait for a later stage, by its position."""
        return dict(
            self._sql.execute(
                f"SELECT position, count(*) FROM {self._open} WHERE position IS NOT NULL"
                " GROUP BY position ORDER BY position"
            )
        )

    def open_by_album(
        self, track_ids: Iterable[int], size: int = 2000
    ) -> Iterator[tuple[dict[int, tuple[Vote, ...]], list[list[int]]]]:
        """The votes of those of `track_ids` that are open and of all on their albums, and those albums' track ids; in
        parts of about `size` tracks."""
        query = f"SELECT album FROM {self._open} WHERE track_id = ?"
        found = (self._sql.execute(query, (track,)).fetchone() for track in track_ids)
        votes: dict[int, tuple[Vote, ...]] = {}
        albums: list[list[int]] = []
        for album in sorted({row[0] for row in found if row is not None}):
            rows = self._sql.execute(
                f"SELECT track_id, votes FROM {self._open} WHERE album = ? ORDER BY track_id", (album,)
            ).fetchall()
            votes.update((track, _votes_from_json(text)) for track, text in rows)
            if len(rows) > 1:
                albums.append([track for track, _ in rows])
            if len(votes) >= size:
                yield votes, albums
                votes, albums = {}, []
        if votes:
            yield votes, albums

    def queue_up(self, position: int) -> int:
        """Put the tracks that wait for the stage at `position` in line: the highest expected gain first, and
        among equals by path, so that a disk is read in order; how many."""
        with self.database.transaction(temporary=True):
            self._sql.execute(f"DELETE FROM {self._queue}")
            return self._sql.execute(
                f"INSERT INTO {self._queue} (track_id)"
                f" SELECT o.track_id FROM {self._open} o JOIN track t ON t.id = o.track_id"
                " WHERE o.position = ? AND t.missing_since IS NULL ORDER BY o.gain DESC, t.path",
                (position,),
            ).rowcount

    def next_in_queue(self, count: int) -> list[tuple[int, str]]:
        """Take the first `count` tracks out of the line: (track id, path)."""
        rows = self._sql.execute(
            f"SELECT q.place, q.track_id, t.path FROM {self._queue} q JOIN track t ON t.id = q.track_id"
            " ORDER BY q.place LIMIT ?",
            (count,),
        ).fetchall()
        if rows:
            self._sql.execute(f"DELETE FROM {self._queue} WHERE place <= ?", (rows[-1][0],))
        return [(track_id, os.fsdecode(path)) for _, track_id, path in rows]


def _place(waiting: tuple[int, float] | None) -> tuple[int | None, float | None]:
    """Position and gain, in hundredths: tracks with nearly equal gains are read in the order of their paths."""
    return (None, None) if waiting is None else (waiting[0], round(waiting[1], 2))


def _votes_as_json(votes: Sequence[Vote]) -> str:
    """Votes with all digits of their probabilities: those of the database are rounded."""
    return json.dumps([[vote.stage, dict(vote.probabilities)] for vote in votes])


def _votes_from_json(text: str) -> tuple[Vote, ...]:
    return tuple(Vote(stage, probabilities) for stage, probabilities in json.loads(text))
