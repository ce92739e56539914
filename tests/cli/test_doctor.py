"""`doctor` looks and changes nothing."""

import sqlite3
from pathlib import Path

from music_reclass.features.database import NEWEST_SCHEMA, Database
from music_reclass.features.migrations import STEPS
from tests.library import Shell


def test_an_older_library_is_counted_and_left_as_it_is(shell: Shell) -> None:
    Database(shell.db, steps=STEPS[:1]).close()
    shell("doctor", "--json")
    (found,) = [check for check in shell.objects() if check["check"] == "database"]
    assert found["ok"]
    assert f"schema 1 of an earlier release, which the next scan brings to {NEWEST_SCHEMA}" in found["detail"]
    assert sqlite3.connect(shell.db).execute("PRAGMA user_version").fetchone() == (1,)
    assert not list(Path(shell.db).parent.glob("*.backup"))


def test_a_library_of_today_is_closed_when_all_is_said(shell: Shell) -> None:
    Database(shell.db).close()
    shell("doctor")
    assert "0 tracks" in shell.out
    assert "earlier release" not in shell.out
    assert sorted(path.name for path in shell.db.parent.glob("library*")) == ["library.sqlite3"]
