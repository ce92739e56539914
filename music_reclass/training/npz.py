"""Feature tables in npz files as data sets: which feature kinds they hold, of which version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from music_reclass.domain import FeatureKind
from music_reclass.errors import BundleError, MissingExtra, UsageError
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.extractors.registry import EXTRACTORS, comparable, extractor
from music_reclass.extractors.weights.store import MissingWeights
from music_reclass.models.dataset import FIRST, SPLITS, Augmentations, Dataset, Table, TableFile, columns_of

Floats = NDArray[np.float32]
EXCERPT = "mid30"
# The versions hold the digests of the published weights: vectors by other weights are refused.
MUSICNN = FeatureKind("musicnn", "1-425c7c95", 200, EXCERPT)
PUBLISHED = {
    kind.name: kind
    for kind in (
        FeatureKind("efficientat", "1-6842ddaa", 384, EXCERPT),
        FeatureKind("efficientat-tags", "1-6842ddaa", 527, EXCERPT),
        MUSICNN,
        replace(MUSICNN, name="musicnn-tags", dimension=50),
    )
}


def array_of(file: TableFile, name: str) -> str | None:
    """The array that holds the vectors of kind `name`: of its name, or with underscores for hyphens; None for none."""
    return next((array for array in (name, name.replace("-", "_")) if array in file.arrays), None)


def kinds_in(file: TableFile) -> tuple[str, ...]:
    """The names of the kinds whose arrays a table holds, in the order of the registry."""
    return tuple(name for name in EXTRACTORS if array_of(file, name))


def read_kinds(file: TableFile, table: Table, names: Sequence[str]) -> tuple[tuple[FeatureKind, ...], Table]:
    """The kinds `names` of a table, the first of which is fma518, and `table` with all their columns.

    UsageError where an array is absent, misshapen or not finite, or where its version is not known.
    """
    stated = stated_kinds(file)
    kinds, parts = [kind_of(FIRST, len(COLUMNS), stated)], [table.rows]
    for name in names[1:]:
        parts.append(vectors(file, name, len(table)))
        kinds.append(kind_of(name, parts[-1].shape[1], stated))
    if len(kinds) == 1:
        return tuple(kinds), table
    return tuple(kinds), replace(table, columns=columns_of(kinds), rows=np.concatenate(parts, axis=1))


def vectors(file: TableFile, name: str, count: int) -> Floats:
    """The array `name` of a table's file, shape (count, dimension); UsageError if it cannot be used."""
    array = array_of(file, name)
    if array is None:
        raise UsageError(f"{file.path} holds no array {name}; make it with reclass features --kind {name}.")
    rows = file.arrays[array]
    known = PUBLISHED[name].dimension if name in PUBLISHED else None
    width = rows.shape[1] if rows.ndim == 2 else 0
    if not width or width != (known or width) or len(rows) != count or rows.dtype.kind not in "fiu":
        raise UsageError(
            f"The array {array} of {file.path} has the shape {rows.shape} of {rows.dtype}; "
            f"({count}, {known or 'any number of'}) finite numbers belong there."
        )
    found: Floats = rows.astype(np.float32)
    if not np.isfinite(found).all():
        raise UsageError(f"The array {array} of {file.path} holds numbers that are not finite; leave those rows out.")
    return found


def stated_kinds(file: TableFile) -> dict[str, tuple[str, str]]:
    """Version and excerpt of the kinds, as the optional array `kinds` of NAME/VERSION/EXCERPT of a table has them."""
    words = [str(word) for word in file.arrays["kinds"].reshape(-1)] if "kinds" in file.arrays else []
    found = {}
    for word in words:
        name, _, rest = word.partition("/")
        version, _, excerpt = rest.rpartition("/")
        if not (name and version and excerpt):
            raise UsageError(f"The array `kinds` of {file.path} holds {word!r}; NAME/VERSION/EXCERPT belongs there.")
        found[name] = (version, excerpt)
    return found


def kind_of(
    name: str, width: int, stated: Mapping[str, tuple[str, str]] | None = None, excerpt: str = EXCERPT
) -> FeatureKind:
    """The kind of vectors of `width` numbers: as stated in the data, else as the installed extractor makes them.
    UsageError rather than a guess."""
    if stated and name in stated:
        return comparable(FeatureKind(name, stated[name][0], width, stated[name][1]))
    try:
        kind = kind_here(name, excerpt)
    except (MissingWeights, MissingExtra) as error:
        raise UsageError(
            f"Which version of {name} made these vectors is not stated, and {name} is not installed here; add the "
            f"array `kinds` with {name}/VERSION/{excerpt} to the table, or install it (reclass models)."
        ) from error
    if kind.dimension != width:
        raise UsageError(
            f"The vectors of {name} hold {width} numbers, and the {name} that is installed here gives "
            f"{kind.dimension}; add the array `kinds` with {name}/VERSION/{excerpt} if another one made them."
        )
    return kind


def kind_here(name: str, excerpt: str = EXCERPT) -> FeatureKind:
    """The kind that the extractor `name` gives on this machine, or would give if its published weights were there;
    MissingWeights or MissingExtra where these are not known."""
    try:
        return extractor(name, excerpt).kind
    except MissingWeights:
        if name not in PUBLISHED:
            raise
        return replace(PUBLISHED[name], excerpt=excerpt)


def is_installed(name: str, excerpt: str = EXCERPT) -> bool:
    """Whether the extractor `name` can run on this machine."""
    try:
        extractor(name, excerpt)
    except (MissingWeights, MissingExtra):
        return False
    return True


def rows_for(kinds: Sequence[FeatureKind], file: TableFile, table: Table) -> Floats:
    """The rows that a bundle of `kinds` needs of the table in `file`, whose 518 columns `table` holds.

    Where the table states the version of its vectors, that must be the bundle's: BundleError.
    """
    stated = stated_kinds(file)
    parts = []
    for kind in kinds:
        if stated.get(kind.name, (kind.version, kind.excerpt)) != (kind.version, kind.excerpt):
            raise BundleError(
                f"The bundle was trained on {kind.key}, and {file.path} holds "
                f"{kind.name}/{'/'.join(stated[kind.name])}; they cannot be compared."
            )
        parts.append(table.rows if kind.name == FIRST else vectors(file, kind.name, len(table)))
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def read(path: Path, names_of_kinds: Sequence[str] = (FIRST,)) -> Dataset:
    """The table in `path` (`TableFile.table`), with the optional arrays `split` (n,) and `names` (n,).

    Of `names_of_kinds` the first is fma518; the arrays of the others stand beside it (`read_kinds`).
    """
    file = TableFile.read(path)
    table = file.table()
    if not table.classes:
        raise UsageError(f"{path} carries no labels (arrays `labels` and `classes`), so nothing can be measured on it.")
    extra = {name: file.one_a_row(name, len(table)) for name in ("split", "names", "group") if name in file.arrays}
    split = extra.get("split", np.full(len(table), "")).astype(np.str_)
    if not set(split.tolist()) <= set(SPLITS):
        raise UsageError(f"The array `split` of {path} must hold {', '.join(SPLITS[1:])} or nothing.")
    names = tuple(map(str, extra.get("names", np.arange(len(table))).tolist()))
    # Numbers name artists within one table only.
    prefix = "" if "group" in extra and extra["group"].dtype.kind == "U" else f"{path.stem} "
    artists = tuple(f"{prefix}{group}" for group in extra["group"].tolist()) if "group" in extra else ()
    kinds, table = read_kinds(file, table, names_of_kinds)
    return Dataset(path.stem, table, kinds[0], split, names, artists, kinds[1:])


def with_augmentations(data: Dataset, path: Path) -> Dataset:
    """The data with the changed versions of its rows that the file `path` holds: of fma518, and of each further kind
    whose array (n, versions, dimension) is there. Of the other kinds the clean vectors stand beside them."""
    file = TableFile.read(path)
    changed = file.augmentations(data.table)
    parts, first = [changed.rows], data.kind.dimension
    for kind in data.more:
        columns = slice(first, first + kind.dimension)
        first += kind.dimension
        array = array_of(file, kind.name)
        clean = np.repeat(data.table.rows[:, None, columns], len(changed.names), axis=1)
        rows = clean if array is None else file.arrays[array].astype(np.float32)
        if rows.shape != clean.shape or not np.isfinite(rows).all():
            raise UsageError(
                f"The array {array} of {path} has the shape {rows.shape}; {clean.shape} finite numbers belong there."
            )
        parts.append(rows)
    return data.with_augmentations(Augmentations(changed.names, np.concatenate(parts, axis=2)))
