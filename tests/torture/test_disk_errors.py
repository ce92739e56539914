"""A disk that refuses at any step of a write or an undo: the file stays whole, and the next run puts all right.

Every call of a step is refused once, and in another run from there on for good, each with several errors; every fourth
in the short form.
"""

from __future__ import annotations

import errno
import io
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from music_reclass.errors import DatabaseError, TrackError
from music_reclass.features.database import Database, explained
from music_reclass.features.journal import Change, Journal
from music_reclass.tagging import commit
from music_reclass.tagging.commit import replace_file
from music_reclass.tagging.read import read_tags
from music_reclass.tagging.rewrite import write_tags
from music_reclass.tagging.undo import recover, undo
from tests.tagging.samples import SUFFIX_OF_KIND, tagged

CALLS = ("open", "fsync", "replace", "stat", "fstat", "fchmod", "unlink", "utime", "access")
SQLITE = {errno.ENOSPC: "database or disk is full", errno.EIO: "disk I/O error"}
SHORT = [("mp3 v2.3", errno.ENOSPC), ("flac", errno.EIO)]
LONG = [
    (kind, number)
    for kind in ("mp3 v2.3", "mp3 untagged", "flac", "vorbis", "aac tight", "wav info", "aiff", "wma", "wavpack")
    for number in (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES, errno.ESTALE)
]


class Disk:
    """A disk that refuses the call number `at`, and all behind it where it stays `broken`."""

    def __init__(self, at: int, number: int, *, broken: bool) -> None:
        self.at, self.number, self.broken = at, number, broken
        self.calls = self.refused = 0

    def __call__(self) -> None:
        """One call; OSError where it is refused."""
        self.calls += 1
        if self.calls == self.at or (self.broken and self.calls > self.at):
            self.refused += 1
            raise OSError(self.number, os.strerror(self.number))

    def refusing(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            self()
            return real(*arguments, **more)

        return call


class Writing:
    """An open file whose writes the disk may refuse."""

    def __init__(self, file: Any, disk: Disk) -> None:
        self._file, self._disk = file, disk

    def write(self, data: bytes) -> int:
        self._disk()
        return int(self._file.write(data))

    def flush(self) -> None:
        self._disk()
        self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Writing:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class Reading(io.FileIO):
    """A file whose reads the disk may refuse."""

    disk: Disk

    def readinto(self, buffer: Any) -> int | None:
        self.disk()
        return super().readinto(buffer)


@contextmanager
def refusing(disk: Disk, journal: Journal) -> Iterator[None]:
    """Everything that a write asks of the disk may be refused."""

    def opened(path: Path, mode: str = "r", buffering: int = -1, **_: Any) -> io.BufferedReader:
        disk()
        file = Reading(path, mode)
        file.disk = disk
        return io.BufferedReader(file, buffering if buffering > 0 else io.DEFAULT_BUFFER_SIZE)

    fdopen, connection = os.fdopen, type(journal.database.connection)
    execute = connection.execute

    def statement(self: Any, sql: str, *rest: Any) -> Any:
        try:
            if sql != "ROLLBACK":  # which needs no room
                disk()
        except OSError as error:
            text = SQLITE.get(error.errno or 0, "attempt to write a readonly database")
            raise explained(sqlite3.OperationalError(text), journal.database.path) from error
        return execute(self, sql, *rest)

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, disk.refusing(getattr(os, name)))
        patch.setattr(os, "fdopen", lambda handle, mode: Writing(fdopen(handle, mode), disk))
        patch.setattr(Path, "open", opened)
        patch.setattr(connection, "execute", statement)
        patch.setattr(commit, "LOCK_SECONDS", 0.02)
        yield


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(Database(tmp_path / "data" / "library.sqlite3"))
    journal.database.connection.execute("PRAGMA synchronous = OFF")
    yield journal
    journal.database.close()


def attempts(number: int, step: int) -> Iterator[Disk]:
    """Disks that refuse ever later calls, every `step`-th, until one has nothing to refuse any more."""
    for broken in (False, True):
        at = 1
        while True:
            disk = Disk(at, number, broken=broken)
            yield disk
            if not disk.refused:
                break
            at += step


def settled(journal: Journal, folder: Path, name: str) -> None:
    """After the next command has settled what was left open there is one file, and no open row."""
    recover(journal)
    assert os.listdir(folder) == [name]
    assert not list(journal.open_changes())


def states(journal: Journal, run: int) -> list[str]:
    return [change.state for change in journal.changes_of(run) if isinstance(change, Change)]


def write_under(journal: Journal, folder: Path, kind: str, number: int, step: int = 1) -> int:
    """Refuse every call of a write; how many there are."""
    path, old = folder / f"tune{SUFFIX_OF_KIND[kind]}", tagged(kind)
    calls = 0
    for disk in attempts(number, step):
        path.write_bytes(old)
        path.chmod(0o644)
        run = journal.begin_run("apply", {})
        with refusing(disk, journal), suppress(TrackError, DatabaseError):
            replace_file(journal, run, path, write_tags(["Rock"], "Punk"))
        where = f"call {disk.at} of {kind}, {errno.errorcode[number]}, broken for good: {disk.broken}"
        settled(journal, folder, path.name)
        if path.read_bytes() == old:
            assert set(states(journal, run)) <= {"abandoned"}, where
            replace_file(journal, run, path, write_tags(["Rock"], "Punk"))
        assert read_tags(path).genres == ("Rock",), where
        assert states(journal, run).count("written") == 1, where
        assert undo(journal, run).counts["restored"] == 1, where
        assert path.read_bytes() == old, where
        calls = max(calls, disk.calls)
    return calls


def undo_under(journal: Journal, folder: Path, kind: str, number: int, step: int = 1) -> int:
    """Refuse every call of an undo; how many there are."""
    path, old = folder / f"tune{SUFFIX_OF_KIND[kind]}", tagged(kind)
    calls = 0
    for disk in attempts(number, step):
        path.write_bytes(old)
        path.chmod(0o644)
        run = journal.begin_run("apply", {})
        replace_file(journal, run, path, write_tags(["Rock"], "Punk"))
        new = path.read_bytes()
        with refusing(disk, journal), suppress(TrackError, DatabaseError):
            undo(journal, run)
        where = f"call {disk.at} of {kind}, {errno.errorcode[number]}, broken for good: {disk.broken}"
        settled(journal, folder, path.name)
        assert (path.read_bytes(), states(journal, run)) in ((old, ["undone"]), (new, ["written"])), where
        undo(journal, run)
        assert path.read_bytes() == old, where
        assert states(journal, run) == ["undone"], where
        calls = max(calls, disk.calls)
    return calls


@pytest.mark.parametrize(("kind", "number"), SHORT)
@pytest.mark.parametrize("work", [write_under, undo_under])
def test_a_disk_that_refuses_any_call_harms_no_file(
    work: Callable[..., int], kind: str, number: int, journal: Journal, tmp_path: Path
) -> None:
    (tmp_path / "music").mkdir()
    assert work(journal, tmp_path / "music", kind, number, 4) > 30


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize(("kind", "number"), LONG)
def test_disks_refuse_every_call_with_every_error(kind: str, number: int, journal: Journal, tmp_path: Path) -> None:
    (tmp_path / "music").mkdir()
    calls = [work(journal, tmp_path / "music", kind, number) for work in (write_under, undo_under)]
    print(f"{kind}, {errno.errorcode[number]}: {calls[0]} calls of a write, {calls[1]} of an undo", flush=True)
