"""The SQLite file: pragmas, transactions, the writer lease, and vectors as float32 blobs."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import wraps
from glob import escape as glob_escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from music_reclass.errors import DatabaseError, ReclassError, TrackError
from music_reclass.features.migrations import STEPS
from music_reclass.utils.files import is_network_mount, lock

if TYPE_CHECKING:
    from numpy.typing import NDArray


def encode(vector: NDArray[np.float32]) -> bytes:
    """The bytes of one finite vector, shape (d,); ValueError if it holds NaN or infinity."""
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise ValueError("only finite one-dimensional vectors are stored")
    return vector.astype("<f4").tobytes()


def decode(blob: bytes, dimension: int) -> NDArray[np.float32]:
    """The vector, shape (dimension,), float32; DatabaseError if the blob has another length."""
    if len(blob) != 4 * dimension:
        raise DatabaseError(
            f"A stored vector has {len(blob)} bytes where {4 * dimension} belong: the database is damaged; "
            "scan again with --rescan."
        )
    return np.frombuffer(blob, dtype="<f4").astype(np.float32)


def ranges_below(folders: Sequence[str]) -> list[tuple[bytes, bytes]]:
    """The half-open ranges of stored paths that are at or below `folders`, apart and in order; one of all for none."""
    if not folders:
        return [(b"", b"\xff\xff")]
    names = {os.fsencode(folder) for folder in folders}
    roots = {name.rstrip(b"/") for name in names}
    outer = {root for root in roots if not any(root.startswith(other + b"/") for other in roots)}
    files = [(root, root + b"\0") for root in outer & names]
    return sorted(files + [(root + b"/", root + b"0") for root in outer])  # "0" follows "/"


class Holder(NamedTuple):
    """Who holds the lease of a library, as it wrote it down."""

    command: str
    process: int
    host: str
    since: float  # seconds since the epoch

    def __str__(self) -> str:
        began = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.since))
        return f"reclass {self.command} (process {self.process} on {self.host}, since {began})"


@contextmanager
def writing_lease(
    database: Path, command: str, wait: float = 0.0, log: Callable[[str], None] = lambda text: None
) -> Iterator[None]:
    """Hold the lease for the block. While another process has it, wait up to `wait` seconds and `log` once for whom;
    then DatabaseError names it.

    The kernel releases the lock of a process that is gone, and nothing else does: what stands in the file is for
    people, and a number of a process that is used again changes nothing.
    """
    path = _lock_file(database)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise DatabaseError(
            f"The library database {database} cannot be written ({error.strerror}); name another with --db."
        ) from error
    try:
        _take(handle, database, wait, log)
        os.ftruncate(handle, 0)
        os.lseek(handle, 0, os.SEEK_SET)
        words = {"command": command, "process": os.getpid(), "host": socket.gethostname(), "since": time.time()}
        with suppress(OSError):  # a full disk: the lock holds all the same, without a name in it
            os.write(handle, json.dumps(words).encode())
        try:
            yield
        finally:
            with suppress(OSError):
                os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _take(handle: int, database: Path, wait: float, log: Callable[[str], None]) -> None:
    """Lock the open lock file of a library; DatabaseError where that is not possible within `wait` seconds."""
    started, announced, glances = time.monotonic(), False, 0
    while True:
        try:
            lock(handle)
            return
        except BlockingIOError as error:
            holder = _read_holder(handle)
            glances += 1
            # `lease_holder` of another process has it for an instant.
            if time.monotonic() - started >= wait and glances > _GLANCES:
                waited = "" if wait == 0 else f", and was after {wait:,.0f} seconds"
                raise DatabaseError(
                    f"{holder or 'Another process'} is using this library{waited}; wait for it to end (--wait), or "
                    "name another library with --db."
                ) from error
            if not announced and holder and wait:
                announced = True
                log(f"Waiting for {holder}; Ctrl-C ends the wait.")
        except OSError as error:
            raise DatabaseError(
                f"The disk of the library database {database} knows no locks ({error.strerror}), and two commands at "
                "once would spoil it; name a place on another disk with --db."
            ) from error
        time.sleep(_POLL_SECONDS if glances > _GLANCES else _GLANCE_SECONDS)


def lease_holder(database: Path) -> str:
    """Who holds the lease of a library now; "" for nobody."""
    try:
        handle = os.open(_lock_file(database), os.O_RDWR)
    except OSError:  # nobody ever wrote, or nobody can
        return ""
    try:
        lock(handle)
    except BlockingIOError:
        return _read_holder(handle) or "another process"
    except OSError:
        return ""
    finally:
        os.close(handle)
    return ""


def _lock_file(database: Path) -> Path:
    return database.with_name(database.name + ".lock")


def _read_holder(handle: int) -> str:
    """What the holder of the lease wrote down; "" where it has not yet."""
    os.lseek(handle, 0, os.SEEK_SET)
    text = os.read(handle, 1000).decode("utf-8", "replace").strip()
    try:
        words = json.loads(text)
        return str(Holder(str(words["command"]), int(words["process"]), str(words["host"]), float(words["since"])))
    except (ValueError, TypeError, KeyError, OverflowError):  # an older release wrote a sentence
        return text


_POLL_SECONDS = 0.25
_GLANCES, _GLANCE_SECONDS = 3, 0.01
PAGE_SIZE = 16384  # 3 KB vectors: 28 % less disk and twice the insert rate of SQLite's own 4096
LOG_SIZE = 4 * 2**20  # bytes of the write-ahead log
BUSY_SECONDS = 10.0
NEWEST_SCHEMA = len(STEPS)
_JSON_COLUMNS = (
    ("track", "warnings"), ("track", "genres"), ("run", "arguments"), ("run", "summary"), ("bundle", "manifest"),
    ("vote", "probabilities"), ("decision", "genres"), ("scan", "arguments"), ("scan", "seconds"),
    ("user_decision", "genres"),
    ("own_exit", "against"), ("own_exit", "certificate"), ("exit_audit", "result"), ("plex_server", "mapping"),
    ("plex_track", "genres"), ("plex_change", "before"), ("plex_change", "after"),
)  # fmt: skip


def _explaining(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method of `sqlite3.Cursor`, with DatabaseError for what a user can mend: a lock, a full disk, damage."""

    @wraps(method)
    def call(cursor: sqlite3.Cursor, *arguments: Any) -> Any:
        try:
            return method(cursor, *arguments)
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # ours to mend, not the user's
        except sqlite3.DatabaseError as error:
            connection = cursor.connection
            raise explained(error, connection.path if isinstance(connection, _Connection) else "") from error
        except UnicodeDecodeError as error:  # of the message: it quotes a damaged schema
            raise damaged(getattr(cursor.connection, "path", ""), "its schema makes no sense") from error

    return call


class _Cursor(sqlite3.Cursor):
    execute = _explaining(sqlite3.Cursor.execute)
    executemany = _explaining(sqlite3.Cursor.executemany)
    fetchone = _explaining(sqlite3.Cursor.fetchone)
    fetchmany = _explaining(sqlite3.Cursor.fetchmany)
    fetchall = _explaining(sqlite3.Cursor.fetchall)
    __next__ = _explaining(sqlite3.Cursor.__next__)


class _Connection(sqlite3.Connection):
    """Every statement runs on a cursor that explains its errors."""

    path: Path | str = ""

    def cursor(self, factory: Any = _Cursor) -> Any:
        # The one way to make cursors: only here sqlite3 drops its references to those that are gone.
        return super().cursor(factory)

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        return self.cursor().execute(sql, parameters)  # type: ignore[no-any-return]

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        return self.cursor().executemany(sql, parameters)  # type: ignore[no-any-return]


class Database:
    """A connection with the current schema. `durable` waits for the disk at every commit (the journal does).

    Without `migrate` an older schema stays as it is, for who only looks at what every schema has; then a disk that is
    mounted read-only is no obstacle, if the log of the last writer was folded in.
    """

    def __init__(
        self, path: Path | str, *, durable: bool = False, migrate: bool = True, steps: tuple[str, ...] = STEPS
    ) -> None:
        self.path = path
        self.connection = self._open(path, durable, not migrate and _is_frozen(path))
        try:
            self._refuse_newer(steps)
            if migrate:
                self._migrate(steps)
        except BaseException:
            self.close()
            raise

    def _open(self, path: Path | str, durable: bool, frozen: bool = False) -> sqlite3.Connection:
        if isinstance(path, Path) and not frozen:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise DatabaseError(
                    f"Cannot make the folder {path.parent} for the library database ({error.strerror}); "
                    "name another place with --db."
                ) from error
        try:
            # A file that nobody can change needs no locks and no index of its log, for which there would be no place.
            name = f"{Path(path).absolute().as_uri()}?mode=ro&immutable=1" if frozen else path
            connection = sqlite3.connect(
                name, timeout=BUSY_SECONDS, isolation_level=None, factory=_Connection, uri=frozen
            )
        except sqlite3.Error as error:
            raise explained(error, path) from error
        connection.path = path
        try:
            connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")  # before WAL and before the first table
            network = isinstance(path, Path) and not frozen and is_network_mount(path.parent)
            mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
            if not frozen and mode != ("delete" if network else "wal"):
                connection.execute(f"PRAGMA journal_mode = {'DELETE' if network else 'WAL'}")
            # The log is folded in after 4 MB and then cut back: a small disk is not eaten by it.
            connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_SIZE // PAGE_SIZE}")
            connection.execute(f"PRAGMA journal_size_limit = {LOG_SIZE}")
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable or network else 'NORMAL'}")
            connection.execute("PRAGMA foreign_keys = ON")
            if network:  # without a log a writer that spills its pages keeps readers out; it holds them in memory
                connection.execute("PRAGMA cache_spill = OFF")
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def schema(self) -> int:
        """How many migrations the file has taken."""
        return int(self.connection.execute("PRAGMA user_version").fetchone()[0])

    @property
    def is_newest(self) -> bool:
        """Whether the file has all migrations."""
        return self.schema == NEWEST_SCHEMA

    def _refuse_newer(self, steps: tuple[str, ...]) -> None:
        if self.schema > len(steps):
            raise DatabaseError(
                f"The library database {self.path} is from a newer release of reclass "
                f"(schema {self.schema}, this one knows {len(steps)}); upgrade reclass or name another file with --db."
            )

    def _migrate(self, steps: tuple[str, ...]) -> None:
        done = self.schema
        if 0 < done < len(steps):
            self._back_up(f"schema-{done}")
        numbers = range(done + 1, len(steps) + 1)
        # A new library is made at once: one that was killed in between would be backed up before its next step.
        for together in ([number] for number in numbers) if done else [numbers]:
            with self.transaction():
                for number in together:
                    # Another process may have taken the step while this one waited for the lock.
                    if self.schema >= number:
                        continue
                    for statement in split_statements(steps[number - 1]):
                        self.connection.execute(statement)
                    self.connection.execute(f"PRAGMA user_version = {number}")

    def _back_up(self, label: str) -> None:
        if not isinstance(self.path, Path):
            return
        target = self.path.with_name(f"{self.path.name}.{label}.{int(time.time())}.backup")
        try:
            with closing(sqlite3.connect(target)) as copy:
                self.connection.backup(copy)
        except BaseException as error:
            with suppress(OSError):
                target.unlink()
            if not isinstance(error, sqlite3.Error):
                raise
            raise DatabaseError(
                f"The library database {self.path} needs a newer schema, and no backup of it could be made beside it "
                f"({error}); free some space there, or name another with --db."
            ) from error

    @contextmanager
    def transaction(self, *, temporary: bool = False) -> Iterator[sqlite3.Connection]:
        """All or nothing: commits when the block ends, rolls back on any exception, Ctrl-C included. One that writes to
        `temporary` tables alone waits for no other writer."""
        self.connection.execute("BEGIN" if temporary else "BEGIN IMMEDIATE")
        try:
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                with suppress(DatabaseError):  # closing the connection rolls back as well; the first error counts
                    self.connection.execute("ROLLBACK")
            raise

    def fold_log(self) -> None:
        """Fold the write-ahead log, that of a killed process too, into the file, as far as nobody reads it."""
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def damage(self) -> str:
        """What is wrong with the content of the file; "" where nothing is seen. Reads all of it."""
        (found,) = self.connection.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            return str(found)
        for table, column in _JSON_COLUMNS:
            query = f"SELECT count(*) FROM {table} WHERE {column} IS NOT NULL AND NOT json_valid({column})"  # noqa: S608
            if self.connection.execute(query).fetchone()[0]:
                return f"{table}.{column} holds values that make no sense"
        return ""

    def close(self) -> None:
        """Close the connection; the write-ahead log is folded in by the last one that closes."""
        self.connection.close()


def _is_frozen(path: Path | str) -> bool:
    """Whether a database lies on a disk that is mounted read-only, with nothing of it left in a log."""
    if not isinstance(path, Path) or not path.exists() or not hasattr(os, "statvfs"):
        return False
    log = path.with_name(path.name + "-wal")
    with suppress(OSError):
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY) and (not log.exists() or not log.stat().st_size)
    return False


def split_statements(script: str) -> list[str]:
    """The statements of an SQL script, each ending at the end of a line.

    `executescript` commits behind one's back, so it is not used.
    """
    statements, pending = [], ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending.strip())
            pending = ""
    if pending.strip() and not all(part.strip().startswith("--") for part in pending.strip().splitlines()):
        statements.append(pending.strip())
    return statements


@contextmanager
def explaining_damage(database: Database) -> Iterator[None]:
    """DatabaseError where the block ends in an unforeseen exception and the database is damaged, which explains it."""
    try:
        yield
    except (ReclassError, TrackError, OSError):
        raise
    except Exception as error:
        why = database.damage()
        if why:
            raise damaged(database.path, why) from error
        raise


def damaged(path: Path | str, why: str) -> DatabaseError:
    """The sentence for a damaged library database, with the newest backup beside it if there is one."""
    backups = newest_backups(path) if isinstance(path, Path) else []
    cure = (
        f"restore a backup: reclass db restore (the newest is {backups[0].name})"
        if backups
        else "put a backup in its place"
    )
    return DatabaseError(f"The library database {path} is damaged ({why}); {cure}, or name another with --db.")


def newest_backups(path: Path) -> list[Path]:
    """The backups beside the library database at `path`, newest first."""
    found = path.parent.glob(f"{glob_escape(path.name)}.*.backup")
    return sorted(found, key=lambda backup: (backup.stat().st_mtime, backup.name), reverse=True)


def _is_full(path: Path | str) -> bool:
    """Whether the disk of the library database has no room for one more page."""
    try:
        return isinstance(path, Path) and shutil.disk_usage(path.parent).free < PAGE_SIZE
    except OSError:
        return False


def explained(error: sqlite3.Error, path: Path | str) -> DatabaseError:
    """One sentence with the cure for an error of SQLite on the library database at `path`."""
    text = str(error)
    if "locked" in text or "busy" in text:
        return DatabaseError(
            f"The library database {path} is locked by another program; wait for it, or name another with --db."
        )
    if "not a database" in text:
        return DatabaseError(f"{path} is not a reclass database, or it is damaged ({text}); name another with --db.")
    if "malformed" in text or "decode to UTF-8" in text:
        return damaged(path, text)
    if "full" in text or ("disk I/O" in text and _is_full(path)):  # the log's index does not say why it cannot grow
        return DatabaseError(
            f"The disk that holds the library database {path}, or the one for temporary files, is full; free space."
        )
    if "readonly" in text or "unable to open" in text:
        return DatabaseError(f"The library database {path} cannot be written ({text}); name another with --db.")
    if "disk I/O" in text:
        return DatabaseError(
            f"The library database {path} could not be read or written ({text}); see whether its disk is there and "
            "sound, or name another with --db."
        )
    return DatabaseError(f"The library database {path} refused: {text}; name another with --db, or report this.")
