"""Backups of the library database: made once a day before a writing run, three kept, put back over a damaged one."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from glob import escape as glob_escape
from pathlib import Path

from music_reclass.errors import DatabaseError, NothingToDo
from music_reclass.features.database import Database, damaged, newest_backups
from music_reclass.utils.files import lock

EVERY = 86400.0  # seconds between two backups that are made by themselves
KEPT = 3  # of those
SPARE = 64 * 2**20  # bytes that a backup leaves free on its disk
_NAME = re.compile(r"\.\d{8}-\d{6}\.backup$")


def back_up(database: Database, target: Path | None = None) -> Path:
    """Copy the library to `target`, by default beside it under the present time, whatever others write meanwhile.

    DatabaseError where the library is damaged, which no backup is to hold, or where there is no room.
    """
    path = Path(database.path)
    target = target or path.with_name(f"{path.name}.{time.strftime('%Y%m%d-%H%M%S')}.backup")
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    _remove_unfinished(path.parent, glob_escape(path.name) + ".*.backup")
    _remove_unfinished(target.parent, glob_escape(target.name))
    held: int | None = None
    try:
        room, size = shutil.disk_usage(target.parent).free, path.stat().st_size
        if room < size + SPARE:
            raise DatabaseError(
                f"No backup: {target.parent} has {room / 1e6:,.0f} MB free; {(size + SPARE) / 1e6:,.0f} are needed."
            )
        held = os.open(unfinished, os.O_RDWR | os.O_CREAT, 0o644)
        with suppress(OSError):  # a disk without locks
            lock(held)
        with closing(sqlite3.connect(unfinished)) as copy:
            copy.execute("PRAGMA synchronous = OFF")  # waited for once, below
            with _standing_still(database.connection):
                database.connection.backup(copy, pages=4096)
            (found,) = copy.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise damaged(path, found)
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        unfinished.replace(target)
    except (sqlite3.Error, OSError) as error:
        if isinstance(error, sqlite3.DatabaseError) and "malformed" in str(error):
            raise damaged(path, str(error)) from error
        raise DatabaseError(f"No backup of the library could be written to {target} ({error}).") from error
    finally:
        if held is not None:
            os.close(held)
        _remove(unfinished)
    return target


def _remove_unfinished(folder: Path, name: str) -> None:
    """Remove what backups of this name left there that were killed; one that is at work holds a lock on its file."""
    for left in folder.glob(f".{name}.*.part"):
        with suppress(OSError):  # at work, or on a disk without locks
            handle = os.open(left, os.O_RDWR)
            try:
                lock(handle)
            finally:
                os.close(handle)
            _remove(left)


def _remove(database: Path) -> None:
    for end in ("-wal", "-shm", "-journal", ""):
        with suppress(OSError):
            database.with_name(database.name + end).unlink(missing_ok=True)


@contextmanager
def _standing_still(sql: sqlite3.Connection) -> Iterator[None]:
    """Read one state of the database while the block runs: a copy begins anew whenever it meets another."""
    if sql.in_transaction:
        yield
        return
    sql.execute("BEGIN")
    try:
        sql.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        yield
    finally:
        sql.execute("ROLLBACK")


def is_due(path: Path) -> bool:
    """Whether the library at `path` has changed since its newest backup, and that is older than a day."""
    backups = newest_backups(path)
    if not backups:
        return True
    made = backups[0].stat().st_mtime
    return time.time() - made > EVERY and path.stat().st_mtime > made


def prune(path: Path) -> None:
    """Remove all but the newest of the backups named by their time; those before a new schema stay."""
    dated = [backup for backup in newest_backups(path) if _NAME.search(backup.name)]
    for backup in dated[KEPT:]:
        with suppress(OSError):
            backup.unlink()


def restore(path: Path, backup: Path | None = None) -> tuple[Path, Path | None]:
    """Put `backup`, by default the newest sound one, in the place of the library; what was put there, and where the
    library that was there lies now. NothingToDo where there is none. The caller holds the lease."""
    choice = [backup] if backup is not None else newest_backups(path)
    sound = next((one for one in choice if _is_sound(one)), None)
    if sound is None:
        where = choice[0] if backup is not None else path.parent
        raise NothingToDo(f"There is no sound backup of the library at {where}.")
    unfinished = path.with_name(f".{path.name}.restored.part")  # one name: the next one removes what a kill left
    shutil.copyfile(sound, unfinished)
    aside = path.with_name(f"{path.name}.before-restore.{time.strftime('%Y%m%d-%H%M%S')}") if path.exists() else None
    for end in ("-wal", "-shm", "-journal", ""):  # a log of the old file would spoil the new one
        old = path.with_name(path.name + end)
        if aside is not None and old.exists():
            old.rename(aside.with_name(aside.name + end))
    unfinished.replace(path)
    return sound, aside


def _is_sound(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as found:
            (state,) = found.execute("PRAGMA quick_check(1)").fetchone()
            found.execute("SELECT count(*) FROM track").fetchone()
            return bool(state == "ok")
    except (sqlite3.Error, OSError):
        return False
