"""On a slow disk files are read ahead of the workers, a few at a time, and the items come as they are."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from music_reclass.utils import files
from music_reclass.utils.files import AHEAD, parallel_reads, read_ahead


class Disk:
    """Notes which files were read to the end, by the thread that read them."""

    def __init__(self, folder: Path, count: int) -> None:
        self.paths = [str(folder / f"{number:02}.mp3") for number in range(count)]
        for path in self.paths:
            Path(path).write_bytes(b"music")
        self.read: set[str] = set()
        self.change = threading.Condition()

    def open(self, path: str, flags: int) -> int:
        with self.change:
            self.read.add(path)
            self.change.notify_all()
        return OPEN(path, flags)

    def wait_for(self, paths: list[str]) -> bool:
        with self.change:
            return self.change.wait_for(lambda: self.read.issuperset(paths), 10)


OPEN = os.open


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk(tmp_path, 20)
    monkeypatch.setattr(files.os, "open", made.open)
    return made


def test_the_next_files_are_read_before_anybody_asks_for_them_and_no_others(disk: Disk) -> None:
    items = read_ahead(iter(disk.paths), str, lambda folder: 2)
    assert next(items) == disk.paths[0]
    assert disk.wait_for(disk.paths[: AHEAD + 1])
    assert not disk.read.intersection(disk.paths[AHEAD + 1 :])
    assert list(items) == disk.paths[1:]
    assert disk.wait_for(disk.paths)


def test_on_a_fast_disk_nothing_is_read_or_drawn_ahead(disk: Disk) -> None:
    drawn = iter(disk.paths)
    before = threading.active_count()
    items = read_ahead(drawn, str, lambda folder: 0)
    assert next(items) == disk.paths[0]
    assert next(drawn) == disk.paths[1]
    assert threading.active_count() == before
    assert disk.read == set()


def test_a_disk_is_asked_about_once_a_folder_and_its_threads_end_with_the_items(disk: Disk) -> None:
    asked = []

    def two(folder: str) -> int:
        asked.append(folder)
        return 2

    before = set(threading.enumerate())
    items = read_ahead(iter(disk.paths), str, two)
    next(items)
    readers = set(threading.enumerate()) - before
    assert len(readers) == 2
    items.close()  # type: ignore[attr-defined]
    for reader in readers:
        reader.join(10)
        assert not reader.is_alive()
    assert asked == [os.path.dirname(disk.paths[0])]


def test_what_cannot_be_read_or_is_no_file_stops_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp3")
    (tmp_path / "folder.mp3").mkdir()
    paths = [str(tmp_path / name) for name in ("absent.mp3", "pipe.mp3", "folder.mp3")]
    before = set(threading.enumerate())
    assert list(read_ahead(iter(paths), str, lambda folder: 1)) == paths
    for reader in set(threading.enumerate()) - before:
        reader.join(10)
        assert not reader.is_alive()


@pytest.mark.parametrize(
    ("mount", "rotational", "reads"),
    [
        ("server:/music {} nfs4 rw 0 0", None, 4),
        ("/dev/no-such-disk {} ext4 rw 0 0", "1", 1),
        ("/dev/no-such-disk {} ext4 rw 0 0", "0", 0),
        ("pool/music {} zfs rw 0 0", None, 0),
        ("", "?", 0),
    ],
)
def test_as_many_files_are_read_at_once_as_suit_the_disk(
    mount: str, rotational: str | None, reads: int, tmp_path: Path
) -> None:
    (tmp_path / "mounts").write_text(mount.format(tmp_path))
    status = os.stat(tmp_path)  # that of the device is not asked for where there is none
    partition = tmp_path / "sys" / "sda" / "sda1"
    partition.mkdir(parents=True)
    (tmp_path / "disks").mkdir()
    (tmp_path / "disks" / f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}").symlink_to(partition)
    if rotational is not None:
        (tmp_path / "sys" / "sda" / "queue").mkdir()
        (tmp_path / "sys" / "sda" / "queue" / "rotational").write_text(rotational)
    assert parallel_reads(str(tmp_path), tmp_path / "mounts", tmp_path / "disks") == reads
