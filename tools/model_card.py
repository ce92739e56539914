"""Every figure of the model card, computed anew and written as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from music_reclass.models.base import Estimator, with_augmentations
from music_reclass.models.calibration import hits
from music_reclass.models.crossval import Log, pooled_calibration, scored
from music_reclass.models.dataset import Dataset, Table
from music_reclass.models.metrics import Evaluation, balanced_accuracy, coverage, expected_calibration_error
from music_reclass.training.train import CrossValidated, StageRecipe, cross_validate

Doubles = NDArray[np.float64]
_LEVELS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def model_card(data: Dataset, recipe: StageRecipe, seed: int, log: Log) -> str:
    """The measured part of the model card for the stage of `recipe` on `data`, which holds its kinds."""
    stage = cross_validate(data, recipe, seed=seed, log=log)
    table, versions = data.table, ("clean", *(data.augmentations.names if data.augmentations else ()))
    lines = [
        *_versions(stage.probabilities, table, versions),
        *_coverage(stage.probabilities, table, versions),
        *_certificates(stage),
        *_genres(stage.evaluation),
        *_mistaken(stage.probabilities[:, 0], table),
        *_collections(stage, recipe.estimators[0], versions, log),
    ]
    return "\n".join(lines)


def _versions(measured: Doubles, table: Table, versions: Sequence[str]) -> Iterator[str]:
    rows = []
    clean = hits(measured[:, 0], table.labels).mean()
    for number, name in enumerate(versions):
        right, confidence = hits(measured[:, number], table.labels), measured[:, number].max(axis=1)
        balanced = balanced_accuracy(measured[:, number], table.labels)
        error = expected_calibration_error(confidence, right)
        rows.append((name, f"{right.mean():.3f}", f"{right.mean() / clean:.0%}", f"{balanced:.3f}", f"{error:.3f}"))
    yield f"{len(table)} rows of {len(np.unique(table.groups))} artists, {len(table.classes)} genres"
    yield from _table(("version", "hit@1", "of clean", "balanced recall", "ECE"), rows)


def _coverage(measured: Doubles, table: Table, versions: Sequence[str]) -> Iterator[str]:
    sides = [(measured[:, n].max(axis=1), hits(measured[:, n], table.labels)) for n in range(len(versions))]
    rows = []
    for level in _LEVELS:
        points = [coverage(confidence, right, level) for confidence, right in sides]
        rows.append((f"{level:.1f}", *(_share(point.coverage, point.precision) for point in points)))
    yield from _table(("confidence", *versions), rows)


def _share(coverage: float, precision: float) -> str:
    return f"{coverage:.0%}: {precision:.2f}" if coverage else "0 %"


def _certificates(stage: CrossValidated) -> Iterator[str]:
    rows = [
        (name, f"{found.threshold:.2f}", f"{found.precision:.2f}", f"{found.count}", f"{found.errors}")
        if found.certified
        else (name, "" if found.threshold is None else f"{found.threshold:.2f}", "", "", "not certified")
        for name, found in stage.certificates.items()
    ]
    yield from _table(("outcome", "threshold", "certified precision", "artists above", "errors"), rows)


def _genres(evaluation: Evaluation) -> Iterator[str]:
    rows = [
        (
            row.genre, str(row.carried), str(row.support), str(row.predicted),
            _number(row.precision), _number(row.recall), _number(row.f1),
        )
        for row in evaluation.genres
    ]  # fmt: skip
    yield from _table(("genre", "rows", "counted", "predicted", "precision", "recall", "F1"), rows)


def _mistaken(probabilities: Doubles, table: Table) -> Iterator[str]:
    """The commonest errors on rows with a single label."""
    alone = table.labels.sum(axis=1) == 1
    pairs = np.stack([table.labels[alone].argmax(axis=1), probabilities[alone].argmax(axis=1)], axis=1)
    kinds, counts = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0, return_counts=True)
    rows = [
        (table.classes[kinds[place, 0]], table.classes[kinds[place, 1]], str(counts[place]))
        for place in np.argsort(-counts, kind="stable")[:8]
    ]
    yield from _table(("is", "was taken for", "rows"), rows)


def _collections(stage: CrossValidated, estimator: Estimator, versions: Sequence[str], log: Log) -> Iterator[str]:
    """Each collection judged by a model that saw none of it, on rows that carry a genre both have; and how far
    confidence can be trusted there and on new artists."""
    table, augmentations, scores = stage.data.table, stage.data.augmentations, stage.scores.each[0]
    names = sorted({str(name) for name in table.datasets} - {""})
    rows: list[tuple[str, ...]] = []
    confident = [("all, new artists", *_trusted(stage.probabilities[:, 0], table.labels))]
    for name in names if len(names) > 1 else ():
        inside = table.datasets == name
        confident.append((f"{name}, new artists", *_trusted(stage.probabilities[inside, 0], table.labels[inside])))
        outside = table.datasets == name
        common = table.labels[outside].any(axis=0) & table.labels[~outside].any(axis=0)
        asked = np.flatnonzero(outside)[(table.labels[outside] & common).any(axis=1)]
        model = estimator.fit(table.chosen(~outside), None if augmentations is None else augmentations.chosen(~outside))
        foreign = scored(
            model,
            with_augmentations(table.chosen(asked), None if augmentations is None else augmentations.chosen(asked)),
        )
        sets = _merged(table.labels[asked], table.classes)
        calibrated = pooled_calibration(scores[~outside], table.labels[~outside])
        for label, columns in (("any of all genres", np.ones(len(common), dtype=bool)), ("the shared genres", common)):
            kept = calibrated(np.where(columns, foreign, -np.inf))
            shares = [hits(kept[:, number], sets).mean() for number in range(len(versions))]
            rows.append((name, str(len(asked)), label, *(f"{share:.3f}" for share in shares)))
        confident.append((f"{name}, left out", *_trusted(calibrated(foreign[:, 0]), sets)))
        log(f"{name} judged by the other collections")
    yield from _table(("rows of", "count", "hit@1", "mean confidence", "ECE", "at 90 %", "at 95 %"), confident)
    if rows:
        yield from _table(("left out", "rows", "choice among", *versions), rows)


def _trusted(probabilities: Doubles, labels: NDArray[np.bool_]) -> tuple[str, ...]:
    """Rows, share of hits, mean confidence, ECE, and the share of rows that reach a precision of 90 % and of 95 %: the
    surest rows of all that are right that often together."""
    right, confidence = hits(probabilities, labels), probabilities.max(axis=1)
    precision = np.cumsum(right[np.argsort(-confidence, kind="stable")]) / np.arange(1, len(right) + 1)
    covered = [np.flatnonzero(precision >= level)[-1:] + 1 for level in (0.9, 0.95)]
    shares = [f"{int(found[0]) / len(right):.0%}" if len(found) else "0 %" for found in covered]
    error = expected_calibration_error(confidence, right)
    return (str(len(right)), f"{right.mean():.3f}", f"{confidence.mean():.3f}", f"{error:.3f}", *shares)


def _merged(labels: NDArray[np.bool_], classes: tuple[str, ...]) -> NDArray[np.bool_]:
    """Label sets in which Pop and Rock count as one: a collection that never tells them apart cannot teach it."""
    pair = [classes.index(name) for name in ("Pop", "Rock") if name in classes]
    merged: NDArray[np.bool_] = labels.copy()
    merged[:, pair] |= labels[:, pair].any(axis=1, keepdims=True)
    return merged


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield ""
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
