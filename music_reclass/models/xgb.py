"""Gradient-boosted trees by XGBoost, kept as plain arrays and evaluated by NumPy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.models.base import Arrays, Estimator, Floats, Model, examples, log_softmax
from music_reclass.models.dataset import Augmentations, Table
from music_reclass.utils.lazy import require

TYPE = "trees"
_CHUNK = 256  # rows walked at once: (rows, trees) positions
_NAMES = ("feature", "split", "left", "right", "label", "base")


@dataclass(frozen=True, slots=True)
class TreesModel:
    """All trees side by side, shape (trees, nodes); a leaf points to itself and its `split` is its score."""

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


def xgb_estimator(
    seed: int = 0,
    *,
    rounds: int = 120,
    depth: int = 4,
    rarity: float = 0.25,
    versions: int = 1,
    threads: int = 1,
    device: str = "cpu",
) -> Estimator:
    """Many shallow trees on a part of the rows and columns each, grown on every row once for each of its labels."""

    def fit(table: Table, augmentations: Augmentations | None) -> TreesModel:
        xgboost = require("xgboost", extra="train")
        rows, genre, weights = examples(table, augmentations, rarity=rarity, versions=versions, seed=seed)
        data = xgboost.DMatrix(rows, label=genre, weight=weights)
        settings = {
            "objective": "multi:softprob", "num_class": len(table.classes), "tree_method": "hist", "max_bin": 64,
            "max_depth": depth, "eta": 0.1, "subsample": 0.7, "colsample_bytree": 0.2, "lambda": 5.0,
            "min_child_weight": 2.0, "seed": seed, "nthread": threads, "device": device,
            "base_score": 0.5, "verbosity": 0,
        }  # fmt: skip
        booster = xgboost.train(settings, data, num_boost_round=rounds)
        return _trees(json.loads(bytes(booster.save_raw("json"))), len(table.classes))

    return Estimator("xgb", fit)


def _trees(saved: dict[str, Any], labels: int) -> TreesModel:
    """XGBoost's JSON as arrays. Its base score is the same for all labels, so it cancels out in the softmax."""
    model = saved["learner"]["gradient_booster"]["model"]
    grown = model["trees"]
    nodes = max(len(tree["left_children"]) for tree in grown)
    shape = (len(grown), nodes)
    feature, left, right = (np.zeros(shape, dtype=np.int16) for _ in range(3))
    split = np.zeros(shape, dtype=np.float32)
    for number, tree in enumerate(grown):
        count = len(tree["left_children"])
        place = np.arange(count)
        lefts, rights = np.array(tree["left_children"]), np.array(tree["right_children"])
        leaf = lefts < 0
        feature[number, :count] = np.where(leaf, 0, tree["split_indices"])
        split[number, :count] = tree["split_conditions"]
        left[number, :count] = np.where(leaf, place, lefts)
        right[number, :count] = np.where(leaf, place, rights)
    label = np.array(model["tree_info"], dtype=np.int16)
    deepest = max(_depth(left[number], right[number]) for number in range(len(grown)))
    return TreesModel(feature, split, left, right, label, np.zeros(labels, dtype=np.float32), deepest)


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
