"""Trains one stage: cross-validated scores, stacking, calibration, guarantees, and the final fit as a bundle."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass import __version__
from music_reclass.errors import UsageError
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models import bundle as bundles
from music_reclass.models.base import Estimator, Model
from music_reclass.models.bundle import artist_digests
from music_reclass.models.calibration import Calibration, expected_calibration_error, hits
from music_reclass.models.crossval import Log, Scores, held_out
from music_reclass.models.dataset import Augmentations, Dataset
from music_reclass.models.early_exit import ExitRule
from music_reclass.models.early_exit import exit_as_manifest as stated_exit
from music_reclass.models.metrics import Evaluation, evaluate
from music_reclass.models.precision import Certificate, PrecisionTarget, certified_thresholds
from music_reclass.models.stacking import Members, Selected, Stack, calibrated, members, stacked
from music_reclass.models.transforms import profile
from music_reclass.training.npz import beside

Doubles = NDArray[np.float64]
LICENCES = {"fma": "CC BY 4.0 (learned from the metadata and features of the FMA data set, mdeff/fma)"}
LICENCE = "that of the data it was trained on; no audio is part of it"


@dataclass(frozen=True, slots=True)
class Trained:
    """A bundle, and the evaluation on rows of artists that neither it nor its calibration saw."""

    bundle: bundles.Bundle
    evaluation: Evaluation
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CrossValidated:
    """A stage as it did on rows that it did not see; `finished` makes the bundle."""

    data: Dataset
    augmentations: Augmentations | None
    name: str
    seed: int
    scores: Scores
    members: Members
    fitted: tuple[Model, ...] | None  # of all estimators, where these are what is shipped
    calibration: Calibration
    probabilities: Doubles  # calibrated, (rows of `scores`, 1 + views, labels)
    evaluation: Evaluation
    thresholds: dict[str, float]
    certificates: dict[str, Any]

    @property
    def labels(self) -> NDArray[np.bool_]:
        """The label sets of the rows of `scores`."""
        return self.data.table.labels[self.scores.rows]

    @property
    def groups(self) -> NDArray[np.int64]:
        """The artists of the rows of `scores`."""
        return self.data.table.groups[self.scores.rows]


def train(
    data: Dataset,
    augmentations: Augmentations | None,
    estimators: Sequence[Estimator],
    name: str,
    seed: int = 0,
    aim: PrecisionTarget | None = None,
    say: Log | None = None,
    taxonomy: str = "",
) -> Trained:
    """The bundle that `data` teaches: `measured`, then `finished`."""
    return finish(cross_validate(data, augmentations, estimators, name, seed, aim, say), taxonomy, say=say)


def cross_validate(
    data: Dataset,
    augmentations: Augmentations | None,
    estimators: Sequence[Estimator],
    name: str,
    seed: int = 0,
    aim: PrecisionTarget | None = None,
    say: Log | None = None,
    folds: int = 5,
) -> CrossValidated:
    """What estimators reach on new artists of `data`. Several are stacked if that beats the best of them there.

    With an official split: training part, calibration and promises on the validation part, figures on the test part,
    and the bundle will be the model of the training part. Without: artist-grouped `folds`, or from `held_out.LARGE`
    rows on one fifth of the artists held out; then all rows will train what is shipped. `views` may lack the columns
    that stand beside the 518: the clean ones are put there.
    """
    aim, tell = aim or PrecisionTarget(), say or _nobody
    for leak in data.leaks():
        tell(f"careful: {leak}")
    if len(data.table.classes) < 2:
        raise UsageError("The data hold a single genre; training needs at least two.")
    augmentations = beside(augmentations, data.table)
    scores, fitted = held_out(data, augmentations, estimators, seed=seed, log=tell, folds=folds)
    labels = data.table.labels[scores.rows]
    chosen = members(scores, labels, estimators)
    for note in chosen.notes:
        tell(note)
    calibration, probabilities = calibrated(stacked(scores, chosen.weights, labels), labels, scores)
    evaluation, thresholds, certificates = _account(probabilities, data, scores, aim, name)
    return CrossValidated(
        data, augmentations, name, seed, scores, chosen, fitted, calibration, probabilities, evaluation, thresholds,
        certificates,
    )  # fmt: skip


def finish(
    own: CrossValidated, taxonomy: str = "", exits: Sequence[ExitRule] = (), say: Log | None = None, licence: str = ""
) -> Trained:
    """The bundle. `taxonomy` is the digest of the one in whose words the labels are; `exits` hold in ladders."""
    data, table, chosen = own.data, own.data.table, own.members
    if own.fitted is None:
        (say or _nobody)("training on all rows")
        fitted = tuple(estimator.fit(table, own.augmentations) for estimator in chosen.kept)
    else:
        fitted = tuple(model for model, weight in zip(own.fitted, chosen.weights, strict=True) if weight > 0)
    model: Model = fitted[0] if len(fitted) == 1 else Stack(fitted, tuple(w for w in chosen.weights if w > 0))
    if not data.more and table.columns != COLUMNS:
        model = Selected(table.columns, model)
    manifest = {
        "name": own.name,
        "version": "1",
        "stage": data.kinds[-1].name,
        "kinds": [asdict(kind) for kind in data.kinds],
        "labels": list(table.classes),
        "thresholds": own.thresholds,
        "certificates": own.certificates,
        "exits": [stated_exit(one) for one in exits],
        "calibration": own.calibration.as_manifest(),
        "metrics": _metrics(own),
        "training": {**_origin(own), "taxonomy": taxonomy},
        "profile": profile(data.of([data.kind.name]).table if data.more else table),
        "licence": licence or _licence(data),
    }
    return Trained(bundles.make(manifest, model), own.evaluation, chosen.notes)


def guarantee_lines(bundle: bundles.Bundle) -> Iterator[tuple[str, str]]:
    """For each threshold its name, and what is guaranteed about it or why nothing is."""
    for word, stored in bundle.manifest["certificates"].items():
        yield word, Certificate.from_manifest(stored, bundle.thresholds.get(word)).sentence()


def _nobody(text: str) -> None:
    """Nobody listens."""


def _account(
    probabilities: Doubles, data: Dataset, scores: Scores, aim: PrecisionTarget, name: str
) -> tuple[Evaluation, dict[str, float], dict[str, Any]]:
    """The figures on rows for figures; thresholds and promises from the rows for calibration (under folds: from all).

    A promise holds on the clean rows and on each view alike: the strictest counts.
    """
    table = data.table
    groups, labels = table.groups[scores.rows], table.labels[scores.rows]
    learning, judging = scores.learning, scores.judging
    versions = [
        (version.max(axis=1), hits(version, labels[learning])) for version in np.moveaxis(probabilities[learning], 1, 0)
    ]
    found = certified_thresholds(versions, groups[learning], aim)
    thresholds = {word: one.threshold for word, one in found.items() if one.threshold is not None}
    evaluation = evaluate(
        probabilities[judging, 0],
        labels[judging],
        table.classes,
        groups[judging],
        title=f"{name} on new artists of {data.name}",
        warnings=(*data.leaks(), *table.notes),
        thresholds=thresholds,
    )
    return evaluation, thresholds, {word: one.as_manifest() for word, one in found.items()}


def _metrics(own: CrossValidated) -> dict[str, float]:
    """Rounded figures for the manifest: of the clean rows, and hit rate and calibration error of every view."""
    evaluation, judging = own.evaluation, own.scores.judging
    found = {
        "hit@1 clean": round(evaluation.accuracy.value, 4),
        "hit@1 low": round(evaluation.accuracy.low, 4),
        "hit@1 high": round(evaluation.accuracy.high, 4),
        "macro-f1 clean": round(evaluation.macro_f1.value, 4),
        "ece clean": round(evaluation.ece.value, 4),
        "rows": evaluation.count,
        "artists": evaluation.artists,
    }
    for number, name in enumerate(own.augmentations.names if own.augmentations else (), start=1):
        version, labels = own.probabilities[judging, number], own.labels[judging]
        right = hits(version, labels)
        found[f"hit@1 {name}"] = round(float(right.mean()), 4)
        found[f"ece {name}"] = round(expected_calibration_error(version.max(axis=1), right), 4)
    return found


def _licence(data: Dataset) -> str:
    text = LICENCES.get(data.name, LICENCE)
    if not data.more:
        return text
    return f"{text}; learned from vectors of {', '.join(kind.name for kind in data.more)}, whose own licences hold too"


def _origin(own: CrossValidated) -> dict[str, Any]:
    data, table = own.data, own.data.table
    return {
        "table": table.digest,
        "split": hashlib.sha256("\n".join(data.split.tolist()).encode()).hexdigest() if data.is_split else None,
        "dataset": data.name,
        "collections": sorted({str(name) for name in table.datasets} - {""}),
        "rows": len(table),
        "artists": len(np.unique(table.groups)),
        "artists_seen": sorted(set(artist_digests(data.artists))),
        "views": list(own.augmentations.names) if own.augmentations else [],
        "seed": own.seed,
        "estimators": [estimator.name for estimator in own.members.kept],
        "versions": _versions(),
        "notes": [*table.notes, *own.members.notes],
    }


def _versions() -> dict[str, str]:
    """The libraries that had a hand in it."""
    found = {"reclass": __version__, "python": platform.python_version(), "numpy": np.__version__}
    for package in ("torch", "scikit-learn", "xgboost-cpu", "xgboost"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
