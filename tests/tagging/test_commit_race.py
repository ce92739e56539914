"""Two processes with two databases write the same files: no change is lost, and none stops for a disk without locks."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from music_reclass.errors import FailTrack
from music_reclass.features.database import Database
from music_reclass.features.journal import Change, Journal
from music_reclass.tagging import commit
from music_reclass.tagging.commit import replace_file
from music_reclass.tagging.read import read_tags
from music_reclass.tagging.rewrite import write_genres
from music_reclass.tagging.undo import undo

Place = Callable[..., Path]

# Writes each file some rounds, slowly between the last look and the replacement, once a line comes.
WRITER = """
import sys, time
from pathlib import Path
from music_reclass.errors import FailTrack
from music_reclass.features.database import Database
from music_reclass.features.journal import Journal
from music_reclass.tagging.commit import replace_file
from music_reclass.tagging.rewrite import write_genres

database, rounds, name, *paths = sys.argv[1:]
journal = Journal(Database(Path(database)))
run = journal.begin_run("apply", {})
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(rounds)):
    for path in map(Path, paths):
        try:
            replace_file(
                journal, run, path, write_genres([f"{name} {number}"]),
                after_step=lambda step: time.sleep(0.02 * (step == "look again")),
            )
        except FailTrack as error:
            assert error.reason == "changed", error
"""


def changes_in(database: Path) -> list[Change]:
    journal = Journal(Database(database))
    try:
        assert list(journal.open_changes()) == []
        found = [change for run in journal.runs() for change in journal.changes_of(run.id)]
        return [change for change in found if isinstance(change, Change) and change.state == "written"]
    finally:
        journal.database.close()


def race(folder: Path, paths: list[Path], rounds: int) -> list[Path]:
    """Let two processes write at once; their databases."""
    databases = [folder / "one.sqlite3", folder / "two.sqlite3"]
    words = [[str(database), str(rounds), database.stem, *map(str, paths)] for database in databases]
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, *one], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for one in words
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    for process in processes:
        process.communicate()
    return databases


def test_each_change_of_two_processes_starts_from_what_the_last_one_left(place: Place, tmp_path: Path) -> None:
    paths = [place("mp3 v2.3"), place("flac")]
    first = {str(path): hashlib.sha256(path.read_bytes()).digest() for path in paths}

    changes = [change for database in race(tmp_path, paths, 12) for change in changes_in(database)]

    for path in paths:
        ours = [change for change in changes if change.intention.path == str(path)]
        left = {change.intention.sha_before: change.sha_after for change in ours}
        assert len(left) == len(ours)  # no two changes of one content: one of them would be lost
        now = first[str(path)]
        for _ in ours:
            now = left[now]
        assert now == hashlib.sha256(path.read_bytes()).digest()
    assert changes
    assert sorted(os.listdir(paths[0].parent)) == sorted(path.name for path in paths)


def test_two_runs_of_two_databases_are_undone_one_after_the_other(place: Place, tmp_path: Path) -> None:
    path = place("mp3 v2.3")
    before = path.read_bytes()
    databases = race(tmp_path, [path], 1)
    genres = read_tags(path).genres
    assert genres is not None
    for database in sorted(databases, key=lambda one: genres[0].startswith(one.stem), reverse=True):
        journal = Journal(Database(database))
        undo(journal, 1)
        journal.database.close()
    assert path.read_bytes() == before


def write(journal: Journal, path: Path, **options: Any) -> int | None:
    return replace_file(journal, journal.begin_run("apply", {}), path, write_genres(["Rock"]), **options)


def test_a_folder_that_another_program_holds_is_left_alone_after_a_while(
    journal: Journal, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = place("mp3 v2.3")
    before = path.read_bytes()
    monkeypatch.setattr(commit, "LOCK_SECONDS", 0.02)
    held = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(FailTrack, match="another program holds the folder"):
            write(journal, path)
    finally:
        os.close(held)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    assert write(journal, path) is not None


@pytest.mark.parametrize("why", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF])
def test_a_disk_without_locks_is_written_to_all_the_same(
    why: int, journal: Journal, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(handle: int, operation: int) -> None:
        raise OSError(why, os.strerror(why))

    path = place("mp3 v2.3")
    monkeypatch.setattr(fcntl, "flock", refuse)
    write(journal, path)
    assert read_tags(path).genres == ("Rock",)


@pytest.mark.parametrize("step", ["look again", "replace"])
def test_the_folder_is_free_after_a_write_that_failed_or_was_stopped(step: str, journal: Journal, place: Place) -> None:
    path = place("mp3 v2.3")

    def stop(name: str) -> None:
        if name == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(journal, path, after_step=stop)
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(handle)
