"""Multinomial logistic regression by scikit-learn; one matrix at prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.base import Arrays, Estimator, Floats, Model, examples, log_softmax
from music_reclass.models.dataset import Augmentations, Table
from music_reclass.models.transforms import INPUTS, QuantileScale
from music_reclass.utils.lazy import require

TYPE = "linear"


@dataclass(frozen=True, slots=True)
class LinearModel:
    """Scores are `scaled rows @ weights + bias`; `inputs` is a key of `transforms.INPUTS`."""

    inputs: str
    scale: QuantileScale
    weights: Floats  # (inputs, labels)
    bias: Floats  # (labels,)

    def log_probabilities(self, rows: Floats) -> NDArray[np.float64]:
        """Uncalibrated, shape (n, labels)."""
        scaled = self.scale(INPUTS[self.inputs](rows))
        return log_softmax((scaled @ self.weights + self.bias).astype(np.float64))

    def description(self) -> dict[str, Any]:
        """What the manifest keeps for `restored`."""
        return {"type": TYPE, "input": self.inputs}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All numbers by name."""
        return {"knots": self.scale.knots, "weights": self.weights, "bias": self.bias}

    def medians(self, columns: int) -> Floats:
        """Those of its scale, (2, columns)."""
        return self.scale.medians(self.inputs, columns)


def linear_estimator(
    seed: int = 0,
    *,
    strength: float = 0.003,
    rarity: float = 0.25,
    versions: int = 2,
    inputs: str = "",
    scale: QuantileScale | None = None,
) -> Estimator:
    """Logistic regression on every row once for each of its labels.

    `inputs`: a key of INPUTS, "" for that of the rows; `scale`: a fixed one, else it is fitted to the rows.

    `strength` is scikit-learn's C: small, as 518 columns meet few rows. `rarity` and `versions`: see `base.examples`.
    """

    def fit(table: Table, augmentations: Augmentations | None) -> LinearModel:
        linear_model = require("sklearn.linear_model", extra="train")
        chosen = inputs or "unchanged"
        if not inputs and table.columns[: len(COLUMNS)] == COLUMNS:
            chosen = "key_free" if table.columns == COLUMNS else "key_free_and_embedding"
        rows, genre, weights = examples(table, augmentations, rarity=rarity, versions=versions, seed=seed)
        raw = INPUTS[chosen](rows)
        fitted = scale or QuantileScale.fit(raw)
        model = linear_model.LogisticRegression(C=strength, max_iter=400)
        model.fit(fitted(raw), genre, sample_weight=weights)
        return _model(chosen, fitted, model, len(table.classes))

    return Estimator(TYPE, fit)


def _model(inputs: str, scale: QuantileScale, fitted: Any, labels: int) -> LinearModel:
    """Labels that no row carried get a bias that no other score falls below; two classes are one column there."""
    weights, bias = np.zeros((scale.knots.shape[1], labels)), np.full(labels, -30.0)
    if len(fitted.classes_) == 2:
        weights[:, fitted.classes_[1]] = fitted.coef_[0]
        bias[fitted.classes_] = (0.0, fitted.intercept_[0])
    else:
        weights[:, fitted.classes_] = fitted.coef_.T
        bias[fitted.classes_] = fitted.intercept_
    return LinearModel(inputs, scale, weights.astype(np.float32), bias.astype(np.float32))


def restored(description: Mapping[str, Any], arrays: Arrays, columns: int, labels: int) -> Model:
    """The model of a bundle; ValueError or KeyError unless every array is there, fits and is finite."""
    inputs = str(description["input"])
    width = INPUTS[inputs](np.zeros((1, columns), dtype=np.float32)).shape[1]
    knots, weights, bias = (arrays[name].astype(np.float32) for name in ("knots", "weights", "bias"))
    if set(arrays) != {"knots", "weights", "bias"}:
        raise ValueError("the arrays are not those of a linear model")
    if knots.ndim != 2 or len(knots) < 2 or knots.shape[1] != width or (np.diff(knots, axis=0) < 0).any():
        raise ValueError("the knots do not rise or do not fit the columns")
    if weights.shape != (width, labels) or bias.shape != (labels,):
        raise ValueError("the weights do not fit the columns and labels")
    if not all(np.isfinite(array).all() for array in (knots, weights, bias)):
        raise ValueError("an array is not finite")
    return LinearModel(inputs, QuantileScale(knots), weights, bias)
