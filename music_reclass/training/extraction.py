"""Extracts the vectors that a data set lacks, within a time, which the first tracks tell; a stopped one resumes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from music_reclass.classification.extract import ExtractionRunner, read_pending
from music_reclass.classification.reading import LocalBackend
from music_reclass.domain import FeatureKind, Track
from music_reclass.errors import NothingToDo
from music_reclass.extractors.registry import worker_kinds
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library
from music_reclass.features.results import ScanStats
from music_reclass.features.scope import Scope
from music_reclass.models.crossval import Log
from music_reclass.training.train import silent
from music_reclass.utils.files import mtime_ns
from music_reclass.utils.progress import Progress, StopRequest, StopWhen, progress_bar
from music_reclass.utils.words import counted, rough_time

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.features.database import Database

STOPPED = "Stopped as you asked; what was extracted is kept."
FEW, MOST, ENOUGH_SECONDS = 3, 40, 8.0  # tracks that are measured: so many at least, at most, or for so long
SAID_FROM, ASKED_FROM = 60.0, 3600.0  # seconds from which on an estimate is said, and somebody is asked
_AT_ONCE = 0.05  # seconds within which tracks count as done together, as those of one batch are
_BATCH = 1000

Work = Callable[[Sequence[Any], Callable[[], bool], Progress], Collection[Any]]


class Step(NamedTuple):
    """One pass of an extraction over keys (track ids, or paths)."""

    name: str  # the feature kinds that it gives
    lacking: Callable[[Sequence[Any]], Collection[Any]]  # which of the keys it has something to do for
    run: Work  # does it for keys until it is to stop; those that it reached
    place: Callable[[], str] = lambda: ""  # where it runs, once it has run


@dataclass(slots=True)
class Extraction:
    """What an extraction obeys: the user's `stop`, the `end` of its time on the `clock`, the answer to a long estimate.

    Steps share the time: what cannot be done for a track in all steps is not begun with it.
    """

    settings: Settings
    stop: StopRequest
    log: Log = silent
    ask: Callable[[str], bool] = lambda question: True
    clock: Callable[[], float] = time.monotonic
    end: float | None = None
    again: str = "the same command"  # that goes on where this one stops, as a user would write it
    is_short: bool = False  # whether time was over before all was done

    @classmethod
    def lasting(cls, seconds: float | None, settings: Settings, stop: StopRequest, **others: Any) -> Extraction:
        """One that has so many `seconds` from now on; None: all it needs."""
        made = cls(settings, stop, **others)
        made.end = None if seconds is None else made.clock() + seconds
        return made

    @property
    def is_late(self) -> bool:
        """Whether its time is over."""
        return self.end is not None and self.clock() >= self.end

    @property
    def ended(self) -> StopRequest:
        """True once the user or the clock has ended it."""
        return StopWhen(lambda: bool(self.stop) or self.is_late)

    def stopped(self, why: str) -> NothingToDo:
        """The error that ends a data set, with the command that goes on."""
        return NothingToDo(f"{why} It goes on from here with {self.again}")

    def run(self, keys: Sequence[Any], steps: Sequence[Step]) -> None:
        """Do all `steps` for `keys`, in their order, until that is done, stopped or out of time.

        NothingToDo where somebody was asked and would not wait for it.
        """
        reached: dict[str, set[Any]] = {step.name: set() for step in steps}
        rates = {step.name: self._measured(step, self._todo(step, keys, reached), reached) for step in steps}
        self._announce(keys, steps, rates, reached)
        done = -1
        while not self.ended and done < len(keys):
            within = self._within(keys, steps, rates, reached)
            if within <= done:
                break
            done = within
            for step in steps:
                rates[step.name] = self._do(step, keys[:done], rates[step.name], reached)
        self.is_short = not self.stop and any(self._todo(step, keys, reached) for step in steps)

    def _todo(self, step: Step, keys: Sequence[Any], reached: dict[str, set[Any]]) -> list[Any]:
        """Which of `keys` the step has yet to try, in their order."""
        lacking = set(step.lacking(keys)) - reached[step.name]
        return [key for key in keys if key in lacking]

    def _measured(self, step: Step, todo: Sequence[Any], reached: dict[str, set[Any]]) -> float:
        """Seconds a track, as the first of `todo` take; they are done then. 0 for so few that nobody need know."""
        if len(todo) <= FEW or self.ended:
            return 0.0
        with _stopwatch(step.name, min(MOST, len(todo)), self.clock) as watch:
            enough = StopWhen(lambda: bool(self.ended) or watch.is_enough)
            reached[step.name] |= set(step.run(todo[:MOST], lambda: bool(enough), watch))
        return watch.seconds_each

    def _do(self, step: Step, keys: Sequence[Any], rate: float, reached: dict[str, set[Any]]) -> float:
        todo = self._todo(step, keys, reached)
        if not todo or self.ended:
            return rate
        ended = self.ended
        with _stopwatch(step.name, len(todo), self.clock) as watch:
            reached[step.name] |= set(step.run(todo, lambda: bool(ended), watch))
        return watch.seconds_each if len(watch.times) > FEW else rate

    def _costs(
        self, keys: Sequence[Any], steps: Sequence[Step], rates: dict[str, float], reached: dict[str, set[Any]]
    ) -> NDArray[np.float64]:
        """The seconds that each of `keys` will take, (n,)."""
        costs = np.zeros(len(keys))
        for step in steps:
            todo = set(self._todo(step, keys, reached))
            costs += [rates[step.name] if key in todo else 0.0 for key in keys]
        return costs

    def _within(
        self, keys: Sequence[Any], steps: Sequence[Step], rates: dict[str, float], reached: dict[str, set[Any]]
    ) -> int:
        """How many of `keys`, the first ones, can have all they lack before the time is over."""
        if self.end is None:
            return len(keys)
        costs: NDArray[np.float64] = np.cumsum(self._costs(keys, steps, rates, reached))
        return int(np.count_nonzero(costs <= self.end - self.clock()))

    def _announce(
        self, keys: Sequence[Any], steps: Sequence[Step], rates: dict[str, float], reached: dict[str, set[Any]]
    ) -> None:
        """Say roughly how long it will take, and ask where that is above an hour."""
        costs = self._costs(keys, steps, rates, reached)
        total, count = float(costs.sum()), int((costs > 0).sum())
        if total < SAID_FROM or self.ended:
            return
        left = total if self.end is None else min(total, max(0.0, self.end - self.clock()))
        text = f"about {rough_time(total)} for {counted(count, 'track')} ({', '.join(self._rates(steps, rates))})"
        if left < total:
            within = int((costs[: self._within(keys, steps, rates, reached)] > 0).sum())
            text += f"; --max-time stops it in order after {rough_time(left)}, with about {counted(within, 'track')}"
        else:
            fewer = _round_third(len(keys))
            sample = f"--sample {fewer} would take about {rough_time(float(costs[:fewer].sum()))}; " if fewer else ""
            text += f"; {sample}--max-time stops it in order, and so does Ctrl-C: the same command goes on then"
        self.log(text)
        if left > ASKED_FROM and not self.ask("Go on?"):
            raise self.stopped("What was extracted so far is kept.")

    def _rates(self, steps: Sequence[Step], rates: dict[str, float]) -> Iterator[str]:
        for step in steps:
            if rates[step.name]:
                place = step.place()
                yield f"{step.name} {rates[step.name]:.2g} s a track{' on ' + place if place else ''}"


def _round_third(count: int) -> int:
    """A third of a large number of tracks, as somebody would write it; 0 for a small one."""
    third = count // 3
    size = int(10 ** max(2, len(str(third)) - 1))
    return third // size * size


class _Stopwatch:
    """Progress that notes when each track was done."""

    def __init__(self, bar: Progress, clock: Callable[[], float]) -> None:
        self._bar, self._clock, self._start = bar, clock, clock()
        self.times: list[float] = []

    def advance(self, count: int = 1, note: str = "", limit: str = "") -> None:
        """`count` more tracks are done now."""
        self.times += [self._clock()] * count
        self._bar.advance(count, note, limit)

    def foresee(self, total: int | None, later: float | None) -> None:
        """The bar knows: it is that of all parts of a step."""

    @property
    def is_enough(self) -> bool:
        """Whether so many were seen, for so long since the first, that they tell how long others will take."""
        return len(self.times) >= FEW and self._clock() - self.times[0] >= ENOUGH_SECONDS

    @property
    def seconds_each(self) -> float:
        """The seconds of a track: after the first, which waits for a network to load; where all came at once, at most
        so many."""
        if not self.times:
            return 0.0
        later = [at for at in self.times if at > self.times[0] + _AT_ONCE]
        if later:
            return (later[-1] - self.times[0]) / len(later)
        return (self.times[-1] - self._start) / len(self.times)


@contextmanager
def _stopwatch(title: str, total: int, clock: Callable[[], float]) -> Iterator[_Stopwatch]:
    with progress_bar(title, total) as bar:
        yield _Stopwatch(bar, clock)


def extract_tracks(
    database: Database, tracks: Iterable[int], kinds: Sequence[FeatureKind], extraction: Extraction
) -> None:
    """Extract and store vectors of `kinds`, networks' too, of those of the `tracks` of `database` that lack them.

    NothingToDo when the user stops it, BundleError where another version of a kind is installed, MissingWeights where
    none is.
    """
    stored, runner = Library(database), ExtractionRunner(database, LocalBackend(extraction.settings))

    def lacking(kind: FeatureKind, ids: Sequence[int]) -> set[int]:
        return set(stored.paths(ids)) - stored.having(ids, kind)

    def run(kind: FeatureKind, ids: Sequence[int], stop: Callable[[], bool], progress: Progress) -> Collection[int]:
        return _extracted(runner, list(stored.paths(ids).items()), kind, stop=stop, progress=progress)

    extraction.run(list(tracks), [_step(kind, lacking, run, runner) for kind in kinds])
    if extraction.stop:
        raise extraction.stopped(STOPPED)


def _step(kind: FeatureKind, lacking: Callable[..., Any], run: Callable[..., Any], runner: ExtractionRunner) -> Step:
    return Step(kind.name, partial(lacking, kind), partial(run, kind), lambda: runner.backend.places.get(kind.name, ""))


def _extracted(
    runner: ExtractionRunner,
    tracks: Sequence[tuple[int, str]],
    kind: FeatureKind,
    *,
    stop: Callable[[], bool],
    progress: Progress,
) -> Collection[int]:
    """The tracks that were reached; the memory of the network is free again afterwards."""
    if not tracks:
        return ()
    try:
        return runner.extract(tracks, kind, stop, progress).keys()
    finally:
        runner.release()


def extract_files(
    database: Database, paths: Sequence[str], kinds: Sequence[FeatureKind], extraction: Extraction
) -> dict[str, Track]:
    """Every one of `paths` that is usable and has vectors of all `kinds`, by the path as given; its `vector` is of all
    of them side by side.

    Vectors already in `database` are used; new ones are stored in batches, so that an interrupted call goes on where it
    stopped. NothingToDo when the user stops it before all are there.
    """
    files = _Files(database, paths, kinds, extraction.settings)
    extraction.run(list(files.real), files.steps())
    if extraction.stop:
        raise extraction.stopped(STOPPED)
    usable = files.usable()
    each = [Library(database).vectors([track.id for track in usable.values()], kind) for kind in kinds]
    return {
        files.real[path]: replace(track, vector=np.concatenate([of_kind[track.id] for of_kind in each]))
        for path, track in usable.items()
        if all(track.id in of_kind for of_kind in each)
    }


class _Files:
    """Files outside the library, by their real path: which are read, and which lack a kind of vectors."""

    def __init__(
        self, database: Database, paths: Sequence[str], kinds: Sequence[FeatureKind], settings: Settings
    ) -> None:
        self._database, self._kinds = database, kinds
        self._found = {file.path: file for file in _found(dict.fromkeys(map(os.path.realpath, paths)))}
        names = {os.path.realpath(path): path for path in paths}
        self.real = {path: names[path] for path in self._found}  # as given, by the real path
        self._runner = ExtractionRunner(database, LocalBackend(settings))
        self._at_once = [kind for kind in kinds if kind.name in worker_kinds() and kind.excerpt == kinds[0].excerpt]

    def steps(self) -> list[Step]:
        """Reading, for all kinds that one decoding serves; then each later kind."""
        reading = Step("+".join(kind.name for kind in self._at_once), self._unread, self._read)
        return [reading, *(_step(kind, self._lacking, self._extract, self._runner) for kind in self._kinds[1:])]

    def usable(self) -> dict[str, Track]:
        """The files that could be read."""
        decisions = Decisions(self._database)
        known = {path: decisions.track_at(path) for path in self.real}
        return {path: track for path, track in known.items() if track is not None and track.error is None}

    def _scope(self, paths: Sequence[str]) -> Scope:
        scope, stats = Scope(self._database), ScanStats()
        for start in range(0, len(paths), _BATCH):
            batch = [self._found[path] for path in paths[start : start + _BATCH]]
            scope.sort_found(batch, self._kinds[0], stats, rescan=False)
        return scope

    def _unread(self, paths: Sequence[str]) -> Collection[str]:
        return {file.path for file in self._scope(paths).pending()}

    def _read(self, paths: Sequence[str], stop: Callable[[], bool], progress: Progress) -> Collection[str]:
        @contextmanager
        def bar(title: str, total: int | None) -> Iterator[Progress]:
            yield progress

        asked = StopWhen(stop)
        scope = self._scope(paths)
        backend = self._runner.backend
        read_pending(self._database, scope, self._at_once, backend, stats=ScanStats(), stop=asked, bar=bar)
        return paths if not asked else set(paths) - set(self._unread(paths))

    def _lacking(self, kind: FeatureKind, paths: Sequence[str]) -> Collection[str]:
        """Those that can get a vector of `kind` by themselves, now or when they are read."""
        unread = set(self._unread(paths))
        ids = {path: track.id for path, track in self._usable_among(paths, unread).items()}
        having = Library(self._database).having(ids.values(), kind)
        lacking = {path for path, track in ids.items() if track not in having}
        return lacking if kind in self._at_once else lacking | unread

    def _extract(
        self, kind: FeatureKind, paths: Sequence[str], stop: Callable[[], bool], progress: Progress
    ) -> Collection[str]:
        ids = {track.id: path for path, track in self._usable_among(paths, set(self._unread(paths))).items()}
        reached = _extracted(self._runner, list(ids.items()), kind, stop=stop, progress=progress)
        return [ids[track] for track in reached]

    def _usable_among(self, paths: Sequence[str], unread: Collection[str]) -> dict[str, Track]:
        decisions = Decisions(self._database)
        known = {path: decisions.track_at(path) for path in paths if path not in unread}
        return {path: track for path, track in known.items() if track is not None and track.error is None}


def _found(paths: Iterable[str]) -> Iterator[Track]:
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            continue
        yield Track(path, status.st_size, mtime_ns(status))
