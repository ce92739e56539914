"""Two runs never write one library at the same time."""

import errno
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from music_reclass.errors import DatabaseError
from music_reclass.features import database as module
from music_reclass.features.database import lease_holder, writing_lease
from music_reclass.utils.files import lock


def test_the_second_run_is_told_who_holds_the_library(tmp_path: Path) -> None:
    database = tmp_path / "library.sqlite3"
    with (
        writing_lease(database, "scan"),
        pytest.raises(DatabaseError, match=r"reclass scan \(process \d+ on .*\) is using this library"),
        writing_lease(database, "undo"),
    ):
        pass
    with writing_lease(database, "undo"):
        pass


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    database = tmp_path / "library.sqlite3"
    code = (
        "import os,signal,sys,pathlib\n"
        "from music_reclass.features.database import writing_lease\n"
        "with writing_lease(pathlib.Path(sys.argv[1]), 'scan'): os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(database)], check=False)
    with writing_lease(database, "scan"):
        pass


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that only sleeping moves; the seconds of each sleep."""
    slept: list[float] = []
    monkeypatch.setattr(module.time, "sleep", slept.append)
    monkeypatch.setattr(module.time, "monotonic", lambda: sum(slept))
    return slept


def test_the_holder_says_since_when_it_holds_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = tmp_path / "library.sqlite3"
    monkeypatch.setattr(module.time, "time", lambda: 86400.0 * 365)
    with writing_lease(database, "scan"):
        assert re.fullmatch(
            r"reclass scan \(process \d+ on \S+, since 197[01]-\d\d-\d\d \d\d:\d\d\)", lease_holder(database)
        )
    assert lease_holder(database) == ""
    assert lease_holder(tmp_path / "none.sqlite3") == ""


def test_who_waits_gets_the_library_when_it_is_free_and_says_once_for_whom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, said, naps = tmp_path / "library.sqlite3", [], []
    held = ExitStack()
    held.enter_context(writing_lease(database, "scan"))

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 9:
            held.close()

    monkeypatch.setattr(module.time, "sleep", sleep)
    with writing_lease(database, "undo", float("inf"), said.append):
        assert "reclass undo" in lease_holder(database)
    assert len(naps) == 9
    (line,) = said
    assert "Waiting for reclass scan" in line


def test_a_wait_ends_after_its_seconds(tmp_path: Path, passing: list[float]) -> None:
    database = tmp_path / "library.sqlite3"
    with (
        writing_lease(database, "scan"),
        pytest.raises(DatabaseError, match=r"reclass scan .* and was after 60 seconds"),
        writing_lease(database, "undo", 60.0),
    ):
        pass
    assert 60 <= sum(passing) < 61


def test_without_a_wait_the_refusal_comes_at_once(tmp_path: Path, passing: list[float]) -> None:
    database = tmp_path / "library.sqlite3"
    with writing_lease(database, "scan"), pytest.raises(DatabaseError, match="--wait"), writing_lease(database, "undo"):
        pass
    assert sum(passing) < 0.1


def test_an_interrupted_wait_takes_nothing_and_harms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = tmp_path / "library.sqlite3"

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module.time, "sleep", interrupted)
    with writing_lease(database, "scan"):
        with pytest.raises(KeyboardInterrupt), writing_lease(database, "undo", 60.0):
            pass
        assert "reclass scan" in lease_holder(database)


@pytest.mark.parametrize(
    "left",
    [
        b"reclass scan (process 1 on elsewhere)",  # as an older release wrote it
        b'{"command": "scan", "process": 1, "host": "elsewhere", "since": 0}',  # a living process of another program
        b'{"command": "scan", "process": "x"}',
        b"[]",
        b"\xff\x00" * 600,
    ],
)
def test_what_a_dead_holder_left_in_the_file_stops_nobody(left: bytes, tmp_path: Path) -> None:
    database = tmp_path / "library.sqlite3"
    (tmp_path / "library.sqlite3.lock").write_bytes(left)
    assert lease_holder(database) == ""
    with writing_lease(database, "scan"):
        assert "reclass scan" in lease_holder(database)
        assert "elsewhere" not in lease_holder(database)


def test_a_living_holder_keeps_the_library_whatever_stands_in_its_file(tmp_path: Path) -> None:
    database = tmp_path / "library.sqlite3"
    for text in (b"", b'{"command": "scan", "process": 999999999, "host": "x", "since": 0}', b"\xff"):
        with writing_lease(database, "scan"):
            (tmp_path / "library.sqlite3.lock").write_bytes(text)
            with pytest.raises(DatabaseError, match="is using this library"), writing_lease(database, "undo"):
                pass


def test_looking_for_the_holder_never_takes_the_library_from_who_comes(tmp_path: Path) -> None:
    database = tmp_path / "library.sqlite3"
    with writing_lease(database, "scan"):
        pass
    handle = os.open(tmp_path / "library.sqlite3.lock", os.O_RDWR)
    lock(handle)  # as `lease_holder` does for an instant
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.time, "sleep", lambda seconds: os.close(handle))
        with writing_lease(database, "scan"):
            pass


def test_a_disk_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(handle: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(module, "lock", refused)
    with (
        pytest.raises(DatabaseError, match=r"knows no locks \(No locks available\).*--db"),
        writing_lease(tmp_path / "library.sqlite3", "scan", 60.0),
    ):
        pass
    assert lease_holder(tmp_path / "library.sqlite3") == ""
