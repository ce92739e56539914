"""Feature tables: rows of fma518 vectors in an npz file, with label sets and artists where they are for training."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.errors import NothingToDo, UsageError
from music_reclass.extractors.fma import COLUMNS

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of vectors in the order of `columns`; without labels it is good for predictions only."""

    columns: tuple[str, ...]
    rows: NDArray[np.float32]  # (n, len(columns)), finite
    classes: tuple[str, ...]  # () without labels
    labels: NDArray[np.bool_]  # (n, len(classes)), a set a row, none of them empty
    groups: NDArray[np.int64]  # (n,) artist as a number from 0; each row its own where nothing is known
    datasets: NDArray[np.str_]  # (n,) where a row comes from; "" where nothing is known
    notes: tuple[str, ...] = ()  # what a report has to say about the table

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
class Views:
    """Degraded versions of the rows of a table, in the same order."""

    names: tuple[str, ...]
    rows: NDArray[np.float32]  # (n, len(names), columns)

    def chosen(self, which: NDArray[Any]) -> Views:
        """The views of the rows that `which` picks."""
        return Views(self.names, self.rows[which])


def read(path: Path, *, labelled: bool = True) -> Table:
    """The table in `path`: arrays `fma518` and `columns`; for training `labels`, `classes`, `group`, `dataset` too.

    Without `labelled` these are not looked at: predictions need none.

    Columns in another order are put right by name. UsageError says what is wrong with a table that cannot be used.
    """
    arrays = _arrays(path)
    if not labelled:
        arrays = {name: arrays[name] for name in ("fma518", "columns") if name in arrays}
    rows = _numbers(arrays, path, 2)[:, _order(arrays, path)]
    count = len(rows)
    notes: list[str] = []
    classes, labels = _label_sets(arrays, path, count)
    if "group" in arrays:
        groups = np.unique(_one_a_row(arrays, "group", path, count), return_inverse=True)[1].reshape(-1)
    else:
        groups = np.arange(count)
        if classes:
            notes.append(
                "the table names no artists (array `group`), so rows of one artist may stand on both sides of a "
                "split and the figures may be too good"
            )
    named = _one_a_row(arrays, "dataset", path, count) if "dataset" in arrays else np.full(count, "")
    scarce = [name for name, support in zip(classes, labels.sum(axis=0), strict=True) if support < 20]
    if scarce:
        notes.append(f"fewer than 20 rows carry {', '.join(scarce)}: figures for them mean little")
    return Table(
        COLUMNS, _finite(rows, path), classes, labels, groups.astype(np.int64), named.astype(np.str_), tuple(notes)
    )


def read_views(path: Path, table: Table) -> Views:
    """The degraded versions of the rows of `table` in `path`: arrays `fma518` (n, views, columns) and `views`."""
    arrays = _arrays(path)
    rows = _numbers(arrays, path, 3)[:, :, _order(arrays, path)]
    names = tuple(str(name) for name in arrays.get("views", np.array([])))
    if len(names) != rows.shape[1]:
        raise UsageError(
            f"{path} names {len(names)} views and holds {rows.shape[1]}; the array `views` must name each of them."
        )
    if len(rows) != len(table):
        raise UsageError(
            f"{path} holds views of {len(rows)} rows and the table has {len(table)}; both must hold the same rows in "
            "the same order."
        )
    return Views(names, _finite(rows, path))


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        opened = np.load(path, allow_pickle=False)
        if isinstance(opened, np.ndarray):
            raise UsageError(f"{path} holds a single array; a table is an .npz file with named arrays.")
        with opened as stored:
            wanted = {"fma518", "columns", "labels", "classes", "group", "dataset", "views"}
            return {name: stored[name] for name in stored.files if name in wanted}
    except FileNotFoundError:
        raise NothingToDo(f"There is no file {path}.") from None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        raise UsageError(f"{path} is not a feature table: a whole .npz file without pickled objects.") from None


def _numbers(arrays: dict[str, NDArray[Any]], path: Path, dimensions: int) -> NDArray[np.float32]:
    missing = [name for name in ("fma518", "columns") if name not in arrays]
    if missing:
        raise UsageError(f"{path} lacks the array `{missing[0]}`; a table needs `fma518` and `columns`.")
    rows = arrays["fma518"]
    if rows.ndim != dimensions or rows.dtype.kind not in "fiu" or not len(rows):
        raise UsageError(
            f"The array `fma518` of {path} has the shape {rows.shape} of {rows.dtype}; it must hold numbers in "
            f"{dimensions} dimensions and at least one row."
        )
    return rows.astype(np.float32)


def _order(arrays: dict[str, NDArray[Any]], path: Path) -> NDArray[np.int64]:
    """Where each of COLUMNS stands in the file."""
    names = [str(name) for name in arrays["columns"].reshape(-1)]
    place = {name: number for number, name in enumerate(names)}
    absent = [name for name in COLUMNS if name not in place]
    if absent or len(place) != len(names) or len(names) != arrays["fma518"].shape[-1]:
        detail = (
            f"it lacks {', '.join(absent[:_MOST_NAMED])}" if absent else "names are doubled or do not match the rows"
        )
        raise UsageError(
            f"The columns of {path} are not those of fma518 ({detail}; {len(names)} names for "
            f"{arrays['fma518'].shape[-1]} numbers a row); `reclass features` makes such vectors."
        )
    return np.array([place[name] for name in COLUMNS], dtype=np.int64)


def _finite(rows: NDArray[np.float32], path: Path) -> NDArray[np.float32]:
    bad = ~np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
    if bad.any():
        first = int(bad.argmax())
        raise UsageError(
            f"{int(bad.sum())} rows of {path} hold NaN or infinity (the first is row {first}); leave those rows out."
        )
    return rows


def _label_sets(arrays: dict[str, NDArray[Any]], path: Path, count: int) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    if "labels" not in arrays and "classes" not in arrays:
        return (), np.zeros((count, 0), dtype=np.bool_)
    classes = tuple(str(name) for name in arrays.get("classes", np.array([])))
    labels = arrays.get("labels", np.zeros(0))
    if labels.shape != (count, len(classes)) or labels.dtype.kind not in "biu" or len(set(classes)) != len(classes):
        raise UsageError(
            f"The labels of {path} have the shape {labels.shape} of {labels.dtype} for {count} rows and {len(classes)} "
            "classes; `labels` must be bool, a row for each row and a column for each different name in `classes`."
        )
    sets = labels.astype(np.bool_)
    if not sets.any(axis=1).all():
        raise UsageError(
            f"{int((~sets.any(axis=1)).sum())} rows of {path} carry no label (the first is row "
            f"{int((~sets.any(axis=1)).argmax())}); leave those rows out."
        )
    return classes, sets


def _one_a_row(arrays: dict[str, NDArray[Any]], name: str, path: Path, count: int) -> NDArray[Any]:
    if arrays[name].shape != (count,):
        raise UsageError(f"The array `{name}` of {path} has the shape {arrays[name].shape}; it must be ({count},).")
    return arrays[name]
