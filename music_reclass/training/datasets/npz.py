"""A feature table in an npz file as a data set; `names`, `split` and artists' names are taken where they are there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from music_reclass.errors import UsageError
from music_reclass.training import kinds, tables
from music_reclass.training.datasets.shape import SPLITS, Dataset


def read(path: Path, names_of_kinds: Sequence[str] = (kinds.FIRST,)) -> Dataset:
    """The table in `path` (`tables.read`), with the optional arrays `split` (n,) and `names` (n,).

    Of `names_of_kinds` the first is fma518; the arrays of the others stand beside it (`kinds.read`).
    """
    table = tables.read(path)
    if not table.classes:
        raise UsageError(f"{path} carries no labels (arrays `labels` and `classes`), so nothing can be measured on it.")
    with np.load(path, allow_pickle=False) as stored:
        extra = {name: stored[name] for name in ("split", "names", "group") if name in stored.files}
    for name, values in extra.items():
        if values.shape != (len(table),):
            raise UsageError(f"The array `{name}` of {path} has the shape {values.shape}; it must be ({len(table)},).")
    split = extra.get("split", np.full(len(table), "")).astype(np.str_)
    if not set(split.tolist()) <= set(SPLITS):
        raise UsageError(f"The array `split` of {path} must hold {', '.join(SPLITS[1:])} or nothing.")
    names = tuple(map(str, extra.get("names", np.arange(len(table))).tolist()))
    # Numbers name artists within one table only.
    prefix = "" if "group" in extra and extra["group"].dtype.kind == "U" else f"{path.stem} "
    artists = tuple(f"{prefix}{group}" for group in extra["group"].tolist()) if "group" in extra else ()
    own, table = kinds.read(path, table, names_of_kinds)
    return Dataset(path.stem, table, own[0], split, names, artists, own[1:])
