"""Opens a data set of any form: audio is extracted first, resumably, and labels are matched with the taxonomy."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from music_reclass.classification.extract import ExtractionRunner, read_pending
from music_reclass.domain import FeatureKind, Track, TrackTags, tags_group
from music_reclass.errors import NothingToDo, UsageError
from music_reclass.extractors.registry import worker_kinds
from music_reclass.features.database import Database, writing_lease
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library
from music_reclass.features.results import ScanStats
from music_reclass.features.scope import Scope
from music_reclass.models.dataset import FIRST, Dataset, LabelledFile, Raw, TableFile, fma518, to_dataset
from music_reclass.taxonomy import Taxonomy
from music_reclass.training import fma, folders, library, lists, npz
from music_reclass.training.augment import augmented
from music_reclass.training.lists import LabelledFiles
from music_reclass.utils.progress import progress_bar
from music_reclass.utils.words import counted

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.domain import Vector
    from music_reclass.utils.progress import StopRequest

AUDIO = ("fma-audio", "gtzan", "folder", "csv", "jamendo")
FORMS = ("table", "fma", *AUDIO, "library")
LEAST = 20  # tracks from which on a genre of the user's vocabulary is a class of its own
STOPPED = "stopped as you asked; what was extracted is kept: the same command goes on from here."
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class DatasetRequest:
    """Which data set: `path` is its file or folder, and is not needed for the library."""

    form: str  # one of FORMS
    path: Path | None = None
    subset: str = "large"  # of FMA
    excerpt: str = "mid30"  # of audio that is extracted, and of the library's vectors
    audio: Path | None = None  # where MTG-Jamendo's audio lies, if not beside its list
    least: int = LEAST
    roots: bool = False
    kinds: tuple[str, ...] = (FIRST,)  # whose vectors are wanted side by side, fma518 first
    augmentations: tuple[str, ...] = ()  # keys of `augment.AUGMENTATIONS`; of audio alone
    partial: bool = False  # of the library: NaN where a vector of a later kind is not stored, instead of extracting it


def open_dataset(request: DatasetRequest, taxonomy: Taxonomy, settings: Settings, stop: StopRequest) -> Dataset:
    """The data set that `request` names; UsageError or NothingToDo say what is wrong with it, or that `stop` is set."""
    if request.augmentations and request.form not in AUDIO:
        raise UsageError(f"--augment changes audio, so it goes with --on {', '.join(AUDIO)}.")
    if request.form == "table":
        return npz.read(_path(request), request.kinds)
    if request.form == "fma":
        if len(request.kinds) > 1:
            raise UsageError("FMA's metadata hold fma518 alone; use its audio (--on fma-audio), or a table.")
        return to_dataset(fma.read(_path(request), request.subset, cache_folder()), taxonomy)
    if request.form == "library":
        return _library(request, taxonomy, settings, stop)
    listed, kinds = _listed(request), _kinds(request)
    # The file keeps its old name: under another one everything would be extracted again.
    with closing(Database(cache_folder() / "listened.sqlite3")) as database:
        paths = [file.path for file in listed[0]]
        extracted = extract_files(database, paths, kinds, settings=settings, stop=stop)
        least = request.least if request.form in ("folder", "csv", "jamendo") else 1
        data = to_dataset(as_rows(request.form, listed, extracted, kinds), taxonomy, least, request.roots)
        if request.augmentations:
            names = request.augmentations
            changed = augmented(database, data.names, names, data.kind, settings=settings, stop=stop)
            data = data.with_augmentations(changed.completed(data.table.rows[:, : data.kind.dimension]))
    return data


def lacking(request: DatasetRequest, kinds: Sequence[FeatureKind]) -> str:
    """Why the data cannot have the vectors of `kinds`; "" where they have them, or where these can be extracted."""
    if request.form == "fma":
        return "" if len(kinds) == 1 else "FMA's metadata hold fma518 alone"
    if request.form != "table":
        return ""
    file = TableFile.read(_path(request))
    file.table()  # what is wrong with the table is said first
    arrays, stated = npz.kinds_in(file), npz.stated_kinds(file)
    for kind in kinds:
        if kind.name not in arrays:
            return f"the table holds no array {kind.name}"
        version = stated.get(kind.name, (kind.version, kind.excerpt))
        if version != (kind.version, kind.excerpt):
            return f"it was trained on {kind.key}, and the table holds {kind.name}/{'/'.join(version)}"
    return ""


def cache_folder() -> Path:
    """Where the numbers of FMA's metadata and the vectors of files outside the library are kept."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("reclass", appauthor=False)) / "datasets"


def _library(request: DatasetRequest, taxonomy: Taxonomy, settings: Settings, stop: StopRequest) -> Dataset:
    if not settings.database.exists():
        raise NothingToDo(
            f"There is no library at {settings.database} yet: scan a folder first (reclass scan ~/Music)."
        )
    first, *later = _kinds(request)
    with closing(Database(settings.database)) as database:
        tagged = [track.id for track in Library(database).tagged_by_user(first)] if later else []
        for kind in () if request.partial else later:
            if len(Library(database).having(tagged, kind)) < len(tagged):
                with writing_lease(settings.database, "train"):
                    extract_tracks(database, tagged, kind, settings=settings, stop=stop)
        raw = library.read(database, first, later, partial=request.partial)
    return to_dataset(raw, taxonomy, request.least, request.roots)


def extract_files(
    database: Database, paths: Sequence[str], kinds: Sequence[FeatureKind], *, settings: Settings, stop: StopRequest
) -> dict[str, Track]:
    """Every usable one of `paths`, by the path as given; its `vector` is of all `kinds` side by side.

    Vectors already in `database` are used; new ones are stored in batches, so that an interrupted call goes on where
    it stopped. NothingToDo when `stop` is set before all are read: half a data set trains another model.
    """
    scope, stats = Scope(database), ScanStats()
    real = {os.path.realpath(path): path for path in paths}
    found = list(_found(real))
    for start in range(0, len(found), _BATCH):
        scope.sort_found(found[start : start + _BATCH], kinds[0], stats, rescan=False)
    at_once = [kind for kind in kinds if kind.name in worker_kinds() and kind.excerpt == kinds[0].excerpt]
    read_pending(database, scope, at_once, settings, stats=stats, stop=stop)
    if stop:
        raise NothingToDo(STOPPED)
    decisions = Decisions(database)
    known = {named: decisions.track_at(path) for path, named in real.items()}
    usable = {named: track for named, track in known.items() if track is not None and track.error is None}
    vectors: list[dict[int, Vector]] = [Library(database).vectors([t.id for t in usable.values()], kinds[0])]
    for kind in kinds[1:]:
        tracks = [track.id for track in usable.values() if track.id in vectors[-1]]
        vectors.append(extract_tracks(database, tracks, kind, settings=settings, stop=stop))
    return {
        named: replace(track, vector=np.concatenate([of_kind[track.id] for of_kind in vectors]))
        for named, track in usable.items()
        if all(track.id in of_kind for of_kind in vectors)
    }


def extract_tracks(
    database: Database, tracks: Iterable[int], kind: FeatureKind, *, settings: Settings, stop: StopRequest
) -> dict[int, Vector]:
    """Vectors of `kind`, a network's too, of those of the `tracks` of `database` that can be used; new ones are stored.

    An interrupted call goes on where it stopped. NothingToDo when `stop` is set before all are there, BundleError where
    another version of the kind is installed, MissingWeights where none is.
    """
    stored, wanted = Library(database), list(tracks)
    having = stored.having(wanted, kind)
    lacking = list(stored.paths(track for track in wanted if track not in having).items())
    if lacking and not stop:
        with progress_bar(kind.name, len(lacking)) as progress:
            ExtractionRunner(database, settings).extract(lacking, kind, lambda: bool(stop), progress)
    if stop:
        raise NothingToDo(STOPPED)
    return stored.vectors(wanted, kind)


def _found(paths: Mapping[str, str]) -> Iterator[Track]:
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            continue
        yield Track(path, status.st_size, status.st_mtime_ns)


def as_rows(name: str, listed: LabelledFiles, extracted: Mapping[str, Track], kinds: Sequence[FeatureKind]) -> Raw:
    """The listed files with the vectors, of `kinds` side by side, of those that could be used; NothingToDo if none."""
    files, known = listed
    usable = [file for file in files if file.path in extracted]
    if not usable:
        raise NothingToDo(f"No features could be extracted from any of the {len(files)} files of {name}.")
    groups = [group_of(file, extracted[file.path].tags) for file in usable]
    notes = list(known)
    if len(usable) < len(files):
        unusable = len(files) - len(usable)
        notes.append(f"{counted(unusable, 'file')} could not be used (reclass status --failed lists them)")
    nameless = sum(not group for group in groups)
    if nameless and nameless < len(groups):
        notes.append(f"{counted(nameless, 'file')} without artist and album; each counts as another artist")
    return Raw(
        name=name,
        rows=np.array([extracted[file.path].vector for file in usable], dtype=np.float32),
        genres=[file.genres for file in usable],
        groups=groups,
        names=[file.path for file in usable],
        kind=kinds[0],
        split=[file.split for file in usable],
        artists=any(groups),
        notes=tuple(notes),
        more=tuple(kinds[1:]),
    )


def group_of(file: LabelledFile, tags: TrackTags) -> str:
    """What keeps rows on one side of a split: the artist, else the album, else the folder below the genre's; or ""."""
    if file.artist:
        return file.artist
    if name := tags_group(tags):
        return name
    folder = os.path.dirname(file.path)
    return "" if os.path.basename(folder) in file.genres or not file.genres else f"folder {folder}"


def _kinds(request: DatasetRequest) -> tuple[FeatureKind, ...]:
    return (fma518(request.excerpt), *(npz.kind_here(name, request.excerpt) for name in request.kinds[1:]))


def _listed(request: DatasetRequest) -> LabelledFiles:
    path = _path(request)
    if request.form == "fma-audio":
        return folders.fma_audio(path, request.subset)
    if request.form == "jamendo":
        return lists.jamendo(path, request.audio)
    simple = {"gtzan": folders.gtzan, "folder": folders.folder_per_genre, "csv": lists.paths_csv}
    return simple[request.form](path)


def _path(request: DatasetRequest) -> Path:
    if request.path is None:
        raise UsageError(f"Name the {request.form} data with --data PATH.")
    return request.path
