"""What every data set is: rows with label sets and groups, or files with genres that are still to be listened to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch

import numpy as np
from numpy.typing import NDArray

from music_reclass.domain import FeatureKind
from music_reclass.errors import UsageError
from music_reclass.extractors.fma import COLUMNS
from music_reclass.extractors.fma import VERSION as FEATURES_VERSION
from music_reclass.taxonomy import Taxonomy
from music_reclass.training.datasets.vocabulary import label_sets
from music_reclass.training.kinds import columns_of
from music_reclass.training.tables import Table, Views

TRAINING, VALIDATION, TEST = "training", "validation", "test"
SPLITS = ("", TRAINING, VALIDATION, TEST)


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """One audio file and the genres it is said to have. `artist` "" where the source names none."""

    path: str
    genres: tuple[str, ...]
    artist: str = ""
    split: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """Files with genres; `datasets.extraction` turns them into a Dataset."""

    name: str
    files: tuple[LabelledFile, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled vectors, of one kind or of several side by side: `kind` and `more`, in the order of the columns.

    With a single kind `table.columns` may be a part of the kind's columns.
    """

    name: str
    table: Table
    kind: FeatureKind
    split: NDArray[np.str_]  # (n,) one of SPLITS: the official one, "" where there is none
    names: tuple[str, ...]  # path or track number of each row
    artists: tuple[str, ...] = ()  # the name behind each row's group; () where no row has one
    more: tuple[FeatureKind, ...] = ()

    def __len__(self) -> int:
        return len(self.table)

    @property
    def is_split(self) -> bool:
        """Whether it comes with an official test part."""
        return bool((self.split == TEST).any() and (self.split == TRAINING).any())

    @property
    def kinds(self) -> tuple[FeatureKind, ...]:
        """All kinds, in the order of the columns."""
        return (self.kind, *self.more)

    def chosen(self, which: NDArray[np.bool_]) -> Dataset:
        """The rows that the mask `which` picks."""
        pick = [number for number, wanted in enumerate(which) if wanted]
        return replace(
            self,
            table=self.table.chosen(which),
            split=self.split[which],
            names=tuple(self.names[number] for number in pick),
            artists=tuple(self.artists[number] for number in pick) if self.artists else (),
        )

    def of(self, names: Sequence[str]) -> Dataset:
        """The same rows with the vectors of the kinds `names` only; KeyError for one that is not there."""
        place, at = {}, 0
        for kind in self.kinds:
            place[kind.name] = (kind, slice(at, at + kind.dimension))
            at += kind.dimension
        if list(names) == list(place):
            return self
        kinds = [place[name][0] for name in names]
        columns = [column for name in names for column in self.table.columns[place[name][1]]]
        rows = np.concatenate([self.table.rows[:, place[name][1]] for name in names], axis=1)
        table = replace(self.table, columns=tuple(columns), rows=rows)
        return replace(self, table=table, kind=kinds[0], more=tuple(kinds[1:]))

    def leaks(self) -> tuple[str, ...]:
        """A sentence for each way in which a test on this data would flatter; () where none is known."""
        found = []
        if self.is_split and self.artists:
            training = set(self.table.groups[self.split == TRAINING].tolist())
            test = self.table.groups[self.split == TEST]
            both = int(np.isin(test, list(training)).sum())
            if both:
                found.append(f"{both} of {len(test)} test rows are of artists that are in the training part too")
        if not self.artists and not self.is_split:
            found.append("no artists are known, so rows of one artist may stand on both sides of a split")
        return tuple(found)


def fma518(excerpt: str) -> FeatureKind:
    """The feature kind of these data sets."""
    return FeatureKind("fma518", FEATURES_VERSION, len(COLUMNS), excerpt)


@dataclass(frozen=True, slots=True)
class Raw:
    """A data set as read, before its genres are matched with the taxonomy; all lists are as long as `rows`."""

    name: str
    rows: NDArray[np.float32]  # of `kind`, and of the kinds in `more` beside it
    genres: Sequence[Sequence[str]]
    groups: Sequence[str]  # artist, else album, else folder; "" : the row stands for itself
    names: Sequence[str]
    kind: FeatureKind
    split: Sequence[str] = ()
    columns: tuple[str, ...] = COLUMNS
    artists: bool = True  # whether `groups` are artists (or albums, or folders), not single files
    notes: tuple[str, ...] = ()
    more: tuple[FeatureKind, ...] = ()


def labelled(raw: Raw, taxonomy: Taxonomy, least: int = 1, roots: bool = False) -> Dataset:
    """The data set with genres as `taxonomy` calls them; UsageError where nothing remains.

    Genres of fewer than `least` rows count as their parent (`vocabulary.label_sets`); rows without a genre of the
    taxonomy, and rows with NaN or infinity, are left out, and the notes say how many.
    """
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(raw.rows).all(axis=1), dtype=np.bool_)
    classes, labels, notes = label_sets(raw.genres, taxonomy, least, roots, finite)
    notes = [*raw.notes, *notes]
    if not finite.all():
        notes.append(f"{int((~finite).sum())} rows hold no finite features and are left out")
    keep: NDArray[np.bool_] = np.asarray(finite & labels.any(axis=1), dtype=np.bool_)
    if not keep.any():
        raise UsageError(f"{raw.name} holds no row with features and a genre of the taxonomy (reclass genres list).")
    keys = np.array([group or f"\0{number}" for number, group in enumerate(raw.groups)])[keep]
    known = raw.artists and any(raw.groups)
    if not known:
        notes.append(
            "no artists are known: rows of one artist may stand on both sides of a split, and figures may be too good"
        )
    support = labels[keep].sum(axis=0)
    scarce = [name for name, count in zip(classes, support, strict=True) if count < 20]
    if scarce:
        notes.append(f"fewer than 20 rows carry {', '.join(scarce)}: figures for them mean little")
    split = np.array(raw.split if len(raw.split) else [""] * len(raw.rows), dtype=np.str_)[keep]
    table = Table(
        columns=(*raw.columns, *columns_of(raw.more)),
        rows=np.ascontiguousarray(raw.rows[keep], dtype=np.float32),
        classes=classes,
        labels=labels[keep],
        groups=np.unique(keys, return_inverse=True)[1].reshape(-1).astype(np.int64),
        datasets=np.full(int(keep.sum()), raw.name),
        notes=tuple(notes),
    )
    names = tuple(os.fspath(name) for name, wanted in zip(raw.names, keep, strict=True) if wanted)
    artists = tuple(group for group, wanted in zip(raw.groups, keep, strict=True) if wanted) if known else ()
    return Dataset(raw.name, table, raw.kind, split, names, artists, raw.more)


def narrowed(data: Dataset, views: Views | None, globs: Sequence[str]) -> tuple[Dataset, Views | None]:
    """The data with those columns whose name one of `globs` matches; UsageError if none does."""
    if data.more:
        raise UsageError("part of the columns can be chosen of fma518 alone, not beside the vectors of other kinds.")
    keep = [n for n, name in enumerate(data.table.columns) if any(fnmatch(name, glob) for glob in globs)]
    if not keep:
        raise UsageError(f"no column matches {', '.join(globs)}; they are named as mfcc_mean_01 is.")
    columns = tuple(data.table.columns[number] for number in keep)
    table = replace(data.table, columns=columns, rows=np.ascontiguousarray(data.table.rows[:, keep]))
    narrow = None if views is None else Views(views.names, np.ascontiguousarray(views.rows[:, :, keep]))
    return replace(data, table=table), narrow
