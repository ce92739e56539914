"""Maintenance of the library database: what fills it, whether it is sound, unused space given back, files moved."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from music_reclass.errors import DatabaseError, NothingToDo
from music_reclass.features.backups import SPARE
from music_reclass.features.database import Database, lease_holder, newest_backups, ranges_below
from music_reclass.utils.files import NETWORK_TYPES, mount_of

# What holds over every library: the finding, a query of how many rows break it, and the cure.
_INVARIANTS = (
    (
        "vectors whose length is not that of their kind",
        "SELECT count(*) FROM vector v JOIN (SELECT kind, max(n) AS n FROM (SELECT kind, length(data) AS n, count(*) AS"
        " c FROM vector GROUP BY 1, 2) GROUP BY kind HAVING count(*) > 1) most ON most.kind = v.kind"
        " WHERE length(v.data) <> most.n",
        "scan the music again with --rescan",
    ),
    (
        "votes with a probability outside 0 and 1",
        "SELECT count(*) FROM vote WHERE EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid(probabilities) THEN"
        " probabilities ELSE '[2]' END) WHERE NOT coalesce(value BETWEEN 0 AND 1, 0))",
        "scan the music again with --rescan",
    ),
    (
        "tracks that failed and have a decision",
        "SELECT count(*) FROM failure JOIN decision USING (track_id)",
        "scan the music again with --rescan",
    ),
    (
        "written changes of which the journal does not say what was written",
        "SELECT count(*) FROM change WHERE state = 'written' AND (sha_after IS NULL OR size_after IS NULL)",
        "restore a backup (reclass db restore); undo leaves these files alone",
    ),
    (
        "undone changes that count as written",
        "SELECT count(*) FROM change u JOIN change c ON c.id = u.undoes WHERE u.state = 'written' AND c.state ="
        " 'written'",
        "undo the run again (reclass undo RUN); files that are back are only noted",
    ),
    (
        "paths that are not absolute",
        "SELECT (SELECT count(*) FROM track WHERE substr(path, 1, 1) <> x'2f')"
        " + (SELECT count(*) FROM change WHERE substr(path, 1, 1) <> x'2f')",
        "restore a backup (reclass db restore)",
    ),
)
_OPEN = "SELECT count(*) FROM change WHERE state IN ('planned', 'staged')"
_EXAMPLES = 5
_VACUUM_CACHE = 32_000  # KiB: indexes are built anew, and with SQLite's 2,000 a large library takes a third more time


def info(path: Path, database: Database) -> dict[str, Any]:
    """What fills the library database at `path`, where it lies, and who writes to it; `bytes` of a table with its
    indexes, None where this SQLite does not count them."""
    sql = database.connection
    pragmas = {
        name: sql.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    }
    point, kind, _ = mount_of(path.parent)
    log = path.with_name(path.name + "-wal")
    backups = [
        {"path": str(one), "bytes": one.stat().st_size, "made": one.stat().st_mtime} for one in newest_backups(path)
    ]
    return {
        "database": str(path),
        "bytes": path.stat().st_size,
        "schema": database.schema,
        "log_bytes": log.stat().st_size if log.exists() else 0,
        "free_bytes": pragmas["freelist_count"] * pragmas["page_size"],
        "tables": _tables(sql),
        "kinds": _kinds(sql),
        "filesystem": {"kind": kind, "mounted_at": point, "network": kind in NETWORK_TYPES, "free_bytes": _room(path)},
        "backups": backups,
        "holder": lease_holder(path) or None,
    }


def _tables(sql: sqlite3.Connection) -> dict[str, dict[str, int | None]]:
    """Rows and bytes of every table, the largest first."""
    owners = dict(sql.execute("SELECT name, tbl_name FROM sqlite_schema WHERE type IN ('table', 'index')").fetchall())
    sizes: dict[str, int] = {}
    with suppress(DatabaseError):  # a SQLite without the table `dbstat`
        for name, size in sql.execute("SELECT name, sum(pgsize) FROM dbstat WHERE aggregate = TRUE GROUP BY name"):
            owner = owners.get(name, name)
            sizes[owner] = sizes.get(owner, 0) + int(size)
    names = sorted({name for name in owners.values() if not name.startswith("sqlite_")})
    counted = {
        name: {"rows": int(sql.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]), "bytes": sizes.get(name)}  # noqa: S608
        for name in names
    }
    return dict(sorted(counted.items(), key=lambda item: (-(item[1]["bytes"] or 0), -(item[1]["rows"] or 0), item[0])))


def _kinds(sql: sqlite3.Connection) -> dict[str, dict[str, int]]:
    """Vectors and their bytes by feature kind; those of one kind are equally long."""
    rows = sql.execute("SELECT kind, count(*), min(track_id) FROM vector GROUP BY kind ORDER BY 2 DESC, 1").fetchall()
    found = {}
    for kind, count, track in rows:
        (size,) = sql.execute(
            "SELECT length(data) FROM vector WHERE track_id = ? AND kind = ?", (track, kind)
        ).fetchone()
        found[str(kind)] = {"vectors": int(count), "bytes": int(count) * int(size)}
    return found


def findings(database: Database) -> list[dict[str, Any]]:
    """What breaks a rule of ours in a database that SQLite calls sound: the finding, how often, and its cure."""
    sql = database.connection
    found = []
    broken = sql.execute('SELECT "table", count(*) FROM pragma_foreign_key_check GROUP BY 1').fetchall()
    for table, count in broken:
        found.append(
            _finding(f"rows of {table} that belong to nothing", int(count), "restore a backup (reclass db restore)")
        )
    lacking = _schema(Database(":memory:")) - _schema(database)
    if lacking:
        names = ", ".join(sorted(lacking))
        found.append(_finding(f"no {names}", len(lacking), "restore a backup (reclass db restore)"))
        return found  # the questions below need them
    for what, query, cure in _INVARIANTS[: -1 if sys.platform == "win32" else None]:
        (count,) = sql.execute(query).fetchone()
        if count:
            found.append(_finding(what, int(count), cure))
    return found


def open_changes(database: Database) -> int:
    """How many changes a run that is at work, or was interrupted, has not brought to an end."""
    return int(database.connection.execute(_OPEN).fetchone()[0])


def _finding(what: str, count: int, cure: str) -> dict[str, Any]:
    return {"finding": what, "count": count, "cure": cure}


def _schema(database: Database) -> set[str]:
    """The tables and indexes of the current schema, by name."""
    rows = database.connection.execute("SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
    names = {str(name) for (name,) in rows.fetchall()}
    if database.path == ":memory:":
        database.close()
    return names


def vacuum(database: Database, stop: Callable[[], bool]) -> tuple[int, int]:
    """Give unused pages back to the disk; bytes of the file before and after. The caller holds the lease.

    DatabaseError where there is no room for it: all that is kept is written to a temporary file and from there to the
    log. KeyboardInterrupt once `stop` is true; then, and after a power cut, the database is as it was.
    """
    path, sql = Path(database.path), database.connection
    pages, unused, size = (
        sql.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    needed, room = 2 * (pages - unused) * size + SPARE, _room(path)
    if room < needed:
        raise DatabaseError(
            f"No space was given back: that takes {needed / 1e6:,.0f} MB for a while, and {path.parent} has "
            f"{room / 1e6:,.0f} MB free; free some space there, or move the database to a larger disk."
        )
    before = path.stat().st_size
    sql.execute(f"PRAGMA cache_size = -{_VACUUM_CACHE}")
    with _temporary_files_in(sql, path.parent):
        sql.set_progress_handler(lambda: int(bool(stop())), 1000)
        try:
            sql.execute("VACUUM")
        except DatabaseError as error:
            if stop():
                raise KeyboardInterrupt from error
            raise
        finally:
            sql.set_progress_handler(None, 0)
    database.fold_log()
    return before, path.stat().st_size


@contextmanager
def _temporary_files_in(sql: sqlite3.Connection, folder: Path) -> Iterator[None]:
    """Let SQLite put temporary files beside the database while the block runs, where room was looked for; not in /tmp,
    which is in memory on many a machine."""
    with suppress(DatabaseError, UnicodeError):  # left out of some builds
        sql.execute("PRAGMA temp_store_directory = '{}'".format(str(folder).replace("'", "''")))
    try:
        yield
    finally:
        with suppress(DatabaseError):
            sql.execute("PRAGMA temp_store_directory = ''")


def _room(path: Path) -> int:
    """Free bytes on the disk of a file."""
    return shutil.disk_usage(path.parent).free


@dataclass(slots=True)
class Relocation:
    """What lies at or below one folder, and what becomes of it at another: `tracks` and `changes` of the journal by
    number, and how many of the files are there, of the same size; see `plan_relocation`."""

    old: str
    new: str
    tracks: int
    changes: int
    examples: tuple[tuple[str, str], ...]
    present: int = 0
    other_size: int = 0
    absent: int = 0

    def as_json(self) -> dict[str, Any]:
        """The plan as plain values."""
        return {
            "old": self.old, "new": self.new, "tracks": self.tracks, "changes": self.changes, "present": self.present,
            "other_size": self.other_size, "absent": self.absent,
            "examples": [{"from": before, "to": after} for before, after in self.examples],
        }  # fmt: skip


def plan_relocation(database: Database, old: str, new: str) -> Relocation:
    """What `relocate` would do with these two absolute folders; the files are not looked at yet. NothingToDo where the
    library knows nothing at or below `old`, DatabaseError where it knows one of the new paths too."""
    sql, mover = database.connection, _mover(old, new)
    sql.create_function("relocated", 1, mover, deterministic=True)
    sql.execute("DROP TABLE IF EXISTS temp.relocated_track")
    sql.execute("CREATE TEMP TABLE relocated_track (id INTEGER PRIMARY KEY, size INTEGER, old BLOB, path BLOB UNIQUE)")
    changes = 0
    for start, end in ranges_below([old]):
        sql.execute(
            "INSERT INTO relocated_track SELECT id, size, path, relocated(path) FROM track"
            " WHERE path >= ? AND path < ?",
            (start, end),
        )
        query = "SELECT count(*) FROM change WHERE path >= ? AND path < ?"
        changes += int(sql.execute(query, (start, end)).fetchone()[0])
    (tracks,) = sql.execute("SELECT count(*) FROM relocated_track").fetchone()
    if not tracks and not changes:
        raise NothingToDo(f"The library knows no file at or below {old}; reclass status says what it knows.")
    known = sql.execute(
        "SELECT m.path FROM relocated_track m JOIN track t ON t.path = m.path"
        " WHERE NOT EXISTS (SELECT 1 FROM relocated_track s WHERE s.id = t.id) ORDER BY m.path"
    ).fetchall()
    if known:
        raise DatabaseError(
            f"{len(known):,} of the files are known below {new} as well, {os.fsdecode(known[0][0])} among them: a scan "
            "there has taken them in. Nothing was changed; scan where they are gone, and forget those (reclass forget "
            "PATH)."
        )
    pairs = sql.execute("SELECT old, path FROM relocated_track ORDER BY path LIMIT ?", (_EXAMPLES,)).fetchall()
    examples = tuple((os.fsdecode(before), os.fsdecode(after)) for before, after in pairs)
    return Relocation(old, new, int(tracks), changes, examples)


def look_for_files(database: Database, plan: Relocation, seen: Callable[[], object]) -> None:
    """Count in `plan` which of the files are at their new place; `seen` is called for each."""
    for path, size in database.connection.execute("SELECT path, size FROM relocated_track ORDER BY path"):
        try:
            found = os.stat(path).st_size
        except OSError:
            plan.absent += 1
        else:
            plan.present += found == size
            plan.other_size += found != size
        seen()


def relocate(database: Database, plan: Relocation) -> None:
    """Let every path at or below the old folder of `plan`, made just now, be one below the new: of tracks, of the
    journal, of arguments of runs, and in the maps of Plex servers; in one transaction. The caller holds the lease."""
    with database.transaction() as sql:
        if plan.tracks:  # in two steps, as a new path may be the old one of another track
            of_these = "WHERE id IN (SELECT id FROM relocated_track)"
            sql.execute(f"UPDATE track SET path = CAST('//' || id AS BLOB) {of_these}")  # noqa: S608
            sql.execute(
                f"UPDATE track SET path = (SELECT m.path FROM relocated_track m WHERE m.id = track.id) {of_these}"  # noqa: S608
            )
        for start, end in ranges_below([plan.old]):
            for column in ("path", "temporary"):
                sql.execute(
                    f"UPDATE change SET {column} = relocated({column}) WHERE {column} >= ? AND {column} < ?",  # noqa: S608
                    (start, end),
                )
        for table, column in (("run", "arguments"), ("scan", "arguments"), ("plex_server", "mapping")):
            moved = _moved_map if column == "mapping" else _moved_json
            rows = sql.execute(f"SELECT id, {column} FROM {table}").fetchall()  # noqa: S608
            changed = [(after, row) for row, text in rows if (after := moved(text, plan)) != text]
            sql.executemany(f"UPDATE {table} SET {column} = ? WHERE id = ?", changed)  # noqa: S608


def _mover(old: str, new: str) -> Callable[[bytes], bytes]:
    """A function of paths that are at or below `old`."""
    cut, target = len(os.fsencode(old).rstrip(b"/")), os.fsencode(new).rstrip(b"/")
    return lambda path: target + bytes(path)[cut:] or b"/"


def _is_below(path: str, folder: str) -> bool:
    """Whether a path is `folder` or lies below it, by whole names."""
    return (path.rstrip("/") + "/").startswith(folder.rstrip("/") + "/")


def _moved_text(value: Any, mover: Callable[[bytes], bytes], old: str) -> Any:
    """A value of JSON with every text that is a path at or below `old` as the path that it becomes."""
    if isinstance(value, dict):
        return {name: _moved_text(one, mover, old) for name, one in value.items()}
    if isinstance(value, list):
        return [_moved_text(one, mover, old) for one in value]
    if isinstance(value, str) and value.startswith("/") and _is_below(value, old):
        return os.fsdecode(mover(os.fsencode(value)))
    return value


def _moved_json(text: str, plan: Relocation) -> str:
    """The arguments of a run after the move; what is damaged stays as it is."""
    try:
        found = json.loads(text)
    except ValueError:
        return text
    moved = _moved_text(found, _mover(plan.old, plan.new), plan.old)
    return text if moved == found else json.dumps(moved)


def _moved_map(text: str, plan: Relocation) -> str:
    """A map (folder of the server -> folder here) after the move. The server's folders stay; where one is mapped above
    the folder that was moved, that one gets a pair of its own."""
    try:
        pairs = json.loads(text)
    except ValueError:
        return text
    moved = _moved_text(pairs, _mover(plan.old, plan.new), plan.old)
    for server, local in pairs.items():
        if plan.old != local and _is_below(plan.old, local):
            below = plan.old[len(local.rstrip("/")) :]
            windows = "\\" in server
            moved.setdefault(server.rstrip("\\/") + (below.replace("/", "\\") if windows else below), plan.new)
    return text if moved == pairs else json.dumps(moved)
