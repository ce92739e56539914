"""The interfaces: an estimator fits a table and gives a model, which predicts with NumPy alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from music_reclass.models.dataset import Augmentations, Table


class Model(Protocol):
    """Scores for raw rows, and the way to write itself down."""

    def log_probabilities(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Uncalibrated, shape (n, labels)."""
        ...

    def description(self) -> dict[str, Any]:
        """Goes into the manifest under `model`; `type` says which function brings it back."""
        ...

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All numbers of the model by name."""
        ...


# How a type of model comes back: (description, arrays, columns, labels) -> model; ValueError or KeyError if damaged.
Restore = Callable[[Mapping[str, Any], Mapping[str, NDArray[Any]], int, int], Model]

Floats = NDArray[np.float32]

CLEAN = 0.4  # weight of a row as it is, against all its degraded versions together


class Estimator(Protocol):
    """Learns from all rows of a table; equal seeds give equal models on one machine."""

    @property
    def name(self) -> str:
        """One word for reports and bundles, e.g. `linear`."""
        ...

    def fit(self, table: Table, augmentations: Augmentations | None) -> Model:
        """A model for rows with the table's columns; scales are fitted on these rows and nothing else."""
        ...


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows with one label and a weight each: how estimators for single labels see label sets and views."""

    rows: Floats  # (m, columns)
    genre: NDArray[np.int64]  # (m,)
    weights: Floats  # (m,), mean one


def examples(table: Table, augmentations: Augmentations | None, rarity: float, versions: int, seed: int) -> Examples:
    """Every row once for each of its labels, and as many degraded `versions` of it drawn by `seed`.

    A label's weight falls with its frequency to the power `rarity`; the labels of a row share its weight.
    """
    frequency = table.labels.sum(axis=0) + 1.0
    shares = table.labels * frequency**-rarity
    own = (shares * shares).sum(axis=1) / shares.sum(axis=1)  # the mean rarity of the row's labels
    weights = shares / shares.sum(axis=1, keepdims=True) * own[:, None]
    row, genre = np.nonzero(table.labels)
    parts = [(table.rows[row], weights[row, genre] * (CLEAN if augmentations else 1.0))]
    if augmentations is not None:
        count = min(versions, len(augmentations.names))
        generator = np.random.default_rng(seed)
        chosen = np.stack([generator.permutation(len(augmentations.names))[:count] for _ in range(len(table))])
        parts += [
            (augmentations.rows[row, chosen[row, number]], weights[row, genre] * ((1 - CLEAN) / count))
            for number in range(count)
        ]
    every = np.concatenate([part[1] for part in parts])
    return Examples(
        rows=np.concatenate([part[0] for part in parts]).astype(np.float32),
        genre=np.tile(genre, len(parts)).astype(np.int64),
        weights=(every / every.mean()).astype(np.float32),
    )
