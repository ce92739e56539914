"""Trains one stage: cross-validated scores, stacking, calibration, guarantees, and the final fit as a bundle."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass import __version__
from music_reclass.errors import UsageError
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.base import Estimator, Model
from music_reclass.models.bundle import Bundle, artist_digests, make
from music_reclass.models.calibration import Calibration, hits
from music_reclass.models.crossval import Log, OutOfDomain, Scores, held_out
from music_reclass.models.dataset import Dataset
from music_reclass.models.early_exit import ExitRule, exit_as_manifest
from music_reclass.models.metrics import Evaluation, evaluate, expected_calibration_error
from music_reclass.models.precision import Certificate, PrecisionTarget, certified_thresholds
from music_reclass.models.stacking import Selected, Stack, calibrated, combined, member_weights, stacked
from music_reclass.models.transforms import medians, profile

Doubles = NDArray[np.float64]
LICENCES = {"fma": "CC BY 4.0 (learned from the metadata and features of the FMA data set, mdeff/fma)"}
_CONFUSED = 0.6  # share of the rarer label's rows that carry the other too
LICENCE = "that of the data it was trained on; no audio is part of it"


FOLDS_OUT_OF_DOMAIN = 3  # folds for weights and calibration of stages that are judged on a collection they never saw
MOST_COLLECTIONS = 6


def silent(text: str) -> None:
    """The log of a training that prints nothing."""


@dataclass(frozen=True, slots=True)
class StageRecipe:
    """How one stage is trained: the name of its bundle, the feature kinds it needs (those of the stage before it and
    one more), its estimators, and the precision wanted of its decisions."""

    name: str
    kinds: tuple[str, ...]
    estimators: tuple[Estimator, ...]
    target: PrecisionTarget = field(default_factory=PrecisionTarget)


@dataclass(frozen=True, slots=True)
class Trained:
    """A bundle, and the evaluation on rows of artists that neither it nor its calibration saw."""

    bundle: Bundle
    evaluation: Evaluation
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CrossValidated:
    """A stage as it did on rows that it did not see; `finish` makes the bundle."""

    recipe: StageRecipe
    data: Dataset  # of the recipe's kinds
    seed: int
    scores: Scores
    weights: tuple[float, ...]  # of the recipe's estimators, 0 for those that are left out
    notes: tuple[str, ...]  # why
    fitted: tuple[Model, ...] | None  # of all estimators, where these are what is shipped
    calibration: Calibration
    probabilities: Doubles  # calibrated, (rows of `scores`, 1 + augmentations, labels)
    evaluation: Evaluation
    certificates: dict[str, Certificate]  # of `confident` and `likely`

    @property
    def kept(self) -> tuple[Estimator, ...]:
        """The estimators whose models are shipped."""
        return tuple(one for one, weight in zip(self.recipe.estimators, self.weights, strict=True) if weight > 0)

    @property
    def labels(self) -> NDArray[np.bool_]:
        """The label sets of the rows of `scores`."""
        return self.data.table.labels[self.scores.rows]

    @property
    def groups(self) -> NDArray[np.int64]:
        """The artists of the rows of `scores`."""
        return self.data.table.groups[self.scores.rows]


def train(
    data: Dataset, recipe: StageRecipe, *, seed: int = 0, log: Log = silent, taxonomy: str = "", licence: str = ""
) -> Trained:
    """The bundle of `recipe` trained on `data`: `cross_validate`, then `finish`."""
    return finish(cross_validate(data, recipe, seed=seed, log=log), log=log, taxonomy=taxonomy, licence=licence)


def cross_validate(
    data: Dataset, recipe: StageRecipe, *, seed: int = 0, folds: int = 5, log: Log = silent
) -> CrossValidated:
    """What the recipe reaches on new artists of `data`. Its estimators are stacked if that beats the best of them.

    With an official split: fitted on the training part, calibration and guarantees from the validation part, figures
    on the test part, and the bundle will be the model of the training part. Without: artist-grouped `folds`, or from
    `crossval.LARGE` rows on one fifth of the artists held out; then the model that is shipped is fitted on all rows.
    """
    data = data.of(recipe.kinds)
    for leak in data.leaks():
        log(f"careful: {leak}")
    if len(data.table.classes) < 2:
        raise UsageError("The data hold a single genre; training needs at least two.")
    scores, fitted = held_out(data, recipe.estimators, seed=seed, log=log, folds=folds)
    labels = data.table.labels[scores.rows]
    weights, notes = member_weights(scores, labels, [one.name for one in recipe.estimators])
    for note in notes:
        log(note)
    out_of_domain = left_out(data, recipe, weights, log) if fitted is None else None
    calibration, probabilities = calibrated(stacked(scores, weights, labels), labels, scores, out_of_domain)
    groups, learning, judging = data.table.groups[scores.rows], scores.learning, scores.judging
    versions = [
        (version.max(axis=1), hits(version, labels[learning])) for version in np.moveaxis(probabilities[learning], 1, 0)
    ]
    certificates = certified_thresholds(versions, groups[learning], recipe.target)
    evaluation = evaluate(
        probabilities[judging, 0],
        labels[judging],
        data.table.classes,
        groups[judging],
        title=f"{recipe.name} on new artists of {data.name}",
        warnings=(*data.leaks(), *data.table.notes),
        thresholds=_thresholds(certificates),
    )
    return CrossValidated(
        recipe, data, seed, scores, weights, notes, fitted, calibration, probabilities, evaluation, certificates
    )


def left_out(data: Dataset, recipe: StageRecipe, weights: Sequence[float], log: Log) -> OutOfDomain | None:
    """The rows of each collection as scored by models of the other collections; None where there is one alone.

    `weights` are those of the recipe's estimators.
    """
    rows, scores, sets = [], [], []
    for name in collections(data):
        inside = data.table.datasets == name
        asked, labels = answerable(data.table.labels, inside)
        if not asked.any() or not trainable(data, ~inside):
            continue
        log(f"trained without {name}, to calibrate on music of another collection too")
        others = data.chosen(~inside)
        kept = [(one, weight) for one, weight in zip(recipe.estimators, weights, strict=True) if weight > 0]
        found = [
            one.fit(others.table, others.augmentations).log_probabilities(data.table.rows[asked]) for one, _ in kept
        ]
        rows.append(np.flatnonzero(asked))
        scores.append(found[0] if len(found) == 1 else combined(found, [weight for _, weight in kept]))
        sets.append(labels)
    return OutOfDomain(np.concatenate(rows), np.concatenate(scores), np.concatenate(sets)) if rows else None


def collections(data: Dataset) -> list[str]:
    """The names of the collections of `data`, the largest first and MOST_COLLECTIONS at most; () for one alone."""
    names, counts = np.unique(data.table.datasets, return_counts=True)
    return (
        [str(name) for name in names[np.argsort(-counts, kind="stable")][:MOST_COLLECTIONS]] if len(names) > 1 else []
    )


def answerable(labels: NDArray[np.bool_], inside: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The rows `inside` a collection that models of the other rows can get right, and what is right for them.

    Rows without any genre of the others are left out: no stage can be right there, so none is lost, and they would
    make the share of the lost look small. Genres that the others never tell apart (each row carries both or neither)
    count as one: which of the two is named is chance, and no fault of an early exit.
    """
    others = labels[~inside]
    asked = inside & (labels & others.any(axis=0)).any(axis=1)
    merged = labels.copy()
    columns, place = np.unique(others, axis=1, return_inverse=True)
    place = place.reshape(-1)
    for number in range(columns.shape[1]):
        if columns[:, number].any():
            alike = place == number
            merged[:, alike] = labels[:, alike].any(axis=1, keepdims=True)
    return asked, merged[asked]


def trainable(data: Dataset, mask: NDArray[np.bool_]) -> bool:
    """Whether the rows of `mask` hold what training needs: two genres, and an artist for each fold."""
    labels, groups = data.table.labels[mask], data.table.groups[mask]
    return int(labels.any(axis=0).sum()) > 1 and len(np.unique(groups)) >= FOLDS_OUT_OF_DOMAIN


def finish(
    stage: CrossValidated,
    exit_rules: Sequence[ExitRule] = (),
    *,
    log: Log = silent,
    taxonomy: str = "",
    licence: str = "",
) -> Trained:
    """The bundle. `taxonomy` is the digest of the one in whose words the labels are; `exit_rules` hold in cascades."""
    data, table, weights = stage.data, stage.data.table, stage.weights
    if stage.fitted is None:
        log("training on all rows")
        fitted = tuple(estimator.fit(table, data.augmentations) for estimator in stage.kept)
    else:
        fitted = tuple(model for model, weight in zip(stage.fitted, weights, strict=True) if weight > 0)
    model: Model = fitted[0] if len(fitted) == 1 else Stack(fitted, tuple(w for w in weights if w > 0))
    if not data.more and table.columns != COLUMNS:
        model = Selected(table.columns, model)
    manifest = {
        "name": stage.recipe.name,
        "version": "1",
        "stage": data.kinds[-1].name,
        "kinds": [asdict(kind) for kind in data.kinds],
        "labels": list(table.classes),
        "thresholds": _thresholds(stage.certificates),
        "certificates": {word: found.as_manifest() for word, found in stage.certificates.items()},
        "confusable": confusable(table.labels, table.classes),
        "frequency": _frequency(stage),
        "exits": [exit_as_manifest(rule) for rule in exit_rules],
        "calibration": stage.calibration.as_manifest(),
        "metrics": _metrics(stage),
        "training": {**_origin(stage), "taxonomy": taxonomy},
        "medians": medians(table),
        "profile": profile(data.of([data.kind.name]).table if data.more else table),
        "licence": licence or _licence(data),
    }
    return Trained(make(manifest, model), stage.evaluation, stage.notes)


def confusable(labels: NDArray[np.bool_], classes: Sequence[str]) -> list[list[str]]:
    """Pairs of `classes` that the rows, (n, classes), hardly tell apart: most of the rarer's rows carry the other too.

    Where two are on all the same rows, models learn which of them is named, never which of them it is.
    """
    together = labels.T.astype(np.int64) @ labels
    rows = np.diag(together)
    pairs = ((i, j) for i in range(len(classes)) for j in range(i + 1, len(classes)))
    return [[classes[i], classes[j]] for i, j in pairs if together[i, j] > _CONFUSED * min(rows[i], rows[j])]


def guarantee_lines(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """For each threshold its name, and what is guaranteed from it on or why nothing is."""
    for word, stored in bundle.manifest["certificates"].items():
        yield word, Certificate.from_manifest(stored, bundle.thresholds.get(word)).sentence()


def _frequency(stage: CrossValidated) -> dict[str, float]:
    """How frequent the bundle takes each label to be: its mean calibrated probability over rows it did not see.

    With label sets the counts of labels add up to more than the rows; a classifier's prior is what it says on average.
    """
    mean = stage.probabilities[stage.scores.learning, 0].mean(axis=0)
    return {name: round(float(share), 6) for name, share in zip(stage.data.table.classes, mean, strict=True)}


def _thresholds(certificates: Mapping[str, Certificate]) -> dict[str, float]:
    return {word: found.threshold for word, found in certificates.items() if found.threshold is not None}


def _metrics(stage: CrossValidated) -> dict[str, float]:
    """Rounded figures for the manifest: of the clean rows, and hit rate and calibration error of every augmentation."""
    evaluation, judging = stage.evaluation, stage.scores.judging
    found = {
        "hit@1 clean": round(evaluation.accuracy.value, 4),
        "hit@1 low": round(evaluation.accuracy.low, 4),
        "hit@1 high": round(evaluation.accuracy.high, 4),
        "macro-f1 clean": round(evaluation.macro_f1.value, 4),
        "ece clean": round(evaluation.ece.value, 4),
        "rows": evaluation.count,
        "artists": evaluation.artists,
    }
    for number, name in enumerate(_augmentations(stage.data), start=1):
        probabilities, labels = stage.probabilities[judging, number], stage.labels[judging]
        right = hits(probabilities, labels)
        found[f"hit@1 {name}"] = round(float(right.mean()), 4)
        found[f"ece {name}"] = round(expected_calibration_error(probabilities.max(axis=1), right), 4)
    return found


def _augmentations(data: Dataset) -> tuple[str, ...]:
    return () if data.augmentations is None else data.augmentations.names


def _licence(data: Dataset) -> str:
    text = LICENCES.get(data.name, LICENCE)
    if not data.more:
        return text
    return f"{text}; learned from vectors of {', '.join(kind.name for kind in data.more)}, whose own licences hold too"


def _origin(stage: CrossValidated) -> dict[str, Any]:
    data, table = stage.data, stage.data.table
    return {
        "table": table.digest,
        "split": hashlib.sha256("\n".join(data.split.tolist()).encode()).hexdigest() if data.is_split else None,
        "dataset": data.name,
        "collections": sorted({str(name) for name in table.datasets} - {""}),
        "rows": len(table),
        "artists": len(np.unique(table.groups)),
        "artists_seen": sorted(set(artist_digests(data.artists))),
        "views": list(_augmentations(data)),  # the manifest's word for augmentations
        "seed": stage.seed,
        "estimators": [estimator.name for estimator in stage.kept],
        "versions": _versions(),
        "notes": [*table.notes, *stage.notes],
    }


def _versions() -> dict[str, str]:
    """The libraries that had a hand in it."""
    found = {"reclass": __version__, "python": platform.python_version(), "numpy": np.__version__}
    for package in ("torch", "scikit-learn", "xgboost-cpu", "xgboost"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
