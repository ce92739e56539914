"""What touches one album reads one album: no statement of such a command goes over a whole table of the library."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from music_reclass.features import database
from tests.library import Shell

TABLES = ("track", "vector", "vote", "decision", "failure", "change", "plex_change", "user_decision")
# Asked once a command, not once a file: counts for the daily backup and for the last line of a scan.
ONCE = ("SELECT count(*) FROM track", "SELECT 1 FROM user_decision", "SELECT count(*), ")


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Every statement that is carried out, with the tables that it goes over from end to end."""
    seen: dict[str, list[str]] = {}
    execute = database._Cursor.execute

    def planned(cursor: sqlite3.Cursor, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if sql.lstrip().upper().startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
            seen[" ".join(sql.split())] = scans(cursor.connection, sql, parameters)
        return execute(cursor, sql, parameters)  # type: ignore[no-any-return]

    monkeypatch.setattr(database._Cursor, "execute", planned)
    return seen


def scans(connection: sqlite3.Connection, statement: str, parameters: Any = ()) -> list[str]:
    """The tables of the library that the statement goes over from end to end, with or without an index."""
    rows = sqlite3.Cursor(connection).execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
    named = [str(row[3]).split()[1] for row in rows if str(row[3]).startswith("SCAN ")]
    aliases = {"t": "track", "other": "track", "d": "decision", "f": "failure", "c": "change", "v": "vector"}
    return [table for name in named if (table := aliases.get(name, name)) in TABLES]


COMMANDS = (
    ("scan", "--dry-run", "--json", "--stages", "1"),
    ("scan", "--yes", "--stages", "1"),
    ("apply", "--dry-run", "--json"),
    ("undo", "--dry-run", "--json"),
    ("undo", "--yes"),
    ("status",),
    ("export", "--format", "jsonl"),
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_on_one_album_goes_over_no_table(
    words: tuple[str, ...], scanned: Path, shell: Shell, statements: dict[str, list[str]]
) -> None:
    album = scanned / "Grid Nine"
    assert shell("scan", scanned, "--yes", "--on-existing", "replace", "--stages", "1") == 0
    statements.clear()
    shell(words[0], album, *words[1:])
    assert statements, "the statements are seen"
    assert {one: found for one, found in statements.items() if found and not one.startswith(ONCE)} == {}


def test_a_statement_that_goes_over_a_table_is_seen(scanned: Path, shell: Shell) -> None:
    connection = database.Database(shell.db).connection
    assert scans(connection, "SELECT path FROM track WHERE title = ?", ("x",)) == ["track"]
    assert scans(connection, "SELECT path FROM track t WHERE t.id = 3") == []
