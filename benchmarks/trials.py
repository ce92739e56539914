"""What was tried for the first stage: each trial a small variation of the shipped plan, on the same folds.

python benchmarks/trials.py TABLE.npz VIEWS.npz [NAME...]

Five artist-grouped folds, mean of two splits into folds (seeds 0 and 1, of the networks too). "Left out" trains on 4Q
alone and is judged on Emotify's low-passed clips among all genres, Pop and Rock counting as one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.extractors.fma518 import COLUMNS, FAMILIES
from music_reclass.models.base import Model, examples, log_softmax, with_augmentations
from music_reclass.models.calibration import hits
from music_reclass.models.crossval import cross_calibrated, folds_of, out_of_fold, scored
from music_reclass.models.dataset import Augmentations, Table, read_augmentations
from music_reclass.models.linear import linear_estimator
from music_reclass.models.metrics import balanced_accuracy, expected_calibration_error
from music_reclass.models.mlp import FMA_RECIPE, mlp_estimator
from music_reclass.models.transforms import INPUTS, QuantileScale
from music_reclass.models.trees import trees_estimator
from music_reclass.training import npz

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Fit = Callable[[Table, "Augmentations | None"], Model]

SPLITS = (0, 1)


@dataclass(frozen=True, slots=True)
class Trial:
    """A recipe by its seed, whether it learns from the views, and what is done to rows and scores."""

    name: str
    recipe: Callable[[int], Fit]
    augmentations: bool = True
    hidden: tuple[int, ...] = ()  # columns that nothing sees
    prior: float = 0.0  # the power of the genres' frequency by which scores are divided


@dataclass(frozen=True, slots=True)
class Plain:
    """A scikit-learn classifier on quantile-scaled columns: every row once for each of its labels."""

    inputs: str
    make: Callable[[], Any]
    weighted: bool = True

    def fit(self, table: Table, augmentations: Augmentations | None) -> PlainModel:
        rows, genre, weights = examples(table, augmentations, rarity=FMA_RECIPE.rarity, versions=2, seed=0)
        raw = INPUTS[self.inputs](rows)
        scale = QuantileScale.fit(raw)
        model = self.make()
        model.fit(scale(raw), genre, **({"sample_weight": weights} if self.weighted else {}))
        return PlainModel(self.inputs, scale, model, len(table.classes))


@dataclass(frozen=True, slots=True)
class PlainModel:
    """Its scores, as log-probabilities as far as it has any."""

    inputs: str
    scale: QuantileScale
    model: Any
    labels: int

    def log_probabilities(self, rows: Floats) -> Doubles:
        scaled = self.scale(INPUTS[self.inputs](rows))
        if hasattr(self.model, "decision_function"):
            own = self.model.decision_function(scaled)
        else:
            own = np.log(self.model.predict_proba(scaled) + 1e-3)
        scores = np.full((len(rows), self.labels), -30.0)
        scores[:, self.model.classes_] = own
        return log_softmax(scores)


def networks(**changes: Any) -> Callable[[int], Fit]:
    """The shipped recipe with changes."""
    recipe = replace(FMA_RECIPE, **changes)
    return lambda seed: mlp_estimator(seed, recipe).fit


def plain(inputs: str, make: Callable[[], Any], weighted: bool = True) -> Callable[[int], Fit]:
    """A scikit-learn classifier, the same whatever the seed."""
    return lambda seed: Plain(inputs, make, weighted).fit


def columns_of(*families: str) -> tuple[int, ...]:
    """The columns of the families whose names begin so."""
    return tuple(
        column
        for family, place in FAMILIES.items()
        if family.startswith(families)
        for column in range(place.start, place.stop)
    )


def columns_with(*statistics: str) -> tuple[int, ...]:
    """The columns of some statistics: min, max, skew, kurtosis, ..."""
    return tuple(number for number, name in enumerate(COLUMNS) if name.rsplit("_", 2)[-2] in statistics)


def trials() -> tuple[Trial, ...]:
    """All of them, in the order of the table."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    eight = {name: (name,) * 8 for name in ("unchanged", "key_free")}
    return (
        Trial(
            "logistic regression, 518 columns", plain("unchanged", lambda: LogisticRegression(C=0.003, max_iter=400))
        ),
        Trial("logistic regression, key-free columns", lambda seed: linear_estimator(seed=seed).fit),
        Trial(
            "RBF SVM, key-free, without views", plain("key_free", lambda: SVC(C=3.0, gamma=0.0005)), augmentations=False
        ),
        Trial(
            "LDA with shrinkage, key-free",
            plain("key_free", lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"), weighted=False),
        ),
        Trial(
            "20 nearest neighbours, key-free",
            plain("key_free", lambda: KNeighborsClassifier(20, weights="distance"), weighted=False),
        ),
        Trial("boosted trees, 518 columns", lambda seed: trees_estimator(seed=seed).fit),
        Trial("networks, 518 columns, without views", networks(members=eight["unchanged"]), augmentations=False),
        Trial("networks, 518 columns", networks(members=eight["unchanged"])),
        Trial("networks, 518 columns, never transposed", networks(members=eight["unchanged"], transposed=0.0)),
        Trial("networks, key-free columns", networks(members=eight["key_free"])),
        Trial("shipped: both averaged", networks()),
        Trial("without views", networks(), augmentations=False),
        Trial("40 epochs", networks(epochs=40)),
        Trial("half of the rows clean", networks(clean=0.5)),
        Trial("mixup 0.2", networks(mixup=0.2)),
        Trial("layers of 256 and 128", networks(hidden=(256, 128))),
        Trial("labels of a set share evenly", networks(sharpness=0.0, rarity=0.0)),
        Trial("labels of a set share more unevenly", networks(sharpness=2.0)),
        Trial("no preference for rare labels", networks(rarity=0.0)),
        Trial("without chroma and tonnetz", networks(), hidden=columns_of("chroma", "tonnetz")),
        Trial("without rmse", networks(), hidden=columns_of("rms")),
        Trial("without minimum, maximum", networks(), hidden=columns_with("min", "max")),
        Trial("without skew, kurtosis", networks(), hidden=columns_with("skew", "kurtosis")),
        Trial("divided by the root of frequency", networks(), prior=0.5),
    )


def figures(trial: Trial, table: Table, augmentations: Augmentations) -> list[float]:
    """Clean and lp22 hit rates, the worst view's share of clean, balanced recall, ECE, left-out Emotify on lp22."""
    each = []
    for seed in SPLITS:
        fit = trial.recipe(seed)
        folds = folds_of(table, seed)
        scores = _out_of_fold(table, augmentations, fit, folds, trial.augmentations)
        scores = _divided(scores, table.labels, trial.prior)
        measured = cross_calibrated(scores, table.labels, folds)
        of_views = [float(hits(measured[:, place], table.labels).mean()) for place in range(measured.shape[1])]
        right, confidence = hits(measured[:, 0], table.labels), measured[:, 0].max(axis=1)
        low = 1 + augmentations.names.index("lp22")
        left_out = _left_out(trial, fit, table, augmentations, low)
        each.append(
            [
                float(right.mean()),
                of_views[low],
                min(of_views) / right.mean(),
                balanced_accuracy(measured[:, 0], table.labels),
                expected_calibration_error(confidence, right),
                left_out,
            ]
        )
    return [float(value) for value in np.mean(each, axis=0)]


def _out_of_fold(
    table: Table, augmentations: Augmentations, fit: Fit, folds: NDArray[np.int64], taught: bool
) -> Doubles:
    """Scores of all versions, whether or not the views were learned from."""
    return out_of_fold(table, augmentations, fit if taught else lambda own, _: fit(own, None), folds)


def _left_out(trial: Trial, fit: Fit, table: Table, augmentations: Augmentations, version: int) -> float:
    foreign = table.datasets == "emotify"
    common = table.labels[foreign].any(axis=0) & table.labels[~foreign].any(axis=0)
    asked = np.flatnonzero(foreign)[(table.labels[foreign] & common).any(axis=1)]
    model = fit(table.chosen(~foreign), augmentations.chosen(~foreign) if trial.augmentations else None)
    scores = scored(model, with_augmentations(table.chosen(asked), augmentations.chosen(asked))[:, [version]])
    scores = _divided(scores, table.labels[~foreign], trial.prior)
    return float(hits(scores[:, 0], _merged(table.labels[asked], table.classes)).mean())


def _merged(labels: NDArray[np.bool_], classes: tuple[str, ...]) -> NDArray[np.bool_]:
    """Label sets in which Pop and Rock count as one: 4Q never tells them apart."""
    pair = [classes.index(name) for name in ("Pop", "Rock")]
    merged = labels.copy()
    merged[:, pair] |= labels[:, pair].any(axis=1, keepdims=True)
    return merged


def _divided(scores: Doubles, labels: NDArray[np.bool_], power: float) -> Doubles:
    return scores - power * np.log(labels.mean(axis=0) + 1e-3)


def main() -> None:
    """Print one line of the table for every trial, as soon as it is done."""
    table_path, views_path, *names = sys.argv[1:]
    table = npz.read(Path(table_path)).table
    augmentations = read_augmentations(Path(views_path), table)
    print("| tried | clean hit@1 | lp22 | worst view keeps | balanced recall | ECE | left-out Emotify, lp22 |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for trial in _chosen(trials(), names):
        rows, degraded = table.rows.copy(), augmentations.rows.copy()
        rows[:, trial.hidden] = degraded[..., trial.hidden] = 0.0
        own = figures(trial, replace(table, rows=rows), replace(augmentations, rows=degraded))
        shown = [f"{value:.0%}" if place == 2 else f"{value:.3f}" for place, value in enumerate(own)]
        print(f"| {trial.name} | {' | '.join(shown)} |", flush=True)


def _chosen(every: Sequence[Trial], names: Sequence[str]) -> list[Trial]:
    return [trial for trial in every if not names or any(name in trial.name for name in names)]


if __name__ == "__main__":
    main()
