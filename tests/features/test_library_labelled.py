"""Which genre tags count as the user's: those that we did not write, whatever the file is called now."""

import json
from pathlib import Path

import numpy as np
import pytest

from music_reclass.domain import FeatureKind, Track, TrackTags
from music_reclass.features.database import Database
from music_reclass.features.library import WRITTEN_BY_US, Library

KIND = FeatureKind("k", "1", 3, "mid30")
GENRES: tuple[tuple[str, ...] | None, ...] = (("Rock",), ("Jazz", "Blues"), (), None)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(tmp_path / "l.sqlite3")
    readings = [
        Track(f"/m/{n}", 1, 1, bytes([n]), 9.0, TrackTags(genres, artist=f"a{n}"), (), np.full(3, n, dtype=np.float32))
        for n, genres in enumerate(GENRES)
    ]
    Library(database).save(readings, KIND)
    return database


def wrote(database: Database, payload: bytes, after: str, state: str = "written", undoes: int | None = None) -> None:
    """A row of the journal: `after` was written into a file with this audio, which has another name by now."""
    database.connection.execute(
        "INSERT INTO run (id, command, arguments, version, started) VALUES (1, 'scan', '{}', '0', 0)"
        " ON CONFLICT DO NOTHING"
    )
    database.connection.execute(
        "INSERT INTO change (run_id, path, format, after, raw_before, state, undoes, payload, sha_before, mtime_before,"
        " planned, changed) VALUES (1, CAST('/old name' AS BLOB), 'mp3', ?, '[]', ?, ?, ?, x'', 0, 0, 0)",
        (after, state, undoes, payload),
    )


def test_tracks_with_a_genre_and_a_vector_come_with_both(database: Database) -> None:
    found = list(Library(database).tagged_by_user(KIND))

    assert [(track.path, track.tags.genres, track.tags.artist) for track in found] == [
        ("/m/0", ("Rock",), "a0"), ("/m/1", ("Jazz", "Blues"), "a1"),
    ]  # fmt: skip
    assert found[1].vector.tolist() == [1, 1, 1]
    assert not list(Library(database).tagged_by_user(FeatureKind("k", "1", 3, "full")))


def test_what_we_wrote_and_still_stands_is_not_counted(database: Database) -> None:
    wrote(database, b"\0", '["Rock"]')
    wrote(database, b"\1", '["Pop"]')  # somebody has put Jazz and Blues in its place
    tracks = Library(database)

    assert [track.path for track in tracks.tagged_by_user(KIND)] == ["/m/1"]
    assert tracks.written_by_us() == 1


def test_what_was_undone_is_somebodys_word_again(database: Database) -> None:
    wrote(database, b"\0", '["Rock"]', state="undone")
    wrote(database, b"\0", '["Rock"]', undoes=1)  # the undo, which brought somebody's Rock back

    assert len(list(Library(database).tagged_by_user(KIND))) == 2


def moved(database: Database, number: int, genres: tuple[str, ...]) -> None:
    """The next scan finds the audio of a track under another name, with `genres` in the file."""
    track = Track(f"/elsewhere/{number}", 1, 1, bytes([number]), None, TrackTags(genres))
    Library(database).save([track], KIND)


def test_a_file_that_was_renamed_after_tagging_still_holds_our_genre(database: Database) -> None:
    wrote(database, b"\0", '["Rock"]')
    moved(database, 0, ("Rock",))

    assert [track.path for track in Library(database).tagged_by_user(KIND)] == ["/m/1"]
    assert Library(database).written_by_us() == 1


def test_a_file_that_was_moved_and_tagged_anew_holds_the_users_genre(database: Database) -> None:
    wrote(database, b"\0", '["Rock"]')
    moved(database, 0, ("Rock", "Punk"))

    assert [track.path for track in Library(database).tagged_by_user(KIND)] == ["/elsewhere/0", "/m/1"]
    assert Library(database).written_by_us() == 0


def test_of_two_copies_of_one_sound_the_one_with_other_genres_is_the_users(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.path.lexists", lambda path: True)  # copies, not one file that has moved
    wrote(database, b"\1", '["Rock"]')
    moved(database, 1, ("Rock",))  # a copy of what we tagged: our genre, although this very file was never written

    assert [track.path for track in Library(database).tagged_by_user(KIND)] == ["/m/0", "/m/1"]
    assert Library(database).written_by_us() == 1


@pytest.mark.parametrize("genres", [("Hörspiel", "Ægir; ✓"), ('R"n\\B', "a\tb")])
def test_genres_in_any_characters_are_recognised(database: Database, genres: tuple[str, ...]) -> None:
    wrote(database, b"\0", json.dumps(genres, ensure_ascii=False))  # as the journal writes them
    moved(database, 0, genres)

    assert Library(database).written_by_us() == 1


def test_a_damaged_row_of_the_journal_is_nobodys_writing(database: Database) -> None:
    wrote(database, b"\0", '["Rock"')

    assert Library(database).written_by_us() == 0
    assert len(list(Library(database).tagged_by_user(KIND))) == 2


def test_whether_we_wrote_a_genre_is_looked_up_in_an_index(database: Database) -> None:
    def plan(query: str) -> str:
        return str(database.connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchall())

    assert "change_genres (payload=? AND <expr>=?)" in plan(f"SELECT t.id FROM track t WHERE {WRITTEN_BY_US}")  # noqa: S608
    assert "change_path" in plan("SELECT 1 FROM change WHERE path = x'' AND state = 'written' AND undoes IS NULL")


def test_a_sample_of_all_vectors_is_no_larger_than_asked(database: Database) -> None:
    tracks = Library(database)

    assert len(tracks.sampled_vectors(KIND, 100)) == 4
    assert 1 <= len(tracks.sampled_vectors(KIND, 2)) <= 2
