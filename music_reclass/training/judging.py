"""A bundle on a data set: rows brought into its form, labels into its words, and every way to flatter it named."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from music_reclass.errors import BundleError, UsageError
from music_reclass.extractors.fma import COLUMNS
from music_reclass.taxonomy import Taxonomy
from music_reclass.training.bundles import Bundle
from music_reclass.training.datasets.shape import Dataset
from music_reclass.training.figures import Evaluation, evaluated


def judged(bundle: Bundle, data: Dataset, taxonomy: Taxonomy, part: str = "", seed: int = 0) -> Evaluation:
    """What `bundle` is worth on `data`, or on its official `part`.

    Labels are compared in the bundle's words: a finer genre of the data counts as the bundle's genre above it; rows
    that carry none of the bundle's genres are left out and counted in a warning.
    """
    if part:
        data = data.chosen(data.split == part)
        if not len(data):
            raise UsageError(f"{data.name} has no rows in the part {part!r}.")
    labels = in_words_of(bundle.labels, data, taxonomy)
    known = labels.any(axis=1)
    if not known.any():
        raise UsageError(f"{data.name} has no row with a genre that the bundle {bundle.name} knows.")
    warnings = [*doubts(bundle, data), *data.table.notes]
    if not known.all():
        warnings.append(f"{int((~known).sum())} of {len(data)} rows carry no genre that the bundle knows; left out")
    rows = full_rows(data.table.rows[known], data.table.columns, bundle)
    title = f"{bundle.name} {bundle.version} on {data.name}{f' ({part})' if part else ''}"
    return evaluated(
        bundle.predict_proba(rows),
        labels[known],
        bundle.labels,
        data.table.groups[known],
        title,
        tuple(warnings),
        dict(bundle.thresholds),
        seed,
    )


def in_words_of(words: Sequence[str], data: Dataset, taxonomy: Taxonomy) -> NDArray[np.bool_]:
    """Label sets of `data` in the order of `words`, shape (n, words)."""
    place = {taxonomy.canonical(word): number for number, word in enumerate(words)}
    labels = np.zeros((len(data), len(words)), dtype=np.bool_)
    for number, name in enumerate(data.table.classes):
        genre = taxonomy.canonical(name)
        ways = [] if genre is None else [genre, *taxonomy.ancestors(genre)]
        own = next((place[way] for way in ways if way in place), None)
        if own is not None:
            labels[:, own] |= data.table.labels[:, number]
    return labels


def full_rows(rows: NDArray[np.float32], columns: tuple[str, ...], bundle: Bundle) -> NDArray[np.float32]:
    """`rows` in the order of all 518 columns; those that are absent are zero, and BundleError if it looks at one."""
    if columns == COLUMNS:
        return rows
    seen = columns_seen(bundle)
    missing = [name for name in seen if name not in set(columns)]
    if missing:
        raise BundleError(
            f"The bundle {bundle.name} {bundle.version} looks at columns that the data lack ({missing[0]} and "
            f"{len(missing) - 1} more); train one on the columns that are there."
        )
    place = {name: number for number, name in enumerate(COLUMNS)}
    full = np.zeros((len(rows), len(COLUMNS)), dtype=np.float32)
    full[:, [place[name] for name in columns]] = rows
    return full


def columns_seen(bundle: Bundle) -> tuple[str, ...]:
    """The columns a bundle looks at, all 518 unless it was trained on a part of them."""
    chosen = bundle.manifest["model"].get("columns")
    return COLUMNS if chosen is None else tuple(chosen)


def doubts(bundle: Bundle, data: Dataset) -> list[str]:
    """A sentence for every reason for which figures of `bundle` on `data` would flatter or mislead."""
    found = list(data.leaks())
    origin = bundle.manifest.get("training", {})
    if origin.get("table") == data.table.digest:
        found.insert(0, "the bundle was trained on these very rows: the figures say nothing about new music")
    seen = set(origin.get("artists_seen", ()))
    if seen and data.artists and origin.get("table") != data.table.digest:
        both = sum(mark in seen for mark in marks(data.artists))
        if both:
            found.insert(0, f"{both} of {len(data)} rows are of artists that the bundle was trained on")
    if bundle.kinds[0] != data.kind:
        found.append(
            f"the bundle was trained on {bundle.kinds[0].key}, the data are {data.kind.key}: figures are not "
            "what a scan would reach"
        )
    return found


def marks(artists: Iterable[str]) -> list[str]:
    """A short digest of each artist's name: enough to notice one again, not to tell who it is."""
    return [hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8] for name in artists]
