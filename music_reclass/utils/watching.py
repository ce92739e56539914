"""Folders below some roots in which music arrives: reported by the system, or found by walks; out once settled."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from music_reclass.domain import Track
from music_reclass.errors import MissingExtra
from music_reclass.utils.files import MOUNTS, silent_places, walk
from music_reclass.utils.lazy import require
from music_reclass.utils.settling import Look, Settling, is_unfinished, matters

DAY = 86_400.0
CHECK_SECONDS = 5.0  # how often a root is looked for that is not there, or may have been mounted
_ADDED = 1  # watchfiles.Change.added, which a folder is too that was moved here
_LIMITS = {  # what the error says at each limit of inotify, and what is limited
    "max_user_watches": (("watch limit", "no space left", f"os error {errno.ENOSPC}"), "folders", 524_288),
    "max_user_instances": (("too many open files", f"os error {errno.EMFILE}"), "programs", 512),
}

AlbumFolder = Callable[[str], str]  # of a folder that holds audio: the folder of the album


class WatchOptions(NamedTuple):
    """How folders are watched."""

    settle: float = 30.0  # seconds of quiet
    interval: float = 300.0  # seconds between two walks where events are not to be had
    poll: bool = False  # walk everywhere
    mounts: Path = MOUNTS


class Notice(NamedTuple):
    """What is to be said about a root or folder; `kind` is `watching`, `waiting` or `unfinished`."""

    kind: str
    path: str
    text: str
    details: Mapping[str, Any]


class EventSource(Protocol):
    """What reports changes below one root."""

    problem: str  # why it has ended; "" while it has not

    def take(self) -> tuple[set[str], set[str]]:
        """The folders in which files have changed, and the folders that are new, since the last call."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Events:
    """Changes below one root as the operating system reports them, gathered by a thread as sets of folders.

    OSError where the system does not watch so many folders, or this one; MissingExtra without watchfiles.
    """

    def __init__(self, root: str, options: WatchOptions, wake: threading.Event) -> None:
        self._notify = require("watchfiles._rust_notify", extra="watch").RustNotify
        self._root, self.problem = root, ""
        self._wake, self._stop, self._lock = wake, threading.Event(), threading.Lock()
        self._changed: set[str] = set()
        self._new: set[str] = set()
        # On a system without notifications watchfiles walks by itself: then not more often than we would.
        self._delay = max(1, int(options.interval * 1000))
        try:
            self._rust = self._notify([root], False, False, self._delay, True, True)
        except RuntimeError as error:  # WatchfilesRustInternalError
            raise OSError(str(error)) from error
        try:
            self._require_room()
        except OSError:
            self._rust.close()
            raise
        self._step = max(10, min(500, int(options.settle * 250)))
        self._thread = threading.Thread(target=self._gather, name="reclass-watch", daemon=True)
        self._thread.start()

    def _gather(self) -> None:
        try:
            while not self._stop.is_set():
                found = self._rust.watch(4 * self._step, self._step, 10_000, self._stop)
                if isinstance(found, set):
                    self._keep(found)
                    self._wake.set()
                    if self._new:
                        self._require_room()
        except Exception as error:  # whatever ends the watching, walks go on
            self.problem = str(error) or type(error).__name__
            self._wake.set()

    def _require_room(self) -> None:
        """OSError at the limit of watched folders: watchfiles passes over those that it may not watch, at the start and
        later, so that one more is tried."""
        with suppress(RuntimeError):
            self._notify([self._root], False, False, self._delay, False, False).close()

    def _keep(self, found: Iterable[tuple[int, str]]) -> None:
        for kind, path in found:
            is_folder = kind == _ADDED and os.path.isdir(path)
            place = path if is_folder else os.path.dirname(path)
            if "\ufffd" in path:  # a name that is not UTF-8, of which this is all: the folder above is looked through
                while "\ufffd" in path:
                    path = os.path.dirname(path)
                place, is_folder = path, True
            if is_folder or matters(os.path.basename(path)):
                with self._lock:
                    (self._new if is_folder else self._changed).add(place)

    def take(self) -> tuple[set[str], set[str]]:
        """The folders in which files have changed, and the folders that are new, since the last call."""
        with self._lock:
            taken = self._changed, self._new
            self._changed, self._new = set(), set()
        return taken

    def close(self) -> None:
        """End the watching."""
        self._stop.set()
        self._thread.join(5.0)
        with suppress(RuntimeError):
            self._rust.close()


OpenEvents = Callable[[str, WatchOptions, threading.Event], EventSource]


class Root:
    """One watched folder: whether it is there, what reports its changes, and when it is walked."""

    def __init__(self, path: str, options: WatchOptions, open_events: OpenEvents, wake: threading.Event) -> None:
        self.path = os.path.abspath(path)
        self.polled: tuple[str, ...] = ()  # at or below it, where only walks see what changes
        self.next_walk = self.next_poll = 0.0
        self._options, self._open_events, self._wake = options, open_events, wake
        self._events: EventSource | None = None
        self._state: object = None  # what was there at the last check
        self._next_check = 0.0

    @property
    def is_there(self) -> bool:
        """Whether it was a folder at the last check."""
        return isinstance(self._state, tuple)

    @property
    def real(self) -> str:
        """Its path without symbolic links, as the library has it."""
        return os.path.realpath(self.path)

    def check(self, now: float) -> Iterator[Notice]:
        """See whether the folder is there and is the same, and watch it anew where it is not; what is to be said."""
        failed = self._events.problem if self._events is not None else ""
        if now < self._next_check and not failed:
            return
        self._next_check = now + CHECK_SECONDS
        state = self._look()
        if state == self._state and not failed:
            return
        was_there = self.is_there
        self.close()
        self._state = state
        if not self.is_there:
            why = "is gone; it is waited for, and what the library knows of it stays" if was_there else str(state)
            yield Notice("waiting", self.path, f"{self.path} {why}.", {"why": why})
            return
        yield self._arm(failed)
        self.next_walk = now
        self.next_poll = now + self._options.interval

    def _look(self) -> object:
        """Which folder it is and what is mounted at and below it; a sentence's end where it is no folder."""
        try:
            status = os.stat(self.path)
            with os.scandir(self.path):
                pass
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                return "is not there yet; it is waited for"
            return f"cannot be read ({error.strerror}); it is waited for"
        return status.st_dev, status.st_ino, tuple(silent_places(self.path, self._options.mounts).items())

    def _arm(self, failed: str) -> Notice:
        """Begin to watch, by events where they are to be had."""
        silent = silent_places(self.path, self._options.mounts)
        why = "--poll" if self._options.poll else _share(silent.get(self.real, ""))
        if not why and not failed:
            try:
                self._events = self._open_events(self.real, self._options, self._wake)
            except MissingExtra as error:
                raise MissingExtra(f"{error} Without it, --poll walks the folders instead.") from error
            except OSError as error:
                failed = str(error) or type(error).__name__
        why = why or (_cause(failed) if failed else "")
        self.polled = (self.real,) if why else tuple(silent)
        minutes = f"a walk every {_duration(self._options.interval)}"
        if why:
            text, by = f"Watching {self.path} by {minutes}: {why}.", "walks"
        else:
            text, by = f"Watching {self.path} by events.", "events"
            if silent:
                shares = ", ".join(f"{point} ({kind})" for point, kind in silent.items())
                text = f"Watching {self.path} by events, and by {minutes} what gives none: {shares}."
        details = {"by": by, "polled": list(self.polled), "interval": self._options.interval, "why": why}
        return Notice("watching", self.path, text, details)

    def changes(self) -> tuple[set[str], set[str]]:
        """What has been reported since the last call: folders with changed files, and new folders."""
        return (set(), set()) if self._events is None else self._events.take()

    def close(self) -> None:
        """Watch no more."""
        if self._events is not None:
            self._events.close()
            self._events = None


def _share(kind: str) -> str:
    return f"what others change on a share ({kind}) gives no event here" if kind else ""


def _cause(failed: str) -> str:
    """Why there are no events, with the cure where it is a limit."""
    for name, (signs, what, usual) in _LIMITS.items():
        if not any(sign in failed.lower() for sign in signs):
            continue
        try:
            now = int(Path("/proc/sys/fs/inotify", name).read_text())
        except (OSError, ValueError):
            now = 0
        limit = f"{now:,} {what}" if now else what
        return (
            f"the limit of {limit} that the system lets one user watch is reached. To raise it: sudo sysctl "
            f"fs.inotify.{name}={max(usual, 2 * now)} (for good: that setting in a file of /etc/sysctl.d), then start "
            "again"
        )
    return f"the system reports no changes ({failed.strip().rstrip('.')})"


def _duration(seconds: float) -> str:
    if seconds >= 60 and seconds % 60 == 0:
        return "minute" if seconds == 60 else f"{seconds / 60:g} minutes"
    return "second" if seconds == 1 else f"{seconds:g} seconds"


class Watcher:
    """The folders of albums below `roots` that hold something new and have settled.

    `unfinished` asks the library which of some files are new; its second argument: whether passing failures count as
    new too, as they do in the walk at the start and once a day. Times are those of `clock`. Nothing is kept of a folder
    that was given out.
    """

    def __init__(
        self,
        roots: Sequence[str],
        options: WatchOptions,
        *,
        album_folder: AlbumFolder,
        unfinished: Callable[[Iterable[Track], bool], Iterator[Track]],
        say: Callable[[Notice], None],
        stop: Callable[[], bool] = lambda: False,
        open_events: OpenEvents = Events,
    ) -> None:
        self.wake = threading.Event()  # set when there may be something to do
        self._options, self._album_folder, self._unfinished = options, album_folder, unfinished
        self._say, self._stop = say, stop
        self._roots = [Root(path, options, open_events, self.wake) for path in _outermost(roots)]
        self._settling = Settling(options.settle, options.interval, self._look, self._say_unfinished)
        self._new_again: dict[str, float] = {}  # new folders, and when they are walked once more

    @property
    def paths(self) -> list[str]:
        """The roots, there or not, without symbolic links."""
        return [root.real for root in self._roots]

    @property
    def present(self) -> list[str]:
        """The roots that are there."""
        return [root.path for root in self._roots if root.is_there]

    def __len__(self) -> int:
        """How many folders are not settled yet."""
        return len(self._settling)

    def close(self) -> None:
        """Watch no more."""
        for root in self._roots:
            root.close()

    def step(self, now: float) -> list[tuple[str, bool]]:
        """Take in what has happened until now; the folders that have settled, and whether each was owed."""
        for root in self._roots:
            for notice in root.check(now):
                self._say(notice)
            if root.is_there:
                self._take_events(root, now)
                self._walk_if_due(root, now)
        for folder in [folder for folder, when in self._new_again.items() if when <= now]:
            del self._new_again[folder]
            self._notice_below(folder, now)
        return list(self._settling.settled(now))

    def pause(self, now: float) -> float:
        """Seconds until the next step is due, at most one: requests to stop are heeded in between."""
        due = self._settling.next_due()
        return 1.0 if due is None else min(1.0, max(0.0, due - now))

    def again(self, folder: str, when: float) -> None:
        """Give the folder out once more, after it has been quiet from `when` on."""
        self._settling.notice(folder, when, is_owed=True)
        self._settling.touch(folder, when)

    def owe(self, path: str, now: float) -> None:
        """Give out the folder of this file, whatever the library knows of it."""
        self._settling.notice(self._unit(os.path.dirname(path)), now, is_owed=True)

    def content(self, unit: str) -> int:
        """A number that changes when the files of an album do."""
        look = self._look(unit)
        return 0 if look is None else look.content

    def folders_of(self, unit: str) -> list[str]:
        """The folders that hold the files of one album: its own, and those of its discs."""
        try:
            with os.scandir(unit) as entries:
                below = sorted(entry.path for entry in entries if self._is_disc(unit, entry))
        except OSError:
            return [unit]
        return [unit, *below]

    def _is_disc(self, unit: str, entry: os.DirEntry[str]) -> bool:
        return self._album_folder(entry.path) == unit and entry.is_dir(follow_symlinks=False)

    def _unit(self, folder: str) -> str:
        """The folder that settles as one: that of the album; a root never counts as a disc."""
        if any(folder == root.real for root in self._roots):
            return folder
        return self._album_folder(folder)

    def _take_events(self, root: Root, now: float) -> None:
        changed, new = root.changes()
        for folder in changed:
            self._settling.touch(self._unit(os.path.realpath(folder)), now)
        for folder in new:
            # What came before the system began to watch the new folder gave no event: it is walked twice.
            self._notice_below(folder, now)
            self._new_again[folder] = now + self._options.settle

    def _notice_below(self, folder: str, now: float) -> None:
        for file in walk((folder,), stop=self._stop):
            self._settling.notice(self._unit(os.path.dirname(file.path)), now)

    def _walk_if_due(self, root: Root, now: float) -> None:
        if now >= root.next_walk:
            for file in self._unfinished(walk((root.path,), stop=self._stop), True):
                self.owe(file.path, now)
            root.next_walk = now + DAY
        elif root.polled and now >= root.next_poll:
            for place in root.polled:
                for file in self._unfinished(walk((place,), stop=self._stop), False):
                    self._settling.notice(self._unit(os.path.dirname(file.path)), now)
        else:
            return
        root.next_poll = now + self._options.interval

    def _look(self, unit: str) -> Look | None:
        """One look at the files of an album; None where it holds no audio, or is gone."""
        found: list[tuple[str, int, int]] = []
        unfinished = next((part for part in self._below_root(unit).split(os.sep) if is_unfinished(part)), "")
        audio = 0
        for folder in self.folders_of(unit):
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if not matters(entry.name) or entry.is_dir():
                            continue
                        status = entry.stat()
                        found.append((entry.path, status.st_size, status.st_mtime_ns))
                        if is_unfinished(entry.name):
                            unfinished = unfinished or entry.name
                        else:
                            audio += not entry.name.startswith(".")
            except OSError:  # it changes while it is looked at, or its disk went away
                continue
        return Look(hash(tuple(sorted(found))), audio, unfinished) if audio else None

    def _below_root(self, folder: str) -> str:
        prefixes = (root.real.rstrip("/") + "/" for root in self._roots)
        return next((folder[len(prefix) :] for prefix in prefixes if folder.startswith(prefix)), "")

    def _say_unfinished(self, folder: str, name: str) -> None:
        self._say(Notice("unfinished", folder, f"{folder} waits: {name} in it is not finished.", {"file": name}))


def _outermost(paths: Sequence[str]) -> list[str]:
    """The folders that lie in no other of them, each once, in the order given."""
    reals = [os.path.realpath(path) for path in paths]
    return [
        path
        for number, (path, real) in enumerate(zip(paths, reals, strict=True))
        if real not in reals[:number]
        and not any(real.startswith(one.rstrip("/") + "/") for one in reals if one != real)
    ]
