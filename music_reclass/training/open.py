"""Opens a data set of any form: audio is extracted first, resumably, and labels are matched with the taxonomy."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from music_reclass.domain import FeatureKind, Track, TrackTags, tags_group
from music_reclass.errors import NothingToDo, TrackError, UsageError
from music_reclass.features.database import Database, writing_lease
from music_reclass.models.crossval import Log, stratified_order
from music_reclass.models.dataset import FIRST, Dataset, LabelledFile, Raw, TableFile, fma518, to_dataset
from music_reclass.models.vocabulary import label_sets
from music_reclass.tagging.read import read_tags
from music_reclass.taxonomy import Taxonomy
from music_reclass.training import fma, folders, library, lists, npz
from music_reclass.training.augment import augmented
from music_reclass.training.extraction import Extraction, extract_files, extract_tracks
from music_reclass.training.lists import LabelledFiles
from music_reclass.training.train import silent
from music_reclass.utils.progress import progress_bar
from music_reclass.utils.words import counted, verb

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.utils.progress import StopRequest

AUDIO = ("fma-audio", "gtzan", "folder", "csv", "jamendo")
FORMS = ("table", "fma", *AUDIO, "library")
USERS_WORDS = ("folder", "csv", "jamendo", "library")  # whose genres are no fixed list
LEAST = 20  # tracks from which on a genre of the user's vocabulary is a class of its own
LEAST_OF_SAMPLE, SAMPLE_PER_CLASS = 5, 50  # of a small sample fewer will do: one in so many, but at least so many
ENOUGH = 200  # tracks that are enough to train on where time was over before all had their vectors


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
    sample: int | None = None  # so many tracks at most, spread over genres and artists
    seed: int = 0  # of the sample
    seconds: float | None = None  # how long vectors may be extracted; None: until all are there

    @property
    def least_of_class(self) -> int:
        """Tracks that a genre of the user's vocabulary needs to be a class; fewer in a small sample."""
        if self.form not in USERS_WORDS:
            return 1
        if self.sample is None:
            return self.least
        return min(self.least, max(LEAST_OF_SAMPLE, self.sample // SAMPLE_PER_CLASS))


def open_dataset(
    request: DatasetRequest,
    taxonomy: Taxonomy,
    settings: Settings,
    stop: StopRequest,
    *,
    log: Log = silent,
    ask: Callable[[str], bool] = lambda question: True,
    again: str = "the same command",
) -> Dataset:
    """The data set that `request` names; UsageError or NothingToDo say what is wrong with it, or that `stop` is set.

    `log` takes estimates and what became of the time; `ask` answers whether to go on where it will take long;
    `again` is the command that goes on where this one is stopped.
    """
    if request.augmentations and request.form not in AUDIO:
        raise UsageError(f"--augment changes audio, so it goes with --on {', '.join(AUDIO)}.")
    if request.form == "table":
        return sampled(npz.read(_path(request), request.kinds), request)
    if request.form == "fma":
        if len(request.kinds) > 1:
            raise UsageError("FMA's metadata hold fma518 alone; use its audio (--on fma-audio), or a table.")
        return sampled(to_dataset(fma.read(_path(request), request.subset, cache_folder()), taxonomy), request)
    extraction = Extraction.lasting(request.seconds, settings, stop, log=log, ask=ask, again=again)
    if request.form == "library":
        return _library(request, taxonomy, extraction)
    return _audio(request, taxonomy, extraction)


def sampled(data: Dataset, request: DatasetRequest) -> Dataset:
    """The sample of `data` that the request wants; all of it where it wants none, or where there is no more."""
    if request.sample is None or request.sample >= len(data):
        return data
    groups = data.artists or tuple(map(str, data.table.groups.tolist()))
    order = stratified_order(data.table.labels, groups, data.names, split=data.split.tolist(), seed=request.seed)
    mask = np.zeros(len(data), dtype=np.bool_)
    mask[order[: request.sample]] = True
    table = data.table.chosen(mask)
    carried: NDArray[np.bool_] = np.asarray(table.labels.any(axis=0), dtype=np.bool_)
    table = replace(
        table,
        classes=tuple(name for name, some in zip(table.classes, carried, strict=True) if some),
        labels=table.labels[:, carried],
        notes=(*table.notes, _sample_note(request.sample, len(data))),
    )
    return replace(data.chosen(mask), table=table)


def _sample_note(count: int, of: int) -> str:
    return f"a sample of {counted(count, 'track')} of {of:,}; rare genres count for more in it than among all"


def _audio(request: DatasetRequest, taxonomy: Taxonomy, extraction: Extraction) -> Dataset:
    """Files outside the library; what they lack is extracted, and kept in the cache folder."""
    (files, notes), kinds = _listed(request), _kinds(request)
    order = _order_of_files(files, request, taxonomy)
    chosen = [files[place] for place in order]
    if len(chosen) < len(files) and request.sample is not None:
        notes = (*notes, _sample_note(len(chosen), len(files)))
    # The file keeps its old name: under another one everything would be extracted again.
    with closing(Database(cache_folder() / "listened.sqlite3")) as database:
        extracted = extract_files(database, [file.path for file in chosen], kinds, extraction)
        notes = (*notes, *_after(extraction, len(extracted), len(chosen)))
        wanted = {file.path for file in chosen} if not extraction.is_short else extracted.keys()
        listed = [file for file in files if file.path in wanted], notes
        raw = as_rows(request.form, listed, extracted, kinds)
        data = to_dataset(raw, taxonomy, request.least_of_class, request.roots)
        if request.augmentations:
            names, ended = request.augmentations, extraction.ended
            changed = augmented(database, data.names, names, data.kind, settings=extraction.settings, stop=ended)
            data = data.with_augmentations(changed.completed(data.table.rows[:, : data.kind.dimension]))
    return data


def _order_of_files(files: Sequence[LabelledFile], request: DatasetRequest, taxonomy: Taxonomy) -> list[int]:
    """Positions of the files to extract, the first ones first: as they join a sample, up to its size."""
    if request.sample is None and request.seconds is None:
        return list(range(len(files)))
    genres = [file.genres for file in files]
    _, labels, notes = label_sets(genres, taxonomy, least=request.least_of_class, roots=request.roots)
    _require_some(labels, request, notes)
    with progress_bar("tags", len(files)) as progress:
        groups = []
        for file in files:
            groups.append(group_of(file, TrackTags() if file.artist else _tags_of(file.path)))
            progress.advance()
    split, names = [file.split for file in files], [file.path for file in files]
    order: list[int] = stratified_order(labels, groups, names, split=split, seed=request.seed).tolist()
    return order[: request.sample]


def _require_some(labels: NDArray[np.bool_], request: DatasetRequest, notes: Sequence[str]) -> None:
    """UsageError where no track has a genre that can be a class, before anything is extracted."""
    if not labels.any():
        raise UsageError(
            f"No genre of the {request.form} can be learned: {'; '.join(notes)}. Fewer tracks will do with --least."
        )


def _tags_of(path: str) -> TrackTags:
    try:
        return read_tags(Path(path))
    except TrackError:  # reading it says what is wrong with it
        return TrackTags()


def _after(extraction: Extraction, count: int, wanted: int) -> tuple[str, ...]:
    """A note where time was over before all had their vectors; NothingToDo where too few have for training."""
    if not extraction.is_short or count >= wanted:
        return ()
    have = f"{count:,} of {counted(wanted, 'track')} {verb(count, 'has', 'have')} all their vectors"
    if count < min(ENOUGH, (wanted + 1) // 2):
        raise extraction.stopped(f"--max-time is over: {have}, too few to go on with; they are kept.")
    note = f"--max-time was over when {have}"
    extraction.log(f"{note}. It goes on with these; the others are extracted by {extraction.again}")
    return (note,)


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


def _library(request: DatasetRequest, taxonomy: Taxonomy, extraction: Extraction) -> Dataset:
    settings = extraction.settings
    if not settings.database.exists():
        raise NothingToDo(
            f"There is no library at {settings.database} yet: scan a folder first (reclass scan ~/Music)."
        )
    first, *later = _kinds(request)
    with closing(Database(settings.database)) as database:
        decided = library.decided_genres(database, first)
        among: list[int] | None = None
        notes: tuple[str, ...] = ()
        if request.sample is not None or (later and not request.partial):
            among, notes = _chosen_of_library(database, first, decided, request=request, taxonomy=taxonomy)
        if among is not None and later and not request.partial:
            with writing_lease(settings.database, "train", settings.wait):
                extract_tracks(database, among, later, extraction)
        raw = library.read(database, first, later, partial=request.partial, among=among, decided=decided)
    notes += _after(extraction, len(raw.rows), len(raw.rows) if among is None else len(among))
    raw = replace(raw, notes=(*raw.notes, *notes))
    return to_dataset(raw, taxonomy, request.least_of_class, request.roots)


def _chosen_of_library(
    database: Database,
    kind: FeatureKind,
    decided: Mapping[int, Sequence[str]],
    *,
    request: DatasetRequest,
    taxonomy: Taxonomy,
) -> tuple[list[int], tuple[str, ...]]:
    """The ids of the tracks with a usable genre, as they join a sample, up to its size; and notes about the others."""
    tracks = list(library.labelled_tracks(database, kind, decided))
    genres = [decided.get(track.id) or track.tags.genres or () for track in tracks]
    least = request.least_of_class
    _, labels, notes = label_sets(genres, taxonomy, least=least, roots=request.roots)
    if tracks:
        _require_some(labels, request, notes)
    groups, names = [track.group for track in tracks], [track.path for track in tracks]
    order = stratified_order(labels, groups, names, seed=request.seed).tolist()
    chosen = [tracks[place].id for place in order[: request.sample]]
    about = [note for note in notes if not note.startswith("fewer than")]  # said of the rows that are used
    if len(chosen) < len(order):
        about.append(_sample_note(len(chosen), len(order)))
    return chosen, tuple(about)


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
