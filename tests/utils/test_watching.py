"""Which folders are given out: by events, by walks on shares, at the limit, after a root has come or gone."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from music_reclass.classification.albums import album_folder
from music_reclass.domain import Track
from music_reclass.errors import MissingExtra
from music_reclass.utils import watching
from music_reclass.utils.watching import DAY, Events, Notice, Watcher, WatchOptions


class Reports:
    """Changes that a test reports."""

    def __init__(self) -> None:
        self.problem = ""
        self.changed: set[str] = set()
        self.new: set[str] = set()
        self.is_open = True

    def take(self) -> tuple[set[str], set[str]]:
        taken = self.changed, self.new
        self.changed, self.new = set(), set()
        return taken

    def close(self) -> None:
        self.is_open = False


class Bench:
    """A watcher on a simulated clock; `known` are the paths that the library knows."""

    def __init__(self, *roots: Path, mounts: str = "", error: Exception | None = None, poll: bool = False) -> None:
        self.now, self.known, self.said = 0.0, set[str](), list[Notice]()
        self.reports: list[Reports] = []
        self.error = error
        table = roots[0].parent / "mounts"
        table.write_text(mounts)
        self.mounts = table
        self.walks = 0
        self.watcher = Watcher(
            [str(root) for root in roots], WatchOptions(30.0, 300.0, poll, table), album_folder=album_folder,
            unfinished=self.unfinished, say=self.said.append, open_events=self.open,
        )  # fmt: skip

    def open(self, root: str, options: WatchOptions, wake: threading.Event) -> Reports:
        if self.error is not None:
            raise self.error
        self.reports.append(Reports())
        return self.reports[-1]

    def unfinished(self, files: Iterable[Track], lastingly: bool) -> Iterator[Track]:
        self.walks += 1
        return (file for file in files if file.path not in self.known)

    def until(self, end: float, step: float = 1.0) -> list[tuple[float, str]]:
        """What settles until then, and is known from then on: when, and the name of the folder."""
        settled: list[tuple[float, str]] = []
        while self.now < end:
            for folder, _ in self.watcher.step(self.now):
                settled.append((self.now, os.path.basename(folder)))
                self.known |= {str(file) for below in self.watcher.folders_of(folder) for file in Path(below).iterdir()}
            self.now += step
        return settled

    def kinds(self) -> list[str]:
        return [notice.kind for notice in self.said]


def audio(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "Music"
    folder.mkdir()
    return folder


def test_what_arrived_before_the_start_settles_by_looks_alone(root: Path) -> None:
    audio(root / "Old" / "1.mp3")
    bench = Bench(root)
    assert bench.until(100) == [(30, "Old")]
    assert bench.said[0].text == f"Watching {root} by events."


def test_an_album_that_arrives_slowly_settles_once_with_its_discs(root: Path) -> None:
    bench = Bench(root)
    settled = bench.until(1)
    for number in range(45):
        disc = root / "Album" / f"CD{1 + number // 25}"
        bench.reports[0].changed.add(str(audio(disc / f"{number}.flac").parent))
        settled += bench.until(bench.now + 20)
    settled += bench.until(bench.now + 200)
    assert [name for _, name in settled] == ["Album"]
    discs = bench.watcher.folders_of(str(root / "Album"))
    assert [os.path.basename(folder) for folder in discs] == ["Album", "CD1", "CD2"]


def test_files_loose_in_the_root_are_no_reason_to_look_at_all_folders(root: Path) -> None:
    audio(root / "Album" / "1.mp3")
    bench = Bench(root)
    bench.known.add(str(root / "Album" / "1.mp3"))
    audio(root / "loose.mp3")
    assert bench.until(60) == [(30, "Music")]
    assert bench.watcher.folders_of(str(root)) == [str(root)]


def test_an_unfinished_download_holds_the_album_back_until_it_is_renamed(root: Path) -> None:
    audio(root / "Album" / "1.mp3")
    part = audio(root / "Album" / "2.mp3.crdownload")
    bench = Bench(root)
    assert bench.until(1000) == []
    assert [notice.details["file"] for notice in bench.said[1:]] == [part.name]
    part.rename(root / "Album" / "2.mp3")
    bench.reports[0].changed.add(str(root / "Album"))
    assert bench.until(1100) == [(1030, "Album")]


def test_a_folder_named_as_unfinished_waits_for_its_name(root: Path) -> None:
    audio(root / "Album.part" / "1.mp3")
    bench = Bench(root)
    assert bench.until(200) == []
    (root / "Album.part").rename(root / "Album")
    bench.reports[0].new.add(str(root / "Album"))
    assert bench.until(300) == [(230, "Album")]


def test_a_folder_that_was_moved_here_is_looked_through_twice(root: Path) -> None:
    bench = Bench(root)
    bench.until(1)
    (root / "Artist").mkdir()
    bench.reports[0].new.add(str(root / "Artist"))
    bench.until(2)
    audio(root / "Artist" / "Album" / "1.mp3")  # before the system watches the new folder: no event
    assert [name for _, name in bench.until(100)] == ["Album"]


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "smb3", "9p", "vboxsf", "fuse.sshfs", "fuse.mergerfs", "virtiofs"])
def test_a_share_is_walked_every_five_minutes(root: Path, kind: str) -> None:
    bench = Bench(root, mounts=f"/dev/sda / ext4 rw 0 0\nnas:/x {root} {kind} rw 0 0\n")
    assert bench.until(10) == []
    assert bench.reports == []
    assert f"by a walk every 5 minutes: what others change on a share ({kind})" in bench.said[0].text
    audio(root / "Album" / "1.mp3")
    assert bench.until(299) == []
    assert bench.until(1000) == [(330, "Album")]
    assert bench.walks == 4  # at the start, and at 300, 600 and 900 seconds


def test_a_share_below_a_local_folder_is_walked_and_the_rest_is_not(root: Path) -> None:
    (root / "nas").mkdir()
    bench = Bench(root, mounts=f"/dev/sda / ext4 rw 0 0\nnas:/x {root / 'nas'} nfs rw 0 0\n")
    bench.until(10)
    assert len(bench.reports) == 1
    assert str(root / "nas") in bench.said[0].text
    audio(root / "nas" / "Far" / "1.mp3")
    audio(root / "Near" / "1.mp3")  # without an event: only a walk of everything would find it
    assert bench.until(1000) == [(330, "Far")]


def test_poll_walks_a_local_folder_without_asking_the_system(root: Path) -> None:
    bench = Bench(root, poll=True, error=AssertionError("not asked"))
    audio(root / "Album" / "1.mp3")
    assert bench.until(100) == [(30, "Album")]
    assert "by a walk every 5 minutes: --poll." in bench.said[0].text


@pytest.mark.parametrize(
    ("message", "setting"),
    [
        ('OS file watch limit reached. about ["/music"]', "max_user_watches"),
        (f"No space left on device (os error {errno.ENOSPC})", "max_user_watches"),
        ("Error creating recommended watcher: Too many open files (os error 24)", "max_user_instances"),
    ],
)
def test_at_the_limit_of_the_system_the_cure_is_said_and_walks_go_on(root: Path, message: str, setting: str) -> None:
    bench = Bench(root, error=OSError(message))
    bench.until(10)
    assert f"sudo sysctl fs.inotify.{setting}=" in bench.said[0].text
    assert bench.said[0].details["by"] == "walks"
    audio(root / "Album" / "1.mp3")
    assert [name for _, name in bench.until(400)] == ["Album"]


def test_a_limit_that_is_reached_later_ends_no_watch(root: Path) -> None:
    bench = Bench(root)
    bench.until(20)
    bench.reports[0].problem = "OS file watch limit reached."
    audio(root / "Unseen" / "1.mp3")
    assert [name for _, name in bench.until(100)] == ["Unseen"]
    assert bench.kinds() == ["watching", "watching"]
    assert not bench.reports[0].is_open


def test_without_watchfiles_the_extra_and_poll_are_named(root: Path) -> None:
    bench = Bench(root, error=MissingExtra("This needs the package watchfiles: pip install 'music_reclass[watch]'."))
    with pytest.raises(MissingExtra, match=r"music_reclass\[watch\].*--poll"):
        bench.until(2)


def test_a_root_that_is_not_there_yet_is_waited_for(root: Path) -> None:
    late = root / "later"
    bench = Bench(late)
    assert bench.until(60) == []
    assert bench.kinds() == ["waiting"]
    assert "not there yet" in bench.said[0].text
    audio(late / "Album" / "1.mp3")
    assert [name for _, name in bench.until(130)] == ["Album"]
    assert bench.kinds() == ["waiting", "watching"]


def test_a_root_that_goes_away_is_waited_for_and_walked_when_it_is_back(root: Path) -> None:
    bench = Bench(root)
    bench.until(40)
    root.rename(root.with_name("away"))
    bench.until(80)
    assert bench.kinds() == ["watching", "waiting"]
    assert "stays" in bench.said[1].text
    assert not bench.reports[0].is_open
    root.with_name("away").rename(root)
    audio(root / "Meanwhile" / "1.mp3")
    assert [name for _, name in bench.until(200)] == ["Meanwhile"]
    assert len(bench.reports) == 2


def test_a_disk_that_is_mounted_over_the_root_is_walked_at_once(root: Path) -> None:
    bench = Bench(root, mounts="/dev/sda / ext4 rw 0 0\n")
    bench.until(60)
    bench.mounts.write_text(f"/dev/sda / ext4 rw 0 0\nnas:/x {root} nfs4 rw 0 0\n")
    audio(root / "On the share" / "1.mp3")
    assert [name for _, name in bench.until(120)] == ["On the share"]
    assert [notice.details.get("by") for notice in bench.said] == ["events", "walks"]


def test_everything_is_walked_once_a_day(root: Path) -> None:
    bench = Bench(root)
    bench.until(100)
    audio(root / "No event" / "1.mp3")
    assert bench.until(DAY - 10, step=30.0) == []
    assert [name for _, name in bench.until(DAY + 100)] == ["No event"]


def test_what_the_library_knows_is_not_given_out_by_walks(root: Path) -> None:
    bench = Bench(root, poll=True)
    bench.known.add(str(audio(root / "Album" / "1.mp3")))
    assert bench.until(2 * DAY, step=60.0) == []


def test_a_root_within_another_is_watched_once(root: Path) -> None:
    (root / "incoming").mkdir()
    bench = Bench(root, root / "incoming", root)
    bench.until(5)
    assert len(bench.reports) == 1


def test_nothing_is_kept_of_folders_that_came_and_went(root: Path) -> None:
    bench = Bench(root)
    bench.until(1)
    for number in range(300):
        folder = audio(root / f"Album {number}" / "1.mp3").parent
        bench.reports[0].changed.add(str(folder))
        bench.reports[0].new.add(str(folder))
        bench.until(bench.now + 30, step=10)
        assert len(bench.watcher) <= 3
    bench.until(bench.now + 100)
    assert len(bench.watcher) == 0
    assert bench.watcher._new_again == {}


class Rust:
    """Stands for watchfiles: yields what the test gives it."""

    def __init__(self, *batches: object) -> None:
        self.batches = list(batches)
        self.room = 10_000  # how often one more folder may be watched

    def RustNotify(self, *arguments: object) -> Rust:
        if arguments[4] is False:  # not with the folders below: one more, to see whether that is possible
            self.room -= 1
            if self.room < 0:
                raise OSError("OS file watch limit reached.")
        return self

    def watch(self, debounce: int, step: int, timeout: int, stop: threading.Event) -> object:
        if self.batches:
            batch = self.batches.pop(0)
            if isinstance(batch, Exception):
                raise batch
            return batch
        stop.wait(5)
        return "stop"

    def close(self) -> None:
        pass


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch, root: Path) -> Iterator[Callable[..., Events]]:
    made: list[Events] = []

    def make(*batches: object, room: int = 10_000) -> Events:
        rust = Rust(*batches)
        rust.room = room
        monkeypatch.setattr(watching, "require", lambda module, extra: rust)
        made.append(Events(str(root), WatchOptions(), threading.Event()))
        made[-1]._wake.wait(5)
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_events_become_folders(events: Callable[..., Events], root: Path) -> None:
    (root / "New").mkdir()
    found = {(1, str(root / "A" / "1.mp3")), (2, str(root / "A" / "2.mp3")), (2, str(root / "B" / "cover.jpg")),
             (3, str(root / "C" / "1.mp3.part")), (1, str(root / "New"))}  # fmt: skip
    assert events(found).take() == ({str(root / "A"), str(root / "C")}, {str(root / "New")})


def test_a_name_that_cannot_be_read_has_the_folder_above_looked_through(
    events: Callable[..., Events], root: Path
) -> None:
    assert events({(2, str(root / "Caf\ufffd" / "1.mp3"))}).take() == (set(), {str(root)})


def test_what_ends_the_events_is_kept_as_the_problem(events: Callable[..., Events]) -> None:
    assert events(RuntimeError("OS file watch limit reached.")).problem == "OS file watch limit reached."


def test_a_limit_that_watchfiles_does_not_mention_is_found_by_one_more_folder(
    events: Callable[..., Events], root: Path
) -> None:
    with pytest.raises(OSError, match="watch limit"):
        events(room=0)
    (root / "New").mkdir()
    late = events({(1, str(root / "New"))}, room=1)
    late._thread.join(5)
    assert "watch limit" in late.problem
    assert late.take()[1] == {str(root / "New")}


AT_THE_LIMIT = """
import sys, threading
from pathlib import Path
from music_reclass.utils.watching import Events, WatchOptions
Path("/proc/sys/user/max_inotify_watches").write_text("2")
try:
    Events(sys.argv[1], WatchOptions(), threading.Event())
except OSError as error:
    print("limit" in str(error))
"""


def test_the_limit_of_this_system_is_noticed(root: Path) -> None:
    """In a namespace of its own, in which nobody else is limited."""
    pytest.importorskip("watchfiles")
    for name in "abcd":
        (root / name).mkdir()
    words = ["unshare", "-Ur", sys.executable, "-c", AT_THE_LIMIT, str(root)]
    try:
        child = subprocess.run(words, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if child.returncode:
        pytest.skip(f"no namespace of users here: {child.stderr.strip()[-200:]}")
    assert child.stdout == "True\n"


def test_the_system_reports_a_file_that_is_written(root: Path) -> None:
    pytest.importorskip("watchfiles")
    wake = threading.Event()
    real = Events(str(root), WatchOptions(settle=0.2), wake)
    try:
        audio(root / "1.mp3")
        assert wake.wait(20)
        assert str(root) in real.take()[0]
    finally:
        real.close()
    assert not real._thread.is_alive()
