"""Listening on behalf of a data set: files named one by one become vectors and tags, each read once and kept."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from music_reclass.classification.reading import FileReader
from music_reclass.classification.scan import ScanReport, read_pending
from music_reclass.classification.sources import Listener
from music_reclass.errors import NothingToDo
from music_reclass.features.decisions import Decisions
from music_reclass.features.scope import Scope
from music_reclass.features.store import Library
from music_reclass.training.datasets.extraction import Heard
from music_reclass.utils.progress import Bar, progress_bar
from music_reclass.utils.walk import FoundFile

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.domain import FeatureKind, TagReader, Vector
    from music_reclass.features.database import Database
    from music_reclass.utils.interrupt import StopRequest

_BATCH = 1000


def gathered(
    database: Database,
    paths: Sequence[str],
    kind: FeatureKind,
    settings: Settings,
    read_tags: TagReader,
    stop: StopRequest,
    bar: Bar = progress_bar,
) -> Mapping[str, Heard]:
    """Vector and tags of every usable one of `paths`, by the path as given.

    Vectors already in `database` are used; new ones are stored in batches, so that an interrupted call goes on where
    it stopped. NothingToDo when `stop` is set before all are read: half a data set teaches something else.
    """
    scope, report = Scope(database), ScanReport()
    real = {os.path.realpath(path): path for path in paths}
    found = list(_found(real))
    for start in range(0, len(found), _BATCH):
        scope.sort_found(found[start : start + _BATCH], kind, report.discovery, rescan=False)
    read_pending(database, scope, FileReader(kind, read_tags), settings, False, report, stop, bar)
    if stop:
        raise NothingToDo("stopped as you asked; what was listened to is kept: the same command goes on from here.")
    library, heard = Library(database), {}
    decisions = Decisions(database)
    for path, named in real.items():
        state = decisions.state_of(path)
        if state is None or state.error is not None:
            continue
        vectors = library.vectors([state.id], kind)
        if state.id in vectors:
            heard[named] = Heard(vectors[state.id], state.tags)
    return heard


def heard_vectors(
    database: Database,
    track_ids: Iterable[int],
    kind: FeatureKind,
    settings: Settings,
    stop: StopRequest,
    bar: Bar = progress_bar,
) -> dict[int, Vector]:
    """Vectors of `kind`, a network's too, of those of `track_ids` that can be heard; what is not stored is listened to.

    Each is stored as it is done, so that an interrupted call goes on where it stopped. NothingToDo when `stop` is set
    before all are there, BundleError where another version of the kind is installed, MissingWeights where none is.
    """
    library, wanted = Library(database), list(track_ids)
    stored = library.having(wanted, kind)
    lacking = list(library.paths(track for track in wanted if track not in stored).items())
    if lacking and not stop:
        with bar(kind.name, len(lacking)) as progress:
            Listener(database, settings).listen(lacking, kind, lambda: bool(stop), progress)
    if stop:
        raise NothingToDo("stopped as you asked; what was listened to is kept: the same command goes on from here.")
    return library.vectors(wanted, kind)


def _found(paths: Mapping[str, str]) -> Iterator[FoundFile]:
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            continue
        yield FoundFile(path, status.st_size, status.st_mtime_ns)
