"""Artist-grouped cross-validation: folds, out-of-fold scores, held-out parts, and calibration across folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from music_reclass.errors import UsageError
from music_reclass.models import calibration
from music_reclass.models.base import Estimator, Model, with_augmentations
from music_reclass.models.calibration import hits
from music_reclass.models.dataset import TEST, TRAINING, VALIDATION, Augmentations, Dataset, Table
from music_reclass.models.metrics import (
    Groups,
    Labels,
)


def grouped_folds(groups: Groups, labels: Labels, count: int, seed: int) -> NDArray[np.int64]:
    """The fold of every row, 0 to count - 1: no group in two folds, and the labels spread evenly over them.

    Large groups are placed first, in an order that `seed` shuffles, each where its labels are scarcest.
    """
    generator = np.random.default_rng(seed)
    names = generator.permutation(np.unique(groups))
    position = np.searchsorted(np.unique(groups), groups)
    sums = np.zeros((len(names), labels.shape[1]))
    np.add.at(sums, position, labels)
    sizes = np.bincount(position, minlength=len(names))
    rarity = 1.0 / (labels.sum(axis=0) + 1.0)
    load, fold_of = np.zeros((count, labels.shape[1])), np.zeros(len(names), dtype=np.int64)
    for name in names[np.argsort(-sizes[np.searchsorted(np.unique(groups), names)], kind="stable")]:
        place = int(np.searchsorted(np.unique(groups), name))
        costs = (((load + sums[place]) ** 2 - load**2) * rarity).sum(axis=1)
        chosen = int(costs.argmin())
        load[chosen] += sums[place]
        fold_of[place] = chosen
    return fold_of[position]


Doubles = NDArray[np.float64]
Log = Callable[[str], None]


class Scorer(Protocol):
    """A trained model as validation sees it."""

    def log_probabilities(self, rows: NDArray[np.float32]) -> Doubles:
        """Shape (n, labels)."""
        ...


Fit = Callable[[Table, "Augmentations | None"], Scorer]


def out_of_fold(
    table: Table, augmentations: Augmentations | None, fit: Fit, folds: NDArray[np.int64], say: Log | None = None
) -> Doubles:
    """Log-probabilities of every row and its views by a model that saw no row of its fold, (n, 1 + views, labels)."""
    versions = with_augmentations(table, augmentations)
    scores = np.zeros((*versions.shape[:2], len(table.classes)))
    count = int(folds.max()) + 1
    for fold in range(count):
        inside, outside = folds != fold, folds == fold
        model = fit(table.chosen(inside), None if augmentations is None else augmentations.chosen(inside))
        scores[outside] = scored(model, versions[outside])
        if say is not None:
            share = calibration.hits(scores[outside, 0], table.labels[outside]).mean()
            say(f"fold {fold + 1} of {count}: {share:.3f} right on {int(outside.sum())} tracks of artists it never saw")
    return scores


def folds_of(table: Table, seed: int, count: int = 5) -> NDArray[np.int64]:
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


def scored(model: Scorer, versions: NDArray[np.float32]) -> Doubles:
    """Log-probabilities of `versions`, shape (n, versions, columns)."""
    flat = model.log_probabilities(versions.reshape(-1, versions.shape[-1]))
    return flat.reshape(*versions.shape[:2], -1)


def pooled_calibration(scores: Doubles, labels: NDArray[np.bool_]) -> calibration.Calibration:
    """One calibration for all versions of the rows; `scores` has the shape (n, versions, labels)."""
    sets = np.repeat(labels[:, None], scores.shape[1], axis=1)
    return calibration.fit(scores.reshape(-1, scores.shape[-1]), sets.reshape(-1, sets.shape[-1]))


def cross_calibrated(scores: Doubles, labels: NDArray[np.bool_], folds: NDArray[np.int64]) -> Doubles:
    """Probabilities, each fold's by a calibration that was fitted on the other folds only."""
    probabilities = np.zeros_like(scores)
    for fold in np.unique(folds):
        outside = folds == fold
        probabilities[outside] = pooled_calibration(scores[~outside], labels[~outside])(scores[outside])
    return probabilities


Mask = NDArray[np.bool_]

LARGE = 4000  # rows from which one held-out part serves, instead of five folds
_PARTS = 5


@dataclass(frozen=True, slots=True)
class Scores:
    """Log-probabilities of each estimator for rows it did not see, (n, versions, labels), and who is judged on what.

    `part` of a row: its fold under cross-validation; else 0 for calibration and 1 for the figures.
    """

    rows: NDArray[np.int64]  # positions in the table
    each: tuple[Doubles, ...]
    part: NDArray[np.int64]
    folds: bool

    @property
    def turns(self) -> list[tuple[Mask, Mask]]:
        """(judged, learned from) masks: every fold by the others, or the figures' part by the calibration part."""
        if self.folds:
            return [(self.part == fold, self.part != fold) for fold in np.unique(self.part)]
        return [(self.part == 1, self.part == 0)]

    @property
    def learning(self) -> Mask:
        """The rows from which weights, calibration and promises are learned in the end."""
        return np.ones(len(self.part), dtype=np.bool_) if self.folds else self.part == 0

    @property
    def judging(self) -> Mask:
        """The rows for the figures."""
        return np.ones(len(self.part), dtype=np.bool_) if self.folds else self.part == 1


def held_out(
    data: Dataset,
    augmentations: Augmentations | None,
    estimators: Sequence[Estimator],
    seed: int,
    tell: Log,
    folds: int = 5,
) -> tuple[Scores, tuple[Model, ...] | None]:
    """Scores of rows that were not seen; the fitted models too where they are what is shipped.

    The same rows give the same folds or parts, whatever their columns are.
    """
    table = data.table
    if not data.is_split and len(table) < LARGE:
        return _by_folds(table, augmentations, estimators, seed, tell, folds), None
    training, calibrating, testing = _parts(data, table, seed)
    fitted, each = [], []
    rows = np.flatnonzero(calibrating | testing)
    versions = with_augmentations(table.chosen(rows), None if augmentations is None else augmentations.chosen(rows))
    for estimator in estimators:
        model = estimator.fit(table.chosen(training), None if augmentations is None else augmentations.chosen(training))
        each.append(scored(model, versions))
        right = hits(each[-1][testing[rows], 0], table.labels[testing]).mean()
        tell(f"{estimator.name}: {right:.3f} right on {int(testing.sum())} held-out tracks")
        fitted.append(model)
    scores = Scores(rows, tuple(each), testing[rows].astype(np.int64), folds=False)
    return scores, tuple(fitted) if data.is_split else None


def _by_folds(
    table: Table, augmentations: Augmentations | None, estimators: Sequence[Estimator], seed: int, tell: Log, count: int
) -> Scores:
    folds = folds_of(table, seed, count)
    versions = with_augmentations(table, augmentations)
    each = []
    for estimator in estimators:
        scores = np.zeros((*versions.shape[:2], len(table.classes)))
        for fold in range(int(folds.max()) + 1):
            inside, outside = folds != fold, folds == fold
            model = estimator.fit(table.chosen(inside), None if augmentations is None else augmentations.chosen(inside))
            scores[outside] = scored(model, versions[outside])
            right = hits(scores[outside, 0], table.labels[outside]).mean()
            tell(f"{estimator.name}, fold {fold + 1} of {int(folds.max()) + 1}: {right:.3f} right on new artists")
        each.append(scores)
    return Scores(np.arange(len(table)), tuple(each), folds, folds=True)


def _parts(data: Dataset, table: Table, seed: int) -> tuple[Mask, Mask, Mask]:
    """Masks of the rows for training, for calibration and for the figures."""
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
