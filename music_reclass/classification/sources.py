"""Where the vectors of the later stages come from: the library, or the files, listened to once and then stored."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from music_reclass.classification.reading import VectorReader, prepare_worker
from music_reclass.errors import TrackError
from music_reclass.utils.progress import Progress, progress_bar
from music_reclass.utils.workers import WorkerPool

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from music_reclass.domain import FeatureKind, Vector
    from music_reclass.features.store import Library

SAVE_BATCH = 20
SAVE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class NumberedReader:
    """Callable that gives the vector of one (track id, path); picklable, for worker processes. Raises TrackError."""

    reader: VectorReader

    def __call__(self, item: tuple[int, str]) -> Vector:
        return self.reader(Path(item[1]))


class ListeningSource:
    """Vectors of any kind for tracks of the library. What is not stored is extracted in workers and stored.

    `cheap` is the kind that the scan itself has read: a track without it could not be heard, and is not tried again.
    """

    def __init__(
        self,
        library: Library,
        cheap: FeatureKind,
        jobs: int,
        timeout: float,
        stop: Callable[[], bool],
        bar: Callable[[str, int | None], AbstractContextManager[Progress]] = progress_bar,
    ) -> None:
        self._library, self._cheap, self._jobs, self._timeout = library, cheap, jobs, timeout
        self._stop, self._bar = stop, bar
        self.asked: dict[str, int] = {}  # tracks listened to, by the name of the kind
        self.seconds: dict[str, float] = {}

    def vectors(self, track_ids: Iterable[int], kind: FeatureKind) -> dict[int, Vector]:
        """The vectors of those of `track_ids` that have one, or get one now; fewer once `stop` is true."""
        wanted = list(track_ids)
        found = self._library.vectors(wanted, kind)
        missing = [track for track in wanted if track not in found]
        if kind == self._cheap or not missing or self._stop():
            return found
        start = time.perf_counter()
        found.update(self._listened(missing, kind))
        self.seconds[kind.name] = self.seconds.get(kind.name, 0.0) + time.perf_counter() - start
        return found

    def _listened(self, track_ids: Sequence[int], kind: FeatureKind) -> dict[int, Vector]:
        paths = self._library.paths(track_ids)

        def items() -> Iterable[tuple[int, str]]:
            for track in track_ids:
                if self._stop():
                    return
                if track in paths:
                    yield track, paths[track]

        fresh: dict[int, Vector] = {}
        unsaved: dict[int, Vector] = {}
        saved = time.monotonic()
        reader = NumberedReader(VectorReader(kind.name, kind.excerpt))
        jobs = min(self._jobs, len(track_ids))
        with (
            self._bar(kind.name, len(track_ids)) as progress,
            WorkerPool(reader, jobs, self._timeout, prepare_worker) as pool,
        ):
            for (track, path), answer in pool.map(items()):
                progress.advance(1, os.path.basename(path)[:40])
                if isinstance(answer, TrackError):
                    continue  # it was heard for the first stage; without this vector the later one does not vote
                unsaved[track] = fresh[track] = answer
                if len(unsaved) >= SAVE_BATCH or time.monotonic() - saved > SAVE_SECONDS:
                    self._library.add_vectors(unsaved, kind)
                    unsaved, saved = {}, time.monotonic()
            self._library.add_vectors(unsaved, kind)
        self.asked[kind.name] = self.asked.get(kind.name, 0) + len(fresh)
        return fresh
