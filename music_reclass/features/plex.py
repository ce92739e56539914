"""The Plex edit log, and the library as Plex sync needs it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from music_reclass.domain import Track
from music_reclass.features.database import Database
from music_reclass.features.library import FROM_TRACK, TRACK, track_of

PLANNED, WRITTEN, UNDONE, ABANDONED = "planned", "written", "undone", "abandoned"

_COLUMNS = (
    "run_id, server_id, section, level, rating_key, guid, file, title, field, before, after,"
    " lock_before, lock_after, state, note, id"
)


@dataclass(frozen=True, slots=True)
class FieldEdit:
    """What one field of an item holds and what it shall hold, lock included."""

    field: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    lock_before: bool
    lock_after: bool


@dataclass(frozen=True, slots=True)
class PlexChange:
    """One row of the edit log: the edit of one field of one item. `id` is 0 until it is stored."""

    run_id: int
    server_id: int
    section: int
    level: str
    rating_key: int
    guid: str
    file: str
    title: str
    edit: FieldEdit
    state: str = PLANNED
    note: str = ""
    id: int = 0


@dataclass(frozen=True, slots=True)
class KnownServer:
    """A server as we remember it; `mapping` is server folder -> local folder."""

    id: int
    machine: str
    name: str
    mapping: Mapping[str, str]


class PlexJournal:
    """Statements and questions about servers and edits. Use a durable Database: a plan must outlive a power cut."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._sql = database.connection

    def server(self, machine: str, name: str) -> KnownServer:
        """The server with this machineIdentifier, remembered from now on."""
        with self.database.transaction():
            self._sql.execute(
                "INSERT INTO plex_server (machine, name) VALUES (?, ?)"
                " ON CONFLICT (machine) DO UPDATE SET name = excluded.name",
                (machine, name),
            )
        found = self.known_server(machine)
        assert found is not None  # it was stored just now
        return found

    def known_server(self, machine: str) -> KnownServer | None:
        """The server with this machineIdentifier, if we have met it."""
        row = self._sql.execute(
            "SELECT id, machine, name, mapping FROM plex_server WHERE machine = ?", (machine,)
        ).fetchone()
        return None if row is None else KnownServer(row[0], row[1], row[2], json.loads(row[3]))

    def remember_mapping(self, server_id: int, mapping: Mapping[str, str]) -> None:
        """Store which folder of the server is which folder here."""
        with self.database.transaction():
            self._sql.execute("UPDATE plex_server SET mapping = ? WHERE id = ?", (json.dumps(dict(mapping)), server_id))

    def plan(self, changes: Iterable[PlexChange]) -> list[int]:
        """Write intentions down, in one transaction; their ids in the same order."""
        now = time.time()
        ids = []
        with self.database.transaction():
            for one in changes:
                cursor = self._sql.execute(
                    "INSERT INTO plex_change (run_id, server_id, section, level, rating_key, guid, file, title, field,"
                    " before, after, lock_before, lock_after, state, note, changed)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        one.run_id, one.server_id, one.section, one.level, one.rating_key, one.guid, one.file,
                        one.title, one.edit.field, json.dumps(one.edit.before), json.dumps(one.edit.after),
                        int(one.edit.lock_before), int(one.edit.lock_after), one.state, one.note, now,
                    ),
                )  # fmt: skip
                ids.append(int(cursor.lastrowid or 0))
        return ids

    def settle(self, settled: Sequence[tuple[int, str, str]]) -> None:
        """Set state and note of changes, given as (id, state, note), in one transaction."""
        now = time.time()
        with self.database.transaction() as sql:
            sql.executemany(
                "UPDATE plex_change SET state = ?, note = ?, changed = ? WHERE id = ?",
                [(state, note, now, change_id) for change_id, state, note in settled],
            )

    def open_changes(self, server_id: int) -> list[PlexChange]:
        """Edits of which it is not known whether they reached the server: a run was killed over them."""
        return self._changes("WHERE server_id = ? AND state = 'planned' ORDER BY id", (server_id,))

    def of_run(self, run_id: int) -> list[PlexChange]:
        """The edits of one run, in the order in which they were made."""
        return self._changes("WHERE run_id = ? ORDER BY id", (run_id,))

    def edits_of(self, server_id: int, rating_keys: Iterable[int]) -> dict[int, dict[str, FieldEdit]]:
        """By item and field: all our edits that stand, as one. Items never edited are left out.

        `after`, the locks: of the last edit. `before`: those tags of `after` that did not come from us in any run.
        """
        found: dict[int, dict[str, FieldEdit]] = {}
        for key in rating_keys:
            for change in self._changes(
                "WHERE server_id = ? AND rating_key = ? AND state = 'written' ORDER BY id", (server_id, key)
            ):
                edit, fields = change.edit, found.setdefault(key, {})
                earlier = fields.get(edit.field)
                ours = set(edit.after) - set(edit.before)
                if earlier is not None:
                    ours |= set(earlier.after) - set(earlier.before)
                fields[edit.field] = replace(edit, before=tuple(tag for tag in edit.after if tag not in ours))
        return found

    def locks_we_left(self, server_id: int, section: int) -> dict[int, list[FieldEdit]]:
        """By item of a library: our edits, as `edits_of` gives them, of the fields that they left locked."""
        keys = self._sql.execute(
            "SELECT DISTINCT rating_key FROM plex_change WHERE server_id = ? AND section = ? AND lock_after = 1"
            " AND state = 'written' ORDER BY rating_key",
            (server_id, section),
        ).fetchall()
        edits = self.edits_of(server_id, [row[0] for row in keys])
        locked = {key: [one for one in fields.values() if one.lock_after] for key, fields in edits.items()}
        return {key: fields for key, fields in locked.items() if fields}

    def standing(self) -> dict[int, tuple[int, int]]:
        """By run: how many items of servers are as it left them, and how many were taken back."""
        rows = self._sql.execute(
            "SELECT run_id, count(DISTINCT CASE WHEN state = 'written' THEN rating_key END),"
            " count(DISTINCT CASE WHEN state = 'undone' THEN rating_key END) FROM plex_change GROUP BY run_id"
        )
        return {run: (written, undone) for run, written, undone in rows}

    def last_standing_run(self) -> int | None:
        """The newest run of which something stands on a server; None where there is nothing to take back."""
        row = self._sql.execute("SELECT max(run_id) FROM plex_change WHERE state = 'written'").fetchone()
        return None if row[0] is None else int(row[0])

    def machine_of_run(self, run_id: int) -> tuple[str, str] | None:
        """machineIdentifier and name of the server on which a run made edits; None if it made none."""
        row = self._sql.execute(
            "SELECT s.machine, s.name FROM plex_change c JOIN plex_server s ON s.id = c.server_id"
            " WHERE c.run_id = ? LIMIT 1",
            (run_id,),
        ).fetchone()
        return None if row is None else (row[0], row[1])

    def _changes(self, where: str, parameters: tuple[Any, ...]) -> list[PlexChange]:
        rows = self._sql.execute(f"SELECT {_COLUMNS} FROM plex_change {where}", parameters)  # noqa: S608
        return [_change(row) for row in rows]


def _change(row: tuple[Any, ...]) -> PlexChange:
    *of_item, field, before, after, lock_before, lock_after = row[:13]
    edit = FieldEdit(field, tuple(json.loads(before)), tuple(json.loads(after)), bool(lock_before), bool(lock_after))
    return PlexChange(*(*of_item, edit, *row[13:]))


def local_tracks(database: Database) -> Iterator[Track]:
    """Every file that is not missing, without votes, by path."""
    last = b""
    while True:  # keyset paging, so that the caller may write between two rows
        rows = database.connection.execute(
            f"{TRACK} {FROM_TRACK} WHERE t.missing_since IS NULL AND t.path > ? ORDER BY t.path LIMIT 2000", (last,)
        ).fetchall()
        if not rows:
            return
        yield from map(track_of, rows)
        last = rows[-1][1]


def import_tracks(database: Database, server_id: int, section: int, tracks: Iterable[tuple[int, Track]]) -> int:
    """Take files that a library of a server holds into ours, in one transaction; how many were new to it.

    `tracks` are pairs of rating key and track, with the genres as the server has them.

    What is known of a file from the file itself stays; only where it is new do the server's tags go in, until a
    scan has read it.
    """
    new = 0
    sql = database.connection
    with database.transaction():
        for rating_key, track in tracks:
            path, tags, genres = os.fsencode(track.path), track.tags, json.dumps(list(track.tags.genres or ()))
            new += sql.execute(
                "INSERT INTO track (path, size, mtime_ns, duration, title, artist, album_artist, album, genres, seen)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO NOTHING",
                (
                    path, track.size, track.mtime_ns, track.duration, tags.title, tags.artist, tags.album_artist,
                    tags.album, genres if tags.genres else None, time.time(),
                ),
            ).rowcount  # fmt: skip
            sql.execute(
                "INSERT INTO plex_track (server_id, track_id, section, rating_key, genres)"
                " SELECT ?, id, ?, ?, ? FROM track WHERE path = ?"
                " ON CONFLICT (server_id, track_id) DO UPDATE SET section = excluded.section,"
                " rating_key = excluded.rating_key, genres = excluded.genres",
                (server_id, section, rating_key, genres, path),
            )
    return new


def forget_vanished(database: Database, server_id: int, section: int, keys: Iterable[int]) -> int:
    """Forget what the server held in this library but no longer does; `keys` are all it holds. How many went."""
    known = database.connection.execute(
        "SELECT rating_key FROM plex_track WHERE server_id = ? AND section = ?", (server_id, section)
    ).fetchall()
    gone = {row[0] for row in known} - set(keys)
    with database.transaction() as sql:
        sql.executemany(
            "DELETE FROM plex_track WHERE server_id = ? AND section = ? AND rating_key = ?",
            [(server_id, section, key) for key in gone],
        )
    return len(gone)
