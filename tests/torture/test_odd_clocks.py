"""Clocks that run backwards and files from before 1970 or after 2262: every command does its work all the same."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import pytest

from tests.library import Shell, digests

# In ns: before the epoch, at it, half a second after it, in a century, and beyond what 64 bits of ns hold.
TIMES = (-(10**18), -1, 0, 1, 5 * 10**8, 4 * 10**18, 2**63 - 1, 2**63, 15 * 10**18)


def possible(path: Path, mtime: int) -> bool:
    """Whether the disk here keeps such a time."""
    try:
        os.utime(path, ns=(mtime, mtime))
    except (OSError, OverflowError):
        return False
    return path.stat().st_mtime_ns == mtime


def written_and_undone(shell: Shell, folder: Path) -> None:
    """Scan, write and undo; the bytes and the times are back, and a second scan knows every file."""
    before = digests(folder)
    # A time beyond what the library can hold comes back as the last that it can.
    times = {path: min(path.stat().st_mtime_ns, 2**63 - 1) for path in folder.rglob("*") if path.is_file()}
    assert shell("scan", folder, "--yes", "-j", "1", "--on-existing", "replace") == 0, shell.err
    assert digests(folder) != before
    assert shell("scan", folder, "--dry-run", "-j", "1") == 0, shell.err
    assert ", all known" in shell.out
    assert shell("undo", "--yes") == 0, shell.err
    assert digests(folder) == before
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert shell("scan", folder, "--dry-run", "-j", "1") == 0, shell.err
    assert ", all known" in shell.out
    for words in (["status"], ["report"], ["history"], ["export", "--format", "jsonl"]):
        assert shell(*words) == 0, (words, shell.err)


def test_files_of_any_time_are_scanned_written_and_undone(scanned: Path, shell: Shell) -> None:
    files = sorted(path for path in scanned.rglob("*") if path.is_file())
    kept = [mtime for path, mtime in zip(files, TIMES, strict=False) if possible(path, mtime)]
    if len(kept) < 4:
        pytest.skip("this disk keeps no times before 1970 and after 2262")
    written_and_undone(shell, scanned)


@pytest.mark.parametrize("step", [-3600.0, -1e-3, 0.0, -1e9])
def test_a_clock_that_runs_backwards_or_stands_is_no_obstacle(
    step: float, scanned: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(time, "time", lambda: 1.8e9 + step * next(ticks))
    before = digests(scanned)
    assert shell("apply", "--yes", "--on-existing", "replace") == 0, shell.err
    assert digests(scanned) != before
    assert shell("scan", scanned, "--dry-run", "-j", "1") == 0, shell.err
    assert shell("history") == 0
    assert shell("status") == 0
    assert shell("report") == 0
    assert shell("undo", "--yes") == 0, shell.err
    assert digests(scanned) == before
    assert shell("undo", "--yes") == 3
