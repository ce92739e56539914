"""`watch`: an album that arrives in pieces is tagged once, nothing is done twice, and nothing but a request ends it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from music_reclass.cli import watch as module
from music_reclass.cli.options import Choice
from music_reclass.cli.watch import Watching
from music_reclass.config import Secret, Settings
from music_reclass.errors import DatabaseError, ReclassError
from music_reclass.features.database import writing_lease
from music_reclass.utils.settling import Look
from music_reclass.utils.watching import DAY, WatchOptions
from tests.library import Shell
from tests.utils.test_watching import Reports

Capture = pytest.CaptureFixture[str]


class Bench:
    """A watch on a simulated clock, with events that the test reports; what it prints is JSON."""

    def __init__(self, db: Path, capture: Capture, *roots: Path, yes: bool = True, **settings: Any) -> None:
        self.now, self.capture, self.reports = 1000.0, capture, list[Reports]()
        self.stop = False
        usual = {"stages": "1", "on_existing": "replace", "jobs": 1} | settings
        self.watching = Watching(
            [str(root) for root in roots], Choice(yes=yes, as_json=True), Settings(db=db, **usual),
            stop=lambda: self.stop, clock=lambda: self.now, open_events=self._open,
        )  # fmt: skip
        self.objects: list[dict[str, Any]] = []
        self.err = ""

    def _open(self, root: str, options: WatchOptions, wake: threading.Event) -> Reports:
        self.reports.append(Reports())
        return self.reports[-1]

    def begin(self) -> None:
        self.watching.begin()
        self.pass_time(1)

    def pass_time(self, seconds: float, step: float = 5.0) -> None:
        end = self.now + seconds
        while self.now < end and not self.stop:
            self.watching.step()
            self.now += step
        out, err = self.capture.readouterr()
        self.objects += map(json.loads, out.splitlines())
        self.err += err

    def changed(self, folder: Path) -> None:
        self.reports[-1].changed.add(str(folder))

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.objects if one.get("event") == kind]


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    folder = tmp_path / "incoming"
    folder.mkdir()
    return folder


@pytest.fixture
def album(scanned: Path) -> list[Path]:
    """The files of an album that one scan has seen elsewhere: its audio need not be read again."""
    return sorted(path for path in (scanned / "Grid Nine").rglob("*") if path.is_file())


@pytest.fixture
def bench(shell: Shell, capsys: Capture, incoming: Path) -> Bench:
    return Bench(shell.db, capsys, incoming)


def rows(db: Path, query: str) -> list[Any]:
    with sqlite3.connect(db) as sql:
        return sql.execute(query).fetchall()


def arrive(album: list[Path], folder: Path, names: list[str] | None = None) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    return [
        Path(shutil.copy(path, folder / (path.name if names is None else names[number] + path.suffix)))
        for number, path in enumerate(album)
    ]


def test_an_album_of_45_tracks_that_arrives_slowly_is_tagged_once_in_one_run(
    bench: Bench, album: list[Path], incoming: Path, shell: Shell
) -> None:
    bench.begin()
    for number in range(45):
        disc = incoming / "Night Shift" / f"CD {1 + number // 20}"
        arrive([album[number % len(album)]], disc, [f"{number:02}"])
        bench.changed(disc)
        bench.pass_time(20)
        assert not bench.events("run")
    bench.pass_time(60)
    (run,) = bench.events("run")
    assert run["tracks"] == run["written"] == 45
    assert run["folders"] == [str(incoming / "Night Shift")]
    decisions = [one for one in bench.objects if "outcome" in one]
    assert len(decisions) == 45
    assert all(one["written"] for one in decisions)
    assert rows(shell.db, "SELECT count(DISTINCT run_id), count(*) FROM change WHERE state = 'written'") == [(1, 45)]
    assert shell("undo", "--yes") == 0


def test_our_writes_start_no_other_run(bench: Bench, album: list[Path], incoming: Path, shell: Shell) -> None:
    bench.begin()
    arrive(album, incoming / "A")
    bench.changed(incoming / "A")
    bench.pass_time(60)
    assert bench.events("run")[0]["written"] == len(album)
    for _ in range(3):
        bench.changed(incoming / "A")  # as the system reports what we wrote
        bench.pass_time(60)
    bench.pass_time(2 * DAY, step=600)
    assert len(bench.events("run")) == 1
    assert rows(shell.db, "SELECT count(*) FROM run") == [(1,)]
    assert rows(shell.db, "SELECT count(*) FROM scan") == [(2,)]  # of the fixture, and ours


def test_without_yes_nothing_is_written_and_apply_writes_it_later(
    shell: Shell, capsys: Capture, album: list[Path], incoming: Path
) -> None:
    bench = Bench(shell.db, capsys, incoming, yes=False)
    arrive(album, incoming / "A")
    bench.begin()
    bench.pass_time(100)
    (run,) = bench.events("run")
    assert run["run"] is None
    assert (run["written"], run["to_write"]) == (0, len(album))
    bench.pass_time(2 * DAY, step=600)
    assert len(bench.events("run")) == 1
    assert shell("apply", incoming, "--yes", "--on-existing", "replace", "--json") == 0
    assert sum(one["written"] for one in shell.objects()) == len(album)


def test_what_was_decided_and_not_written_before_the_start_is_written_and_what_was_undone_is_not(
    shell: Shell, capsys: Capture, album: list[Path], incoming: Path
) -> None:
    arrive(album, incoming / "Undone")
    flags = ("--stages", "1", "--on-existing", "replace")
    assert shell("scan", incoming, "--yes", *flags) == 0
    assert shell("undo", "--yes") == 0
    arrive(album, incoming / "Decided")
    assert shell("scan", incoming, "--dry-run", *flags) == 0
    bench = Bench(shell.db, capsys, incoming)
    bench.begin()
    bench.pass_time(100)
    (run,) = bench.events("run")
    assert run["folders"] == [str(incoming / "Decided")]
    assert run["written"] == len(album)


def test_what_a_killed_watch_has_read_and_not_decided_is_taken_up(
    shell: Shell, capsys: Capture, album: list[Path], incoming: Path
) -> None:
    arrive(album, incoming / "A")
    assert shell("scan", incoming, "--dry-run", "--stages", "1", "--on-existing", "replace") == 0
    with sqlite3.connect(shell.db) as sql:
        sql.execute(
            "DELETE FROM decision WHERE track_id IN (SELECT id FROM track WHERE CAST(path AS TEXT) LIKE '%/incoming/%')"
        )
    sql.close()
    bench = Bench(shell.db, capsys, incoming)
    bench.begin()
    bench.pass_time(100)
    assert bench.events("run")[0]["written"] == len(album)


def test_albums_that_settle_together_are_one_run_with_a_line_each(
    shell: Shell, capsys: Capture, album: list[Path], incoming: Path
) -> None:
    for name in ("A", "B"):
        arrive(album[:2], incoming / name)
    bench = Bench(shell.db, capsys, incoming)
    bench.watching._choice = Choice(yes=True)
    bench.watching.begin()
    for _ in range(20):
        bench.watching.step()
        bench.now += 5
    out = capsys.readouterr().out
    lines = [line.split("  ", 1)[1] for line in out.splitlines()]
    assert lines[0] == f"Watching {incoming} by events."
    assert [line.partition(",")[0] for line in lines[1:3]] == ["A: 2 tracks", "B: 2 tracks"]
    assert "2 written (" in lines[1]
    assert lines[3].startswith("To undo this: reclass undo ")
    assert time.strptime(out[:19], "%Y-%m-%d %H:%M:%S")  # no terminal: lines carry the date


def test_another_command_at_the_library_is_waited_for_and_said_once(
    bench: Bench, album: list[Path], incoming: Path, shell: Shell
) -> None:
    arrive(album, incoming / "A")
    with writing_lease(shell.db, "scan"):
        bench.begin()
        bench.pass_time(100)
    assert not bench.events("run")
    assert bench.err.count("reclass scan (process") == 1
    assert "is using this library; watch waits for it to end." in bench.err
    bench.pass_time(100)
    assert bench.events("run")[0]["written"] == len(album)


def test_the_library_is_free_between_two_runs(bench: Bench, album: list[Path], incoming: Path, shell: Shell) -> None:
    arrive(album[:1], incoming / "A")
    bench.begin()
    bench.pass_time(100)
    with writing_lease(shell.db, "scan"):
        pass


def test_a_library_that_cannot_be_is_said_at_the_start(incoming: Path, capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseError):
        Bench(tmp_path / "file" / "library.sqlite3", capsys, incoming).begin()


@pytest.mark.parametrize("error", [ReclassError("The disk is full; free space."), ValueError("a bug")])
def test_an_album_with_which_something_goes_wrong_does_not_end_the_watch_over_the_others(
    bench: Bench, album: list[Path], incoming: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    for name in ("A", "Bad", "C"):
        arrive(album[:2], incoming / name)
    scan = Watching._scan

    def failing(self: Watching, work: Any, folders: Any) -> None:
        if any(folder.endswith("Bad") for folder in folders):
            raise error
        scan(self, work, folders)

    monkeypatch.setattr(Watching, "_scan", failing)
    bench.begin()
    bench.pass_time(100)
    monkeypatch.setattr(Watching, "_scan", scan)
    bench.pass_time(DAY + 200, step=100)
    done = sorted(os.path.basename(folder) for run in bench.events("run") for folder in run["folders"])
    assert done == ["A", "Bad", "C"]
    assert str(error) in bench.err


def test_files_of_which_nothing_can_be_made_are_tried_once_a_day_and_not_at_every_walk(
    shell: Shell, capsys: Capture, incoming: Path
) -> None:
    (incoming / "A").mkdir()
    (incoming / "A" / "1.mp3").write_bytes(b"no audio at all")
    bench = Bench(shell.db, capsys, incoming)
    bench.begin()
    bench.pass_time(DAY - 100, step=300)
    bench.changed(incoming / "A")
    bench.pass_time(60)
    assert len(bench.events("run")) == 1


def test_an_album_that_is_left_out_is_left_alone(bench: Bench, album: list[Path], incoming: Path) -> None:
    arrive(album[:2], incoming / "A")
    (incoming / "A" / ".reclassignore").touch()
    bench.begin()
    bench.changed(incoming / "A")
    bench.pass_time(100)
    assert not bench.events("run")


def test_a_root_that_goes_away_marks_no_track_as_missing(
    bench: Bench, album: list[Path], incoming: Path, shell: Shell
) -> None:
    arrive(album, incoming / "A")
    bench.begin()
    bench.pass_time(100)
    missing = "SELECT count(*) FROM track WHERE missing_since IS NOT NULL AND CAST(path AS TEXT) LIKE '%/incoming/%'"
    incoming.rename(incoming.with_name("away"))
    bench.pass_time(2 * DAY, step=100)
    incoming.mkdir()  # an empty mount point
    bench.pass_time(2 * DAY, step=100)
    assert rows(shell.db, missing) == [(0,)]
    incoming.rmdir()
    incoming.with_name("away").rename(incoming)
    bench.pass_time(200)
    assert len(bench.events("run")) == 1


def test_an_album_that_vanishes_before_its_run_is_not_missed(
    bench: Bench, album: list[Path], incoming: Path, shell: Shell
) -> None:
    for name in ("A", "B"):
        arrive(album, incoming / name)
    bench.begin()
    bench.pass_time(100)
    (incoming / "B").rename(incoming.with_name("away"))
    arrive(album[:1], incoming / "A", ["new"])
    assert bench.watching._try({str(incoming / name): [str(incoming / name)] for name in ("A", "B")}) is None
    assert rows(shell.db, "SELECT count(*) FROM track WHERE missing_since IS NOT NULL") == [(0,)]


def test_a_file_that_was_replaced_by_another_no_longer_counts_for_its_album(
    bench: Bench, album: list[Path], incoming: Path, shell: Shell
) -> None:
    first, *others = arrive(album, incoming / "A")
    bench.begin()
    bench.pass_time(100)
    first.unlink()
    arrive(album[:1], incoming / "A", ["new"])
    bench.changed(incoming / "A")
    bench.pass_time(100)
    gone = rows(
        shell.db, "SELECT path FROM track WHERE missing_since IS NOT NULL AND CAST(path AS TEXT) LIKE '%/incoming/%'"
    )
    assert [os.fsdecode(path) for (path,) in gone] == [str(first)] or gone == []  # or its row has moved with the audio
    assert all(path.exists() for path in others)


def test_the_command_after_write_that_fails_is_said_and_nothing_is_done_again(
    shell: Shell, capsys: Capture, album: list[Path], incoming: Path
) -> None:
    arrive(album[:2], incoming / "A")
    bench = Bench(shell.db, capsys, incoming, after_write=Secret("false"))
    bench.begin()
    bench.pass_time(300)
    assert len(bench.events("run")) == 1
    assert "after_write" in bench.err


def test_memory_does_not_grow_with_the_folders_that_came(
    bench: Bench, incoming: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2,000 albums arrive and go: nothing is kept of them (`tests/utils/test_settling.py` weighs 10,000)."""
    monkeypatch.setattr(Watching, "_try", lambda self, folders: None)
    bench.begin()
    bench.watching._watcher._settling._look = lambda unit: Look(1, 1)
    bench.watching._holding_unfinished = lambda folders: set()  # type: ignore[method-assign]
    for number in range(2_000):
        bench.watching._left[str(number)] = 1
        bench.watching._leave({})
        bench.reports[-1].changed.add(str(incoming / f"Album {number}"))
        bench.now += 10
        bench.watching._watcher.step(bench.now)
    assert len(bench.watching._watcher) <= 5
    assert len(bench.watching._left) <= module.MOST_LEFT


def signalled(number: int, when: Callable[[], bool]) -> threading.Thread:
    """Sends this process a signal as soon as something holds."""

    def wait() -> None:
        deadline = time.monotonic() + 60
        while not when() and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(number: int, shell: Shell, album: list[Path], incoming: Path) -> None:
    pytest.importorskip("watchfiles")
    arrive(album[:2], incoming / "A")

    def is_written() -> bool:
        return rows(shell.db, "SELECT count(*) FROM run WHERE finished IS NOT NULL")[0][0] > 0

    thread = signalled(number, is_written)
    flags = ("--settle", "0.3", "--stages", "1", "--on-existing", "replace", "--jobs", "1")
    assert shell("watch", incoming, "--yes", *flags) == 0
    thread.join()
    assert shell.out.splitlines()[-1].endswith("Stopped.")
    assert "2 written" in shell.out


def test_a_run_that_is_cut_short_says_so_by_its_code_and_is_taken_up_again(
    shell: Shell, album: list[Path], incoming: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    arrive(album, incoming / "A")
    scan = Watching._scan

    def interrupted(self: Watching, work: Any, folders: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        scan(self, work, folders)

    monkeypatch.setattr(Watching, "_scan", interrupted)
    flags = ("--poll", "--settle", "0.2", "--stages", "1", "--on-existing", "replace", "--jobs", "1")
    assert shell("watch", incoming, "--yes", *flags) == 130
    assert "taken up at the next start" in shell.out
    monkeypatch.setattr(Watching, "_scan", scan)
    bench = Bench(shell.db, capsys, incoming)
    bench.begin()
    bench.pass_time(100)
    assert sum(run["written"] for run in bench.events("run")) == len(album)


def test_words_that_make_no_sense_are_refused(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "x.mp3").write_bytes(b"")
    assert shell("watch") == 2
    assert shell("watch", tmp_path / "x.mp3") == 2
    assert "is no folder" in shell.err
    assert shell("watch", tmp_path, "--settle", "0") == 2


def test_without_watchfiles_the_extra_is_named_and_poll_works(
    shell: Shell, incoming: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    monkeypatch.setitem(sys.modules, "watchfiles._rust_notify", None)
    assert shell("watch", incoming) == 2
    assert "pip install 'music_reclass[watch]'" in shell.err
    assert "--poll" in shell.err
    before = signal.getsignal(signal.SIGTERM)
    thread = signalled(signal.SIGTERM, lambda: signal.getsignal(signal.SIGTERM) != before)
    assert shell("watch", incoming, "--poll", "--settle", "0.2") == 0
    thread.join()
