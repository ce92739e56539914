"""The honest figures: folds that keep an artist on one side, hit rates, calibration, coverage against precision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from music_reclass.training.calibration import Doubles, expected_calibration_error, hits

Labels = NDArray[np.bool_]
Groups = NDArray[np.int64]

COVERAGE_AT = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True, slots=True)
class GenreFigures:
    """One genre: rows that carry it, rows that carry nothing else, how these fared, and how predictions of it did."""

    genre: str
    support: int
    alone: int
    recall_alone: float  # share of the rows that carry only this genre and are predicted so; NaN without any
    hit: float  # share of the rows that carry it and are predicted as anything they carry
    predicted: int
    precision: float  # share of the predictions of it that are right; NaN without any


@dataclass(frozen=True, slots=True)
class Coverage:
    """At and above a confidence: the share of all rows, and the share of them that are right (NaN without any)."""

    confidence: float
    coverage: float
    precision: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What calibrated probabilities are worth on rows with known label sets."""

    count: int
    hit: float
    balanced: float  # mean of recall_alone over genres with at least five such rows
    ece: float
    coverage: tuple[Coverage, ...]
    genres: tuple[GenreFigures, ...]


def evaluate(probabilities: Doubles, labels: Labels, classes: tuple[str, ...]) -> Figures:
    """All figures; `probabilities` are calibrated, shape (n, labels), of rows that the model did not see."""
    right, confidence = hits(probabilities, labels), probabilities.max(axis=1)
    genres = tuple(_genre(number, name, probabilities, labels, right) for number, name in enumerate(classes))
    recalls = [genre.recall_alone for genre in genres if genre.alone >= 5]
    return Figures(
        count=len(labels),
        hit=float(right.mean()),
        balanced=float(np.mean(recalls)) if recalls else float("nan"),
        ece=expected_calibration_error(confidence, right),
        coverage=tuple(coverage(confidence, right, level) for level in COVERAGE_AT),
        genres=genres,
    )


def coverage(confidence: Doubles, right: NDArray[np.bool_], level: float) -> Coverage:
    """How many rows are at least `level` sure, and how many of these are right."""
    above = confidence >= level
    return Coverage(level, float(above.mean()), float(right[above].mean()) if above.any() else float("nan"))


def _genre(number: int, name: str, probabilities: Doubles, labels: Labels, right: NDArray[np.bool_]) -> GenreFigures:
    predicted, carries = probabilities.argmax(axis=1) == number, labels[:, number]
    alone = carries & (labels.sum(axis=1) == 1)
    return GenreFigures(
        genre=name,
        support=int(carries.sum()),
        alone=int(alone.sum()),
        recall_alone=_mean(predicted[alone]),
        hit=_mean(right[carries]),
        predicted=int(predicted.sum()),
        precision=_mean(right[predicted]),
    )


def _mean(flags: NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else float("nan")


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
