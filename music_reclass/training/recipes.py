"""From a data set and estimators to a bundle: honest scores first, then calibration, promises, and the final fit."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass import __version__
from music_reclass.errors import UsageError
from music_reclass.extractors.fma import COLUMNS
from music_reclass.training import bundles
from music_reclass.training.calibration import Calibration, hits
from music_reclass.training.datasets.shape import TEST, TRAINING, VALIDATION, Dataset
from music_reclass.training.estimators.combining import Selected, Stack, combined, learned_weights
from music_reclass.training.estimators.contract import Estimator
from music_reclass.training.evaluation import grouped_folds
from music_reclass.training.figures import Evaluation, evaluated
from music_reclass.training.judging import marks
from music_reclass.training.models import Model
from music_reclass.training.profiles import profile
from music_reclass.training.promises import Aim, promised, stated
from music_reclass.training.tables import Table, Views
from music_reclass.training.thresholds import Certificate
from music_reclass.training.validation import (
    Say,
    all_versions,
    cross_calibrated,
    folds_of,
    pooled_calibration,
    scored,
)

Doubles = NDArray[np.float64]
LICENCES = {"fma": "CC BY 4.0 (learned from the metadata and features of the FMA data set, mdeff/fma)"}
LICENCE = "that of the data it was trained on; no audio is part of it"
PLAIN = {"confident": 0.85, "likely": 0.6}  # where nothing is certified and nobody asked for a promise
LARGE = 4000  # rows from which one held-out part serves, instead of five folds
HELD_OUT = 5


@dataclass(frozen=True, slots=True)
class Trained:
    """A bundle, and the evaluation on rows of artists that neither it nor its calibration saw."""

    bundle: bundles.Bundle
    evaluation: Evaluation
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Scores:
    """Log-probabilities of each estimator for rows it did not see, (n, versions, labels), and who is judged on what.

    `part` of a row: its fold under cross-validation; else 0 for calibration and 1 for the figures.
    """

    rows: NDArray[np.int64]  # positions in the table
    each: tuple[Doubles, ...]
    part: NDArray[np.int64]
    folds: bool


def trained(
    data: Dataset,
    views: Views | None,
    estimators: Sequence[Estimator],
    name: str,
    seed: int = 0,
    aim: Aim | None = None,
    say: Say | None = None,
    taxonomy: str = "",
) -> Trained:
    """The bundle that `data` teaches. Several estimators are stacked if that beats the best of them on new artists.

    With an official split: training part, calibration and promises on the validation part, figures on the test part,
    and the bundle is the model of the training part. `taxonomy` is the digest of the one in whose words the labels
    are. Without: five artist-grouped folds, or from LARGE rows on one
    fifth of the artists held out; then all rows train what is shipped.
    """
    aim, tell = aim or Aim(), say or _nobody
    table = _used(data, tell)
    scores, fitted = _held_out_scores(data, table, views, estimators, seed, tell)
    chosen, weights, notes = _members(scores, table, estimators)
    for note in notes:
        tell(note)
    own = _stacked(scores, weights, table)
    labels = table.labels[scores.rows]
    calibration, measured, judged_on = _calibrated(own, labels, scores)
    evaluation, certificates = _account(measured, labels, table, scores, judged_on, aim, name, data)
    if fitted is None:
        tell("training on all rows")
        fitted = tuple(estimator.fit(table, views) for estimator in chosen)
    else:
        fitted = tuple(model for model, estimator in zip(fitted, estimators, strict=True) if estimator in chosen)
    model: Model = fitted[0] if len(fitted) == 1 else Stack(fitted, tuple(w for w in weights if w > 0))
    if table.columns != COLUMNS:
        model = Selected(table.columns, model)
    manifest = {
        "name": name,
        "version": "1",
        "stage": data.kind.name,
        "kinds": [asdict(data.kind)],
        "labels": list(table.classes),
        "thresholds": certificates["thresholds"],
        "certificates": certificates["stated"],
        "calibration": {"temperature": calibration.temperature, "doubt": calibration.doubt},
        "metrics": _metrics(evaluation),
        "training": {**_origin(data, table, views, seed, chosen, notes), "taxonomy": taxonomy},
        "profile": profile(table),
        "licence": LICENCES.get(data.name, LICENCE),
    }
    made = bundles.make(manifest, model)
    return Trained(made, evaluation, tuple(notes))


def _nobody(text: str) -> None:
    """Nobody listens."""


def _used(data: Dataset, tell: Say) -> Table:
    for leak in data.leaks():
        tell(f"careful: {leak}")
    if len(data.table.classes) < 2:
        raise UsageError("The data hold a single genre; training needs at least two.")
    return data.table


def _held_out_scores(
    data: Dataset, table: Table, views: Views | None, estimators: Sequence[Estimator], seed: int, tell: Say
) -> tuple[_Scores, tuple[Model, ...] | None]:
    """Scores of rows that were not seen; the fitted models too where they are what is shipped."""
    if not data.is_split and len(table) < LARGE:
        return _by_folds(table, views, estimators, seed, tell), None
    training, calibrating, testing = _parts(data, table, seed)
    fitted, each = [], []
    rows = np.flatnonzero(calibrating | testing)
    versions = all_versions(table.chosen(rows), None if views is None else views.chosen(rows))
    for estimator in estimators:
        model = estimator.fit(table.chosen(training), None if views is None else views.chosen(training))
        each.append(scored(model, versions))
        right = hits(each[-1][testing[rows], 0], table.labels[testing]).mean()
        tell(f"{estimator.name}: {right:.3f} right on {int(testing.sum())} held-out tracks")
        fitted.append(model)
    scores = _Scores(rows, tuple(each), testing[rows].astype(np.int64), folds=False)
    return scores, tuple(fitted) if data.is_split else None


def _by_folds(table: Table, views: Views | None, estimators: Sequence[Estimator], seed: int, tell: Say) -> _Scores:
    folds = folds_of(table, seed)
    versions = all_versions(table, views)
    each = []
    for estimator in estimators:
        scores = np.zeros((*versions.shape[:2], len(table.classes)))
        for fold in range(int(folds.max()) + 1):
            inside, outside = folds != fold, folds == fold
            model = estimator.fit(table.chosen(inside), None if views is None else views.chosen(inside))
            scores[outside] = scored(model, versions[outside])
            right = hits(scores[outside, 0], table.labels[outside]).mean()
            tell(f"{estimator.name}, fold {fold + 1} of {int(folds.max()) + 1}: {right:.3f} right on new artists")
        each.append(scores)
    return _Scores(np.arange(len(table)), tuple(each), folds, folds=True)


def _parts(data: Dataset, table: Table, seed: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks of the rows for training, for calibration and for the figures."""
    if data.is_split:
        training, calibrating, testing = (data.split == part for part in (TRAINING, VALIDATION, TEST))
        if calibrating.any():
            return training, calibrating, testing
        inner = np.zeros(len(table), dtype=np.bool_)
        rows = np.flatnonzero(training)
        inner[rows] = grouped_folds(table.groups[rows], table.labels[rows], HELD_OUT, seed) == 0
        return training & ~inner, inner, testing
    fold = grouped_folds(table.groups, table.labels, HELD_OUT * 2, seed)
    return fold > 1, fold == 0, fold == 1


def _members(
    scores: _Scores, table: Table, estimators: Sequence[Estimator]
) -> tuple[list[Estimator], tuple[float, ...], list[str]]:
    """Which estimators are kept, their weights in the stack, and the numbers that say why."""
    if len(estimators) == 1:
        return [estimators[0]], (1.0,), []
    labels = table.labels[scores.rows]
    measured = ~np.zeros(len(labels), dtype=np.bool_) if scores.folds else scores.part == 1
    alone = [float(hits(own[measured, 0], labels[measured]).mean()) for own in scores.each]
    stacked = np.zeros_like(scores.each[0][:, 0])
    for outside, inside in _turns(scores):
        weights = learned_weights([own[inside, 0] for own in scores.each], labels[inside])
        stacked[outside] = combined([own[outside, 0] for own in scores.each], weights)
    together = float(hits(stacked[measured], labels[measured]).mean())
    best = int(np.argmax(alone))
    shown = ", ".join(f"{e.name} {value:.4f}" for e, value in zip(estimators, alone, strict=True))
    if together <= alone[best]:
        note = f"the stack is left out: {together:.4f} right on new artists, alone: {shown}"
        return [estimators[best]], tuple(float(number == best) for number in range(len(alone))), [note]
    inside = np.ones(len(labels), dtype=np.bool_) if scores.folds else scores.part == 0
    weights = learned_weights([own[inside, 0] for own in scores.each], labels[inside])
    kept = [estimator for estimator, weight in zip(estimators, weights, strict=True) if weight > 0]
    return kept, weights, [f"the stack is {together:.4f} right on new artists, alone: {shown}"]


def _turns(scores: _Scores) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """(judged, learned from) masks: every fold by the others, or the test part by the calibration part."""
    if scores.folds:
        return [(scores.part == fold, scores.part != fold) for fold in np.unique(scores.part)]
    return [(scores.part == 1, scores.part == 0)]


def _stacked(scores: _Scores, weights: Sequence[float], table: Table) -> Doubles:
    """The log-probabilities of what is kept. Under folds, the stack's weights come from the other folds."""
    if sum(weight > 0 for weight in weights) == 1:
        return scores.each[int(np.argmax(weights))]
    if not scores.folds:
        return combined(scores.each, weights)
    labels, own = table.labels[scores.rows], np.zeros_like(scores.each[0])
    for outside, inside in _turns(scores):
        learned = learned_weights([one[inside, 0] for one in scores.each], labels[inside])
        own[outside] = combined([one[outside] for one in scores.each], learned)
    return own


def _calibrated(
    own: Doubles, labels: NDArray[np.bool_], scores: _Scores
) -> tuple[Calibration, Doubles, NDArray[np.bool_]]:
    """The calibration that is shipped, honest probabilities (n, versions, labels), and the rows for the figures."""
    if scores.folds:
        return pooled_calibration(own, labels), cross_calibrated(own, labels, scores.part), np.ones(len(labels), bool)
    calibrating = scores.part == 0
    calibration = pooled_calibration(own[calibrating], labels[calibrating])
    return calibration, calibration(own), ~calibrating


def _account(
    measured: Doubles,
    labels: NDArray[np.bool_],
    table: Table,
    scores: _Scores,
    judged_on: NDArray[np.bool_],
    aim: Aim,
    name: str,
    data: Dataset,
) -> tuple[Evaluation, dict[str, Any]]:
    """The figures on rows for figures, and promises from the rows for calibration (under folds: from all).

    A promise holds on the clean rows and on each view alike: the strictest counts.
    """
    groups = table.groups[scores.rows]
    promising = np.ones(len(labels), dtype=np.bool_) if scores.folds else ~judged_on
    found: dict[str, Any] = {"thresholds": {}, "stated": {}}
    for word, precision in (("confident", aim.confident), ("likely", aim.likely)):
        each = [
            promised(version.max(axis=1), hits(version, labels[promising]), groups[promising], precision, aim.delta)
            for version in np.moveaxis(measured[promising], 1, 0)
        ]
        short = [own for own in each if not isinstance(own, Certificate)]
        sound = [own for own in each if isinstance(own, Certificate)]
        own = short[0] if short else max(sound, key=lambda one: one.threshold)
        found["stated"][word] = stated(own)
        if isinstance(own, Certificate):
            found["thresholds"][word] = own.threshold
        elif not aim.strict:
            found["thresholds"][word] = PLAIN[word]
    if len(found["thresholds"]) == 2:
        found["thresholds"]["likely"] = min(found["thresholds"].values())
    evaluation = evaluated(
        measured[judged_on, 0],
        labels[judged_on],
        table.classes,
        groups[judged_on],
        f"{name} on new artists of {data.name}",
        (*data.leaks(), *table.notes),
        found["thresholds"],
    )
    return evaluation, found


def _metrics(evaluation: Evaluation) -> dict[str, float]:
    """Rounded figures for the manifest."""
    return {
        "hit@1 clean": round(evaluation.accuracy.value, 4),
        "hit@1 low": round(evaluation.accuracy.low, 4),
        "hit@1 high": round(evaluation.accuracy.high, 4),
        "macro-f1 clean": round(evaluation.macro_f1.value, 4),
        "ece clean": round(evaluation.ece.value, 4),
        "rows": evaluation.count,
        "artists": evaluation.artists,
    }


def _origin(
    data: Dataset, table: Table, views: Views | None, seed: int, chosen: Sequence[Estimator], notes: Sequence[str]
) -> dict[str, Any]:
    return {
        "table": table.digest,
        "split": hashlib.sha256("\n".join(data.split.tolist()).encode()).hexdigest() if data.is_split else None,
        "dataset": data.name,
        "rows": len(table),
        "artists": len(np.unique(table.groups)),
        "artists_seen": sorted(set(marks(data.artists))),
        "views": list(views.names) if views else [],
        "seed": seed,
        "estimators": [estimator.name for estimator in chosen],
        "versions": _versions(),
        "notes": [*table.notes, *notes],
    }


def _versions() -> dict[str, str]:
    """The libraries that had a hand in it."""
    found = {"reclass": __version__, "python": platform.python_version(), "numpy": np.__version__}
    for package in ("torch", "scikit-learn", "xgboost-cpu", "xgboost"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
