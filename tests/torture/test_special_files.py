"""Pipes, sockets, devices, folders and loops of links called like music: named or passed by, never waited for."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType

import pytest

from music_reclass.containers.sniff import payload_digest
from music_reclass.errors import TrackError
from music_reclass.extractors.audio.load import load
from music_reclass.features.database import Database
from music_reclass.features.journal import Journal
from music_reclass.tagging.commit import replace_file
from music_reclass.tagging.read import read_tags
from music_reclass.tagging.rewrite import write_genres
from tests.library import Shell

BLOCKED = 60  # seconds of the clock after which something that should not wait has waited for ever


@pytest.fixture(autouse=True)
def _waits_for_nobody() -> Iterator[None]:
    def blocked(number: int, frame: FrameType | None) -> None:
        raise AssertionError("blocked by a file that is none")

    before = signal.signal(signal.SIGALRM, blocked)
    signal.alarm(BLOCKED)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def special(demo_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One sound file among all that is called like one."""
    folder = tmp_path / "Music"
    folder.mkdir()
    shutil.copy(next(demo_library.rglob("*.flac")), folder / "good.flac")
    os.mkfifo(folder / "pipe.mp3")
    monkeypatch.chdir(folder)  # the address of a socket is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.flac")
    (folder / "folder.mp3").mkdir()
    (folder / "folder.mp3" / "pipe.ogg").symlink_to(folder / "pipe.mp3")
    (folder / "a.mp3").symlink_to("b.mp3")
    (folder / "b.mp3").symlink_to("a.mp3")
    (folder / "self.m4a").symlink_to("self.m4a")
    (folder / "up").symlink_to("..", target_is_directory=True)
    (folder / "zero.wav").symlink_to("/dev/zero")
    (folder / "terminal.mp3").symlink_to("/dev/tty")
    with suppress(OSError, AttributeError):  # only root makes devices
        os.mknod(folder / "null.opus", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    (folder / "gone.mp3").symlink_to("nowhere.mp3")
    return folder


def test_a_scan_passes_by_what_is_no_file(special: Path, shell: Shell) -> None:
    shell("scan", special, "--yes", "--json", "-j", "1", "--on-existing", "replace")
    assert shell.codes == [0], shell.err
    assert set(shell.by_name()) == {"good.flac"}
    assert shell("undo", "--yes") == 0
    assert shell("scan", special, "--dry-run") == 0
    assert "1 track, known." in shell.out
    for words in (["status"], ["export", "--format", "csv"], ["report"]):
        assert shell(*words) == 0, (words, shell.err)


NAMES = ("pipe.mp3", "socket.flac", "folder.mp3/pipe.ogg", "a.mp3", "self.m4a", "zero.wav", "gone.mp3", "terminal.mp3")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_file_and_is_named_is_skipped_or_one_sentence(name: str, special: Path, shell: Shell) -> None:
    code = shell("scan", special / name, "--yes", "--json", "-j", "1")
    assert code == 3 or [row["outcome"] for row in shell.objects()] in (["skipped"], ["failed"]), (code, shell.out)
    assert len(shell.err.splitlines()) <= 1
    assert shell("explain", special / name) in (0, 1, 3)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_file_is_a_typed_failure_everywhere(name: str, special: Path, tmp_path: Path) -> None:
    path = special / name
    journal = Journal(Database(tmp_path / "library.sqlite3"))
    for work in (
        lambda: payload_digest(path),
        lambda: read_tags(path),
        lambda: load(path, rate=22050),
        lambda: replace_file(journal, journal.begin_run("apply", {}), path, write_genres(["Rock"])),
    ):
        with pytest.raises(TrackError):
            work()
    journal.database.close()
