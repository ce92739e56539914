"""The database file: opened right, migrated safely, refused in one sentence."""

import sqlite3
from pathlib import Path

import pytest

from music_reclass.errors import DatabaseError
from music_reclass.features import database as module
from music_reclass.features.database import PAGE_SIZE, Database, split_statements
from music_reclass.features.migrations import STEPS


def schema(database: Database) -> list[tuple[str, str]]:
    return database.connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()


def test_a_new_file_has_big_pages_and_wal(tmp_path: Path) -> None:
    database = Database(tmp_path / "deep" / "library.sqlite3")
    assert database.connection.execute("PRAGMA page_size").fetchone() == (PAGE_SIZE,)
    assert database.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database.connection.execute("PRAGMA synchronous").fetchone() == (1,)
    assert Database(tmp_path / "x.db", durable=True).connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_network_share_gets_no_wal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_network_mount", lambda path: True)
    database = Database(tmp_path / "library.sqlite3")
    assert database.connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert database.connection.execute("PRAGMA synchronous").fetchone() == (2,)


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


def test_a_transaction_rolls_back_on_any_exception(tmp_path: Path) -> None:
    database = Database(tmp_path / "library.sqlite3")
    for problem in (KeyboardInterrupt, ValueError):
        with pytest.raises(problem), database.transaction() as sql:  # noqa: PT012
            sql.execute("INSERT INTO run (command, arguments, version, started) VALUES ('scan', '{}', '1', 0)")
            raise problem
    assert database.connection.execute("SELECT count(*) FROM run").fetchone() == (0,)


def test_a_locked_database_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.05)
    path = tmp_path / "library.sqlite3"
    Database(path).close()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    database = Database(path)
    with pytest.raises(DatabaseError, match="locked by another program"), database.transaction():
        pass
    holder.close()


def test_a_file_that_is_no_database_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite3"
    path.write_bytes(b"this is a shopping list, not a database" * 100)
    with pytest.raises(DatabaseError, match="not a reclass database"):
        Database(path)


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseError, match="cannot make the folder"):
        Database(tmp_path / "file" / "library.sqlite3")


def test_statements_are_split_at_their_ends_only() -> None:
    script = "CREATE TABLE a (x TEXT DEFAULT ';');\n-- a word;\nCREATE TABLE b (y);\n"
    assert len(split_statements(script)) == 2
