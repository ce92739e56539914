"""Backups are whole, sound and few, and made when they are due."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from music_reclass.errors import DatabaseError, NothingToDo
from music_reclass.features import backups
from music_reclass.features.database import Database, newest_backups
from music_reclass.utils.files import lock
from tests.library import Shell


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "library.sqlite3"


@pytest.fixture
def database(path: Path) -> Database:
    found = Database(path)
    add(found, "/a")
    return found


def add(database: Database, path: str) -> None:
    database.connection.execute(
        "INSERT INTO track (path, size, mtime_ns, seen) VALUES (?, 1, 1, 0)", (os.fsencode(path),)
    )


def tracks(path: Path) -> int:
    database = Database(path)
    try:
        return int(database.connection.execute("SELECT count(*) FROM track").fetchone()[0])
    finally:
        database.close()


def test_a_backup_holds_what_is_still_in_the_log(database: Database, path: Path, tmp_path: Path) -> None:
    made = backups.back_up(database, tmp_path / "copy")
    add(database, "/b")
    assert tracks(made) == 1
    assert sorted(os.listdir(tmp_path))[:2] == ["copy", "library.sqlite3"]
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]


def test_a_damaged_library_is_not_backed_up_and_the_good_backups_stay(database: Database, path: Path) -> None:
    for number in range(3000):
        add(database, f"/{number}")
    good = backups.back_up(database)
    database.fold_log()
    database.close()
    content = bytearray(path.read_bytes())
    content[3 * 16384 : 3 * 16384 + 4000] = bytes(4000)
    path.write_bytes(content)
    with pytest.raises(DatabaseError, match="is damaged"):
        backups.back_up(Database(path))
    assert newest_backups(path) == [good]


def test_without_room_no_backup_is_begun(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage._replace(free=1_000_000))
    with pytest.raises(DatabaseError, match=r"No backup: .* has 1 MB free"):
        backups.back_up(database)
    assert not list(tmp_path.glob("*backup*"))


def test_one_is_due_once_a_day_if_something_changed(database: Database, path: Path) -> None:
    assert backups.is_due(path)
    made = backups.back_up(database)
    assert not backups.is_due(path)
    day_ago = time.time() - backups.EVERY - 60
    os.utime(made, (day_ago, day_ago))
    assert backups.is_due(path)
    os.utime(path, (day_ago - 60, day_ago - 60))
    assert not backups.is_due(path)


def test_three_are_kept_and_those_before_a_new_schema_besides(path: Path) -> None:
    names = [f"{path.name}.2026010{day}-120000.backup" for day in range(1, 6)]
    for age, name in enumerate([*names, f"{path.name}.schema-1.1700000000.backup"]):
        path.with_name(name).write_bytes(b"x")
        os.utime(path.with_name(name), (age, age))
    backups.prune(path)
    assert sorted(one.name for one in newest_backups(path)) == [*names[2:], f"{path.name}.schema-1.1700000000.backup"]


def test_restore_takes_the_newest_that_is_sound_and_keeps_what_was_there(database: Database, path: Path) -> None:
    good = backups.back_up(database)
    database.close()
    worse = path.with_name(f"{path.name}.29990101-000000.backup")
    worse.write_bytes(b"no database")
    path.write_bytes(b"damaged")
    used, aside = backups.restore(path)
    assert used == good
    assert aside is not None
    assert aside.read_bytes() == b"damaged"
    assert tracks(path) == 1
    with pytest.raises(NothingToDo, match="no sound backup"):
        backups.restore(path, worse)


def test_a_writing_command_makes_one_a_day_and_says_where_there_is_no_room(
    shell: Shell, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("scan", music / "Ida Quill", "-n", "-j", "1")
    assert not newest_backups(shell.db)  # there was nothing to lose
    shell("apply", "-y")
    (made,) = newest_backups(shell.db)
    shell("undo", "-y")
    assert newest_backups(shell.db) == [made]
    made.unlink()

    def full(database: Any, target: Path | None = None) -> Path:
        raise DatabaseError("No backup: it is full.")

    monkeypatch.setattr(backups, "back_up", full)
    assert shell("apply", "-y") == 0
    assert "No backup: it is full." in shell.err


def test_what_a_killed_backup_left_is_removed_by_the_next_and_one_at_work_is_left_alone(
    database: Database, path: Path
) -> None:
    killed, at_work = (path.with_name(f".{path.name}.20260101-12000{n}.backup.{n}.part") for n in (1, 2))
    log = killed.with_name(killed.name + "-journal")
    for one in (killed, log, at_work):
        one.write_bytes(b"half")
    with at_work.open("rb") as held:
        lock(held.fileno())
        made = backups.back_up(database)
        assert not killed.exists()
        assert not log.exists()
        assert at_work.exists()
    assert tracks(made) == 1
    backups.back_up(database)
    assert not list(path.parent.glob("*.part*"))


def test_a_backup_is_one_state_and_ends_however_much_others_write_meanwhile(tmp_path: Path) -> None:
    database = Database(tmp_path / "library.sqlite3")
    insert = "INSERT INTO exit_audit (at, result) VALUES (?, ?)"
    with database.transaction() as sql:
        sql.executemany(insert, ((n, "x" * 60_000) for n in range(100)))
    steps: list[int] = []

    def between(status: int, remaining: int, total: int) -> None:
        steps.append(remaining)
        assert len(steps) < 200, "it begins anew for ever"
        with closing(sqlite3.connect(database.path)) as other, other:
            other.execute(insert, (0.0, "later"))

    with closing(sqlite3.connect(tmp_path / "copy.sqlite3")) as copy:
        with backups._standing_still(database.connection):
            database.connection.backup(copy, pages=10, progress=between)
        assert copy.execute("SELECT count(*) FROM exit_audit").fetchone() == (100,)
    assert len(steps) > 10
    assert steps == sorted(steps, reverse=True)
    assert not database.connection.in_transaction
    database.close()
