"""Which tracks count as labelled: somebody's genre, stored features, and not our own writing."""

from pathlib import Path

import numpy as np
import pytest

from music_reclass.domain import FeatureKind, TrackTags
from music_reclass.features.database import Database
from music_reclass.features.library import LabelledTracks, Library, Reading

KIND = FeatureKind("k", "1", 3, "mid30")
GENRES: tuple[tuple[str, ...] | None, ...] = (("Rock",), ("Jazz", "Blues"), (), None)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(tmp_path / "l.sqlite3")
    readings = [
        Reading(f"/m/{n}", 1, 1, bytes([n]), 9.0, TrackTags(own, artist=f"a{n}"), (), np.full(3, n, dtype=np.float32))
        for n, own in enumerate(GENRES)
    ]
    Library(database).save(readings, KIND)
    return database


def wrote(database: Database, path: str, after: str, state: str = "written") -> None:
    database.connection.execute(
        "INSERT INTO run (id, command, arguments, version, started) VALUES (1, 'scan', '{}', '0', 0)"
        " ON CONFLICT DO NOTHING"
    )
    database.connection.execute(
        "INSERT INTO change (run_id, path, format, after, raw_before, state, payload, sha_before, mtime_before,"
        " planned, changed) VALUES (1, ?, 'mp3', ?, '[]', ?, x'', x'', 0, 0, 0)",
        (path.encode(), after, state),
    )


def test_tracks_with_a_genre_and_a_vector_come_with_both(database: Database) -> None:
    found = list(LabelledTracks(database).with_vector(KIND))

    assert [(track.path, track.genres, track.tags.artist) for track in found] == [
        ("/m/0", ("Rock",), "a0"), ("/m/1", ("Jazz", "Blues"), "a1"),
    ]  # fmt: skip
    assert found[1].vector.tolist() == [1, 1, 1]
    assert not list(LabelledTracks(database).with_vector(FeatureKind("k", "1", 3, "full")))


def test_what_we_wrote_and_still_stands_is_not_counted(database: Database) -> None:
    wrote(database, "/m/0", '["Rock"]')
    wrote(database, "/m/1", '["Pop"]')  # somebody has put Jazz and Blues in its place
    tracks = LabelledTracks(database)

    assert [track.path for track in tracks.with_vector(KIND)] == ["/m/1"]
    assert tracks.written_by_us() == 1


def test_what_was_undone_is_somebodys_word_again(database: Database) -> None:
    wrote(database, "/m/0", '["Rock"]', state="undone")

    assert len(list(LabelledTracks(database).with_vector(KIND))) == 2


def test_a_sample_of_all_vectors_is_no_larger_than_asked(database: Database) -> None:
    tracks = LabelledTracks(database)

    assert len(tracks.vectors_of_all(KIND, 100)) == 4
    assert 1 <= len(tracks.vectors_of_all(KIND, 2)) <= 2
