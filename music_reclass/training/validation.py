"""Cross-validation that keeps artists, and every view of their tracks, on one side of each split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from music_reclass.errors import UsageError
from music_reclass.training import calibration
from music_reclass.training.evaluation import grouped_folds
from music_reclass.training.tables import Table, Views

Doubles = NDArray[np.float64]
Say = Callable[[str], None]


class Scorer(Protocol):
    """A trained model as validation sees it."""

    def log_probabilities(self, rows: NDArray[np.float32]) -> Doubles:
        """Shape (n, labels)."""
        ...


Fit = Callable[[Table, "Views | None"], Scorer]


def out_of_fold(
    table: Table, views: Views | None, fit: Fit, folds: NDArray[np.int64], say: Say | None = None
) -> Doubles:
    """Log-probabilities of every row and its views by a model that saw no row of its fold, (n, 1 + views, labels)."""
    versions = all_versions(table, views)
    scores = np.zeros((*versions.shape[:2], len(table.classes)))
    count = int(folds.max()) + 1
    for fold in range(count):
        inside, outside = folds != fold, folds == fold
        model = fit(table.chosen(inside), None if views is None else views.chosen(inside))
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


def all_versions(table: Table, views: Views | None) -> NDArray[np.float32]:
    """The clean rows and then their views, shape (n, 1 + views, columns)."""
    return table.rows[:, None] if views is None else np.concatenate([table.rows[:, None], views.rows], axis=1)


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
