"""Labelled data: tables of vectors with label sets and groups, augmentations of them, and data sets."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.domain import FeatureKind
from music_reclass.errors import NothingToDo, UsageError
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.extractors.fma518 import VERSION as FEATURES_VERSION
from music_reclass.models.vocabulary import label_sets
from music_reclass.taxonomy import Taxonomy

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of vectors in the order of `columns`; without labels it is good for predictions only."""

    columns: tuple[str, ...]
    rows: NDArray[np.float32]  # (n, len(columns)), finite
    classes: tuple[str, ...]  # () without labels
    labels: NDArray[np.bool_]  # (n, len(classes)), a set a row, none of them empty
    groups: NDArray[np.int64]  # (n,) artist as a number from 0; each row another one where nothing is known
    datasets: NDArray[np.str_]  # (n,) where a row comes from; "" where nothing is known
    notes: tuple[str, ...] = ()  # for the user

    def __len__(self) -> int:
        return len(self.rows)

    def chosen(self, which: NDArray[Any]) -> Table:
        """The rows that `which` (a mask or positions) picks, in its order."""
        return replace(
            self,
            rows=self.rows[which],
            labels=self.labels[which],
            groups=self.groups[which],
            datasets=self.datasets[which],
        )

    @property
    def digest(self) -> str:
        """SHA-256 over columns, rows, classes, labels and groups, as hex."""
        sha = hashlib.sha256("\n".join((*self.columns, *self.classes)).encode())
        for array in (self.rows, self.labels, self.groups):
            sha.update(np.ascontiguousarray(array).tobytes())
        return sha.hexdigest()


@dataclass(frozen=True, slots=True)
class Augmentations:
    """Changed versions of the rows of a table, in the same order."""

    names: tuple[str, ...]
    rows: NDArray[np.float32]  # (n, len(names), columns)

    def chosen(self, which: NDArray[Any]) -> Augmentations:
        """The augmentations of the rows that `which` picks."""
        return Augmentations(self.names, self.rows[which])

    def completed(self, rows: NDArray[np.float32]) -> Augmentations:
        """With the clean `rows`, (n, columns), where an augmentation could not be made (NaN)."""
        absent = np.isnan(self.rows).any(axis=2, keepdims=True)
        return Augmentations(self.names, np.where(absent, rows[:, None], self.rows).astype(np.float32))


@dataclass(frozen=True, slots=True)
class TableFile:
    """The arrays of a feature table (.npz) by name, read once. Its methods raise UsageError that says what is wrong."""

    path: Path
    arrays: Mapping[str, NDArray[Any]]

    @classmethod
    def read(cls, path: Path) -> TableFile:
        """All arrays of the file; NothingToDo if there is none."""
        try:
            opened = np.load(path, allow_pickle=False)
            if isinstance(opened, np.ndarray):
                raise UsageError(f"{path} holds a single array; a table is an .npz file with named arrays.")
            with opened as stored:
                return cls(path, {name: stored[name] for name in stored.files})
        except FileNotFoundError:
            raise NothingToDo(f"There is no file {path}.") from None
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, TokenError):
            raise UsageError(f"{path} is not a feature table: a whole .npz file without pickled objects.") from None

    def table(self, *, labelled: bool = True) -> Table:
        """Its arrays `fma518` and `columns`; for training `labels`, `classes`, `group`, `dataset` too.

        Without `labelled` these are not looked at: predictions need none. Columns in another order are put right by
        name.
        """
        rows = self._finite(self._numbers(2)[:, self._order()])
        count = len(rows)
        if not labelled:
            nothing = np.zeros((count, 0), dtype=np.bool_)
            return Table(COLUMNS, rows, (), nothing, np.arange(count), np.full(count, ""))
        notes: list[str] = []
        classes, labels = self._label_sets(count)
        if "group" in self.arrays:
            groups = np.unique(self.one_a_row("group", count), return_inverse=True)[1].reshape(-1)
        else:
            groups = np.arange(count)
            if classes:
                notes.append(
                    "the table names no artists (array `group`), so rows of one artist may stand on both sides of a "
                    "split and the figures may be too good"
                )
        named = self.one_a_row("dataset", count) if "dataset" in self.arrays else np.full(count, "")
        scarce = [name for name, support in zip(classes, labels.sum(axis=0), strict=True) if support < 20]
        if scarce:
            notes.append(f"fewer than 20 rows carry {', '.join(scarce)}: figures for them mean little")
        return Table(COLUMNS, rows, classes, labels, groups.astype(np.int64), named.astype(np.str_), tuple(notes))

    def augmentations(self, table: Table) -> Augmentations:
        """Changed versions of the rows of `table`: arrays `fma518` (n, versions, columns) and their names, `views`."""
        rows = self._numbers(3)[:, :, self._order()]
        names = tuple(str(name) for name in self.arrays.get("views", np.array([])).reshape(-1))
        if len(names) != rows.shape[1]:
            raise UsageError(
                f"{self.path} names {len(names)} views and holds {rows.shape[1]}; the array `views` must name each of "
                "them."
            )
        if len(rows) != len(table):
            raise UsageError(
                f"{self.path} holds views of {len(rows)} rows and the table has {len(table)}; both must hold the same "
                "rows in the same order."
            )
        return Augmentations(names, self._finite(rows))

    def one_a_row(self, name: str, count: int) -> NDArray[Any]:
        """The array `name`, which must have the shape (count,)."""
        if self.arrays[name].shape != (count,):
            raise UsageError(
                f"The array `{name}` of {self.path} has the shape {self.arrays[name].shape}; it must be ({count},)."
            )
        return self.arrays[name]

    def _numbers(self, dimensions: int) -> NDArray[np.float32]:
        missing = [name for name in ("fma518", "columns") if name not in self.arrays]
        if missing:
            raise UsageError(f"{self.path} lacks the array `{missing[0]}`; a table needs `fma518` and `columns`.")
        rows = self.arrays["fma518"]
        if rows.ndim != dimensions or rows.dtype.kind not in "fiu" or not len(rows):
            raise UsageError(
                f"The array `fma518` of {self.path} has the shape {rows.shape} of {rows.dtype}; it must hold numbers "
                f"in {dimensions} dimensions and at least one row."
            )
        return rows.astype(np.float32)

    def _order(self) -> NDArray[np.int64]:
        """Where each of COLUMNS stands in the file."""
        names, width = [str(name) for name in self.arrays["columns"].reshape(-1)], self.arrays["fma518"].shape[-1]
        place = {name: number for number, name in enumerate(names)}
        absent = [name for name in COLUMNS if name not in place]
        if absent or len(place) != len(names) or len(names) != width:
            lacking = f"it lacks {', '.join(absent[:_MOST_NAMED])}"
            detail = lacking if absent else "names are doubled or do not match the rows"
            raise UsageError(
                f"The columns of {self.path} are not those of fma518 ({detail}; {len(names)} names for {width} numbers "
                "a row); `reclass features` makes such vectors."
            )
        return np.array([place[name] for name in COLUMNS], dtype=np.int64)

    def _finite(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        bad = ~np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
        if bad.any():
            raise UsageError(
                f"{int(bad.sum())} rows of {self.path} hold NaN or infinity (the first is row {int(bad.argmax())}); "
                "leave those rows out."
            )
        return rows

    def _label_sets(self, count: int) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
        if "labels" not in self.arrays and "classes" not in self.arrays:
            return (), np.zeros((count, 0), dtype=np.bool_)
        classes = tuple(str(name) for name in self.arrays.get("classes", np.array([])).reshape(-1))
        labels = self.arrays.get("labels", np.zeros(0))
        if labels.shape != (count, len(classes)) or labels.dtype.kind not in "biu" or len(set(classes)) != len(classes):
            raise UsageError(
                f"The labels of {self.path} have the shape {labels.shape} of {labels.dtype} for {count} rows and "
                f"{len(classes)} classes; `labels` must be bool, a row for each row and a column for each different "
                "name in `classes`."
            )
        sets = labels.astype(np.bool_)
        empty = ~sets.any(axis=1)
        if empty.any():
            raise UsageError(
                f"{int(empty.sum())} rows of {self.path} carry no label (the first is row {int(empty.argmax())}); "
                "leave those rows out."
            )
        return classes, sets


def read_table(path: Path, *, labelled: bool = True) -> Table:
    """The table in `path`; see `TableFile.table`."""
    return TableFile.read(path).table(labelled=labelled)


def read_augmentations(path: Path, table: Table) -> Augmentations:
    """The changed versions of the rows of `table` in `path`; see `TableFile.augmentations`."""
    return TableFile.read(path).augmentations(table)


FIRST = "fma518"


def columns_of(kinds: Sequence[FeatureKind]) -> tuple[str, ...]:
    """The names of the columns of `kinds` side by side."""
    names: list[str] = []
    for kind in kinds:
        names += COLUMNS if kind.name == FIRST else [f"{kind.name}_{number:03}" for number in range(kind.dimension)]
    return tuple(names)


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
    augmentations: Augmentations | None = None  # of all columns
    gold: frozenset[str] = frozenset()  # names of the rows whose genres a person decided: no label issue

    def __len__(self) -> int:
        return len(self.table)

    @property
    def is_split(self) -> bool:
        """Whether it comes with an official test part."""
        return bool((self.split == TEST).any() and (self.split == TRAINING).any())

    @property
    def decided(self) -> NDArray[np.bool_]:
        """Which rows a person decided, (n,)."""
        return np.array([name in self.gold for name in self.names], dtype=np.bool_)

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
            augmentations=None if self.augmentations is None else self.augmentations.chosen(which),
        )

    def with_augmentations(self, augmentations: Augmentations | None) -> Dataset:
        """The data with augmentations of all columns, or of the 518 alone: the clean vectors of later kinds go beside.

        Nobody has extracted the vectors of later kinds from the changed audio; what an augmentation shows of a later
        stage is therefore how it copes with bad 518 features.
        """
        if augmentations is not None and augmentations.rows.shape[2] != self.table.rows.shape[1]:
            clean = self.table.rows[:, None, augmentations.rows.shape[2] :]
            beside = np.repeat(clean, len(augmentations.names), axis=1)
            augmentations = Augmentations(augmentations.names, np.concatenate([augmentations.rows, beside], axis=2))
        return replace(self, augmentations=augmentations)

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
        changed = self.augmentations
        if changed is not None:
            parts = [changed.rows[:, :, place[name][1]] for name in names]
            changed = Augmentations(changed.names, np.concatenate(parts, axis=2))
        return replace(self, table=table, kind=kinds[0], more=tuple(kinds[1:]), augmentations=changed)

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
    partial: bool = False  # whether rows may hold NaN for the kinds in `more`
    gold: frozenset[str] = frozenset()  # names of the rows whose genres a person decided


def to_dataset(
    raw: Raw, taxonomy: Taxonomy, least: int = 1, roots: bool = False, *, kept: Sequence[str] = (), artists: int = 1
) -> Dataset:
    """The data set with genres as `taxonomy` calls them; UsageError where nothing remains.

    Genres of fewer than `least` rows, or of too few `artists`, count as their parent unless they are `kept`
    (`vocabulary.label_sets`); rows without a genre of the taxonomy, and rows with NaN or infinity, are left out, and
    the notes count them.
    """
    needed = raw.rows[:, : len(raw.columns)] if raw.partial else raw.rows
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(needed).all(axis=1), dtype=np.bool_)
    classes, labels, notes = label_sets(
        raw.genres, taxonomy, least=least, roots=roots, counted=finite, kept=kept, groups=raw.groups, artists=artists
    )
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
    scarce = [name for name, count in zip(classes, support, strict=True) if count < 20 and name not in kept]
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
    named = tuple(group for group, wanted in zip(raw.groups, keep, strict=True) if wanted) if known else ()
    return Dataset(raw.name, table, raw.kind, split, names, named, raw.more, gold=raw.gold)


def select_columns(data: Dataset, globs: Sequence[str]) -> Dataset:
    """The data with those columns whose name one of `globs` matches; UsageError if none does."""
    if data.more:
        raise UsageError("Part of the columns can be chosen of fma518 alone, not beside the vectors of other kinds.")
    keep = [n for n, name in enumerate(data.table.columns) if any(fnmatch(name, glob) for glob in globs)]
    if not keep:
        raise UsageError(f"No column matches {', '.join(globs)}; they are named as mfcc_mean_01 is.")
    columns = tuple(data.table.columns[number] for number in keep)
    table = replace(data.table, columns=columns, rows=np.ascontiguousarray(data.table.rows[:, keep]))
    changed = data.augmentations
    if changed is not None:
        changed = Augmentations(changed.names, np.ascontiguousarray(changed.rows[:, :, keep]))
    return replace(data, table=table, augmentations=changed)
