"""Ctrl-C, SIGTERM and kill -9: what was finished is kept, and the same command goes on (kills: tests/torture)."""

from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from music_reclass.extractors.audio.synthesis import encode, song
from tests.library import Shell, digests

COUNT = 60


@pytest.fixture(scope="module")
def many_tunes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough files that a scan is still at work when the signal comes."""
    folder = tmp_path_factory.mktemp("many") / "Music"
    folder.mkdir()
    songs = [song(seed=seed, seconds=6) for seed in range(7)]
    for number in range(COUNT):
        encode(folder / f"{number:02}.wav", songs[number % 7] * (1 - number / 200))
    return folder


def started(folder: Path, db: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "music_reclass", "scan", str(folder), "--db", str(db), "--dry-run", "--jobs", "1"]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def stored(db: Path) -> int:
    if not db.exists():
        return 0
    try:
        with sqlite3.connect(f"file:{db}?mode=ro", uri=True) as sql:
            return int(sql.execute("SELECT count(*) FROM vector").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def signalled(folder: Path, db: Path, number: int) -> tuple[int, str, str]:
    """A scan that gets a signal once something has been stored, or is about to be."""
    process = started(folder, db)
    deadline = time.monotonic() + 60
    while not stored(db) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in out + err
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_scan_that_is_asked_to_stop_keeps_what_it_has_and_goes_on_later(
    number: int, many_tunes: Path, shell: Shell
) -> None:
    code, _, err = signalled(many_tunes, shell.db, number)
    assert code == 130
    assert "the same command goes on from here" in err
    kept = stored(shell.db)
    assert 0 < kept < COUNT
    assert shell("scan", many_tunes, "--dry-run", "--json") == 0
    assert len(shell.objects()) == COUNT
    assert stored(shell.db) == COUNT


def test_a_scan_whose_terminal_is_closed_ends_in_order(many_tunes: Path, shell: Shell) -> None:
    shell.db.parent.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "music_reclass", "scan", str(many_tunes), "--db", str(shell.db), "--dry-run", "-j1"]
    child, terminal = pty.fork()
    if not child:
        os.execv(words[0], words)
    deadline = time.monotonic() + 60
    os.set_blocking(terminal, False)
    while not stored(shell.db) and time.monotonic() < deadline:
        with suppress(BlockingIOError):
            os.read(terminal, 1 << 16)
        time.sleep(0.02)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130
    assert 0 < stored(shell.db) < COUNT
    assert shell("scan", many_tunes, "--dry-run", "--json") == 0
    assert {row["outcome"] for row in shell.objects()} & {"failed"} == set()  # no worker went with the terminal
    assert stored(shell.db) == COUNT


def test_a_killed_scan_loses_at_most_its_batch_and_leaves_no_worker(many_tunes: Path, shell: Shell) -> None:
    code, _, _ = signalled(many_tunes, shell.db, signal.SIGKILL)
    assert code == -signal.SIGKILL
    with sqlite3.connect(shell.db) as sql:
        assert sql.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    kept = stored(shell.db)
    assert kept > 0
    assert shell("scan", many_tunes, "--dry-run") == 0
    assert f"{COUNT - kept} new, {kept} known." in shell.out


def test_output_into_a_closed_pipe_is_no_error(scanned: Path, shell: Shell) -> None:
    shell("scan", scanned, "--dry-run")
    command = f"{sys.executable} -m music_reclass export --format jsonl --db {shell.db} | head -n 1"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert json.loads(result.stdout)["path"]
    assert result.stderr == ""
    assert os.path.exists(shell.db)


STRUCK_AFTER_REPLACING = """
import os, sys
from music_reclass.cli.main import run
replace = os.replace
def struck(source, target, **more):
    replace(source, target, **more)
    if str(source).endswith(".tmp"):
        raise KeyboardInterrupt
os.replace = struck
sys.exit(run(sys.argv[1:]))
"""


def test_a_signal_in_the_very_moment_of_the_replacement_loses_no_way_back(scanned: Path, shell: Shell) -> None:
    before = digests(scanned)
    assert shell("scan", scanned, "--dry-run") == 0
    words = [sys.executable, "-c", STRUCK_AFTER_REPLACING, "apply", "--yes", "--db", str(shell.db)]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 130
    assert digests(scanned) != before
    assert shell("undo", "--yes") == 0
    assert digests(scanned) == before
