"""A command killed at a random moment, again and again, beside the same command left alone."""

from __future__ import annotations

import json
import os
import random
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.library import digests

DYING = Path(__file__).with_name("dying.py")
PATIENCE = 120  # seconds of the clock in which a process must end or begin; machines that run tests are shared

# Columns that tell when and in which run something was done, or what was only intended.
_VOLATILE = {"seen", "decided", "at", "started", "finished", "made", "id", "mtime_ns", "planned", "changed"}
_TABLES = ("track", "vector", "vote", "decision", "failure", "bundle", "user_decision")


@dataclass
class Bench:
    """A folder with music, a library of it, and nothing else, which can be put back as it was at any time.

    `home`: what the commands have for a home and for temporary files, which must stay as empty as they were.
    """

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    wanted: dict[str, dict[str, Any]] = field(default_factory=dict)  # by operation, for the tests

    @property
    def music(self) -> Path:
        return self.root / "live" / "Music"

    @property
    def db(self) -> Path:
        return self.root / "live" / "data" / "library.sqlite3"

    def save(self, name: str) -> None:
        """Keep everything as it is now under a name."""
        shutil.rmtree(self.root / name, ignore_errors=True)
        shutil.copytree(self.root / "live", self.root / name)

    def load(self, name: str) -> None:
        """Put everything back as it was saved."""
        shutil.rmtree(self.root / "live")
        shutil.copytree(self.root / name, self.root / "live")

    def start(self, moment: str, words: list[str]) -> tuple[subprocess.Popen[bytes], int]:
        """A command on the library, in a session of its own; and the end of a pipe that tells how it gets on."""
        temporary = self.root / "live" / "tmp"
        temporary.mkdir(exist_ok=True)
        home = {name: str(self.root / "live" / "home") for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")}
        told, telling = os.pipe()
        command = [sys.executable, str(DYING), moment, str(telling), *words, "--db", str(self.db)]
        environment = {**os.environ, **home, "TMPDIR": str(temporary), **self.environment}
        with open(self.root / "output", "wb") as output:
            process = subprocess.Popen(
                command, env=environment, pass_fds=[telling], stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        os.close(telling)
        return process, told

    def said(self) -> str:
        """What the last command printed."""
        return (self.root / "output").read_text(errors="replace")

    def run(
        self,
        words: list[str],
        moment: str = "none",
        *,
        after: float | None = None,
        until: Callable[[], bool] | None = None,
    ) -> tuple[int, int, float]:
        """Exit code of a command, its number of events, and its seconds from the first of them on; with `after`, it is
        killed so many seconds after the first event, unless it has ended before. `until`: for a command that does not
        end by itself, which is asked to once this is so."""
        process, told = self.start(moment, words)
        try:
            if after is not None and _line(told):
                select.select([], [], [], after)
                process.send_signal(signal.SIGKILL)
            elif until is not None and _line(told):
                _stop_once(process, until)
            code = process.wait(timeout=PATIENCE)
            lines = _rest(told).split(b"\n")
        finally:
            os.close(told)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        assert "Traceback" not in self.said(), self.said()
        assert code != 70, self.said()
        _wait_for_workers(process.pid)
        events, seconds = next((line.split() for line in lines if b" " in line), (b"0", b"0"))
        return code, int(events), float(seconds)

    # --- what there is -------------------------------------------------------------------------------------------

    def names(self) -> set[str]:
        """Every file there is but daily backups: none may be there that an undisturbed run leaves not."""
        live = self.root / "live"
        paths = (str(path.relative_to(live)) for path in live.rglob("*") if not path.is_dir())
        return {path for path in paths if not re.fullmatch(r"data/library\.sqlite3\.\d{8}-\d{6}\.backup", path)}

    def files(self) -> dict[str, str]:
        """Digest of every file of music."""
        return digests(self.music)

    def library(self) -> dict[str, Any]:
        """What the library knows, without when and in how many runs it came to know it."""
        with closing(sqlite3.connect(self.db)) as sql:
            sql.row_factory = sqlite3.Row
            assert [tuple(row) for row in sql.execute("PRAGMA integrity_check")] == [("ok",)]
            assert not list(sql.execute("PRAGMA foreign_key_check"))
            paths = {row["id"]: row["path"] for row in sql.execute("SELECT id, path FROM track")}
            bundles = {row["id"]: row["digest"] for row in sql.execute("SELECT id, digest FROM bundle")}
            found: dict[str, Any] = {}
            for table in _TABLES:
                rows = [dict(row) for row in sql.execute(f"SELECT * FROM {table}")]  # noqa: S608
                for row in rows:
                    for key, names in (("track_id", paths), ("bundle_id", bundles)):
                        if key in row:
                            row[key] = names[row[key]]
                found[table] = sorted(repr(sorted(_lasting(row).items())) for row in rows)
            found["standing"], found["undone"] = _journal(sql)
            found["plex"] = _edit_log(sql)
        return found

    def has_written(self, count: int) -> bool:
        """Whether so many changes stand, and none is open."""
        if not self.db.exists():
            return False
        try:
            with closing(sqlite3.connect(f"file:{self.db}?mode=ro", uri=True)) as sql:
                found = dict(sql.execute("SELECT state, count(*) FROM change GROUP BY state"))
        except sqlite3.OperationalError:  # it is just being made
            return False
        return found.get("written", 0) == count and not {"planned", "staged"} & found.keys()

    def knows_its_files(self) -> None:
        """Every track of the library has the size and time that its file has."""
        with closing(sqlite3.connect(self.db)) as sql:
            for path, size, mtime in sql.execute("SELECT path, size, mtime_ns FROM track"):
                status = os.stat(path)
                assert (status.st_size, status.st_mtime_ns) == (size, mtime), path


def _lasting(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in _VOLATILE}


def _journal(sql: sqlite3.Connection) -> tuple[list[str], list[str]]:
    """The changes that stand and those that were undone; nothing is open, and every row tells the truth."""
    names = ("path", "format", "before", "after", "raw_before", "style", "payload", "sha_before", "sha_after", "patch")
    rows = [dict(row) for row in sql.execute("SELECT * FROM change")]
    assert not [row for row in rows if row["state"] in ("planned", "staged")], "an open change"
    assert not [row for row in rows if row["temporary"] is not None], "a settled change that names a copy"
    by_id = {row["id"]: row for row in rows}
    for row in rows:
        if row["undoes"] is not None and row["state"] == "written":
            assert by_id[row["undoes"]]["state"] == "undone", "a change that was undone and stands"
    kept: dict[str, list[str]] = {"written": [], "undone": []}
    for row in rows:
        if row["undoes"] is None and row["state"] in kept:
            kept[row["state"]].append(repr([row[name] for name in names]))
    return sorted(kept["written"]), sorted(kept["undone"])


def _edit_log(sql: sqlite3.Connection) -> list[str]:
    """What stands on a server, an item and field once each."""
    rows = [dict(row) for row in sql.execute("SELECT * FROM plex_change")]
    assert not [row for row in rows if row["state"] == "planned"], "an open edit"
    names = ("level", "rating_key", "field", "before", "after", "lock_before", "lock_after")
    return sorted(json.dumps([row[name] for name in names]) for row in rows if row["state"] == "written")


def _stop_once(process: subprocess.Popen[bytes], until: Callable[[], bool]) -> None:
    """SIGTERM for a process once something is so, unless it ends before; TimeoutError where that takes too long."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None:
        if until():
            process.send_signal(signal.SIGTERM)
            return
        if time.monotonic() > deadline:
            raise TimeoutError("the command did not reach its end")
        time.sleep(0.02)


def _line(handle: int) -> bytes:
    """The next line of a pipe; b"" at its end, or where nothing came for long."""
    line = b""
    while not line.endswith(b"\n"):
        if not select.select([handle], [], [], PATIENCE)[0]:
            raise TimeoutError("the command did not begin")
        byte = os.read(handle, 1)
        if not byte:
            return b""
        line += byte
    return line


def _rest(handle: int) -> bytes:
    parts = []
    while part := os.read(handle, 4096):
        parts.append(part)
    return b"".join(parts)


def _wait_for_workers(session: int) -> None:
    """Workers of a process that is gone end by themselves."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    os.killpg(session, signal.SIGKILL)
    raise AssertionError("a worker has outlived its parent")


def killed_somewhere(
    bench: Bench,
    words: list[str],
    seed: str,
    *,
    events: int,
    seconds: float,
    again: Callable[[], None],
    until: Callable[[], bool] | None = None,
) -> str:
    """Run a command and kill it at a moment that `seed` chooses: at one of its `events`, or within its `seconds`; the
    moment in words. Where it has ended before, by itself or asked to by `until`, `again` puts everything back, and it
    is killed earlier."""
    chance = random.Random(seed)
    by_time = chance.random() < 0.4
    for _ in range(40):
        if by_time:
            after = chance.random() * seconds
            code, _, _ = bench.run(words, after=after)
            moment = f"{after:.4f} s after the first event"
            seconds = after if code >= 0 else seconds
        else:
            moment = f"{chance.choice(('before', 'after'))} {chance.randint(1, events)}"
            code, _, _ = bench.run(words, moment, until=until)
            events = max(1, events - 5) if code >= 0 else events
        if code == -signal.SIGKILL:
            return moment
        again()
    raise AssertionError(f"{words} always ended before it could be killed")
