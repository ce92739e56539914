"""Estimators and models: an estimator fits a table and gives a model, which predicts with NumPy alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from music_reclass.errors import BundleError

if TYPE_CHECKING:
    from music_reclass.models.dataset import Augmentations, Table

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]

LARGE = 4000  # rows from which one held-out part serves instead of five folds, and one wide network
CLEAN = 0.4  # weight of a row as it is, against all its degraded versions together

# Where each type of model comes back: "module:function" with (description, arrays, columns, labels) -> model.
# They are imported when a bundle of the type is loaded, not before.
MODELS = {
    "mlp-ensemble": "music_reclass.models.mlp:restored",
    "linear": "music_reclass.models.linear:restored",
    "trees": "music_reclass.models.trees:restored",
    "stack": "music_reclass.models.stacking:restored_stack",
    "selected": "music_reclass.models.stacking:restored_selection",
    "translated": "music_reclass.models.stacking:restored_translation",
    "tag-head": "music_reclass.models.tag_head:restored",
    "extended": "music_reclass.models.stacking:restored_extension",
}
_REMOVED = {"tags": "a member that votes by a tagger's words"}


class Model(Protocol):
    """Scores for raw rows, and the way to write itself down."""

    def log_probabilities(self, rows: Floats) -> Doubles:
        """Uncalibrated, shape (n, labels)."""
        ...

    def description(self) -> dict[str, Any]:
        """Goes into the manifest under `model`; `type` is a key of MODELS."""
        ...

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All numbers of the model by name."""
        ...

    def medians(self, columns: int) -> Floats | None:
        """Medians of the training rows as the model's scales keep them, (2, columns), NaN where they are not known.

        The first row is of columns scaled as they are; the second of columns that are scaled after a transform, and
        that it passes on. None: the model keeps no scale (trees).
        """
        ...


@dataclass(frozen=True, slots=True)
class Estimator:
    """Learns from all rows of a table; equal seeds give equal models on one machine.

    `name` is one word for reports and bundles. `fit` gives a model for rows with the table's columns; scales are fitted
    on these rows and nothing else.
    """

    name: str
    fit: Callable[[Table, Augmentations | None], Model]


def restored(description: Mapping[str, Any], arrays: Arrays, columns: int, labels: int) -> Model:
    """The model that a manifest describes; ValueError or KeyError if damaged, BundleError for a type of the past."""
    kind = description["type"]
    if kind in _REMOVED:
        raise BundleError(
            f"The bundle holds {_REMOVED[kind]} (model type `{kind}`), which reclass no longer has; train it again."
        )
    module, _, function = MODELS[kind].partition(":")
    model: Model = getattr(import_module(module), function)(description, arrays, columns, labels)
    return model


def log_softmax(scores: Doubles) -> Doubles:
    """Log-probabilities of `scores` along the last axis."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), dtype=np.float64)


def with_augmentations(table: Table, augmentations: Augmentations | None) -> Floats:
    """The clean rows and then their augmentations, shape (n, 1 + augmentations, columns)."""
    if augmentations is None:
        return table.rows[:, None]
    return np.concatenate([table.rows[:, None], augmentations.rows], axis=1)


def examples(
    table: Table, augmentations: Augmentations | None, *, rarity: float, versions: int, seed: int
) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Rows (m, columns), one label each (m,) and weights of mean one (m,), for estimators of single labels.

    Every row occurs once for each of its labels, and so do `versions` of its augmentations, drawn by `seed`. A label's
    weight falls with its frequency to the power `rarity`; the labels of a row share its weight.
    """
    frequency = table.labels.sum(axis=0) + 1.0
    shares = table.labels * frequency**-rarity
    rarities = (shares * shares).sum(axis=1) / shares.sum(axis=1)  # the mean rarity of the row's labels
    weights = shares / shares.sum(axis=1, keepdims=True) * rarities[:, None]
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
    rows = np.concatenate([part[0] for part in parts]).astype(np.float32)
    return rows, np.tile(genre, len(parts)).astype(np.int64), (every / every.mean()).astype(np.float32)
