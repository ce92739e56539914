"""Opens a data set of any kind: labelled files are extracted first, labels are mapped by the taxonomy."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from music_reclass.classification.extract import ExtractionRunner, read_pending
from music_reclass.domain import FeatureKind, Track, TrackTags, tags_group
from music_reclass.errors import NothingToDo, UsageError
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library
from music_reclass.features.results import ScanStats
from music_reclass.features.scope import Scope
from music_reclass.models.dataset import FIRST, Dataset, LabelledFile, Listing, Raw, fma518, to_dataset
from music_reclass.taxonomy import Taxonomy
from music_reclass.training import fma as fma_metadata
from music_reclass.training import folders, library, lists, npz
from music_reclass.training import npz as kinds
from music_reclass.utils.progress import Bar, progress_bar

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.domain import Vector
    from music_reclass.features.database import Database
    from music_reclass.utils.progress import StopRequest

# Vectors of files, by path; files that cannot be used are absent. Resumable: a second call reads only what is missing.
ExtractFiles = Callable[[Sequence[str], FeatureKind], Mapping[str, Track]]


def with_vectors(listing: Listing, kind: FeatureKind, listen: ExtractFiles, more: Sequence[FeatureKind] = ()) -> Raw:
    """The listing with a vector of `kind`, and of the kinds in `more` beside it, for each file that could be used;
    NothingToDo if none could."""
    heard = listen([file.path for file in listing.files], kind)
    usable = [file for file in listing.files if file.path in heard]
    beside = []
    for other in more:
        beside.append(listen([file.path for file in usable], other))
        usable = [file for file in usable if file.path in beside[-1]]
    if not usable:
        raise NothingToDo(f"none of the {len(listing.files)} files of {listing.name} could be listened to.")
    groups = [group_of(file, heard[file.path].tags) for file in usable]
    notes = list(listing.notes)
    unusable = len(listing.files) - len(usable)
    if unusable:
        notes.append(f"{unusable} files could not be used (reclass status --failed lists them)")
    nameless = sum(not group for group in groups)
    if nameless and nameless < len(groups):
        notes.append(f"{nameless} files name no artist and no album and stand for themselves")
    return Raw(
        name=listing.name,
        rows=np.stack([np.concatenate([own[file.path].vector for own in (heard, *beside)]) for file in usable]),
        genres=[file.genres for file in usable],
        groups=groups,
        names=[file.path for file in usable],
        kind=kind,
        split=[file.split for file in usable],
        artists=any(groups),
        notes=tuple(notes),
        more=tuple(more),
    )


def group_of(file: LabelledFile, tags: TrackTags) -> str:
    """Whose rows must stay on one side: the artist, else the album, else the folder below the genre's; else ""."""
    if file.artist:
        return file.artist
    if name := tags_group(tags):
        return name
    folder = os.path.dirname(file.path)
    return "" if os.path.basename(folder) in file.genres or not file.genres else f"folder {folder}"


_BATCH = 1000


def extract_files(
    database: Database,
    paths: Sequence[str],
    kind: FeatureKind,
    settings: Settings,
    stop: StopRequest,
    bar: Bar = progress_bar,
) -> Mapping[str, Track]:
    """Vector and tags of every usable one of `paths`, by the path as given.

    Vectors already in `database` are used; new ones are stored in batches, so that an interrupted call goes on where
    it stopped. NothingToDo when `stop` is set before all are read: half a data set teaches something else.
    """
    scope, stats = Scope(database), ScanStats()
    real = {os.path.realpath(path): path for path in paths}
    found = list(_found(real))
    for start in range(0, len(found), _BATCH):
        scope.sort_found(found[start : start + _BATCH], kind, stats, rescan=False)
    read_pending(database, scope, kind, settings, stats=stats, stop=stop, bar=bar)
    if stop:
        raise NothingToDo("stopped as you asked; what was listened to is kept: the same command goes on from here.")
    library, heard = Library(database), {}
    decisions = Decisions(database)
    for path, named in real.items():
        track = decisions.track_at(path)
        if track is None or track.error is not None:
            continue
        vectors = library.vectors([track.id], kind)
        if track.id in vectors:
            heard[named] = replace(track, vector=vectors[track.id])
    return heard


def extracted_vectors(
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
            ExtractionRunner(database, settings).extract(lacking, kind, lambda: bool(stop), progress)
    if stop:
        raise NothingToDo("stopped as you asked; what was listened to is kept: the same command goes on from here.")
    return library.vectors(wanted, kind)


def _found(paths: Mapping[str, str]) -> Iterator[Track]:
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            continue
        yield Track(path, status.st_size, status.st_mtime_ns)


KINDS = ("table", "fma", "fma-audio", "gtzan", "folder", "csv", "jamendo", "library")
LEAST = 20  # rows that a genre of one's own vocabulary needs to stand for itself


@dataclass(frozen=True, slots=True)
class DatasetRequest:
    """Which data set: `path` is its file or folder, and is not needed for the library."""

    kind: str
    path: Path | None = None
    subset: str = "large"  # of FMA
    excerpt: str = "mid30"  # of audio that is listened to, and of the library's vectors
    audio: Path | None = None  # where MTG-Jamendo's audio lies, if not beside its list
    least: int = LEAST
    roots: bool = False
    cache: Path | None = None
    kinds: tuple[str, ...] = (FIRST,)  # whose vectors are wanted side by side, fma518 first


@dataclass(frozen=True, slots=True)
class Sources:
    """What the room above lends: a way to listen to files, and the library."""

    listen: ExtractFiles
    library: Callable[[], Database]
    # Sees to it that tracks of the library have vectors of a kind; without it those that are stored must do.
    hear: Callable[[Database, Sequence[int], FeatureKind], object] | None = None


def open_dataset(request: DatasetRequest, taxonomy: Taxonomy, sources: Sources) -> Dataset:
    """The data set that `request` names; UsageError or NothingToDo say what is wrong with it."""
    if request.kind == "table":
        return npz.read(_path(request), request.kinds)
    if request.kind == "fma":
        if len(request.kinds) > 1:
            raise UsageError("FMA's metadata hold fma518 alone; use its audio (--on fma-audio), or a table.")
        raw = fma_metadata.read(_path(request), request.subset, request.cache)
        return to_dataset(raw, taxonomy)
    if request.kind == "library":
        database, first, more = sources.library(), fma518(request.excerpt), _more(request)
        if more and sources.hear is not None:
            tagged = [track.id for track in Library(database).tagged_by_user(first)]
            for kind in more:
                sources.hear(database, tagged, kind)
        raw = library.read(database, first, more)
        return to_dataset(raw, taxonomy, request.least, request.roots)
    raw = with_vectors(_listing(request), fma518(request.excerpt), sources.listen, _more(request))
    own_words = request.kind in ("folder", "csv", "jamendo")
    return to_dataset(raw, taxonomy, request.least if own_words else 1, request.roots)


def _more(request: DatasetRequest) -> tuple[FeatureKind, ...]:
    return tuple(kinds.kind_here(name, request.excerpt) for name in request.kinds[1:])


def _listing(request: DatasetRequest) -> Listing:
    path = _path(request)
    if request.kind == "fma-audio":
        return folders.fma_audio(path, request.subset)
    if request.kind == "jamendo":
        return lists.jamendo(path, request.audio)
    simple = {"gtzan": folders.gtzan, "folder": folders.folder_per_genre, "csv": lists.paths_csv}
    return simple[request.kind](path)


def _path(request: DatasetRequest) -> Path:
    if request.path is None:
        raise UsageError(f"name the {request.kind} data with --data PATH.")
    return request.path
