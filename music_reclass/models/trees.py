"""Gradient-boosted trees, grown by XGBoost or scikit-learn, kept as plain arrays and evaluated by NumPy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.errors import ReclassError
from music_reclass.models.base import Arrays, Estimator, Floats, Model, examples, log_softmax
from music_reclass.models.dataset import Augmentations, Table
from music_reclass.utils.lazy import require

TYPE = "trees"
_CHUNK = 256  # rows walked at once: (rows, trees) positions
_NAMES = ("feature", "split", "left", "right", "label", "base")
_BINS = 64  # of each column: where trees may split
_ABSENT = -30.0  # the score of a label that no row carries, as in `linear`
XGB, HGB = "xgb", "hgb"  # who grows the trees: XGBoost, scikit-learn's HistGradientBoostingClassifier

Tree = tuple[NDArray[Any], Floats, NDArray[Any], NDArray[Any]]  # feature, split, left and right of its nodes


@dataclass(frozen=True, slots=True)
class TreesModel:
    """All trees side by side, shape (trees, nodes); a leaf points to itself and its `split` is its score.

    A finite number below the split goes to the left, any other to the right.
    """

    feature: NDArray[np.int16]
    split: Floats
    left: NDArray[np.int16]
    right: NDArray[np.int16]
    label: NDArray[np.int16]  # (trees,): whose score a tree adds to
    base: Floats  # (labels,): the score before any tree
    depth: int

    def log_probabilities(self, rows: Floats) -> NDArray[np.float64]:
        """Uncalibrated, shape (n, labels)."""
        scores = np.concatenate([self._scores(rows[at : at + _CHUNK]) for at in range(0, max(len(rows), 1), _CHUNK)])
        return log_softmax(scores)

    def _scores(self, rows: Floats) -> NDArray[np.float64]:
        trees = np.arange(len(self.label))
        place = np.zeros((len(rows), len(trees)), dtype=np.int64)
        line = np.arange(len(rows))[:, None]
        for _ in range(self.depth):
            below = rows[line, self.feature[trees, place]] < self.split[trees, place]
            place = np.where(below, self.left[trees, place], self.right[trees, place])
        leaves = self.split[trees, place].astype(np.float64)
        member = np.zeros((len(trees), len(self.base)))
        member[trees, self.label] = 1.0
        return np.asarray(leaves @ member + self.base, dtype=np.float64)

    def description(self) -> dict[str, Any]:
        """What the manifest keeps for `restored`."""
        return {"type": TYPE, "depth": self.depth}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All numbers by name."""
        return {name: getattr(self, name) for name in _NAMES}

    def medians(self, columns: int) -> None:
        """Trees keep no scale."""


def learner_for(device: str) -> str:
    """XGB where it is installed or `device` is no processor, else HGB."""
    return XGB if device != "cpu" or find_spec("xgboost") is not None else HGB


def check_learner(learner: str) -> None:
    """MissingExtra where its package is absent, ReclassError where it is broken."""
    _xgboost() if learner == XGB else require("sklearn", extra="train")


def trees_estimator(
    seed: int = 0,
    learner: str | None = None,
    *,
    rounds: int = 120,
    depth: int = 4,
    rarity: float = 0.25,
    versions: int = 1,
    threads: int = 1,
    device: str = "cpu",
) -> Estimator:
    """Many shallow trees, each grown on a part of the columns and every row once for each of its labels.

    `learner`: XGB or HGB, else that of the `device`. XGBoost draws a part of the rows for each tree as well.
    """
    chosen = learner or learner_for(device)

    def fit(table: Table, augmentations: Augmentations | None) -> TreesModel:
        rows, genre, weights = examples(table, augmentations, rarity=rarity, versions=versions, seed=seed)
        labels = len(table.classes)
        if chosen == XGB:
            xgboost = _xgboost()
            settings = {
                "objective": "multi:softprob", "num_class": labels, "tree_method": "hist", "max_bin": _BINS,
                "max_depth": depth, "eta": 0.1, "subsample": 0.7, "colsample_bytree": 0.2, "lambda": 5.0,
                "min_child_weight": 2.0, "seed": seed, "nthread": threads, "device": device,
                "base_score": 0.5, "verbosity": 0,
            }  # fmt: skip
            data = xgboost.DMatrix(rows, label=genre, weight=weights)
            booster = xgboost.train(settings, data, num_boost_round=rounds)
            return _of_xgboost(json.loads(bytes(booster.save_raw("json"))), labels)
        if len(np.unique(genre)) < 2:  # a fold may hold one genre; scikit-learn wants two
            return _packed([_leaf()], genre[:1], np.where(np.arange(labels) == genre[0], 0.0, _ABSENT))
        ensemble = require("sklearn.ensemble", extra="train")
        boosting = ensemble.HistGradientBoostingClassifier(
            max_iter=rounds, max_depth=depth, max_leaf_nodes=2**depth, learning_rate=0.1, l2_regularization=5.0,
            min_samples_leaf=5, max_bins=_BINS, max_features=0.2, early_stopping=False, random_state=seed,
        )  # fmt: skip
        cuts = np.quantile(rows, np.arange(1, _BINS) / _BINS, axis=0).astype(np.float32)
        binned = _binned(rows, cuts)
        with require("threadpoolctl", extra="train").threadpool_limits(threads, user_api="openmp"):
            boosting.fit(binned, genre, sample_weight=weights)
        model = _of_scikit_learn(boosting, cuts, labels)
        known = boosting.predict_proba(binned[:_CHUNK])
        if not np.allclose(np.exp(model.log_probabilities(rows[:_CHUNK]))[:, boosting.classes_], known, atol=1e-5):
            raise ReclassError(
                "This version of scikit-learn keeps its trees in a way that reclass cannot read; install XGBoost, "
                "which then grows them (pip install 'music_reclass[xgb]')."
            )
        return model

    return Estimator(chosen, fit)


def _xgboost() -> Any:
    """The package; MissingExtra where it is absent, ReclassError where its library does not load."""
    try:
        return require("xgboost", extra="xgb")
    except (ImportError, OSError, ValueError) as error:  # XGBoostError is a ValueError
        raise ReclassError(
            f"XGBoost is installed but cannot be loaded ({str(error).strip().splitlines()[0]}); repair it (on a Mac: "
            "brew install libomp), or remove it, and scikit-learn grows the trees (pip uninstall xgboost xgboost-cpu)."
        ) from error


def _of_xgboost(saved: Mapping[str, Any], labels: int) -> TreesModel:
    """XGBoost's JSON as arrays. Its base score is the same for all labels, so it cancels out in the softmax."""
    model = saved["learner"]["gradient_booster"]["model"]
    grown = []
    for tree in model["trees"]:
        lefts, rights = np.array(tree["left_children"]), np.array(tree["right_children"])
        leaf, place = lefts < 0, np.arange(len(lefts))
        split = np.array(tree["split_conditions"], dtype=np.float32)
        feature = np.where(leaf, 0, tree["split_indices"])
        grown.append((feature, split, np.where(leaf, place, lefts), np.where(leaf, place, rights)))
    return _packed(grown, model["tree_info"], np.zeros(labels))


def _binned(rows: Floats, cuts: Floats) -> Floats:
    """How many of its column's sorted `cuts` (bins - 1, columns) each number reaches; shape as `rows`.

    scikit-learn takes seconds to find these, a column and a bin at a time, where rows have weights.
    """
    bins = [np.searchsorted(cuts[:, column], rows[:, column], side="right") for column in range(rows.shape[1])]
    return np.stack(bins, axis=1).astype(np.float32)


def _of_scikit_learn(boosting: Any, cuts: Floats, labels: int) -> TreesModel:
    """A HistGradientBoostingClassifier of binned rows as arrays; of two classes it grows trees of the second alone."""
    known = boosting.classes_
    grown, tree_labels = [], []
    for of_round in boosting._predictors:
        for label, tree in zip(known[-len(of_round) :], of_round, strict=True):
            nodes = tree.nodes
            leaf, place = nodes["is_leaf"].astype(np.bool_), np.arange(len(nodes))
            feature = np.where(leaf, 0, nodes["feature_idx"])
            # "At most k bins" is "below the cut k": a split where no bin is missing lies within the cuts.
            cut = np.clip(np.where(leaf, 0, nodes["num_threshold"]), 0, len(cuts) - 1).astype(np.int64)
            split = np.where(leaf, nodes["value"], cuts[cut, feature]).astype(np.float32)
            left, right = np.where(leaf, place, nodes["left"]), np.where(leaf, place, nodes["right"])
            grown.append((feature, split, left, right))
            tree_labels.append(label)
    base = np.full(labels, _ABSENT)
    base[known] = 0.0
    base[known[-boosting._baseline_prediction.size :]] = boosting._baseline_prediction.reshape(-1)
    return _packed(grown, tree_labels, base)


def _leaf() -> Tree:
    place = np.zeros(1, dtype=np.int16)
    return place, np.zeros(1, dtype=np.float32), place, place


def _packed(grown: Sequence[Tree], labels: Sequence[int] | NDArray[np.int64], base: NDArray[np.float64]) -> TreesModel:
    """Trees of any size side by side, filled up with nodes that nothing leads to."""
    shape = (len(grown), max(len(tree[0]) for tree in grown))
    feature, left, right = (np.zeros(shape, dtype=np.int16) for _ in range(3))
    split = np.zeros(shape, dtype=np.float32)
    for number, tree in enumerate(grown):
        nodes = slice(len(tree[0]))
        feature[number, nodes], split[number, nodes], left[number, nodes], right[number, nodes] = tree
    deepest = max(_depth(left[number], right[number]) for number in range(len(grown)))
    return TreesModel(feature, split, left, right, np.array(labels, dtype=np.int16), base.astype(np.float32), deepest)


def _depth(left: NDArray[np.int16], right: NDArray[np.int16]) -> int:
    front, depth = {0}, 0
    while inner := {node for node in front if left[node] != node}:
        front = {int(child) for node in inner for child in (left[node], right[node])}
        depth += 1
    return depth


def restored(description: Mapping[str, Any], arrays: Arrays, columns: int, labels: int) -> Model:
    """The trees of a bundle; ValueError or KeyError unless every array is there and points within bounds."""
    if set(arrays) != set(_NAMES):
        raise ValueError("the arrays are not those of trees")
    feature, split, left, right, label, base = (arrays[name] for name in _NAMES)
    if feature.ndim != 2 or not feature.shape == split.shape == left.shape == right.shape or not feature.size:
        raise ValueError("the trees have different shapes")
    count, nodes = feature.shape
    bounds = ((feature, columns), (left, nodes), (right, nodes), (label, labels))
    if any(array.dtype.kind != "i" or (array < 0).any() or (array >= bound).any() for array, bound in bounds):
        raise ValueError("a tree points to a column, node or label that is not there")
    if label.shape != (count,) or base.shape != (labels,) or not (np.isfinite(split).all() and np.isfinite(base).all()):
        raise ValueError("the labels or scores of the trees do not fit")
    depth = int(description["depth"])
    if not 0 <= depth <= 64:
        raise ValueError("trees are at most 64 deep")
    return TreesModel(feature, split.astype(np.float32), left, right, label, base.astype(np.float32), depth)
