"""Metrics of predictions on labelled rows: accuracy, macro-F1, calibration error (ECE), coverage, confusions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from music_reclass.models.calibration import hits

Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]
Labels = NDArray[np.bool_]
Groups = NDArray[np.int64]

FEW = 20  # rows of a genre under which its figures mean little
_BINS = 10
_RESAMPLED = 500
_ALONE = 5  # rows that carry one genre only, from which it counts in the balanced accuracy


def expected_calibration_error(confidence: Doubles, right: Labels, bins: int = 10) -> float:
    """The gap between confidence and share of hits, averaged over `bins` equal steps of confidence by their rows."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(float(confidence[place == k].sum()) - int(right[place == k].sum())) for k in np.unique(place)]
    return float(sum(gaps) / len(confidence))


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
class Point:
    """Some rows by their confidence: how sure, how many, which share of all, and the share of them that is right.

    In a reliability diagram the rows of one step of confidence, `confidence` being their mean; on a coverage curve
    those at and above `confidence`.
    """

    confidence: float
    count: int
    coverage: float
    precision: float  # NaN without any row


class PolicyCost(NamedTuple):
    """What a cascade reaches under one exit policy, and what that costs; `asked`: share of the rows by stage."""

    policy: str
    accuracy: float
    seconds: float  # a track; NaN where the cost of a stage is not known
    asked: tuple[tuple[str, float], ...]
    chosen: bool = False  # the policy by which the rest of the evaluation was made

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**self._asdict(), "asked": dict(self.asked)}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All metrics. `matrix` counts rows by true genre and prediction, in the order of `classes`."""

    title: str
    count: int
    artists: int
    classes: tuple[str, ...]
    accuracy: Interval
    macro_f1: Interval
    ece: Interval
    genres: tuple[GenreRow, ...]
    confusions: tuple[tuple[str, str, int], ...]  # genre, what it was predicted as, rows; the ten commonest
    reliability: tuple[Point, ...]
    curve: tuple[Point, ...]
    matrix: tuple[tuple[int, ...], ...]
    thresholds: tuple[tuple[str, Point], ...] = ()
    warnings: tuple[str, ...] = ()
    policies: tuple[PolicyCost, ...] = ()  # of a cascade

    def as_json(self) -> dict[str, Any]:
        """Plain values; NaN becomes null."""
        plain = asdict(self) | {
            "confusions": [dict(zip(("genre", "called", "count"), one, strict=True)) for one in self.confusions],
            "reliability": [
                {"count": p.count, "confidence": p.confidence, "right": p.precision} for p in self.reliability
            ],
            "curve": [_stated(point) for point in self.curve],
            "thresholds": [[name, _stated(point)] for name, point in self.thresholds],
            "policies": [one.as_json() for one in self.policies],
        }
        stated: dict[str, Any] = _without_nan(plain)
        return stated


def evaluate(
    probabilities: Doubles,
    labels: Labels,
    classes: tuple[str, ...],
    groups: Groups,
    *,
    title: str = "",
    warnings: Iterable[str] = (),
    thresholds: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Evaluation:
    """The metrics of calibrated `probabilities`, (n, classes), of rows with `labels`, (n, classes) sets.

    A prediction is right when it is in the row's set. For per-genre figures each row counts once: under the genre
    predicted where that is right, else under the likeliest of its labels. Intervals resample whole groups (artists).
    """
    predicted, right, confidence = probabilities.argmax(axis=1), hits(probabilities, labels), probabilities.max(axis=1)
    truth = np.where(right, predicted, np.where(labels, probabilities, -1.0).argmax(axis=1))
    matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(matrix, (truth, predicted), 1)
    carried = labels.sum(axis=0)
    accuracy, macro_f1, ece = _intervals(truth, predicted, confidence, groups, classes=len(classes), seed=seed)
    return Evaluation(
        title=title,
        count=len(labels),
        artists=len(np.unique(groups)),
        classes=classes,
        accuracy=accuracy,
        macro_f1=macro_f1,
        ece=ece,
        genres=_genres(matrix, carried, classes),
        confusions=_confusions(matrix, classes),
        reliability=_reliability(confidence, right),
        curve=tuple(coverage(confidence, right, level) for level in np.round(np.arange(0.0, 1.0, 0.05), 2).tolist()),
        matrix=tuple(tuple(row) for row in matrix.tolist()),
        thresholds=tuple((name, coverage(confidence, right, level)) for name, level in (thresholds or {}).items()),
        warnings=_without_repeats(warnings, _scarce(carried, classes)),
    )


def coverage(confidence: Doubles, right: Labels, level: float) -> Point:
    """How many rows are at least `level` sure, and how many of these are right (NaN without any)."""
    above = confidence >= level
    precision = float(right[above].mean()) if above.any() else float("nan")
    return Point(level, int(above.sum()), float(above.mean()), precision)


def mean_over_groups(values: Doubles, groups: Groups, *, seed: int = 0) -> Interval:
    """The mean of `values`, (n,), with the bounds that whole `groups` (artists) drawn with replacement give it.

    Of differences between two models on the same rows it is a paired comparison: a gain beyond chance has `low` > 0.
    """
    place = np.unique(groups, return_inverse=True)[1].reshape(-1)
    sums, counts = np.bincount(place, values), np.bincount(place)
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, len(counts), (_RESAMPLED, len(counts)))
    low, high = np.quantile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high))


def balanced_accuracy(probabilities: Doubles, labels: Labels) -> float:
    """The mean over genres of the share of rows carrying that genre alone that are predicted so; NaN without any.

    Genres of fewer than five such rows do not count.
    """
    alone = labels.sum(axis=1) == 1
    genre = labels[alone].argmax(axis=1)
    support = np.bincount(genre, minlength=labels.shape[1])
    right = np.bincount(genre[probabilities[alone].argmax(axis=1) == genre], minlength=labels.shape[1])
    counted = support >= _ALONE
    return float((right[counted] / support[counted]).mean()) if counted.any() else float("nan")


def _intervals(
    truth: Integers, predicted: Integers, confidence: Doubles, groups: Groups, *, classes: int, seed: int
) -> tuple[Interval, Interval, Interval]:
    """Accuracy, macro-F1 and ECE of all rows, and of groups drawn with replacement, `_RESAMPLED` times.

    All three follow from sums over groups, so a draw is a row of weights, (1 + draws, groups), times these sums.
    """
    generator = np.random.default_rng(seed)
    place = np.unique(groups, return_inverse=True)[1].reshape(-1)
    count = int(place.max()) + 1
    draws = [np.bincount(generator.integers(0, count, count), minlength=count) for _ in range(_RESAMPLED)]
    weights = np.stack([np.ones(count, dtype=np.int64), *draws]).astype(np.float64)
    right = truth == predicted
    steps = np.minimum((confidence * _BINS).astype(int), _BINS - 1)

    def sums(column: Integers, columns: int, values: Doubles) -> Doubles:
        """Weighted sums of `values` by column, (1 + draws, columns)."""
        of_groups = np.bincount(place * columns + column, values, count * columns).reshape(count, columns)
        return np.asarray(weights @ of_groups, dtype=np.float64)

    ones = np.ones(len(truth))
    of_truth, called = sums(truth, classes, ones), sums(predicted, classes, ones)
    both = sums(truth, classes, right.astype(np.float64))
    there = of_truth > 0
    f1 = np.where(there, 2 * both / np.maximum(of_truth + called, 1e-12), 0.0)
    rows = of_truth.sum(axis=1)
    gaps = np.abs(sums(steps, _BINS, confidence) - sums(steps, _BINS, right.astype(np.float64)))
    figures = np.stack([both.sum(axis=1) / rows, f1.sum(axis=1) / there.sum(axis=1), gaps.sum(axis=1) / rows])
    low, high = np.quantile(figures[:, 1:], [0.025, 0.975], axis=1)
    figures[2, 0] = expected_calibration_error(confidence, right, _BINS)
    accuracy, macro_f1, ece = (Interval(*map(float, one)) for one in zip(figures[:, 0], low, high, strict=True))
    return accuracy, macro_f1, ece


def _genres(matrix: Integers, carried: Integers, classes: tuple[str, ...]) -> tuple[GenreRow, ...]:
    """Rows of the true genre over predictions, (classes, classes), by genre."""
    support, calls, both = matrix.sum(axis=1), matrix.sum(axis=0), np.diag(matrix)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = both / calls, both / support
        f1 = np.where(support > 0, 2 * both / (support + calls), np.nan)
    columns = (carried, support, calls, precision, recall, f1)
    return tuple(GenreRow(*row) for row in zip(classes, *(column.tolist() for column in columns), strict=True))


def _scarce(carried: Integers, classes: tuple[str, ...]) -> list[str]:
    """A sentence for genres with few rows, and one for those without any."""
    found = []
    if scarce := [name for name, rows in zip(classes, carried, strict=True) if 0 < rows < FEW]:
        found.append(f"fewer than {FEW} rows: {', '.join(scarce)}; figures for them mean little")
    if absent := [name for name, rows in zip(classes, carried, strict=True) if not rows]:
        found.append(f"no row of {', '.join(absent)}: nothing is known about them")
    return found


def _without_repeats(warnings: Iterable[str], scarce: Iterable[str]) -> tuple[str, ...]:
    """All of them, but what a data set says of rare genres, where `scarce` says it of the rows that are judged."""
    scarce, said = tuple(scarce), f"fewer than {FEW} rows carry"
    return (*(text for text in warnings if not (scarce and text.startswith(said))), *scarce)


def _confusions(matrix: Integers, classes: tuple[str, ...]) -> tuple[tuple[str, str, int], ...]:
    """The ten commonest: genre, what it was predicted as, rows."""
    wrong = matrix - np.diag(np.diag(matrix))
    pairs = sorted(((int(n), i, j) for (i, j), n in np.ndenumerate(wrong) if n), key=lambda item: (-item[0], item[1:]))
    return tuple((classes[i], classes[j], count) for count, i, j in pairs[:10])


def _reliability(confidence: Doubles, right: Labels) -> tuple[Point, ...]:
    place = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    found = []
    for step in np.unique(place):
        rows = place == step
        found.append(
            Point(float(confidence[rows].mean()), int(rows.sum()), float(rows.mean()), float(right[rows].mean()))
        )
    return tuple(found)


def _stated(point: Point) -> dict[str, float]:
    return {"confidence": point.confidence, "coverage": point.coverage, "precision": point.precision}


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and value != value else value
