"""Vectors into the library: of files that are pending, of tracks for later stages, and of one track on demand."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from music_reclass.classification.reading import read_track, read_vectors, read_windows_of, require_kind, timed_read
from music_reclass.domain import FeatureKind, Track
from music_reclass.errors import ReclassError, TrackError
from music_reclass.extractors import registry
from music_reclass.extractors.registry import extractor, network_kinds
from music_reclass.features.library import Library
from music_reclass.features.results import StageStats
from music_reclass.utils.progress import progress_bar

if TYPE_CHECKING:
    from music_reclass.classification.reading import Backend, TrackPath
    from music_reclass.classification.voter import Stage
    from music_reclass.domain import Vector
    from music_reclass.extractors.device import Placement
    from music_reclass.features.database import Database
    from music_reclass.features.results import ScanStats
    from music_reclass.features.scope import Scope
    from music_reclass.utils.progress import Bar, Progress, StopRequest

    Answers = Generator[tuple[TrackPath, dict[FeatureKind, Vector] | TrackError], None, None]

READ_BATCH = 50  # readings in one transaction: what a kill -9 costs at most
SAVE_BATCH = 20  # tracks whose vectors are stored in one transaction
SAVE_SECONDS = 2.0


def read_pending(
    database: Database,
    scope: Scope,
    kinds: Sequence[FeatureKind],
    backend: Backend,
    *,
    stats: ScanStats,
    stop: StopRequest,
    rescan: bool = False,
    bar: Bar = progress_bar,
    find_more: Callable[[], bool] = lambda: False,
    later: Callable[[int], float | None] = lambda count: 0.0,
) -> dict[FeatureKind, StageStats]:
    """Read the pending files of `scope` for vectors of `kinds`, which are of one excerpt, and store them in batches,
    until `stop`; what each kind cost, in seconds of work of all workers together, the first with all the rest.

    Audio of which a vector of the first kind is stored is not decoded. `find_more` may put more files into the scope;
    false: all are found. It is called while workers read, half of the time at most. `later`: the seconds of other work
    that follow upon so many files. BundleError, MissingWeights or MissingExtra where another kind cannot be had.
    """
    costs = {kind: StageStats() for kind in kinds}
    if not scope.pending_count():
        return costs
    require_installed(kinds[1:])
    library = Library(database)
    all_found = False

    def find() -> bool:
        nonlocal all_found
        all_found = all_found or not find_more()
        return not all_found

    def save(batch: list[Track]) -> None:
        scope.add(library.save(batch, kinds[0]))
        stats.read += len(batch)
        batch.clear()

    batch: list[Track] = []
    saved = look_at = time.monotonic()
    returning = (lambda *_: ()) if rescan else library.digests_that_may_return
    tasks = ((file, returning(file.path, file.size, kinds[0])) for file in scope.pending(find))
    answers = backend.map(partial(timed_read, kinds=tuple(kinds)), tasks, lambda: bool(stop))
    with bar("reading", None) as progress, closing(answers):
        for (file, _), answer in answers:
            if isinstance(answer, TrackError):
                answer = replace(file, error=answer), {}
            _count(costs, *answer)
            batch.append(answer[0])
            total = scope.pending_count() if all_found else None
            progress.foresee(total, None if total is None else later(total))
            progress.advance(1, os.path.basename(file.path)[:40], backend.bottleneck)
            if len(batch) >= READ_BATCH or time.monotonic() - saved > SAVE_SECONDS:
                save(batch)
                saved = time.monotonic()
            if (now := time.monotonic()) >= look_at:
                find()
                look_at = 2 * time.monotonic() - now
        save(batch)
    return costs


def _count(costs: Mapping[FeatureKind, StageStats], track: Track, seconds: Mapping[FeatureKind, float]) -> None:
    first = next(iter(costs))
    for kind, cost in costs.items():
        cost.extracted += kind in track.more or (kind == first and track.vector is not None)
        cost.seconds += seconds.get(kind, 0.0)


@dataclass(slots=True)
class OnDemandFeatures:
    """A feature source for the track `number` at `path` and, through `stored`, for the others of its album.

    What is not stored is extracted if `may_extract`. `known`: vectors by kind, also those made here; `seconds`: what
    extraction took, with loading what it needs; `failed`: why it could not be done.
    """

    number: int
    path: Path
    placement: Placement
    stored: Library | None = None
    may_extract: bool = True
    known: dict[FeatureKind, Vector] = field(default_factory=dict)
    seconds: dict[FeatureKind, float] = field(default_factory=dict)
    failed: dict[FeatureKind, TrackError] = field(default_factory=dict)

    def vectors(self, track_ids: Iterable[int], kind: FeatureKind) -> dict[int, Vector]:
        """The vectors of those of `track_ids` that have one of `kind`, or get one now."""
        wanted = list(track_ids)
        found = {} if self.stored is None else self.stored.vectors(wanted, kind)
        if self.number in wanted:
            vector = self.known.get(kind, found.get(self.number))
            if vector is None and self.may_extract and kind not in self.failed:
                vector = self._extracted(kind)
            if vector is not None:
                self.known[kind] = found[self.number] = vector
        return found

    def _extracted(self, kind: FeatureKind) -> Vector | None:
        from music_reclass.extractors.audio import load as audio

        start = time.perf_counter()
        made = extractor(kind.name, kind.excerpt, self.placement)
        if made.kind != kind:  # other weights than those the stage learned from: it does not vote
            return None
        try:
            vectors = registry.vectors(made, audio.load(self.path, kind.excerpt, made.rate).samples)
        except TrackError as error:
            self.failed[kind] = error
            return None
        self.known.update(vectors)
        self.seconds[kind] = time.perf_counter() - start
        return vectors[kind]


class ExtractionRunner:
    """Extracts vectors of any kind for tracks of the library, and stores each as it is done.

    Kinds of a network are computed in batches that span files, all others whole, both where the `backend` is.
    """

    def __init__(self, database: Database, backend: Backend) -> None:
        self._library = Library(database)
        self.backend = backend
        self._announced: set[FeatureKind] = set()  # whose loading was shown

    def release(self) -> None:
        """Free the memory that networks hold: a stage is done with all tracks it was asked about."""
        self._announced.clear()
        self.backend.release()

    def extract(
        self, tracks: Sequence[TrackPath], kind: FeatureKind, stop: Callable[[], bool], progress: Progress
    ) -> dict[int, TrackError | None]:
        """What became of each track that was reached before `stop`: None where its vector of `kind` is stored now.

        `stop` ends it in order: what is under way is kept. BundleError where the extractor at hand makes vectors of
        another version. Raises OutOfMemory.
        """
        found: dict[int, TrackError | None] = {}
        if not tracks or stop():
            return found
        if kind.name in network_kinds():
            if kind not in self._announced:
                self._announced.add(kind)
                progress.advance(0, f"loading {kind.name}")  # and measuring its memory: no track comes for a while
            answers = self._embedded(tracks, kind, stop)
        else:
            reader = partial(_or_why_not, reader=partial(read_vectors, kinds=(kind,)))
            answers = self._whole(tracks, reader, (kind,), stop)
        self._store(answers, found, progress)
        return found

    def extract_windows(
        self, tracks: Sequence[TrackPath], kinds: Sequence[FeatureKind], stop: Callable[[], bool], progress: Progress
    ) -> None:
        """Store the vectors of `kinds`, of excerpts beside the middle, of those of `tracks` that are reached before
        `stop`; an excerpt that is silent or cannot be read has none."""
        self._store(self._whole(tracks, partial(read_windows_of, kinds=tuple(kinds)), kinds, stop), {}, progress)

    def _store(self, answers: Answers, found: dict[int, TrackError | None], progress: Progress) -> None:
        """Store vectors as they come; `found` takes what became of each track."""
        with closing(answers), _WriteBuffer(self._library) as buffer:
            for (track, path), answer in answers:
                if isinstance(answer, TrackError):
                    found[track] = answer
                else:
                    found[track] = None
                    buffer.put(track, answer)
                progress.advance(1, os.path.basename(path)[:40], self.backend.bottleneck)

    def _whole(
        self,
        tracks: Sequence[TrackPath],
        reader: Callable[[Path], dict[FeatureKind, Vector] | ReclassError],
        kinds: Iterable[FeatureKind],
        stop: Callable[[], bool],
    ) -> Answers:
        """The vectors of `kinds` that workers compute whole, and what comes with them from the same pass."""
        require_installed(kinds)
        with closing(self.backend.map(partial(read_track, reader=reader), tracks, stop)) as answers:
            for item, answer in answers:
                if isinstance(answer, ReclassError):
                    raise answer  # of the model, not of this recording
                yield item, answer

    def _embedded(self, tracks: Sequence[TrackPath], kind: FeatureKind, stop: Callable[[], bool]) -> Answers:
        """The vectors of a kind that a network gives."""
        with closing(self.backend.embed(tracks, kind, stop)) as answers:
            for item, answer in answers:
                yield item, answer if isinstance(answer, TrackError) else {kind: answer}


class _WriteBuffer:
    """Vectors on their way into the library: stored in batches, and whatever ends the block, stored at its end."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._waiting: dict[FeatureKind, dict[int, Vector]] = {}
        self._count = 0
        self._stored = time.monotonic()

    def __enter__(self) -> _WriteBuffer:
        return self

    def __exit__(self, *_: object) -> None:
        self._store()

    def put(self, track: int, vectors: dict[FeatureKind, Vector]) -> None:
        """Take the vectors of a track, by kind."""
        for kind, vector in vectors.items():
            self._waiting.setdefault(kind, {})[track] = vector
        self._count += 1
        if self._count >= SAVE_BATCH or time.monotonic() - self._stored > SAVE_SECONDS:
            self._store()

    def _store(self) -> None:
        for kind, vectors in self._waiting.items():
            self._library.add_vectors(vectors, kind)
        self._waiting, self._count, self._stored = {}, 0, time.monotonic()


T = TypeVar("T")


def _or_why_not(path: Path, reader: Callable[[Path], T]) -> T | ReclassError:
    """What `reader` makes of the file; as a value, for its way between processes, why it can make nothing of any file:
    damaged weights."""
    try:
        return reader(path)
    except ReclassError as error:
        return ReclassError(str(error))


def require_installed(kinds: Iterable[FeatureKind]) -> None:
    """BundleError unless the extractors at hand make vectors of these very `kinds`; MissingWeights, MissingExtra."""
    for kind in kinds:
        require_kind(extractor(kind.name, kind.excerpt).kind, kind)


def missing_vectors(database: Database, stages: Sequence[Stage], tracks: Sequence[int]) -> dict[str, int]:
    """How many of `tracks` have no stored vector of a kind that `stages` need, by the kind's name; those with none
    are left out."""
    library = Library(database)
    counts = {kind.name: len(tracks) - len(library.having(tracks, kind)) for kind in _kinds(stages)}
    return {name: count for name, count in counts.items() if count}


def extract_missing(
    database: Database,
    stages: Sequence[Stage],
    tracks: Sequence[int],
    runner: ExtractionRunner,
    *,
    stop: Callable[[], bool],
    bar: Bar = progress_bar,
) -> None:
    """Store every vector that `stages` need of `tracks` and that is not stored, until `stop`.

    A kind is extracted only for tracks that have the kinds before it.
    """
    library = Library(database)
    left = list(tracks)
    for kind in _kinds(stages):
        stored = library.having(left, kind)
        paths = library.paths(track for track in left if track not in stored)
        if paths and not stop():
            with bar(kind.name, len(paths)) as progress:
                answers = runner.extract(list(paths.items()), kind, stop, progress)
            stored.update(track for track, error in answers.items() if error is None)
        left = [track for track in left if track in stored]


def _kinds(stages: Sequence[Stage]) -> list[FeatureKind]:
    return list(dict.fromkeys(kind for stage in stages for kind in stage.kinds))
