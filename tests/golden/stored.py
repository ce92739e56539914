"""A library as a release left it: `library.sql.gz`, the text of its database after `reclass scan --yes`.

The folder that holds the music is written as @MUSIC@ in it, in texts and (as hexadecimal digits) in paths.
"""

from __future__ import annotations

import gzip
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.golden.comparing import FOLDER

DUMP = FOLDER / "library.sql.gz"
MUSIC = "@MUSIC@"


def dumped(database: Path, music: Path) -> str:
    """The database as SQL, with its page size and versions."""
    with sqlite3.connect(database) as sql:
        head = f"PRAGMA page_size = {_pragma(sql, 'page_size')};"
        last = [f"PRAGMA {name} = {_pragma(sql, name)};" for name in ("user_version", "application_id")]
        text = "\n".join([head, *sql.iterdump(), *last]) + "\n"
    sql.close()
    return text.replace(str(music), MUSIC).replace(_hex(str(music)), _hex(MUSIC))


def write_dump(database: Path, music: Path) -> None:
    """Make the golden library anew."""
    DUMP.write_bytes(gzip.compress(dumped(database, music).encode(), mtime=0))


def load_dump(database: Path, music: Path) -> None:
    """A database out of the dump, whose tracks lie below `music`."""
    text = gzip.decompress(DUMP.read_bytes()).decode()
    sql = sqlite3.connect(database)
    sql.executescript(text.replace(MUSIC, str(music)).replace(_hex(MUSIC), _hex(str(music))))
    sql.close()


def forget_writing(database: Path, music: Path) -> None:
    """Make the database what it was before anything was written: no journal, tracks as the files are now."""
    sql = sqlite3.connect(database)
    for path, before in sql.execute("SELECT path, before FROM change").fetchall():
        sql.execute("UPDATE track SET genres = ? WHERE path = ?", (before, path))
    sql.executescript("DELETE FROM change; DELETE FROM run;")
    for (path,) in sql.execute("SELECT path FROM track").fetchall():
        status = os.stat(path)
        sql.execute(
            "UPDATE track SET size = ?, mtime_ns = ? WHERE path = ?", (status.st_size, status.st_mtime_ns, path)
        )
    sql.commit()
    sql.close()


def set_times(database: Path) -> None:
    """Give every file the modification time that the database knows."""
    for path, size, mtime_ns in rows(database, "SELECT path, size, mtime_ns FROM track"):
        assert os.stat(path).st_size == size, path
        os.utime(path, ns=(mtime_ns, mtime_ns))


def rows(database: Path, question: str, values: Iterable[Any] = ()) -> list[Any]:
    """What an SQL question gives."""
    sql = sqlite3.connect(database)
    found = sql.execute(question, tuple(values)).fetchall()
    sql.close()
    return found


def columns(database: Path) -> dict[str, str]:
    """The names of the columns of every table, as a question takes them."""
    sql = sqlite3.connect(database)
    tables = [name for (name,) in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {name: [row[1] for row in sql.execute(f"PRAGMA table_info({name})")] for name in tables}
    sql.close()
    return {name: ", ".join(f'"{column}"' for column in own) for name, own in found.items()}


def schema(database: Path) -> dict[str, Any]:
    """The statements that made tables and indices, and the numbers in the head of the file."""
    statements = rows(database, "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid")
    sql = sqlite3.connect(database)
    head = {name: _pragma(sql, name) for name in ("user_version", "application_id", "page_size", "encoding")}
    sql.close()
    return {**head, "statements": dict(statements)}


def _pragma(sql: sqlite3.Connection, name: str) -> Any:
    return sql.execute(f"PRAGMA {name}").fetchone()[0]


def _hex(text: str) -> str:
    return os.fsencode(text).hex().upper()
