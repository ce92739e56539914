"""From folders to decisions: find files, read new ones, decide by the cascade; a stopped scan resumes."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from music_reclass.classification.escalate import Budget, Escalation
from music_reclass.classification.extract import ExtractionRunner, read_pending
from music_reclass.classification.voter import Cascade
from music_reclass.errors import NothingToDo
from music_reclass.extractors.registry import extractor
from music_reclass.features.results import ScanStats, StageStats
from music_reclass.features.scope import Scope
from music_reclass.utils.files import walk
from music_reclass.utils.progress import Bar, progress_bar

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.domain import FeatureKind, Track
    from music_reclass.utils.progress import StopRequest

WALK_BATCH = 1000


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """What to scan and which files of it."""

    roots: tuple[str, ...]
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    rescan: bool = False


def scan(
    scope: Scope,
    request: ScanRequest,
    cascade: Cascade,
    settings: Settings,
    *,
    stop: StopRequest,
    bar: Bar = progress_bar,
) -> ScanStats:
    """Bring the library up to date with the files below the roots and decide what is undecided.

    The tracks met are in `scope` then. Raises NothingToDo when no root exists or none holds audio. When `stop` is set,
    what was read is kept, decided, and `stopped` says so.
    """
    stats = ScanStats(stages={stage.name: StageStats() for stage in cascade.stages})
    database = scope.database
    first = cascade.stages[0]
    kind = extractor(first.kinds[0].name, first.kinds[0].excerpt).kind
    first.require(kind)
    with _timed(stats, "discover"):
        _discover(scope, request, kind, stats=stats, stop=stop, bar=bar)
    with _timed(stats, "read"):
        read_pending(database, scope, kind, settings, stats=stats, stop=stop, rescan=request.rescan, bar=bar)
    stats.stage(first.name).extracted, stats.stage(first.name).seconds = stats.read, stats.seconds["read"]
    with _timed(stats, "decide"):
        runner = ExtractionRunner(database, settings)
        Escalation(database, scope, cascade, runner, bar=bar, stats=stats).run(Budget.of(settings), stop)
        stats.in_pieces = runner.in_pieces
    stats.stopped = bool(stop)
    return stats


def _discover(
    scope: Scope, request: ScanRequest, kind: FeatureKind, *, stats: ScanStats, stop: StopRequest, bar: Bar
) -> None:
    """Sort the files below the roots into known and pending ones, and mark missing tracks."""
    missing = [root for root in request.roots if not os.path.lexists(root)]
    if missing:
        raise NothingToDo(f"{_shown(missing[0])} does not exist; name a folder or file that holds music.")

    def unreadable(path: str, error: OSError) -> None:
        if error.errno in (errno.ENOENT, errno.ELOOP) and path not in request.roots:
            return  # a link that leads nowhere: there is nothing behind it to miss
        stats.unreadable.append((path, error.strerror or str(error)))

    found: list[Track] = []
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
        raise NothingToDo(f"No audio files below {', '.join(map(_shown, request.roots))}.")
    if not stats.unreadable and not request.include and not request.exclude:
        stats.gone = scope.mark_missing([os.path.realpath(root) for root in request.roots])


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
