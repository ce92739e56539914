"""Changed versions of labelled files, listened to once and kept: the views that training sees beside the files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from music_reclass.classification.reading import prepare_worker
from music_reclass.classification.scan import SAVE_BATCH
from music_reclass.errors import NothingToDo, TrackError
from music_reclass.features.versions import Versions
from music_reclass.training.tables import Views
from music_reclass.utils.progress import Bar, progress_bar
from music_reclass.utils.workers import WorkerPool

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.domain import FeatureKind, Vector
    from music_reclass.features.database import Database
    from music_reclass.utils.interrupt import StopRequest


@dataclass(frozen=True, slots=True)
class VersionReader:
    """Callable that gives the vectors of some versions of one file; picklable, raises TrackError."""

    kind: FeatureKind

    def __call__(self, task: tuple[str, tuple[str, ...]]) -> dict[str, Vector]:
        from music_reclass.extractors import audio
        from music_reclass.extractors.registry import extractor
        from music_reclass.training.augmentation import version

        path, names = task
        own = extractor(self.kind.name, self.kind.excerpt)
        clip = audio.load(Path(path), self.kind.excerpt, own.rate)
        audio.check_usable(clip)
        return {name: own.vector(version(name, clip.samples, own.rate, path)) for name in names}


def augmented(
    database: Database,
    paths: Sequence[str],
    names: Sequence[str],
    kind: FeatureKind,
    settings: Settings,
    stop: StopRequest,
    bar: Bar = progress_bar,
) -> Views:
    """The versions `names` of the files at `paths`, in their order; what is stored is used, the rest listened to.

    The files must be tracks of `database` (`gathered` has seen to that). A version that cannot be made is NaN:
    `completed` puts the file's own vector there. NothingToDo when `stop` is set before all are there.
    """
    store = Versions(database)
    real = {path: os.path.realpath(path) for path in paths}
    known = {name: store.of(real.values(), name, kind) for name in names}
    wanted = [(path, tuple(name for name in names if path not in known[name])) for path in dict.fromkeys(real.values())]
    todo = [task for task in wanted if task[1]]

    def tasks() -> Iterator[tuple[str, tuple[str, ...]]]:
        for task in todo:
            if stop:
                return
            yield task

    fresh: dict[str, dict[str, Vector]] = {}
    jobs = min(settings.workers, max(1, len(todo)))
    with (
        bar("changing", len(todo)) as progress,
        WorkerPool(VersionReader(kind), jobs, settings.timeout * 2, prepare_worker) as pool,
    ):
        for (path, _), answer in pool.map(tasks()):
            progress.advance(1, os.path.basename(path)[:40])
            if not isinstance(answer, TrackError):
                fresh[path] = answer
            if len(fresh) >= SAVE_BATCH:
                store.save(fresh, kind)
                fresh = {}
    store.save(fresh, kind)
    if stop:
        raise NothingToDo("stopped as you asked; what was listened to is kept: the same command goes on from here.")
    return _views(store, [real[path] for path in paths], names, kind)


def _views(store: Versions, paths: Sequence[str], names: Sequence[str], kind: FeatureKind) -> Views:
    found = {name: store.of(paths, name, kind) for name in names}
    blank = np.full(kind.dimension, np.nan, dtype=np.float32)
    rows = [[found[name].get(path, blank) for name in names] for path in paths]
    return Views(tuple(names), np.array(rows, dtype=np.float32))


def completed(views: Views, rows: NDArray[np.float32]) -> Views:
    """The views with the tracks' own `rows`, (n, columns), where a version could not be made."""
    absent = np.isnan(views.rows).any(axis=2, keepdims=True)
    return Views(views.names, np.where(absent, rows[:, None], views.rows).astype(np.float32))
