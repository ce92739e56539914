"""Evaluates a bundle or a cascade on a data set, and names every reason why the figures may mislead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from music_reclass.classification.voter import row_votes
from music_reclass.domain import Vote
from music_reclass.errors import BundleError, UsageError
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.bundle import Bundle, artist_digests
from music_reclass.models.dataset import FIRST, Dataset
from music_reclass.models.early_exit import ExitRule
from music_reclass.models.exit_policy import ExitPolicy
from music_reclass.models.metrics import Evaluation, PolicyCost, evaluate
from music_reclass.taxonomy import Taxonomy


def evaluate_cascade(
    bundles: Sequence[Bundle],
    data: Dataset,
    taxonomy: Taxonomy,
    *,
    part: str = "",
    seed: int = 0,
    library_exits: Mapping[str, Sequence[ExitRule]] | None = None,
    policy: ExitPolicy | None = None,
) -> Evaluation:
    """How right a bundle, or a cascade of them (cheapest first), is on `data` or on its official `part`.

    `data` must hold the kinds of all bundles; a later stage is not asked about rows that lack its vectors (NaN). Each
    row is judged in the labels of the bundle that decided it: a finer genre of the data counts as the bundle's genre
    above it; rows that carry none of its genres are left out and counted in a warning.
    """
    data = _part_of(data, part)
    classes = tuple(dict.fromkeys(label for bundle in bundles for label in bundle.labels))
    sets = {bundle.stage: labels_as(classes, data, taxonomy, of=bundle.labels) for bundle in bundles}
    known = np.asarray(np.any([labels.any(axis=1) for labels in sets.values()], axis=0), dtype=np.bool_)
    names = " and ".join(bundle.name for bundle in bundles)
    if not known.any():
        raise UsageError(f"{data.name} has no row with a genre that {names} knows.")
    asked = data.chosen(known)

    def run(chosen: ExitPolicy) -> list[Vote]:
        """The last vote of each row under an exit policy."""
        rows_of = partial(_rows_for, data=asked)
        rows = row_votes(bundles, rows_of, len(asked), library_exits=library_exits, policy=chosen)
        return [votes[-1] for votes in rows]

    policy = policy or ExitPolicy()
    votes = run(policy)
    labels = np.stack([sets[vote.stage][row] for row, vote in zip(np.flatnonzero(known), votes, strict=True)])
    judged = labels.any(axis=1)
    if not judged.any():
        raise UsageError(f"{data.name} has no row with a genre that the stage which decides it knows, of {names}.")
    warnings = [*caveats(bundles, data), *data.table.notes]
    if judged.sum() != len(data):
        left_out = len(data) - int(judged.sum())
        warnings.append(f"{left_out} of {len(data)} rows carry no genre that {names} knows; left out")
    counts = Counter(vote.stage for vote in votes)
    decided = ", ".join(f"{bundle.stage} {counts[bundle.stage] / len(votes):.0%}" for bundle in bundles)
    name = f"{names} {bundles[0].version}" if len(bundles) == 1 else f"a cascade (decided by {decided})"
    found = evaluate(
        np.array([[vote.probabilities.get(name, 0.0) for name in classes] for vote in votes])[judged],
        labels[judged],
        classes,
        asked.table.groups[judged],
        title=f"{name} on {data.name}{f' ({part})' if part else ''}",
        warnings=warnings,
        thresholds=bundles[0].thresholds if len(bundles) == 1 else None,
        seed=seed,
    )
    if len(bundles) == 1:
        return found
    sets = {stage: labels[known] for stage, labels in sets.items()}
    runs = [(other, votes if other.label == policy.label else run(other)) for other in policy.beside()]
    costs = (_cost(other, bundles, cast, sets, classes=classes) for other, cast in runs)
    return replace(found, policies=tuple(one._replace(chosen=one.policy == policy.label) for one in costs))


def _part_of(data: Dataset, part: str) -> Dataset:
    """The rows of an official part, or all of them; UsageError where there is none."""
    if not part:
        return data
    chosen = data.chosen(np.asarray(data.split == part, dtype=np.bool_))
    if not len(chosen):
        raise UsageError(f"{data.name} has no rows in the part {part!r}.")
    return chosen


def _cost(
    policy: ExitPolicy,
    bundles: Sequence[Bundle],
    votes: Sequence[Vote],
    sets: Mapping[str, NDArray[np.bool_]],
    *,
    classes: Sequence[str],
) -> PolicyCost:
    """Accuracy and cost of the last `votes` of rows; `sets` are their label sets, (rows, classes), by stage."""
    place = {bundle.stage: number for number, bundle in enumerate(bundles)}
    column = {name: number for number, name in enumerate(classes)}
    judged = [(sets[vote.stage][row], vote) for row, vote in enumerate(votes) if sets[vote.stage][row].any()]
    right = [bool(labels[column[vote.genre]]) for labels, vote in judged]
    reached = np.array([place[vote.stage] for vote in votes])
    asked = [float((reached >= number).mean()) for number in range(len(bundles))]
    costs = [policy.cost(bundles, number) for number in range(len(bundles))]
    seconds = sum(share * (float("nan") if cost is None else cost) for share, cost in zip(asked, costs, strict=True))
    stages = tuple((bundle.stage, round(share, 4)) for bundle, share in zip(bundles, asked, strict=True))
    return PolicyCost(policy.label, float(np.mean(right)), float(seconds), stages)


def labels_as(
    words: Sequence[str], data: Dataset, taxonomy: Taxonomy, *, of: Sequence[str] | None = None
) -> NDArray[np.bool_]:
    """Label sets of `data` in the order of `words`, shape (n, words); only those `of` a bundle are used if given."""
    used = {taxonomy.canonical(word) for word in (words if of is None else of)}
    place = {name: number for number, word in enumerate(words) if (name := taxonomy.canonical(word)) in used}
    labels = np.zeros((len(data), len(words)), dtype=np.bool_)
    for number, name in enumerate(data.table.classes):
        genre = taxonomy.canonical(name)
        nearest = [] if genre is None else [genre, *taxonomy.ancestors(genre)]
        column = next((place[wider] for wider in nearest if wider in place), None)
        if column is not None:
            labels[:, column] |= data.table.labels[:, number]
    return labels


def _rows_for(bundle: Bundle, data: Dataset) -> NDArray[np.float32]:
    """The rows of `data` as `bundle` needs them, (n, dimension)."""
    table = data.of([kind.name for kind in bundle.kinds]).table
    return full_rows(table.rows, table.columns, bundle) if len(bundle.kinds) == 1 else table.rows


def full_rows(rows: NDArray[np.float32], columns: tuple[str, ...], bundle: Bundle) -> NDArray[np.float32]:
    """`rows` in the order of all 518 columns, absent ones zero; BundleError if the bundle uses one of these."""
    if columns == COLUMNS or bundle.kinds[0].name != FIRST:
        return rows
    missing = [name for name in columns_used(bundle) if name not in set(columns)]
    if missing:
        raise BundleError(
            f"The bundle {bundle.name} {bundle.version} uses columns that the data lack ({missing[0]} and "
            f"{len(missing) - 1} more); train one on the columns that are there."
        )
    place = {name: number for number, name in enumerate(COLUMNS)}
    full = np.zeros((len(rows), len(COLUMNS)), dtype=np.float32)
    full[:, [place[name] for name in columns]] = rows
    return full


def columns_used(bundle: Bundle) -> tuple[str, ...]:
    """The columns a bundle uses, all 518 unless it was trained on a part of them."""
    chosen = bundle.manifest["model"].get("columns")
    return COLUMNS if chosen is None else tuple(chosen)


def caveats(bundles: Sequence[Bundle], data: Dataset) -> list[str]:
    """A sentence for every reason for which figures of `bundles` on `data` would flatter or mislead."""
    found = list(data.leaks())
    origins = [bundle.manifest.get("training", {}) for bundle in bundles]
    digests = [data.of([kind.name for kind in bundle.kinds]).table.digest for bundle in bundles]
    if any(origin.get("table") == digest for origin, digest in zip(origins, digests, strict=True)):
        found.insert(0, "trained on these very rows: the figures say nothing about new music")
    elif data.artists:
        known = {mark for origin in origins for mark in origin.get("artists_seen", ())}
        both = sum(mark in known for mark in artist_digests(data.artists))
        if both:
            found.insert(0, f"{both} of {len(data)} rows are of artists in the training data")
    kinds = {kind.name: kind for kind in data.kinds}
    for kind in dict.fromkeys(kind for bundle in bundles for kind in bundle.kinds):
        if kind.name in kinds and kind != kinds[kind.name]:
            found.append(
                f"trained on {kind.key}, and the data are {kinds[kind.name].key}: figures are not what a scan would "
                "reach"
            )
    return found
