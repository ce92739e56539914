"""The database file: opened right, migrated safely, refused in one sentence."""

import os
import shutil
import sqlite3
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_reclass.errors import DatabaseError
from music_reclass.features import database as module
from music_reclass.features.database import PAGE_SIZE, Database, explained, ranges_below, split_statements
from music_reclass.features.migrations import STEPS


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


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A database of some hundred pages."""
    path = tmp_path / "library.sqlite3"
    database = Database(path)
    with database.transaction() as sql:
        sql.executemany("INSERT INTO exit_audit (at, result) VALUES (?, ?)", ((n, "x" * 4000) for n in range(1000)))
    database.close()
    return path


def test_a_full_disk_is_explained_for_one_row_and_for_many(filled: Path) -> None:
    database = Database(filled)
    pages = database.connection.execute("PRAGMA page_count").fetchone()[0]
    database.connection.execute(f"PRAGMA max_page_count = {pages + 1}")
    row, insert = (0.0, "x" * 40_000), "INSERT INTO exit_audit (at, result) VALUES (?, ?)"
    with pytest.raises(DatabaseError, match="is full; free space"), database.transaction() as sql:
        sql.execute(insert, row)
    with pytest.raises(DatabaseError, match="is full; free space"), database.transaction() as sql:
        sql.executemany(insert, [row] * 9)
    assert not database.connection.in_transaction
    assert database.connection.execute("SELECT count(*) FROM exit_audit").fetchone() == (1000,)


@pytest.mark.parametrize("fetch", [list, lambda cursor: cursor.fetchall(), lambda cursor: cursor.fetchmany(1000)])
def test_a_damaged_page_met_while_rows_are_fetched_is_explained(
    filled: Path, fetch: Callable[[sqlite3.Cursor], object]
) -> None:
    content = bytearray(filled.read_bytes())
    middle = len(content) // 2
    content[middle:] = b"\xa5" * (len(content) - middle)
    filled.write_bytes(content)
    cursor = Database(filled).connection.execute("SELECT result FROM exit_audit")
    assert cursor.fetchone() is not None
    with pytest.raises(DatabaseError, match=r"is damaged .*; put a backup in its place"):
        fetch(cursor)


def test_a_backup_that_cannot_be_made_is_explained_and_the_schema_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "library.sqlite3"
    Database(path, steps=STEPS[:1]).close()
    monkeypatch.setattr(module.time, "time", lambda: 7.0)
    (tmp_path / "library.sqlite3.schema-1.7.backup").mkdir()
    with pytest.raises(DatabaseError, match="no backup of it could be made"):
        Database(path)
    with sqlite3.connect(path) as sql:
        assert sql.execute("PRAGMA user_version").fetchone() == (1,)
    sql.close()


def test_a_backup_that_breaks_off_leaves_no_half_of_it(filled: Path) -> None:
    content = bytearray(filled.read_bytes())
    content[-len(content) // 2 :] = b""
    filled.write_bytes(content)
    with pytest.raises(DatabaseError, match=r"no backup of it could be made.*|is damaged"):
        Database(filled, steps=(*STEPS, "CREATE TABLE later (x INTEGER) STRICT;"))
    assert not list(filled.parent.glob("*.backup"))


def test_a_database_that_must_not_be_written_is_explained(tmp_path: Path) -> None:
    database = Database(tmp_path / "library.sqlite3")
    database.connection.execute("PRAGMA query_only = ON")
    with pytest.raises(DatabaseError, match="cannot be written"), database.transaction() as sql:
        sql.execute("DELETE FROM track")


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("database table is locked", "wait for it"),
        ("disk I/O error", "see whether its disk is there"),
        ("unable to open database file", "name another with --db"),
        ("Could not decode to UTF-8 column 'title'", "put a backup in its place"),
        ("something new", "report this"),
    ],
)
def test_every_error_comes_with_a_cure(text: str, cure: str) -> None:
    assert cure in str(explained(sqlite3.OperationalError(text), Path("l.sqlite3")))


def test_a_mistake_of_ours_is_no_error_of_the_users(tmp_path: Path) -> None:
    sql = Database(tmp_path / "library.sqlite3").connection
    with pytest.raises(sqlite3.IntegrityError):
        sql.execute("INSERT INTO failure VALUES (1, 'neither', '', '', 0)")


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseError, match="Cannot make the folder"):
        Database(tmp_path / "file" / "library.sqlite3")


def test_statements_are_split_at_their_ends_only() -> None:
    script = "CREATE TABLE a (x TEXT DEFAULT ';');\n-- a word;\nCREATE TABLE b (y);\n"
    assert len(split_statements(script)) == 2


def test_an_older_schema_may_be_looked_at_without_being_changed(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite3"
    Database(path, steps=STEPS[:1]).close()
    database = Database(path, migrate=False)
    assert database.schema == 1
    database.close()
    assert not list(tmp_path.glob("*.backup"))
    assert Database(path).schema == len(STEPS)


def test_two_processes_that_migrate_at_once_take_each_step_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "library.sqlite3"
    Database(path, steps=STEPS[:1]).close()
    transaction, others = Database.transaction, [True]

    def after_another(self: Database) -> object:
        if others:
            others.clear()
            Database(path).close()  # somebody else was faster
        return transaction(self)

    monkeypatch.setattr(Database, "transaction", after_another)
    assert Database(path).schema == len(STEPS)


def test_what_was_committed_is_there_for_the_next_connection(tmp_path: Path) -> None:
    path = tmp_path / "library.sqlite3"
    writer, reader = Database(path, durable=True), Database(path)
    with writer.transaction() as sql:
        sql.execute("INSERT INTO exit_audit (at, result) VALUES (1, '{}')")
        assert reader.connection.execute("SELECT count(*) FROM exit_audit").fetchone() == (0,)  # and it did not wait
    assert reader.connection.execute("SELECT count(*) FROM exit_audit").fetchone() == (1,)


def test_a_connection_does_not_grow_with_the_number_of_statements(tmp_path: Path) -> None:
    database = Database(tmp_path / "library.sqlite3")
    statement = "INSERT OR REPLACE INTO temp.numbers VALUES (?)"
    database.connection.execute("CREATE TABLE temp.numbers (number INTEGER PRIMARY KEY)")
    tracemalloc.start()
    try:
        for number in range(1000):
            database.connection.execute(statement, (number % 10,))
        before = tracemalloc.get_traced_memory()[0]
        for number in range(20_000):
            database.connection.execute(statement, (number % 10,))
        database.connection.executemany(statement, ((number % 10,) for number in range(1000)))
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
        database.close()
    assert grown < 200_000


def test_the_write_ahead_log_does_not_grow_with_what_is_written_and_is_folded_in_at_the_start(tmp_path: Path) -> None:
    path, log = tmp_path / "library.sqlite3", tmp_path / "library.sqlite3-wal"
    database = Database(path)
    largest = 0
    for number in range(300):
        with database.transaction() as sql:
            sql.execute(
                "INSERT INTO track (path, size, mtime_ns, seen, title) VALUES (?, 1, 1, 0, ?)",
                (str(number).encode(), "x" * 200_000),
            )
        largest = max(largest, log.stat().st_size)
    assert largest < 3 * module.LOG_SIZE  # of 60 MB
    copy = tmp_path / "killed.sqlite3"  # as a killed process leaves it
    copy.write_bytes(path.read_bytes())
    (tmp_path / "killed.sqlite3-wal").write_bytes(log.read_bytes())
    after = Database(copy)
    after.fold_log()
    assert (tmp_path / "killed.sqlite3-wal").stat().st_size == 0
    assert after.connection.execute("SELECT count(*) FROM track").fetchone() == (300,)


def test_a_disk_without_room_is_called_full_where_sqlite_says_no_more_than_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    assert "sound" in str(explained(error, tmp_path / "l.sqlite3"))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=4096))
    assert "is full" in str(explained(error, tmp_path / "l.sqlite3"))


NAMES = st.lists(st.sampled_from(["a", "b", "a b", "a!", "\udcff", "0", "é"]), max_size=3)


@given(st.lists(NAMES, max_size=6), st.lists(NAMES, max_size=4))
def test_a_path_is_in_a_range_once_if_it_is_at_or_below_a_folder_and_ranges_are_in_order(
    paths: list[list[str]], folders: list[list[str]]
) -> None:
    chosen = ["/" + "/".join(folder) for folder in folders]
    ranges = ranges_below(chosen)
    assert ranges == sorted(ranges)
    for path in ("/" + "/".join(parts) for parts in paths if parts):
        met = sum(start <= os.fsencode(path) < end for start, end in ranges)
        below = any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in chosen)
        assert met == (below or not chosen), path
