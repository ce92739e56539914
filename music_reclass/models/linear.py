"""Multinomial logistic regression by scikit-learn; one matrix at prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.errors import UsageError
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.base import Floats, Model, examples
from music_reclass.models.dataset import Augmentations, Table
from music_reclass.models.mlp import log_softmax
from music_reclass.models.transforms import INPUTS, QuantileScale
from music_reclass.utils.lazy import require

Rows = NDArray[np.float32]


def aligned(source: Rows, target: Rows, ridge: float = 1.0) -> Rows:
    """`source` rows, (n, columns), whitened and coloured as `target`, (m, columns), is; both scaled alike before.

    `ridge` is added to both covariances, as a few hundred rows do not tell 518 columns apart.
    """
    centre, goal = source.mean(axis=0), target.mean(axis=0)
    own = np.cov(source, rowvar=False) + ridge * np.eye(source.shape[1])
    theirs = np.cov(target, rowvar=False) + ridge * np.eye(source.shape[1])
    turned = (source - centre) @ _power(own, -0.5) @ _power(theirs, 0.5)
    return np.asarray(turned + goal, dtype=np.float32)


def _power(covariance: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.maximum(values, 1e-9) ** exponent) @ vectors.T, dtype=np.float64)


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
        """What the manifest must say for `restored`."""
        return {"type": TYPE, "input": self.inputs}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All numbers by name."""
        return {"knots": self.scale.knots, "weights": self.weights, "bias": self.bias}


@dataclass(frozen=True, slots=True)
class Linear:
    """The recipe. `strength` is scikit-learn's C: small, as 518 columns meet few rows."""

    seed: int = 0
    strength: float = 0.003
    rarity: float = 0.25
    versions: int = 2
    target: Floats | None = field(default=None, repr=False, compare=False)  # unlabelled rows to adapt to (CORAL)
    name: str = TYPE

    def fit(self, table: Table, augmentations: Augmentations | None) -> LinearModel:
        """Fitted on every row once for each of its labels."""
        linear_model = require("sklearn.linear_model", extra="train")
        inputs = "unchanged"
        if table.columns[: len(COLUMNS)] == COLUMNS:
            inputs = "key_free" if table.columns == COLUMNS else "key_free_and_embedding"
        seen = examples(table, augmentations, self.rarity, self.versions, self.seed)
        raw = INPUTS[inputs](seen.rows)
        scale = QuantileScale.fit(raw)
        model = linear_model.LogisticRegression(C=self.strength, max_iter=400)
        rows = scale(raw)
        if self.target is not None:
            rows = aligned(rows, scale(INPUTS[inputs](self.target)))
        model.fit(rows, seen.genre, sample_weight=seen.weights)
        return _model(inputs, scale, model, len(table.classes))


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


def restored(description: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], columns: int, labels: int) -> Model:
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


TAGS_TYPE = "tags"
TAG_KINDS = ("musicnn-tags", "ast-tags", "distilhubert-genre")  # those whose numbers are strengths of tags, in [0, 1]
_LEAST = 1e-6  # keeps the logit of a strength of 0 or 1 finite

ColumnRuns = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class TagLinearModel:
    """A linear model of the columns in `runs` (from, to) of wider rows, each as its logit."""

    runs: ColumnRuns
    model: Model

    def log_probabilities(self, rows: Floats) -> NDArray[np.float64]:
        """Uncalibrated, shape (n, labels), of rows with all columns."""
        return self.model.log_probabilities(_logits(rows, self.runs))

    def description(self) -> dict[str, Any]:
        """What the manifest must say for the model to come back."""
        return {"type": TAGS_TYPE, "runs": [list(run) for run in self.runs], "model": self.model.description()}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The linear model's own."""
        return self.model.arrays()


@dataclass(frozen=True, slots=True)
class TagLinear:
    """The recipe: as `linear`, with less held back, as a tagger's numbers are few."""

    seed: int = 0
    strength: float = 0.1
    rarity: float = 0.25
    versions: int = 2
    name: str = TAGS_TYPE

    def fit(self, table: Table, augmentations: Augmentations | None) -> TagLinearModel:
        """Fitted on the tag columns; UsageError where the table has none."""
        runs = runs_of(table.columns)
        if not runs:
            raise UsageError(
                "the table holds no tags for the member `tags`; add an array of one of the kinds "
                f"{', '.join(TAG_KINDS)} (reclass features --kind {TAG_KINDS[0]})."
            )
        names = tuple(name for start, stop in runs for name in table.columns[start:stop])
        narrow = replace(table, columns=names, rows=_logits(table.rows, runs))
        bad = None if augmentations is None else Augmentations(augmentations.names, _logits(augmentations.rows, runs))
        inner = Linear(self.seed, self.strength, self.rarity, self.versions)
        return TagLinearModel(runs, inner.fit(narrow, bad))


def runs_of(columns: tuple[str, ...]) -> ColumnRuns:
    """Where the columns of KINDS stand among `columns`: (from, to) of each unbroken run of one kind."""
    found: list[tuple[int, int]] = []
    last = ""
    for place, name in enumerate(columns):
        kind = name.rpartition("_")[0]
        if kind in TAG_KINDS:
            found = [*found[:-1], (found[-1][0], place + 1)] if kind == last else [*found, (place, place + 1)]
        last = kind
    return tuple(found)


def _logits(rows: Floats, runs: ColumnRuns) -> Floats:
    tags = np.concatenate([rows[..., start:stop] for start, stop in runs], axis=-1)
    shares = np.clip(tags.astype(np.float64), _LEAST, 1 - _LEAST)
    return np.asarray(np.log(shares / (1 - shares)), dtype=np.float32)


def restored_tags(
    description: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], columns: int, labels: int
) -> Model:
    """The model of a bundle; ValueError or KeyError unless its columns exist, in order, and its arrays fit."""
    runs = tuple((int(start), int(stop)) for start, stop in description["runs"])
    edges = [edge for run in runs for edge in run]
    if not runs or any(start >= stop for start, stop in runs) or edges != sorted(edges) or edges[0] < 0:
        raise ValueError("the runs of tag columns are not in order")
    if edges[-1] > columns:
        raise ValueError("a run of tag columns lies beyond the row")
    inner = description["model"]
    if inner["type"] != TYPE or inner["input"] != "unchanged":
        raise ValueError("tags are weighed by a linear model of the tags as they are")
    width = sum(stop - start for start, stop in runs)
    return TagLinearModel(runs, restored(inner, arrays, width, labels))
