"""Two commands on one library: writing ones wait or are told for whom, reading ones never wait."""

from __future__ import annotations

import ast
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import click
import pytest

import music_reclass.cli
from music_reclass.cli.main import cli
from music_reclass.features import database as module
from music_reclass.features.database import Database, writing_lease
from music_reclass.features.migrations import STEPS
from tests.library import Shell

READING = (
    ("status",), ("status", "--json"), ("report",), ("report", "--json"), ("report", "--genre", "Rock"),
    ("export", "--format", "jsonl"), ("history",), ("history", "1"), ("genres", "audit"), ("genres", "list"),
    ("explain", "{song}"), ("db", "info"), ("db", "check"), ("db", "backup"), ("models", "list"), ("calibrate",),
    ("relabel", "--dry-run"), ("audit", "--json"), ("doctor",), ("plex", "diff"),
    ("db", "relocate", "/a", "/b", "--dry-run"),
)  # fmt: skip
ENDINGS = {"audit": {2, 3}, "plex": {2}, "doctor": {0, 1}, "relocate": {3}}  # said after the library was read


@contextmanager
def long_write(db: Path) -> Iterator[None]:
    """A writer in the middle of a transaction."""
    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE track SET title = 'of the future'")
        yield
        other.execute("ROLLBACK")


@contextmanager
def checkpoint(db: Path) -> Iterator[None]:
    """A checkpoint that waits for an old reader, and meanwhile holds what a checkpoint holds."""
    with closing(sqlite3.connect(db)) as old, closing(sqlite3.connect(db, isolation_level=None)) as writer:
        old.execute("BEGIN")
        old.execute("SELECT count(*) FROM track").fetchone()
        writer.execute("UPDATE track SET title = title || 'x'")
        started = threading.Event()

        def fold() -> None:
            with closing(sqlite3.connect(db, timeout=60)) as folding:
                started.set()
                folding.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

        thread = threading.Thread(target=fold)
        thread.start()
        started.wait()
        try:
            yield
            assert thread.is_alive()
        finally:
            old.rollback()
            thread.join()


@pytest.mark.parametrize("busy", [long_write, checkpoint], ids=lambda busy: busy.__name__)
def test_reading_commands_never_wait(
    busy: Callable[[Path], AbstractContextManager[None]], scanned: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    song = next((scanned / "Grid Nine").rglob("*.*"))
    assert shell("scan", scanned / "Grid Nine", "--yes", "--on-existing", "replace", "--stages", "1") == 0
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.0)  # any wait is a refusal then
    with writing_lease(shell.db, "scan"), busy(shell.db):
        for words in READING:
            code = shell(*(word.format(song=song) for word in words))
            assert "is using this library" not in shell.err, words
            assert "locked" not in shell.err, words
            name = next(word for word in words if word != "db") if "relocate" in words else words[0]
            assert code in ENDINGS.get(name, {0}), (words, code, shell.err)


def test_reading_commands_go_on_in_the_middle_of_a_backup(scanned: Path, shell: Shell) -> None:
    codes: list[int] = []
    with closing(sqlite3.connect(shell.db)) as source, closing(sqlite3.connect(f"{shell.db}.copy")) as copy:

        def between(status: int, remaining: int, total: int) -> None:
            if not codes:
                codes.extend(shell(*words) for words in (("status",), ("report",), ("export", "--format", "jsonl")))

        source.backup(copy, pages=1, progress=between)
    assert codes == [0, 0, 0]


def test_a_library_that_is_being_migrated_is_named_at_once_and_not_waited_for(
    tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.0)
    Database(shell.db, steps=STEPS[:-1]).close()
    with writing_lease(shell.db, "scan"):
        assert shell("status") == 4
        assert "needs a newer schema, and reclass scan (process" in shell.err
        assert not list(tmp_path.glob("*.backup"))
    assert shell("status") == 0
    assert Database(shell.db, migrate=False).is_newest


def test_the_second_of_two_scans_is_told_whom_it_meets_or_waits(scanned: Path, shell: Shell) -> None:
    with writing_lease(shell.db, "scan"):
        assert shell("scan", scanned, "--dry-run", "--stages", "1") == 4
        assert "reclass scan (process " in shell.err
        assert "since 20" in shell.err
        assert "--wait" in shell.err
        assert shell("scan", "--wait", "0.01", scanned, "--dry-run", "--stages", "1") == 4
        assert shell("scan", "--wait=0.01", scanned, "--dry-run", "--stages", "1") == 4
    assert shell("scan", "--wait", scanned, "--dry-run", "--stages", "1") == 0  # no number: the path is a path
    assert shell("scan", scanned, "--dry-run", "--stages", "1", "--wait") == 0
    assert shell("scan", scanned, "--wait", "--dry-run", "--stages", "1") == 0


@pytest.mark.parametrize("seconds", ["-1", "nan", "soon"])
def test_a_wait_that_is_no_time_is_refused(seconds: str, shell: Shell) -> None:
    assert shell("undo", f"--wait={seconds}") == 2


def test_a_wait_is_announced_on_a_terminal_alone(shell: Shell, scanned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module.time, "sleep", interrupted)
    with writing_lease(shell.db, "scan"):
        for terminal in (False, True):
            monkeypatch.setattr("music_reclass.cli.session._is_on_terminal", lambda there=terminal: there)
            assert shell("relabel", "--wait") == 130
            assert ("Waiting for reclass scan (process" in shell.err) == terminal


def _commands(group: click.Command, context: click.Context, path: tuple[str, ...] = ()) -> Iterator[click.Command]:
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            assert found is not None
            yield from _commands(found, context, (*path, name))
    else:
        yield group


def _writers() -> set[str]:
    """The functions of the command line that take the lease, themselves or by another one of their module."""
    found: set[str] = set()
    for file in Path(music_reclass.cli.__file__).parent.glob("*.py"):
        functions = {
            one.name: {getattr(call.func, "id", "") for call in ast.walk(one) if isinstance(call, ast.Call)}
            for one in ast.parse(file.read_text()).body
            if isinstance(one, ast.FunctionDef)
        }
        known = {"writing", "lease"}
        while more := {name for name, calls in functions.items() if calls & known} - known:
            known |= more
        found |= {f"{file.stem}.{name}" for name in known & functions.keys()}
    return found


def test_every_command_that_takes_the_lease_can_wait_for_it() -> None:
    writers, met = _writers(), 0
    for command in _commands(cli, click.Context(cli)):
        inner = command.callback
        while hasattr(inner, "__wrapped__"):
            inner = inner.__wrapped__
        assert inner is not None
        if f"{inner.__module__.rpartition('.')[2]}.{inner.__name__}" in writers:
            met += 1
            assert any(option.name == "wait" for option in command.params), command.name
    assert met > 15
