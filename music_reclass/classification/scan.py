"""From folders to decisions: discover, read what is new, let the ladder decide; whatever stops it, it resumes."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from music_reclass.classification.escalate import Budget, Escalation
from music_reclass.classification.extract import ExtractionRunner, FileReader, ReadTask, prepare_worker
from music_reclass.classification.voter import Cascade
from music_reclass.errors import NothingToDo, TrackError
from music_reclass.extractors.registry import extractor
from music_reclass.features.library import Library, Reading
from music_reclass.features.scope import Discovery, Scope
from music_reclass.utils.files import FoundFile, walk
from music_reclass.utils.progress import Bar, progress_bar
from music_reclass.utils.workers import WorkerPool

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.domain import FeatureKind, TagReader
    from music_reclass.features.database import Database
    from music_reclass.utils.progress import StopRequest

WALK_BATCH = 1000
SAVE_BATCH = 50  # readings in one transaction: what a kill -9 costs at most
SAVE_SECONDS = 2.0


@dataclass(slots=True)
class ScanReport:
    """What a scan did, for the summary."""

    discovery: Discovery = field(default_factory=Discovery)
    read: int = 0
    decided: int = 0
    stopped: bool = False
    unreadable: list[tuple[str, str]] = field(default_factory=list)  # folders: path, why
    seconds: dict[str, float] = field(default_factory=dict)  # by phase
    # Of the later stages, by their names:
    asked: dict[str, int] = field(default_factory=dict)  # tracks in doubt that it listened to
    asked_seconds: dict[str, float] = field(default_factory=dict)  # wall, while it listened
    left: dict[str, int] = field(default_factory=dict)  # tracks in doubt that it did not reach: for the next scan
    missed: dict[str, int] = field(default_factory=dict)  # tracks in doubt that it could not hear
    pieced: int = 0  # windows that a network computed in pieces for want of memory


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """What to scan and which files of it."""

    roots: tuple[str, ...]
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    rescan: bool = False


def scan(
    database: Database,
    request: ScanRequest,
    cascade: Cascade,
    settings: Settings,
    read_tags: TagReader,
    stop: StopRequest,
    bar: Bar = progress_bar,
) -> ScanReport:
    """Bring the library up to date with the files below the roots and decide what is undecided.

    The tracks met are left in `Scope`'s temporary table of this connection. Raises NothingToDo when no root exists
    or none holds audio. When `stop` is set, what was read is kept, decided, and `stopped` says so.
    """
    report = ScanReport()
    scope = Scope(database)
    first = cascade.stages[0]
    kind = extractor(first.kinds[0].name, first.kinds[0].excerpt).kind
    first.require(kind)
    with _timed(report, "discover"):
        _discover(scope, request, kind, report, stop, bar)
    with _timed(report, "read"):
        read_pending(database, scope, FileReader(kind, read_tags), settings, request.rescan, report, stop, bar)
    with _timed(report, "decide"):
        runner = ExtractionRunner(database, settings)
        tally = Escalation(database, scope, cascade, bar).run(runner, Budget.of(settings), stop)
        report.decided, report.asked, report.asked_seconds = tally.decided, tally.asked, tally.seconds
        report.left, report.missed, report.pieced = tally.left, tally.missed, runner.pieced
    report.stopped = bool(stop)
    return report


def _discover(
    scope: Scope, request: ScanRequest, kind: FeatureKind, report: ScanReport, stop: StopRequest, bar: Bar
) -> None:
    missing = [root for root in request.roots if not os.path.lexists(root)]
    if missing:
        raise NothingToDo(f"{_shown(missing[0])} does not exist; name a folder or file that holds music.")

    def unreadable(path: str, error: OSError) -> None:
        if error.errno in (errno.ENOENT, errno.ELOOP) and path not in request.roots:
            return  # a link that leads nowhere: there is nothing behind it to miss
        report.unreadable.append((path, error.strerror or str(error)))

    found: list[FoundFile] = []
    with bar("looking", None) as progress:
        for file in walk(request.roots, include=request.include, exclude=request.exclude, on_error=unreadable):
            found.append(file)
            if len(found) >= WALK_BATCH:
                scope.sort_found(found, kind, report.discovery, request.rescan)
                progress.advance(len(found))
                found = []
                if stop:
                    return
        scope.sort_found(found, kind, report.discovery, request.rescan)
    if not report.discovery.found:
        if report.unreadable:
            path, why = report.unreadable[0]
            raise NothingToDo(f"{_shown(path)} cannot be read: {why}.")
        raise NothingToDo(f"no audio files below {', '.join(map(_shown, request.roots))}.")
    if not report.unreadable and not request.include and not request.exclude:
        report.discovery.gone = scope.mark_missing([os.path.realpath(root) for root in request.roots])


def read_pending(
    database: Database,
    scope: Scope,
    reader: FileReader,
    settings: Settings,
    rescan: bool,
    report: ScanReport,
    stop: StopRequest,
    bar: Bar,
) -> None:
    """Read the pending files of `scope` and store them in batches, until `stop`."""
    total = scope.pending_count()
    if not total:
        return
    library = Library(database)

    def tasks() -> Iterator[ReadTask]:
        for file in scope.pending():
            if stop:
                return
            stored = () if rescan else library.digests_that_may_return(file.path, file.size, reader.kind)
            yield ReadTask(file.path, file.size, file.mtime_ns, stored)

    def save(batch: list[Reading]) -> None:
        scope.add(library.save(batch, reader.kind))
        report.read += len(batch)
        batch.clear()

    batch: list[Reading] = []
    saved = time.monotonic()
    jobs = min(settings.workers, total)
    with bar("reading", total) as progress, WorkerPool(reader, jobs, settings.timeout, prepare_worker) as pool:
        for task, answer in pool.map(tasks()):
            batch.append(_reading(task, answer))
            progress.advance(1, os.path.basename(task.path)[:40])
            if len(batch) >= SAVE_BATCH or time.monotonic() - saved > SAVE_SECONDS:
                save(batch)
                saved = time.monotonic()
        save(batch)


def _reading(task: ReadTask, answer: Reading | TrackError) -> Reading:
    if isinstance(answer, Reading):
        return answer
    return Reading(task.path, task.size, task.mtime_ns, error=answer)


class _timed:
    """Adds the wall seconds of its block to the report."""

    def __init__(self, report: ScanReport, phase: str) -> None:
        self._report, self._phase = report, phase

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._report.seconds[self._phase] = time.perf_counter() - self._start


def _shown(path: str) -> str:
    return path.encode("utf-8", "replace").decode()
