"""`watch` tags the music that arrives below some folders, album by album, until it is asked to stop."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from music_reclass.cli.options import Choice, choice_flags, setting_flags
from music_reclass.cli.output import complain, plain, print_json, printable, shorten_home, styled
from music_reclass.cli.scan import WRITE_SETTINGS
from music_reclass.utils.progress import ServiceManager, orderly_stop

if TYPE_CHECKING:
    from music_reclass.cli.session import Session
    from music_reclass.config import Settings
    from music_reclass.domain import Track
    from music_reclass.errors import ReclassError
    from music_reclass.tagging.policy import Proposal
    from music_reclass.utils.watching import Notice, OpenEvents, Watcher

MOST_FOLDERS = 200  # of one run: a library that nobody has scanned yet is taken up in parts
RETRY_SECONDS = 60.0  # until a run is tried again that failed
BUSY_SECONDS = 5.0  # until a library is asked for again that another command is using
MOST_LEFT = 1000  # folders remembered that hold files of which a run made nothing
GENRES_SHOWN = 3


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--poll", is_flag=True, help="Walk the folders instead of asking the system for changes.")
@choice_flags
@setting_flags(
    "watch_settle", "watch_interval", *WRITE_SETTINGS, "jobs", "timeout", "worker_memory", "max_genres", "stages",
    "bundle", "exit_policy", "effort", "prior", "album", "windows", "speech", "max_time", "max_tracks", "device",
    "gpu_memory", "precision",
)  # fmt: skip
def watch(paths: tuple[Path, ...], poll: bool, choice: Choice, settings: Settings) -> int:
    """Decide the genres of the music that arrives below PATHS, and tag it, until Ctrl-C or SIGTERM.

    An album is taken up as a whole, once nothing has changed in its folder for --settle seconds and nothing in it is
    unfinished. With --yes it is tagged; without, what was found is kept for `reclass apply`, `report` and `edit`. What
    arrived before the start is taken up too. Where the system reports no changes (network shares), the folders are
    walked every --interval seconds.
    """
    if not paths:
        raise click.UsageError("Name a folder to watch.")
    for path in paths:
        if path.exists() and not path.is_dir():
            raise click.UsageError(f"{printable(str(path))} is no folder; watch is for folders.")
    # It waits for the library in its own way, so that it stays with what goes on in the folders meanwhile.
    settings = replace(settings, wait=0.0)
    with orderly_stop() as stop:
        watching = Watching([str(path) for path in paths], choice, settings, poll=poll, stop=lambda: bool(stop))
        try:
            return watching.run()
        finally:
            watching.close()


class Watching:
    """One `watch` at work: what has settled is scanned, and written with --yes."""

    def __init__(
        self,
        paths: Sequence[str],
        choice: Choice,
        settings: Settings,
        *,
        poll: bool = False,
        stop: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        open_events: OpenEvents | None = None,
    ) -> None:
        from music_reclass.classification.albums import album_folder
        from music_reclass.utils.watching import Events, Watcher, WatchOptions

        self._choice, self._settings, self._asked_to_stop, self._clock = choice, settings, stop, clock
        self._is_writing = choice.yes and not choice.dry_run
        self._stopped = self._cut_short = False
        self._manager = ServiceManager()
        self._left: OrderedDict[str, int] = OrderedDict()  # folders of which nothing could be made, as they looked
        self._said = ""  # the last trouble, said once
        self._next_check = 0.0  # when the library is looked through for what is decided and not written
        options = WatchOptions(settings.watch_settle, settings.watch_interval, poll)
        self._watcher: Watcher = Watcher(
            paths, options, album_folder=album_folder, unfinished=self._unfinished, say=self._notice, stop=self._stop,
            open_events=open_events or Events,
        )  # fmt: skip

    def _stop(self) -> bool:
        """Whether to end; asked again and again by all that goes on, which is a sign of life."""
        self._manager.show_life()
        return self._stopped or self._asked_to_stop()

    def close(self) -> None:
        """Watch no more."""
        self._manager.send("STOPPING=1")
        self._watcher.close()

    def run(self) -> int:
        """Until asked to stop; the exit code: 130 where a run was cut short."""
        settle = f"{self._settings.watch_settle:g} seconds"
        then = "tagged" if self._is_writing else "decided, not tagged (that needs --yes, or reclass apply),"
        text = f"An album is {then} once nothing in its folder has changed for {settle}. Ctrl-C ends this."
        self._line(text, {"event": "started", "writes": self._is_writing, "settle": self._settings.watch_settle})
        self._manager.send("READY=1")  # the walk of a large library takes longer than a service manager waits
        self.begin()
        while not self._stop():
            self.step()
            if not self._stop():
                self._watcher.wake.wait(self._watcher.pause(self._clock()))
                self._watcher.wake.clear()
        if self._cut_short:
            self._line("Stopped; what was not finished is taken up at the next start.", {"event": "stopped"})
            return 130
        self._line("Stopped.", {"event": "stopped"})
        return 0

    def begin(self) -> None:
        """Bring an interrupted run to an end. DatabaseError where there can be no library; one that another command is
        using is waited for."""
        from music_reclass.errors import DatabaseError

        try:
            self._look_through_library()
        except DatabaseError as error:
            if not is_busy(error):
                raise
            self._trouble(error)

    def step(self) -> None:
        """Take in what has happened until now, and scan what has settled."""
        from music_reclass.errors import DatabaseError

        settled: list[tuple[str, bool]] = []
        try:
            settled = self._watcher.step(self._clock())
            if self._clock() >= self._next_check:
                self._look_through_library()
        except DatabaseError as error:
            self._trouble(error)
        for start in range(0, len(settled), MOST_FOLDERS):
            if not self._stop():
                self._take_up(settled[start : start + MOST_FOLDERS])
        self._manager.status(self._state())

    def _state(self) -> str:
        from music_reclass.utils.words import counted

        count = len(self._watcher)
        here = counted(len(self._watcher.present), "folder")
        return f"watching {here}" + (f"; {counted(count, 'album')} not settled yet" if count else "")

    def _look_through_library(self) -> None:
        """At the start and once a day: bring an interrupted run to an end, and with --yes find what an earlier one has
        decided and not written. What was written and undone is left alone. DatabaseError where that cannot be."""
        from music_reclass.cli.session import writing
        from music_reclass.cli.writing import plan_for
        from music_reclass.features.decisions import Decisions
        from music_reclass.utils.watching import DAY

        now = self._clock()
        self._next_check = now + BUSY_SECONDS
        with writing(self._settings, "watch") as work:
            roots = self._watcher.paths
            decisions = Decisions(work.database)
            for track, proposal in plan_for(work, lambda: decisions.below(roots)) if self._is_writing else ():
                if self._stop() or work.stop:
                    break
                if proposal is not None and proposal.writes and not work.journal.knows(track.path):
                    self._watcher.owe(track.path, now)
        self._stopped = self._stopped or bool(work.stop)
        self._left.clear()
        self._said = ""
        self._next_check = now + DAY

    def _unfinished(self, files: Iterable[Track], lastingly: bool) -> Iterator[Track]:
        """Those of `files` that the library has not concluded as they are now."""
        from music_reclass.cli.session import reading
        from music_reclass.features.library import Library

        if not self._settings.database.exists():  # another command is about to make it
            yield from files
            return
        with reading(self._settings) as database:
            yield from Library(database).unfinished(files, lastingly=lastingly)

    def _take_up(self, settled: Sequence[tuple[str, bool]]) -> None:
        """Scan the folders of some albums in one run; where that fails, each alone."""
        folders = self._with_something_new(settled)
        if not folders:
            return
        problem = self._try(folders)
        if problem is None:
            self._said = ""
            self._leave(folders)
        elif is_busy(problem) or len(folders) == 1:
            self._trouble(problem)
            delay = BUSY_SECONDS if is_busy(problem) else RETRY_SECONDS
            for unit in folders:
                self._watcher.again(unit, self._clock() + delay)
        else:
            for unit, below in folders.items():
                if not self._stop():
                    self._take_up_alone(unit, below)

    def _take_up_alone(self, unit: str, below: Sequence[str]) -> None:
        problem = self._try({unit: below})
        if problem is not None:
            self._trouble(problem)
            self._watcher.again(unit, self._clock() + RETRY_SECONDS)
        else:
            self._leave({unit: below})

    def _with_something_new(self, settled: Sequence[tuple[str, bool]]) -> dict[str, list[str]]:
        """Those of the settled folders that hold what the library does not know, or that are owed; with their discs."""
        from music_reclass.errors import DatabaseError

        below = {unit: self._watcher.folders_of(unit) for unit, _ in settled}
        owed = {unit for unit, is_owed in settled if is_owed}
        try:
            new = owed | self._holding_unfinished(below)
        except DatabaseError as error:
            self._trouble(error)
            new = set(below)
        return {
            unit: folders
            for unit, folders in below.items()
            if unit in owed
            or (unit in new and (unit not in self._left or self._left[unit] != self._watcher.content(unit)))
        }

    def _holding_unfinished(self, below: Mapping[str, Sequence[str]]) -> set[str]:
        """The albums that hold files which the library has not concluded."""
        from music_reclass.utils.files import walk

        of_folder = {folder: unit for unit, folders in below.items() for folder in folders}
        files = walk(self._watcher.present, only=of_folder.keys(), stop=self._stop)
        # A file behind a link lies elsewhere: it is looked at by the walks.
        found = (of_folder.get(os.path.dirname(file.path)) for file in self._unfinished(files, False))
        return {unit for unit in found if unit is not None}

    def _leave(self, folders: Mapping[str, Sequence[str]]) -> None:
        """Remember the folders of which the run made nothing until they change, so that it is not tried for ever."""
        from music_reclass.errors import DatabaseError

        if self._stop():
            return
        with suppress(DatabaseError):
            for unit in self._holding_unfinished(folders):
                self._left[unit] = self._watcher.content(unit)
                self._left.move_to_end(unit)
        while len(self._left) > MOST_LEFT:
            self._left.popitem(last=False)

    def _try(self, folders: Mapping[str, Sequence[str]]) -> ReclassError | None:
        """Scan and write; what went wrong, as a sentence with a cure."""
        from music_reclass.cli.main import report_bug
        from music_reclass.cli.session import writing
        from music_reclass.errors import NothingToDo, ReclassError

        is_done = False
        try:
            with self._manager.kept_alive(), writing(self._settings, "watch") as work:
                try:
                    self._scan(work, folders)
                    is_done = True
                finally:
                    self._stopped = self._stopped or bool(work.stop)
        except NothingToDo:
            pass  # the files are gone, or left out by an ignore file
        except ReclassError as error:
            if not is_done:
                return error
            self._trouble(error)  # of the command after_write: the tags are written
        except Exception as error:  # a bug of ours with one album must not end the watch over all
            report_bug(error)
        finally:
            sys.stdout.flush()
        return None

    def _scan(self, work: Session, folders: Mapping[str, Sequence[str]]) -> None:
        """Bring the library up to date with the folders, write what is to be written, and say what came of it."""
        from music_reclass.classification.scan import ScanRequest
        from music_reclass.cli.scan import update
        from music_reclass.cli.writing import plan_for, write
        from music_reclass.features.decisions import Decisions
        from music_reclass.tagging.apply import as_json

        all_folders = frozenset(folder for below in folders.values() for folder in below)
        roots = self._watcher.present
        arguments: dict[str, Any] = {"paths": sorted(folders)}
        began = time.monotonic()
        scope, stats, _ = update(work, ScanRequest(tuple(roots), only=all_folders), arguments)
        plan = plan_for(work, lambda: Decisions(work.database).in_scope(scope))
        report = _Report(folders)

        def each(track: Track, proposal: Proposal | None, written: bool, problem: str) -> None:
            report.count(track, proposal, written, problem)
            if self._choice.as_json:
                print_json(as_json(track, proposal, written, problem))

        run, count = None, plan.tally().writes
        if self._is_writing and count and not work.stop:
            run = work.journal.begin_run("watch", arguments)
            write(work, plan, run, count, each=each)
        else:
            for track, proposal in plan:
                each(track, proposal, False, "")
        self._cut_short = self._cut_short or stats.stopped or bool(work.stop and count and self._is_writing)
        totals = report.totals()
        seconds = round(time.monotonic() - began, 1)
        event = {"event": "run", "run": run, "folders": sorted(folders), **totals, "stopped": stats.stopped}
        lines = report.lines(self._watcher.present, self._settings)
        if run is not None:
            lines = [*lines, f"To undo this: reclass undo {run}"]
        self._line("\n".join(lines), {**event, "seconds": seconds})

    def _notice(self, notice: Notice) -> None:
        self._line(notice.text, {"event": notice.kind, "path": notice.path, **notice.details})

    def _line(self, text: str, event: Mapping[str, Any]) -> None:
        """One thing that happened, for people with the time of day, or as an object."""
        if self._choice.as_json:
            print_json(event)
            sys.stdout.flush()
            return
        for line in text.split("\n"):
            plain(f"{_stamp()}{printable(line)}", problem=event["event"] in ("waiting", "unfinished"))

    def _trouble(self, error: ReclassError) -> None:
        """Say what does not work just now, once until something works or it is something else."""
        if str(error) != self._said:
            self._said = str(error)
            sentence = f"{error} watch goes on, and tries again later."
            if is_busy(error):
                sentence = f"{str(error).partition(';')[0]}; watch waits for it to end."
            complain(f"{_stamp(sys.stderr.isatty())}{printable(sentence)}")


def is_busy(error: ReclassError) -> bool:
    """Whether another command is using the library."""
    return isinstance(error.__cause__, BlockingIOError)


def _stamp(is_terminal: bool | None = None) -> str:
    """The time before a line: of the day on a terminal, with the date in a file, none where journald has its own."""
    if sys.stdout.isatty() if is_terminal is None else is_terminal:
        return styled(time.strftime("%H:%M:%S"), "dim") + "  "
    return "" if os.environ.get("JOURNAL_STREAM") else time.strftime("%Y-%m-%d %H:%M:%S  ")


class _Report:
    """What one run made of each album."""

    def __init__(self, folders: Mapping[str, Sequence[str]]) -> None:
        self._unit = {folder: unit for unit, below in folders.items() for folder in below}
        self._counts: dict[str, Counter[str]] = {unit: Counter() for unit in folders}
        self._genres: dict[str, Counter[str]] = {unit: Counter() for unit in folders}

    def count(self, track: Track, proposal: Proposal | None, written: bool, problem: str) -> None:
        """Take in one track."""
        folder = os.path.dirname(track.path)
        unit = self._unit.get(folder, folder)  # behind a link a file lies in another folder
        counts = self._counts.setdefault(unit, Counter())
        counts["tracks"] += 1
        counts["written"] += written
        counts["problems"] += bool(problem)
        is_sure = track.outcome is not None and track.outcome.value in ("confident", "likely")
        counts["kept"] += bool(is_sure and proposal is not None and not proposal.writes)
        counts["to_write"] += bool(proposal is not None and proposal.writes and not written and not problem)
        if track.outcome is not None:
            counts[track.outcome.value] += 1
        if proposal is not None and proposal.writes:
            self._genres.setdefault(unit, Counter())[proposal.shown] += 1

    def totals(self) -> dict[str, int]:
        """The counts of all albums."""
        total = sum(self._counts.values(), Counter())
        names = ("tracks", "written", "to_write", "kept", "problems", "unsure", "skipped", "failed")
        return {name: total[name] for name in names}

    def lines(self, roots: Sequence[str], settings: Settings) -> list[str]:
        """One line an album."""
        return [self._line(unit, roots, settings) for unit in sorted(self._counts) if self._counts[unit]["tracks"]]

    def _line(self, unit: str, roots: Sequence[str], settings: Settings) -> str:
        from music_reclass.utils.words import counted

        counts, parts = self._counts[unit], []
        genres = ", ".join(genre for genre, _ in self._genres[unit].most_common(GENRES_SHOWN))
        if counts["written"]:
            parts.append(f"{counts['written']:,} written ({genres})")
        if counts["to_write"]:
            parts.append(f"{counts['to_write']:,} to be written ({genres}): {_apply(unit, settings)}")
        if counts["kept"]:
            parts.append(f"{counts['kept']:,} left as {'it is' if counts['kept'] == 1 else 'they are'}")
        parts += [f"{counts[name]:,} {name}" for name in ("unsure", "skipped", "failed") if counts[name]]
        if counts["problems"]:
            parts.append(f"{counts['problems']:,} could not be written (reclass status --failed)")
        shown = next(
            (os.path.relpath(unit, root) for root in map(os.path.realpath, roots) if _is_below(unit, root)), ""
        )
        name = shown if shown not in ("", ".") else shorten_home(unit)
        return f"{name}: {counted(counts['tracks'], 'track')}, {', '.join(parts) or 'nothing to write'}"


def _is_below(folder: str, root: str) -> bool:
    return folder.startswith(root.rstrip("/") + "/")


def _apply(unit: str, settings: Settings) -> str:
    """The command that writes what was found."""
    database = [] if settings.db is None else ["--db", str(settings.db)]
    return shlex.join(["reclass", "apply", unit, *database])
