"""Artist-grouped cross-validation: folds, out-of-fold scores, held-out parts, calibration; stratified samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from music_reclass.errors import UsageError
from music_reclass.models import calibration
from music_reclass.models.base import LARGE, Doubles, Estimator, Floats, Model, with_augmentations
from music_reclass.models.calibration import hits
from music_reclass.models.dataset import TEST, TRAINING, VALIDATION, Augmentations, Dataset, Table

Mask = NDArray[np.bool_]
Folds = NDArray[np.int64]
Log = Callable[[str], None]
Fit = Callable[[Table, Augmentations | None], Model]

_PARTS = 5
OUT_OF_DOMAIN_SHARE = 0.2  # measured: docs/explanation/model-card.md
BALANCE = 0.5  # of samples: a genre's share grows with the square root of its tracks; measured: benchmarks/sampling.py


@dataclass(frozen=True, slots=True)
class Scores:
    """Log-probabilities of each estimator for rows it did not see, (n, versions, labels), and who is judged on what.

    `part` of a row: its fold under cross-validation; else 0 for calibration and 1 for the figures.
    """

    rows: NDArray[np.int64]  # positions in the table
    each: tuple[Doubles, ...]
    part: Folds
    folds: bool

    @property
    def turns(self) -> list[tuple[Mask, Mask]]:
        """(judged, learned from) masks: every fold by the others, or the figures' part by the calibration part."""
        if self.folds:
            return [(self.part == fold, self.part != fold) for fold in np.unique(self.part)]
        return [(self.part == 1, self.part == 0)]

    @property
    def learning(self) -> Mask:
        """The rows from which weights, calibration and thresholds are learned in the end."""
        return np.ones(len(self.part), dtype=np.bool_) if self.folds else self.part == 0

    @property
    def judging(self) -> Mask:
        """The rows for the figures."""
        return np.ones(len(self.part), dtype=np.bool_) if self.folds else self.part == 1


def held_out(
    data: Dataset, estimators: Sequence[Estimator], *, seed: int, log: Log, folds: int = 5
) -> tuple[Scores, tuple[Model, ...] | None]:
    """Scores of rows that were not seen; the fitted models too where they are what is shipped.

    From LARGE rows on, or with an official split, one part is held out; else there are artist-grouped `folds`. The
    same rows give the same folds or parts, whatever their columns are.
    """
    table, augmentations = data.table, data.augmentations
    if not data.is_split and len(table) < LARGE:
        fold = folds_of(table, seed, folds)
        each = [out_of_fold(table, augmentations, one.fit, fold, log=_named(one.name, log)) for one in estimators]
        return Scores(np.arange(len(table)), tuple(each), fold, folds=True), None
    training, calibrating, testing = _parts(data, seed)
    fitted, each = [], []
    rows = np.flatnonzero(calibrating | testing)
    versions = with_augmentations(table.chosen(rows), _chosen(augmentations, rows))
    for estimator in estimators:
        model = estimator.fit(table.chosen(training), _chosen(augmentations, training))
        each.append(scored(model, versions))
        right = hits(each[-1][testing[rows], 0], table.labels[testing]).mean()
        log(f"{estimator.name}: {right:.3f} right on {int(testing.sum())} held-out tracks")
        fitted.append(model)
    scores = Scores(rows, tuple(each), testing[rows].astype(np.int64), folds=False)
    return scores, tuple(fitted) if data.is_split else None


def out_of_fold(
    table: Table, augmentations: Augmentations | None, fit: Fit, folds: Folds, *, log: Log | None = None
) -> Doubles:
    """Log-probabilities of every row and its augmentations by a model that saw no row of its fold.

    The shape is (n, 1 + augmentations, labels).
    """
    versions = with_augmentations(table, augmentations)
    scores = np.zeros((*versions.shape[:2], len(table.classes)))
    count = int(folds.max()) + 1
    for fold in range(count):
        inside, outside = folds != fold, folds == fold
        scores[outside] = scored(fit(table.chosen(inside), _chosen(augmentations, inside)), versions[outside])
        if log is not None:
            right = hits(scores[outside, 0], table.labels[outside]).mean()
            log(f"fold {fold + 1} of {count}: {right:.3f} right on {int(outside.sum())} tracks of new artists")
    return scores


def folds_of(table: Table, seed: int, count: int = 5) -> Folds:
    """Artist-grouped folds of `table`, fewer than `count` where there are fewer artists; UsageError under two."""
    if not table.classes:
        raise UsageError(
            "The table carries no labels (arrays `labels` and `classes`), so nothing can be learned from it."
        )
    artists = len(np.unique(table.groups))
    if artists < 2 or int((table.labels.any(axis=0)).sum()) < 2:
        raise UsageError(
            "The table holds a single artist or a single genre; training needs at least two of each, to measure on "
            "artists that the model did not see."
        )
    return grouped_folds(table.groups, table.labels, min(count, artists), seed)


def grouped_folds(groups: NDArray[np.int64], labels: Mask, count: int, seed: int) -> Folds:
    """The fold of every row, 0 to count - 1: no group in two folds, and the labels spread evenly over them.

    Large groups are placed first, in an order that `seed` shuffles, each where its labels are scarcest.
    """
    names, position = np.unique(groups, return_inverse=True)
    position = position.reshape(-1)
    shuffled = np.random.default_rng(seed).permutation(len(names))
    sums = np.zeros((len(names), labels.shape[1]))
    np.add.at(sums, position, labels)
    sizes = np.bincount(position, minlength=len(names))
    rarity = 1.0 / (labels.sum(axis=0) + 1.0)
    load, fold_of = np.zeros((count, labels.shape[1])), np.zeros(len(names), dtype=np.int64)
    for place in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        costs = (((load + sums[place]) ** 2 - load**2) * rarity).sum(axis=1)
        fold_of[place] = costs.argmin()
        load[fold_of[place]] += sums[place]
    return fold_of[position]


def scored(model: Model, versions: Floats) -> Doubles:
    """Log-probabilities of `versions`, shape (n, versions, columns)."""
    flat = model.log_probabilities(versions.reshape(-1, versions.shape[-1]))
    return flat.reshape(*versions.shape[:2], -1)


class OutOfDomain(NamedTuple):
    """Rows of collections as scored by models that were fitted on the other collections of a table."""

    rows: NDArray[np.int64]  # (n,) positions in the table
    scores: Doubles  # (n, labels) log-probabilities
    labels: Mask  # (n, labels), see training.train.answerable

    def without(self, rows: NDArray[np.int64]) -> OutOfDomain:
        """All but those `rows` of the table."""
        kept = ~np.isin(self.rows, rows)
        return OutOfDomain(self.rows[kept], self.scores[kept], self.labels[kept])


def pooled_calibration(
    scores: Doubles, labels: Mask, out_of_domain: OutOfDomain | None = None
) -> calibration.Calibration:
    """One calibration for all versions of the rows; `scores` has the shape (n, versions, labels).

    Rows that are `out_of_domain` weigh OUT_OF_DOMAIN_SHARE as much as all others together: a user's library is another
    collection too, yet the more they weigh the less sure the model is, without need, of music like its own.
    """
    sets = np.repeat(labels[:, None], scores.shape[1], axis=1).reshape(-1, scores.shape[-1])
    flat = scores.reshape(-1, scores.shape[-1])
    if out_of_domain is None or not len(out_of_domain.rows):
        return calibration.fit(flat, sets)
    shares = [1.0 / len(flat), OUT_OF_DOMAIN_SHARE / len(out_of_domain.rows)]
    weights = np.repeat(shares, [len(flat), len(out_of_domain.rows)])
    return calibration.fit(
        np.concatenate([flat, out_of_domain.scores]), np.concatenate([sets, out_of_domain.labels]), weights
    )


def cross_calibrated(scores: Doubles, labels: Mask, folds: Folds, out_of_domain: OutOfDomain | None = None) -> Doubles:
    """Probabilities, each fold's by a calibration that was fitted on the other folds only."""
    probabilities = np.zeros_like(scores)
    for fold in np.unique(folds):
        outside = folds == fold
        others = None if out_of_domain is None else out_of_domain.without(np.flatnonzero(outside))
        probabilities[outside] = pooled_calibration(scores[~outside], labels[~outside], others)(scores[outside])
    return probabilities


def stratified_order(
    labels: Mask,
    groups: Sequence[str],
    keys: Sequence[str],
    *,
    split: Sequence[str] = (),
    seed: int = 0,
    balance: float = BALANCE,
) -> NDArray[np.int64]:
    """Positions of the rows with a label, in the order in which they join a growing sample.

    `labels`, (n, classes), are label sets; a row counts for the rarest genre it carries. A genre's share grows with its
    number of rows to the power `balance`; within a genre the artists (`groups`; "" is one of its own) take turns. The
    parts of an official `split` join in proportion to their sizes. Chance depends on `keys`, the names of the rows, and
    on `seed` alone: a smaller sample is part of a larger one, and new tracks leave most of a sample as it is.
    """
    labelled = np.flatnonzero(labels.any(axis=1))
    if not len(labelled):
        return labelled
    support = labels[labelled].sum(axis=0)
    genre = np.where(labels, support, len(labels) + 1).argmin(axis=1)
    parts = np.array(split if len(split) else [""] * len(labels), dtype=np.str_)
    chance = [blake2b(f"{seed}\0{key}".encode("utf-8", "surrogateescape"), digest_size=8).digest() for key in keys]
    joins = np.full(len(labels), np.inf)
    for part in np.unique(parts[labelled]):
        inside = labelled[parts[labelled] == part]
        for one in np.unique(genre[inside]):
            rows = _in_turns(inside[genre[inside] == one].tolist(), groups, chance)
            joins[rows] = (np.arange(len(rows)) + 0.5) / len(rows) ** balance
        ranked = inside[np.argsort(joins[inside], kind="stable")]
        joins[ranked] = (np.arange(len(ranked)) + 0.5) / len(ranked)
    return labelled[np.argsort(joins[labelled], kind="stable")]


def _in_turns(rows: Sequence[int], groups: Sequence[str], chance: Sequence[bytes]) -> list[int]:
    """The rows of a genre: one of every artist, then a second one of each that has two, and so on, by `chance`."""
    artists: dict[str, list[int]] = {}
    for row in sorted(rows, key=lambda row: chance[row]):
        artists.setdefault(groups[row] or f"\0{row}", []).append(row)
    turns = [(turn, chance[row], row) for mine in artists.values() for turn, row in enumerate(mine)]
    return [row for *_, row in sorted(turns)]


def _parts(data: Dataset, seed: int) -> tuple[Mask, Mask, Mask]:
    """Masks of the rows for training, for calibration and for the figures."""
    table = data.table
    if data.is_split:
        training, calibrating, testing = (data.split == part for part in (TRAINING, VALIDATION, TEST))
        if calibrating.any():
            return training, calibrating, testing
        inner = np.zeros(len(table), dtype=np.bool_)
        rows = np.flatnonzero(training)
        inner[rows] = grouped_folds(table.groups[rows], table.labels[rows], _PARTS, seed) == 0
        return training & ~inner, inner, testing
    fold = grouped_folds(table.groups, table.labels, _PARTS * 2, seed)
    return fold > 1, fold == 0, fold == 1


def _chosen(augmentations: Augmentations | None, which: NDArray[np.int64] | Mask) -> Augmentations | None:
    return None if augmentations is None else augmentations.chosen(which)


def _named(name: str, log: Log) -> Log:
    return lambda text: log(f"{name}, {text}")
