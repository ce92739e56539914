"""The library as Plex sync needs it: what is decided for each file, and what a server holds of it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from music_reclass.domain import Decision, Outcome
from music_reclass.features.database import Database


@dataclass(frozen=True, slots=True)
class LocalTrack:
    """One file: who and where, and the decision on it without the votes; None where there is none."""

    path: str
    title: str
    artist: str
    album: str
    seconds: float | None
    decision: Decision | None


@dataclass(frozen=True, slots=True)
class ServerTrack:
    """A file that a server holds; `genres` as the server has them."""

    path: str
    size: int
    mtime_ns: int
    title: str
    artist: str
    album_artist: str
    album: str
    seconds: float | None
    section: int
    rating_key: int
    genres: tuple[str, ...]


def local_tracks(database: Database) -> Iterator[LocalTrack]:
    """Every file that is not missing, by path."""
    lists: dict[str, tuple[str, ...]] = {}  # few distinct lists, many tracks
    last = b""
    while True:  # keyset paging, so that the caller may write between two rows
        rows = database.connection.execute(
            "SELECT t.path, t.title, t.artist, t.album, t.duration, d.outcome, d.reason, d.genres, d.confidence,"
            " d.stage FROM track t LEFT JOIN decision d ON d.track_id = t.id"
            " WHERE t.missing_since IS NULL AND t.path > ? ORDER BY t.path LIMIT 2000",
            (last,),
        ).fetchall()
        if not rows:
            return
        for path, title, artist, album, duration, outcome, reason, genres, confidence, stage in rows:
            decision = None
            if outcome is not None:
                if genres not in lists:
                    lists[genres] = tuple(json.loads(genres))
                decision = Decision(Outcome(outcome), reason, lists[genres], confidence, stage)
            yield LocalTrack(os.fsdecode(path), title, artist, album, duration, decision)
        last = rows[-1][0]


def import_tracks(database: Database, server_id: int, tracks: Sequence[ServerTrack]) -> int:
    """Take files that a server holds into the library, in one transaction; how many were new to it.

    What is known of a file from the file itself stays; only where it is new do the server's words go in, until a
    scan has read it.
    """
    new = 0
    sql = database.connection
    with database.transaction():
        for one in tracks:
            path, genres = os.fsencode(one.path), json.dumps(list(one.genres))
            new += sql.execute(
                "INSERT INTO track (path, size, mtime_ns, duration, title, artist, album_artist, album, genres, seen)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO NOTHING",
                (
                    path, one.size, one.mtime_ns, one.seconds, one.title, one.artist, one.album_artist, one.album,
                    genres if one.genres else None, time.time(),
                ),
            ).rowcount  # fmt: skip
            sql.execute(
                "INSERT INTO plex_track (server_id, track_id, section, rating_key, genres)"
                " SELECT ?, id, ?, ?, ? FROM track WHERE path = ?"
                " ON CONFLICT (server_id, track_id) DO UPDATE SET section = excluded.section,"
                " rating_key = excluded.rating_key, genres = excluded.genres",
                (server_id, one.section, one.rating_key, genres, path),
            )
    return new


def forget_vanished(database: Database, server_id: int, section: int, keys: Sequence[int]) -> int:
    """Forget what the server held in this library but no longer does; `keys` are all it holds. How many went."""
    known = database.connection.execute(
        "SELECT rating_key FROM plex_track WHERE server_id = ? AND section = ?", (server_id, section)
    ).fetchall()
    gone = {row[0] for row in known} - set(keys)
    with database.transaction():
        for key in gone:
            database.connection.execute(
                "DELETE FROM plex_track WHERE server_id = ? AND section = ? AND rating_key = ?",
                (server_id, section, key),
            )
    return len(gone)


def imported_paths(database: Database, server_id: int, section: int) -> list[str]:
    """The files that the library of the server holds, as last imported, by path."""
    rows = database.connection.execute(
        "SELECT t.path FROM plex_track p JOIN track t ON t.id = p.track_id"
        " WHERE p.server_id = ? AND p.section = ? ORDER BY t.path",
        (server_id, section),
    )
    return [os.fsdecode(row[0]) for row in rows]
