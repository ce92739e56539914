"""Locks that other processes see, on POSIX and, with a stand-in for its module, on Windows."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from music_reclass.errors import DatabaseError
from music_reclass.features.database import writing_lease
from music_reclass.utils.files import LOCK_AT, lock, lock_folder


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[tuple[int, int]]]:
    """A Windows whose locks are the (device, inode) of locked files, for good."""
    held: set[tuple[int, int]] = set()

    def locking(handle: int, mode: int, count: int) -> None:
        assert (mode, count, os.lseek(handle, 0, os.SEEK_CUR)) == (2, 1, LOCK_AT)
        status = os.fstat(handle)
        if (status.st_dev, status.st_ino) in held:
            raise OSError(errno.EACCES, "Permission denied")
        held.add((status.st_dev, status.st_ino))

    module = ModuleType("msvcrt")
    module.LK_NBLCK, module.locking = 2, locking  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "msvcrt", module)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "win32")
        yield held


def test_a_locked_file_is_not_locked_again_until_it_is_closed(tmp_path: Path) -> None:
    first, second = (os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    lock(first)
    with pytest.raises(BlockingIOError):
        lock(second)
    os.close(first)
    lock(second)
    os.close(second)


def test_a_folder_is_locked_without_a_trace(tmp_path: Path) -> None:
    held = lock_folder(tmp_path, 0.0)
    assert held is not None
    with pytest.raises(BlockingIOError):
        lock_folder(tmp_path, 0.01)
    os.close(held)
    again = lock_folder(tmp_path, 0.0)
    assert again is not None
    os.close(again)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_opened_is_not_locked(tmp_path: Path) -> None:
    assert lock_folder(tmp_path / "absent", 0.0) is None


def test_windows_locks_a_byte_behind_what_the_file_says(windows: set[tuple[int, int]], tmp_path: Path) -> None:
    handle = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    lock(handle)
    assert os.lseek(handle, 0, os.SEEK_CUR) == 0
    with pytest.raises(BlockingIOError):
        lock(handle)
    os.close(handle)
    assert os.stat(tmp_path / "lock").st_size == 0


def test_windows_locks_a_folder_by_a_file_elsewhere(
    windows: set[tuple[int, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary, music = tmp_path / "temporary", tmp_path / "music"
    temporary.mkdir()
    music.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    held = lock_folder(music, 0.0)
    assert held is not None
    with pytest.raises(BlockingIOError):
        lock_folder(music, 0.01)
    other = lock_folder(tmp_path, 0.0)
    assert other is not None
    assert (len(os.listdir(temporary)), os.listdir(music)) == (2, [])
    os.close(held)
    os.close(other)


def test_two_commands_do_not_write_one_library_on_windows(windows: set[tuple[int, int]], tmp_path: Path) -> None:
    database = tmp_path / "library.sqlite3"
    with (
        writing_lease(database, "scan"),
        pytest.raises(DatabaseError, match=r"reclass scan \(process \d+ on .*\) is using this library"),
        writing_lease(database, "undo"),
    ):
        pass


def test_a_library_on_a_disk_without_locks_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with (
        pytest.raises(DatabaseError, match=r"knows no locks \(No locks available\).*another disk with --db"),
        writing_lease(tmp_path / "library.sqlite3", "scan"),
    ):
        pass
