"""From folders to decisions: find files, read new ones, decide by the cascade; a stopped scan resumes."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from music_reclass.classification.escalate import Budget, Escalation, seconds_to_come
from music_reclass.classification.extract import ExtractionRunner, read_pending
from music_reclass.classification.reading import Backend, LocalBackend
from music_reclass.classification.voter import Cascade
from music_reclass.errors import NothingToDo
from music_reclass.extractors.registry import extractor
from music_reclass.features.results import Scans, ScanStats, StageStats
from music_reclass.features.scope import Scope
from music_reclass.utils.files import walk
from music_reclass.utils.progress import Bar, progress_bar

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.domain import FeatureKind, Track
    from music_reclass.utils.progress import StopRequest

WALK_BATCH = 250


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """What to scan and which files of it."""

    roots: tuple[str, ...]
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    rescan: bool = False
    limit: int | None = None  # the first so many files alone
    only: frozenset[str] = frozenset()  # files in these very folders alone, if there are some; real paths


def scan(
    scope: Scope,
    request: ScanRequest,
    cascade: Cascade,
    settings: Settings,
    *,
    stop: StopRequest,
    bar: Bar = progress_bar,
    backend: Backend | None = None,
) -> ScanStats:
    """Bring the library up to date with the files below the roots and decide what is undecided.

    The tracks met are in `scope` then. Files are read and networks compute where `backend` does it, by default on this
    machine. Raises NothingToDo when no root exists or none holds audio. When `stop` is set, what was read is kept,
    decided, and `stopped` says so.
    """
    stats = ScanStats(stages={stage.name: StageStats() for stage in cascade.stages})
    database = scope.database
    backend = LocalBackend(settings) if backend is None else backend
    first, kinds = cascade.stages[0], cascade.first_read
    first.require(extractor(kinds[0].name, kinds[0].excerpt).kind)
    budget = Budget.of(settings)
    measured = Scans(database).costs()
    discovery = _timed_steps(stats, "discover", _discover(scope, request, kinds[0], stats=stats, stop=stop))
    with bar("looking", None) as progress:
        for count in discovery:
            progress.advance(count)
            if scope.pending_count():
                break  # reading begins; the rest is looked for meanwhile
    before = stats.seconds["discover"]
    with _timed(stats, "read"):
        costs = read_pending(
            database, scope, kinds, backend, stats=stats, stop=stop, rescan=request.rescan, bar=bar,
            find_more=lambda: next(discovery, None) is not None,
            later=lambda count: seconds_to_come(cascade, 0, count, measured, budget=budget),
        )  # fmt: skip
    stats.seconds["read"] -= stats.seconds["discover"] - before
    for _ in discovery:  # where nobody waited for it
        pass
    _mark_missing(scope, request, stats, stop)
    _share_out(stats, cascade, costs)
    with _timed(stats, "decide"):
        runner = ExtractionRunner(database, backend)
        Escalation(database, scope, cascade, runner, bar=bar, stats=stats).run(budget, stop)
        stats.in_pieces = backend.in_pieces
    stats.stopped = bool(stop)
    return stats


def _share_out(stats: ScanStats, cascade: Cascade, costs: Mapping[FeatureKind, StageStats]) -> None:
    """Count what reading cost for the stages whose kinds it extracted: to each its part of the wall seconds."""
    work = sum(cost.seconds for cost in costs.values())
    counted: set[FeatureKind] = set()
    for stage in cascade.always_asked:
        mine = [costs[kind] for kind in stage.kinds if kind in costs and kind not in counted]
        counted.update(stage.kinds)
        if mine and work:
            cost = stats.stage(stage.name)
            cost.extracted = cost.at_reading = max(of_kind.extracted for of_kind in mine)
            cost.seconds = stats.seconds["read"] * sum(of_kind.seconds for of_kind in mine) / work
    stats.stage(cascade.stages[0].name).extracted = stats.read


def _discover(
    scope: Scope, request: ScanRequest, kind: FeatureKind, *, stats: ScanStats, stop: StopRequest
) -> Iterator[int]:
    """Sort the files below the roots into known and pending ones, some at each step; how many."""
    missing = [root for root in request.roots if not os.path.lexists(root)]
    if missing:
        raise NothingToDo(f"{_shown(missing[0])} does not exist; name a folder or file that holds music.")

    def unreadable(path: str, error: OSError) -> None:
        if error.errno in (errno.ENOENT, errno.ELOOP) and path not in request.roots:
            return  # a link that leads nowhere: there is nothing behind it to miss
        stats.unreadable.append((path, error.strerror or str(error)))

    found: list[Track] = []
    globs = {"include": request.include, "exclude": request.exclude}
    files = walk(request.roots, **globs, only=request.only, on_error=unreadable, stop=lambda: bool(stop))
    for file in islice(files, request.limit):
        found.append(file)
        if len(found) >= WALK_BATCH:
            scope.sort_found(found, kind, stats, request.rescan)
            yield len(found)
            found = []
    scope.sort_found(found, kind, stats, request.rescan)
    yield len(found)
    if not stats.found and not stop:
        if stats.unreadable:
            path, why = stats.unreadable[0]
            raise NothingToDo(f"{_shown(path)} cannot be read: {why}.")
        raise NothingToDo(f"No audio files below {', '.join(map(_shown, request.roots))}.")


def _mark_missing(scope: Scope, request: ScanRequest, stats: ScanStats, stop: StopRequest) -> None:
    """Mark the tracks below the roots that were not met, where all files there were looked for."""
    if stop:
        return
    if not stats.unreadable and not request.include and not request.exclude and request.limit is None:
        # Of chosen folders those that still hold something: one that has vanished may be on a disk that is away.
        chosen = [folder for folder in sorted(request.only) if any(walk([folder], only=[folder]))]
        folders = chosen if request.only else [os.path.realpath(root) for root in request.roots]
        stats.gone = scope.mark_missing(folders, with_folders_below=not request.only)


def _timed_steps(stats: ScanStats, phase: str, steps: Iterator[int]) -> Iterator[int]:
    """The same steps; notes the wall seconds that they take."""
    stats.seconds[phase] = 0.0
    while True:
        start = time.perf_counter()
        try:
            step = next(steps)
        except StopIteration:
            return
        finally:
            stats.seconds[phase] += time.perf_counter() - start
        yield step


@contextmanager
def _timed(stats: ScanStats, phase: str) -> Iterator[None]:
    """Notes the wall seconds of its block."""
    start = time.perf_counter()
    try:
        yield
    finally:
        stats.seconds[phase] = time.perf_counter() - start


def _shown(path: str) -> str:
    return path.encode("utf-8", "replace").decode()
