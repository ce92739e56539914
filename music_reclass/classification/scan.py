"""From folders to decisions: discover, read what is new, let the ladder decide; whatever stops it, it resumes."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from music_reclass.classification.escalate import Budget, Escalation
from music_reclass.classification.extract import ExtractionRunner, FileReader, ReadTask, prepare_worker
from music_reclass.classification.voter import Cascade
from music_reclass.errors import NothingToDo, TrackError
from music_reclass.extractors.registry import extractor
from music_reclass.features.library import Library, Reading
from music_reclass.features.scans import ScanStats, StageStats
from music_reclass.features.scope import Scope
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
) -> ScanStats:
    """Bring the library up to date with the files below the roots and decide what is undecided.

    The tracks met are left in `Scope`'s temporary table of this connection. Raises NothingToDo when no root exists
    or none holds audio. When `stop` is set, what was read is kept, decided, and `stopped` says so.
    """
    stats = ScanStats(stages={stage.name: StageStats() for stage in cascade.stages})
    scope = Scope(database)
    first = cascade.stages[0]
    kind = extractor(first.kinds[0].name, first.kinds[0].excerpt).kind
    first.require(kind)
    with _timed(stats, "discover"):
        _discover(scope, request, kind, stats, stop, bar)
    with _timed(stats, "read"):
        read_pending(database, scope, FileReader(kind, read_tags), settings, request.rescan, stats, stop, bar)
    stats.stage(first.name).extracted, stats.stage(first.name).seconds = stats.read, stats.seconds["read"]
    with _timed(stats, "decide"):
        runner = ExtractionRunner(database, settings)
        Escalation(database, scope, cascade, bar, stats).run(runner, Budget.of(settings), stop)
        stats.in_pieces = runner.pieced
    stats.stopped = bool(stop)
    return stats


def _discover(
    scope: Scope, request: ScanRequest, kind: FeatureKind, stats: ScanStats, stop: StopRequest, bar: Bar
) -> None:
    missing = [root for root in request.roots if not os.path.lexists(root)]
    if missing:
        raise NothingToDo(f"{_shown(missing[0])} does not exist; name a folder or file that holds music.")

    def unreadable(path: str, error: OSError) -> None:
        if error.errno in (errno.ENOENT, errno.ELOOP) and path not in request.roots:
            return  # a link that leads nowhere: there is nothing behind it to miss
        stats.unreadable.append((path, error.strerror or str(error)))

    found: list[FoundFile] = []
    with bar("looking", None) as progress:
        for file in walk(request.roots, include=request.include, exclude=request.exclude, on_error=unreadable):
            found.append(file)
            if len(found) >= WALK_BATCH:
                scope.sort_found(found, kind, stats, request.rescan)
                progress.advance(len(found))
                found = []
                if stop:
                    return
        scope.sort_found(found, kind, stats, request.rescan)
    if not stats.found:
        if stats.unreadable:
            path, why = stats.unreadable[0]
            raise NothingToDo(f"{_shown(path)} cannot be read: {why}.")
        raise NothingToDo(f"no audio files below {', '.join(map(_shown, request.roots))}.")
    if not stats.unreadable and not request.include and not request.exclude:
        stats.gone = scope.mark_missing([os.path.realpath(root) for root in request.roots])


def read_pending(
    database: Database,
    scope: Scope,
    reader: FileReader,
    settings: Settings,
    rescan: bool,
    stats: ScanStats,
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
        stats.read += len(batch)
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
    """Adds the wall seconds of its block to the stats."""

    def __init__(self, stats: ScanStats, phase: str) -> None:
        self._stats, self._phase = stats, phase

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._stats.seconds[self._phase] = time.perf_counter() - self._start


def _shown(path: str) -> str:
    return path.encode("utf-8", "replace").decode()
