"""Scores of rows that the models did not see: by artist-grouped folds, or on parts that are held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from music_reclass.training.calibration import hits
from music_reclass.training.datasets.shape import TEST, TRAINING, VALIDATION, Dataset
from music_reclass.training.estimators.contract import Estimator
from music_reclass.training.evaluation import grouped_folds
from music_reclass.training.models import Model
from music_reclass.training.tables import Table, Views
from music_reclass.training.validation import Say, all_versions, folds_of, scored

Doubles = NDArray[np.float64]
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
    data: Dataset, views: Views | None, estimators: Sequence[Estimator], seed: int, tell: Say, folds: int = 5
) -> tuple[Scores, tuple[Model, ...] | None]:
    """Scores of rows that were not seen; the fitted models too where they are what is shipped.

    The same rows give the same folds or parts, whatever their columns are.
    """
    table = data.table
    if not data.is_split and len(table) < LARGE:
        return _by_folds(table, views, estimators, seed, tell, folds), None
    training, calibrating, testing = _parts(data, table, seed)
    fitted, each = [], []
    rows = np.flatnonzero(calibrating | testing)
    versions = all_versions(table.chosen(rows), None if views is None else views.chosen(rows))
    for estimator in estimators:
        model = estimator.fit(table.chosen(training), None if views is None else views.chosen(training))
        each.append(scored(model, versions))
        right = hits(each[-1][testing[rows], 0], table.labels[testing]).mean()
        tell(f"{estimator.name}: {right:.3f} right on {int(testing.sum())} held-out tracks")
        fitted.append(model)
    scores = Scores(rows, tuple(each), testing[rows].astype(np.int64), folds=False)
    return scores, tuple(fitted) if data.is_split else None


def _by_folds(
    table: Table, views: Views | None, estimators: Sequence[Estimator], seed: int, tell: Say, count: int
) -> Scores:
    folds = folds_of(table, seed, count)
    versions = all_versions(table, views)
    each = []
    for estimator in estimators:
        scores = np.zeros((*versions.shape[:2], len(table.classes)))
        for fold in range(int(folds.max()) + 1):
            inside, outside = folds != fold, folds == fold
            model = estimator.fit(table.chosen(inside), None if views is None else views.chosen(inside))
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
