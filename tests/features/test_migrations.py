"""Every schema that was ever released becomes the newest one; what goes wrong on the way changes nothing."""

import hashlib
import sqlite3
from pathlib import Path

import pytest

from music_reclass.errors import DatabaseError
from music_reclass.features.database import Database
from music_reclass.features.migrations import STEPS
from music_reclass.features.user_decisions import UserDecision, UserDecisions
from tests.features.test_library_labelled import wrote


def schema(database: Database) -> list[tuple[str, str]]:
    return database.connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()


def test_every_table_is_strict(tmp_path: Path) -> None:
    database = Database(tmp_path / "library.sqlite3")
    tables = database.connection.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'").fetchall()
    assert {name for name, strict in tables if not strict} <= {"sqlite_schema"}


def test_every_old_schema_migrates_to_the_newest(tmp_path: Path) -> None:
    steps = (*STEPS, "ALTER TABLE track ADD COLUMN mood TEXT;")
    fresh = Database(tmp_path / "fresh.db", steps=steps)
    for released in range(1, len(steps)):
        path = tmp_path / f"old{released}.db"
        Database(path, steps=steps[:released]).close()
        assert schema(Database(path, steps=steps)) == schema(fresh)
        assert len(list(tmp_path.glob(f"old{released}.db.schema-{released}.*.backup"))) == 1


def test_a_library_with_a_damaged_journal_row_migrates(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old = Database(path, steps=STEPS[:2])
    wrote(old, b"p", '["Rock"')
    old.close()
    assert Database(path).connection.execute("SELECT count(*) FROM change").fetchone() == (1,)


def test_vectors_of_recordings_long_enough_are_carried_over_to_the_version_with_a_window_more(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old = Database(path, steps=STEPS[:7])
    durations = {"clip": 29.98, "half a minute": 30.5, "minute": 61.0, "unknown": None}
    kinds = ("mert/1-l7-norm-ab/mid30", "mert-330m/1-l10-raw-ab/full", "mert/1-l7-norm-ab/mid30~lp16",
             "ast-tags/1-ab/full", "fma518/1/mid30", "maest-styles/1-ab/mid30")  # fmt: skip
    with old.transaction():
        for number, (name, duration) in enumerate(durations.items()):
            old.connection.execute(
                "INSERT INTO track (id, path, size, mtime_ns, duration, seen) VALUES (?, ?, 1, 1, ?, 0)",
                (number, name.encode(), duration),
            )
            for kind in kinds:
                old.connection.execute("INSERT INTO vector VALUES (?, ?, ?)", (number, kind, b"numbers"))
    old.close()
    query = (
        "SELECT CAST(path AS TEXT), kind FROM vector JOIN track ON id = track_id WHERE data = CAST('numbers' AS BLOB)"
    )
    found: dict[str, set[str]] = {name: set() for name in durations}
    for name, kind in Database(path).connection.execute(query):
        found[name].add(kind)
    same = {"fma518/1/mid30", "maest-styles/1-ab/mid30"}
    half = same | {"mert/2-l7-norm-ab/mid30", "mert/2-l7-norm-ab/mid30~lp16"}
    assert found == {
        "clip": same,
        "half a minute": half,
        "minute": half | {"mert-330m/2-l10-raw-ab/full", "ast-tags/2-ab/full"},
        "unknown": same,
    }


def test_decisions_of_the_user_from_before_they_were_signed_stay(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old = Database(path, steps=STEPS[:8])
    old.connection.execute("""INSERT INTO user_decision VALUES ('album', 'ida/slow', '["Jazz"]', 'edit', 5.0)""")
    old.close()
    (found,) = UserDecisions(Database(path)).all()
    assert found == UserDecision("album", "ida/slow", ("Jazz",), "edit", 5.0, author="", title="")


def test_a_failing_step_leaves_schema_and_number_untouched(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite3"
    before = schema(Database(path))
    with pytest.raises(DatabaseError):
        Database(path, steps=(*STEPS, "CREATE TABLE extra (x INTEGER);\nCREATE TABLE track (x INTEGER);"))
    after = Database(path)
    assert schema(after) == before
    assert after.connection.execute("PRAGMA user_version").fetchone() == (len(STEPS),)


def test_a_newer_database_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite3"
    Database(path, steps=(*STEPS, "CREATE TABLE later (x INTEGER) STRICT;")).close()
    with pytest.raises(DatabaseError, match="newer release of reclass"):
        Database(path)


def test_released_steps_are_never_edited() -> None:
    digests = [hashlib.sha256(step.encode()).hexdigest()[:16] for step in STEPS]
    assert digests == [
        "64ad6eedad7ec83e",
        "86df68b3496c6ef3",
        "ea34cbbb3e92f76e",
        "5ae0996fac462e60",
        "c9b872a278197040",
        "5d1b6bda86854342",
        "11b68be6e4fb3975",
        "35b865dc035ba04f",
        "424be83ce040a9d6",
        "da34eb93f07ea145",
    ]


def test_a_new_library_is_made_at_once_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite3"
    with pytest.raises(DatabaseError):
        Database(path, steps=(*STEPS, "CREATE TABLE track (x INTEGER);"))
    with sqlite3.connect(path) as found:
        assert found.execute("PRAGMA user_version").fetchone() == (0,)
        assert found.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    Database(path).close()
    assert not list(tmp_path.glob("*.backup"))
