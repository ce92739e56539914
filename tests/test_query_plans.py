"""What touches one album reads one album: no statement of such a command goes over a whole table of the library."""

from __future__ import annotations

import io
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from music_reclass.features import database, maintenance
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


WHOLE = (
    ("db", "info"), ("db", "check"), ("db", "backup"), ("db", "vacuum"),
    ("db", "relocate", "{music}", "{music}/x", "-n"), ("db", "relocate", "{music}", "{music}/x", "--yes", "--unseen"),
    ("status", "--unsure"), ("report",), ("decide", "--next", "5"),
    ("edit", "{music}", "--dry-run"), ("audit-exits", "--dry-run"),
)  # fmt: skip


@pytest.mark.parametrize("words", WHOLE, ids=" ".join)
def test_a_command_on_the_whole_library_goes_over_a_table_once_and_not_once_a_track(
    words: tuple[str, ...], scanned: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shell("scan", scanned, "--yes", "--on-existing", "replace", "--stages", "1") == 0
    execute, passes = database._Cursor.execute, Counter[str]()

    def counted(cursor: sqlite3.Cursor, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if sql.lstrip().upper().startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
            passes.update([" ".join(sql.split())] * bool(scans(cursor.connection, sql, parameters)))
        return execute(cursor, sql, parameters)  # type: ignore[no-any-return]

    monkeypatch.setattr(database._Cursor, "execute", counted)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert shell(*(word.format(music=scanned) for word in words)) in (0, 3), shell.err
    assert {one: count for one, count in passes.items() if count > 2} == {}  # eleven tracks are there


def test_a_relocation_looks_up_tracks_and_new_places_by_index(scanned: Path, shell: Shell) -> None:
    library = database.Database(shell.db)
    maintenance.plan_relocation(library, str(scanned), "/elsewhere")
    known = (
        "SELECT m.path FROM relocated_track m JOIN track t ON t.path = m.path"
        " WHERE NOT EXISTS (SELECT 1 FROM relocated_track s WHERE s.id = t.id) ORDER BY m.path"
    )
    assert scans(library.connection, known) == []
    assert scans(library.connection, "SELECT id FROM track WHERE path >= ? AND path < ?", (b"/a", b"/b")) == []
    library.close()
