"""From a data set and estimators to a bundle: honest scores first, then calibration, promises, and the final fit."""

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
from music_reclass.extractors.fma import COLUMNS
from music_reclass.training import bundles
from music_reclass.training.calibration import Calibration, expected_calibration_error, hits
from music_reclass.training.datasets.shape import Dataset
from music_reclass.training.estimators.combining import Selected, Stack
from music_reclass.training.estimators.contract import Estimator
from music_reclass.training.exits import Exit
from music_reclass.training.exits import stated as stated_exit
from music_reclass.training.figures import Evaluation, evaluated
from music_reclass.training.held_out import Scores, held_out
from music_reclass.training.judging import marks
from music_reclass.training.kinds import beside
from music_reclass.training.models import Model
from music_reclass.training.profiles import profile
from music_reclass.training.promises import Aim, promised, stated
from music_reclass.training.stacking import Members, calibrated, members, stacked
from music_reclass.training.tables import Views
from music_reclass.training.thresholds import Certificate
from music_reclass.training.validation import Say

Doubles = NDArray[np.float64]
LICENCES = {"fma": "CC BY 4.0 (learned from the metadata and features of the FMA data set, mdeff/fma)"}
LICENCE = "that of the data it was trained on; no audio is part of it"
PLAIN = {"confident": 0.85, "likely": 0.6}  # where nothing is certified and nobody asked for a promise


@dataclass(frozen=True, slots=True)
class Trained:
    """A bundle, and the evaluation on rows of artists that neither it nor its calibration saw."""

    bundle: bundles.Bundle
    evaluation: Evaluation
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """A stage as it did on rows that it did not see; `finished` makes the bundle."""

    data: Dataset
    views: Views | None
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
    """The bundle that `data` teaches: `measured`, then `finished`."""
    return finished(measured(data, views, estimators, name, seed, aim, say), taxonomy, say=say)


def measured(
    data: Dataset,
    views: Views | None,
    estimators: Sequence[Estimator],
    name: str,
    seed: int = 0,
    aim: Aim | None = None,
    say: Say | None = None,
    folds: int = 5,
) -> Measured:
    """What estimators reach on new artists of `data`. Several are stacked if that beats the best of them there.

    With an official split: training part, calibration and promises on the validation part, figures on the test part,
    and the bundle will be the model of the training part. Without: artist-grouped `folds`, or from `held_out.LARGE`
    rows on one fifth of the artists held out; then all rows will train what is shipped. `views` may lack the columns
    that stand beside the 518: the clean ones are put there.
    """
    aim, tell = aim or Aim(), say or _nobody
    for leak in data.leaks():
        tell(f"careful: {leak}")
    if len(data.table.classes) < 2:
        raise UsageError("The data hold a single genre; training needs at least two.")
    views = beside(views, data.table)
    scores, fitted = held_out(data, views, estimators, seed, tell, folds)
    labels = data.table.labels[scores.rows]
    chosen = members(scores, labels, estimators)
    for note in chosen.notes:
        tell(note)
    calibration, probabilities = calibrated(stacked(scores, chosen.weights, labels), labels, scores)
    evaluation, thresholds, certificates = _account(probabilities, data, scores, aim, name)
    return Measured(
        data, views, name, seed, scores, chosen, fitted, calibration, probabilities, evaluation, thresholds,
        certificates,
    )  # fmt: skip


def finished(
    own: Measured, taxonomy: str = "", exits: Sequence[Exit] = (), say: Say | None = None, licence: str = ""
) -> Trained:
    """The bundle. `taxonomy` is the digest of the one in whose words the labels are; `exits` hold in ladders."""
    data, table, chosen = own.data, own.data.table, own.members
    if own.fitted is None:
        (say or _nobody)("training on all rows")
        fitted = tuple(estimator.fit(table, own.views) for estimator in chosen.kept)
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
        "calibration": {"temperature": own.calibration.temperature, "doubt": own.calibration.doubt},
        "metrics": _metrics(own),
        "training": {**_origin(own), "taxonomy": taxonomy},
        "profile": profile(data.of([data.kind.name]).table if data.more else table),
        "licence": licence or _licence(data),
    }
    return Trained(bundles.make(manifest, model), own.evaluation, chosen.notes)


def promise_lines(bundle: bundles.Bundle) -> Iterator[tuple[str, str]]:
    """For each threshold its name, and what is promised about it or why nothing is."""
    for word, own in bundle.manifest["certificates"].items():
        if own["certified"]:
            yield (
                word,
                f"from {own['threshold']:.2f}: at least {own['precision']:.0%} right, with probability "
                f"{1 - own['delta']:.0%} ({own['errors']} errors in {own['count']} artists)",
            )
        elif word in bundle.thresholds:
            yield word, f"from {bundle.thresholds[word]:.2f}, {own['why']}"
        else:
            yield word, f"never: {own['why']}"


def _nobody(text: str) -> None:
    """Nobody listens."""


def _account(
    probabilities: Doubles, data: Dataset, scores: Scores, aim: Aim, name: str
) -> tuple[Evaluation, dict[str, float], dict[str, Any]]:
    """The figures on rows for figures; thresholds and promises from the rows for calibration (under folds: from all).

    A promise holds on the clean rows and on each view alike: the strictest counts.
    """
    table = data.table
    groups, labels = table.groups[scores.rows], table.labels[scores.rows]
    learning, judging = scores.learning, scores.judging
    thresholds: dict[str, float] = {}
    certificates: dict[str, Any] = {}
    for word, precision in (("confident", aim.confident), ("likely", aim.likely)):
        each = [
            promised(version.max(axis=1), hits(version, labels[learning]), groups[learning], precision, aim.delta)
            for version in np.moveaxis(probabilities[learning], 1, 0)
        ]
        short = [own for own in each if not isinstance(own, Certificate)]
        sound = [own for own in each if isinstance(own, Certificate)]
        own = short[0] if short else max(sound, key=lambda one: one.threshold)
        certificates[word] = stated(own)
        if isinstance(own, Certificate):
            thresholds[word] = own.threshold
        elif not aim.strict:
            thresholds[word] = PLAIN[word]
    if len(thresholds) == 2:
        thresholds["likely"] = min(thresholds.values())
    evaluation = evaluated(
        probabilities[judging, 0],
        labels[judging],
        table.classes,
        groups[judging],
        f"{name} on new artists of {data.name}",
        (*data.leaks(), *table.notes),
        thresholds,
    )
    return evaluation, thresholds, certificates


def _metrics(own: Measured) -> dict[str, float]:
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
    for number, name in enumerate(own.views.names if own.views else (), start=1):
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


def _origin(own: Measured) -> dict[str, Any]:
    data, table = own.data, own.data.table
    return {
        "table": table.digest,
        "split": hashlib.sha256("\n".join(data.split.tolist()).encode()).hexdigest() if data.is_split else None,
        "dataset": data.name,
        "collections": sorted({str(name) for name in table.datasets} - {""}),
        "rows": len(table),
        "artists": len(np.unique(table.groups)),
        "artists_seen": sorted(set(marks(data.artists))),
        "views": list(own.views.names) if own.views else [],
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
