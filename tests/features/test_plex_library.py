"""The library as Plex sync reads it, and what it learns from a server."""

import json
import os
from pathlib import Path

import pytest

from music_reclass.domain import Outcome, Track, TrackTags
from music_reclass.features.database import Database
from music_reclass.features.plex import PlexJournal, forget_vanished, import_tracks, local_tracks


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "library.sqlite3")


def track(key: int, path: str = "/m/1.mp3", *genres: str) -> tuple[int, Track]:
    tags = TrackTags(genres, "Tune", "Ada", "Ada", "Blue")
    return key, Track(path, 9, 8, duration=180.0, tags=tags)


def held(database: Database) -> list[tuple[int, str]]:
    """The number of the library and the path of every file that the server holds."""
    rows = database.connection.execute(
        "SELECT p.section, t.path FROM plex_track p JOIN track t ON t.id = p.track_id ORDER BY t.path"
    )
    return [(section, os.fsdecode(path)) for section, path in rows]


def test_every_file_comes_with_its_decision_whatever_its_name(database: Database) -> None:
    names = [os.fsdecode(b"/m/%05d\xff.mp3" % n) for n in range(4500)]
    for name in names:
        database.connection.execute(
            "INSERT INTO track (path, size, mtime_ns, seen) VALUES (?, 1, 1, 0)", (os.fsencode(name),)
        )
    database.connection.execute(
        "INSERT INTO decision SELECT id, 'b', 'likely', 'sure', ?, 0.5, 's', 0 FROM track WHERE id % 2 = 0",
        (json.dumps(["Jazz"]),),
    )
    database.connection.execute("UPDATE track SET missing_since = 1 WHERE id > 4000")
    found = list(local_tracks(database))
    assert [one.path for one in found] == names[:4000]
    assert found[0].decision is None
    assert found[1].decision is not None
    assert (found[1].decision.outcome, found[1].decision.genres) == (Outcome.LIKELY, ("Jazz",))


def test_what_a_server_holds_is_taken_in_once(database: Database) -> None:
    server = PlexJournal(database).server("m", "n").id
    assert import_tracks(database, server, 5, [track(1, "/m/1.mp3", "Jazz"), track(2, "/m/2.mp3")]) == 2
    assert import_tracks(database, server, 5, [track(7, "/m/1.mp3", "Blues")]) == 0
    assert held(database) == [(5, "/m/1.mp3"), (5, "/m/2.mp3")]
    rows = database.connection.execute("SELECT genres FROM track ORDER BY path").fetchall()
    assert rows == [('["Jazz"]',), (None,)]


def test_what_a_server_no_longer_holds_is_forgotten_but_stays_in_the_library(database: Database) -> None:
    server = PlexJournal(database).server("m", "n").id
    import_tracks(database, server, 5, [track(1, "/m/1.mp3"), track(2, "/m/2.mp3")])
    assert forget_vanished(database, server, 5, [2, 3]) == 1
    assert held(database) == [(5, "/m/2.mp3")]
    assert len(list(local_tracks(database))) == 2
