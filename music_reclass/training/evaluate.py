"""Evaluates a bundle or a cascade on a data set, and names every reason why the figures may mislead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from music_reclass.classification.voter import predict_rows
from music_reclass.errors import BundleError, UsageError
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.bundle import Bundle, artist_digests
from music_reclass.models.dataset import Dataset
from music_reclass.models.metrics import Evaluation, evaluate
from music_reclass.taxonomy import Taxonomy


def evaluate_bundle(bundle: Bundle, data: Dataset, taxonomy: Taxonomy, part: str = "", seed: int = 0) -> Evaluation:
    """What `bundle` is worth on `data`, or on its official `part`.

    Labels are compared in the bundle's words: a finer genre of the data counts as the bundle's genre above it; rows
    that carry none of the bundle's genres are left out and counted in a warning.
    """
    if part:
        data = data.chosen(data.split == part)
        if not len(data):
            raise UsageError(f"{data.name} has no rows in the part {part!r}.")
    labels = labels_as(bundle.labels, data, taxonomy)
    known = labels.any(axis=1)
    if not known.any():
        raise UsageError(f"{data.name} has no row with a genre that the bundle {bundle.name} knows.")
    warnings = [*caveats(bundle, data), *data.table.notes]
    if not known.all():
        warnings.append(f"{int((~known).sum())} of {len(data)} rows carry no genre that the bundle knows; left out")
    rows = full_rows(data.table.rows[known], data.table.columns, bundle)
    title = f"{bundle.name} {bundle.version} on {data.name}{f' ({part})' if part else ''}"
    return evaluate(
        bundle.predict_proba(rows),
        labels[known],
        bundle.labels,
        data.table.groups[known],
        title=title,
        warnings=warnings,
        thresholds=bundle.thresholds,
        seed=seed,
    )


def labels_as(words: Sequence[str], data: Dataset, taxonomy: Taxonomy) -> NDArray[np.bool_]:
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


def caveats(bundle: Bundle, data: Dataset) -> list[str]:
    """A sentence for every reason for which figures of `bundle` on `data` would flatter or mislead."""
    found = list(data.leaks())
    origin = bundle.manifest.get("training", {})
    if origin.get("table") == data.table.digest:
        found.insert(0, "the bundle was trained on these very rows: the figures say nothing about new music")
    seen = set(origin.get("artists_seen", ()))
    if seen and data.artists and origin.get("table") != data.table.digest:
        both = sum(mark in seen for mark in artist_digests(data.artists))
        if both:
            found.insert(0, f"{both} of {len(data)} rows are of artists that the bundle was trained on")
    if bundle.kinds[0] != data.kind:
        found.append(
            f"the bundle was trained on {bundle.kinds[0].key}, the data are {data.kind.key}: figures are not "
            "what a scan would reach"
        )
    return found


def evaluate_cascade(
    stages: Sequence[Bundle], data: Dataset, taxonomy: Taxonomy, part: str = "", seed: int = 0
) -> Evaluation:
    """What a ladder, or a single stage of several kinds, is worth on `data`, or on its official `part`.

    `data` must hold the kinds of all stages. UsageError where the stages do not speak of the same genres.
    """
    if len(stages) == 1 and len(stages[0].kinds) == 1:
        return evaluate_bundle(stages[0], data, taxonomy, part, seed)
    if len({bundle.labels for bundle in stages}) > 1:
        raise UsageError("the stages of this ladder know different genres; judge them one by one.")
    if part:
        data = data.chosen(np.asarray(data.split == part, dtype=np.bool_))
        if not len(data):
            raise UsageError(f"{data.name} has no rows in the part {part!r}.")
    labels = labels_as(stages[0].labels, data, taxonomy)
    known = np.asarray(labels.any(axis=1), dtype=np.bool_)
    if not known.any():
        raise UsageError(f"{data.name} has no row with a genre that the ladder knows.")
    warnings = [*caveats(stages[-1], data), *data.table.notes]
    if not known.all():
        warnings.append(f"{int((~known).sum())} of {len(data)} rows carry no genre that the ladder knows; left out")
    own = data.chosen(known)

    def rows_of(bundle: Bundle) -> NDArray[np.float32]:
        return own.of([kind.name for kind in bundle.kinds]).table.rows

    votes = predict_rows(stages, rows_of, len(own))
    counts = Counter(vote.stage for vote in votes)
    asked = ", ".join(f"{bundle.stage} {counts[bundle.stage] / len(own):.0%}" for bundle in stages)
    name = f"{stages[0].name} {stages[0].version}" if len(stages) == 1 else f"a ladder (decided by {asked})"
    return evaluate(
        np.array([list(vote.probabilities.values()) for vote in votes]),
        labels[known],
        stages[0].labels,
        own.table.groups,
        title=f"{name} on {data.name}{f' ({part})' if part else ''}",
        warnings=warnings,
        thresholds=stages[0].thresholds if len(stages) == 1 else None,
        seed=seed,
    )
