"""Metrics of predictions on labelled rows: accuracy, macro-F1, ECE, coverage, confusions, with intervals by artist."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.models.calibration import expected_calibration_error, hits

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


def summary_metrics(probabilities: Doubles, labels: Labels, classes: tuple[str, ...]) -> Figures:
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


Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]

FEW = 20  # rows of a genre under which its figures mean little
_BINS = 10
_RESAMPLED = 500


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the bounds within which 95 % of resampled artists put it."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class GenreRow:
    """One genre: rows that carry it, those of them that count under it (a row counts once), predictions of it, and how
    they fared; NaN where nothing can be said."""

    genre: str
    carried: int
    support: int
    predicted: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Bin:
    """One step of confidence: rows in it, their mean confidence, their share of hits."""

    count: int
    confidence: float
    right: float


@dataclass(frozen=True, slots=True)
class Point:
    """Deciding only from `confidence` on: the share of rows decided, and the share of these that are right."""

    confidence: float
    coverage: float
    precision: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """Rows of `genre` that were called `called`."""

    genre: str
    called: str
    count: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The whole account. `matrix` counts rows by true genre and prediction, in the order of `classes`."""

    title: str
    count: int
    artists: int
    classes: tuple[str, ...]
    accuracy: Interval
    macro_f1: Interval
    ece: Interval
    genres: tuple[GenreRow, ...]
    confusions: tuple[Confusion, ...]
    reliability: tuple[Bin, ...]
    curve: tuple[Point, ...]
    matrix: tuple[tuple[int, ...], ...]
    thresholds: tuple[tuple[str, Point], ...] = ()
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The account as plain values; NaN becomes null."""
        plain: dict[str, Any] = _without_nan(asdict(self))
        return plain


def evaluate(
    probabilities: Doubles,
    labels: Labels,
    classes: tuple[str, ...],
    groups: Integers,
    title: str = "",
    warnings: tuple[str, ...] = (),
    thresholds: dict[str, float] | None = None,
    seed: int = 0,
) -> Evaluation:
    """The account of calibrated `probabilities`, (n, classes), of rows with `labels`, (n, classes) sets.

    A prediction is right when it is in the row's set. For per-genre figures each row counts once: under the genre
    predicted where that is right, else under the likeliest of its own. Intervals resample whole groups (artists).
    """
    predicted = probabilities.argmax(axis=1)
    right = hits(probabilities, labels)
    truth = np.where(right, predicted, np.where(labels, probabilities, -1.0).argmax(axis=1))
    confidence = probabilities.max(axis=1)
    weights = _resampled(groups, seed)
    count = len(classes)
    carried = labels.sum(axis=0).tolist()
    genres = tuple(
        _figures_genre(number, name, carried[number], truth, predicted) for number, name in enumerate(classes)
    )
    matrix = np.zeros((count, count), dtype=np.int64)
    np.add.at(matrix, (truth, predicted), 1)
    scarce = [row.genre for row in genres if 0 < row.carried < FEW]
    notes = list(warnings)
    if scarce:
        notes.append(f"fewer than {FEW} rows: {', '.join(scarce)}; figures for them mean little")
    absent = [row.genre for row in genres if not row.carried]
    if absent:
        notes.append(f"no row of {', '.join(absent)}: nothing is known about them")
    return Evaluation(
        title=title,
        count=len(labels),
        artists=len(np.unique(groups)),
        classes=classes,
        accuracy=_interval(lambda w: float(np.average(right, weights=w)), weights),
        macro_f1=_interval(lambda w: _macro_f1(truth, predicted, count, w), weights),
        ece=_interval(lambda w: _ece(confidence, right, w), weights),
        genres=genres,
        confusions=_confusions(matrix, classes),
        reliability=_reliability(confidence, right),
        curve=_curve(confidence, right),
        matrix=tuple(tuple(int(value) for value in row) for row in matrix),
        thresholds=tuple((name, _point(confidence, right, level)) for name, level in (thresholds or {}).items()),
        warnings=tuple(notes),
    )


def _resampled(groups: Integers, seed: int) -> list[Doubles]:
    """Weights of the rows: first one for all, then groups drawn with replacement, `_RESAMPLED` times."""
    generator = np.random.default_rng(seed)
    place = np.unique(groups, return_inverse=True)[1].reshape(-1)
    count = int(place.max()) + 1
    draws = [np.bincount(generator.integers(0, count, count), minlength=count) for _ in range(_RESAMPLED)]
    return [np.ones(len(groups)), *(draw[place].astype(np.float64) for draw in draws)]


def _interval(figure: Callable[[Doubles], float], weights: list[Doubles]) -> Interval:
    value = figure(weights[0])
    others = [figure(weight) for weight in weights[1:] if weight.any()]
    low, high = np.quantile(others, [0.025, 0.975])
    return Interval(value, float(low), float(high))


def _macro_f1(truth: Integers, predicted: Integers, count: int, weights: Doubles) -> float:
    """The mean F1 over the genres that occur."""
    of_truth = np.bincount(truth, weights, minlength=count)
    called = np.bincount(predicted, weights, minlength=count)
    both = np.bincount(truth[truth == predicted], weights[truth == predicted], minlength=count)
    there = of_truth > 0
    return float((2 * both[there] / (of_truth + called)[there]).mean())


def _ece(confidence: Doubles, right: Labels, weights: Doubles) -> float:
    if (weights == 1).all():
        return expected_calibration_error(confidence, right, _BINS)
    place = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gap = np.bincount(place, weights * confidence, _BINS) - np.bincount(place, weights * right, _BINS)
    return float(np.abs(gap).sum() / weights.sum())


def _figures_genre(number: int, name: str, carried: int, truth: Integers, predicted: Integers) -> GenreRow:
    own, called = truth == number, predicted == number
    support, calls, both = int(own.sum()), int(called.sum()), int((own & called).sum())
    nan = float("nan")
    return GenreRow(
        genre=name,
        carried=carried,
        support=support,
        predicted=calls,
        precision=both / calls if calls else nan,
        recall=both / support if support else nan,
        f1=2 * both / (support + calls) if support else nan,
    )


def _confusions(matrix: NDArray[np.int64], classes: tuple[str, ...]) -> tuple[Confusion, ...]:
    wrong = matrix - np.diag(np.diag(matrix))
    pairs = sorted(((int(n), i, j) for (i, j), n in np.ndenumerate(wrong) if n), key=lambda item: (-item[0], item[1:]))
    return tuple(Confusion(classes[i], classes[j], count) for count, i, j in pairs[:10])


def _reliability(confidence: Doubles, right: Labels) -> tuple[Bin, ...]:
    place = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    return tuple(
        Bin(int((place == k).sum()), float(confidence[place == k].mean()), float(right[place == k].mean()))
        for k in np.unique(place)
    )


def _curve(confidence: Doubles, right: Labels) -> tuple[Point, ...]:
    return tuple(_point(confidence, right, level) for level in np.round(np.arange(0.0, 1.0, 0.05), 2).tolist())


def _point(confidence: Doubles, right: Labels, level: float) -> Point:
    above = confidence >= level
    return Point(level, float(above.mean()), float(right[above].mean()) if above.any() else float("nan"))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and value != value else value
