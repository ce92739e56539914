"""What EfficientAT, its tags as a prior, MusiCNN and the flattening each add: new artists and collections left out.

    python benchmarks/tag_prior.py --table table.npz --views views.npz

The table is made by `python -m tools.embedded_bundles join`; `musicnn_tags` in it is optional. Two networks of each
input in place of four keep it short: figures are up to 0.01 below those of the model card.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from music_reclass.models import mlp
from music_reclass.models.base import Estimator, with_augmentations
from music_reclass.models.calibration import fit, hits
from music_reclass.models.crossval import folds_of, out_of_fold, scored
from music_reclass.models.dataset import Dataset, TableFile
from music_reclass.models.metrics import evaluate, expected_calibration_error
from music_reclass.models.mlp import EMBEDDING_RECIPE, PRIOR_RECIPE, MlpRecipe, mlp_estimator
from music_reclass.taxonomy import load
from music_reclass.training import npz
from music_reclass.training.train import answerable

EFFICIENTAT = ("fma518", "efficientat-tags", "efficientat")
MEMBERS = ("embedding", "key_free_and_embedding") * 2
HEADER = "| tried | new artists | macro-F1 | degraded | ECE | left out: 4q | emotify | its ECE |"


def line(name: str, data: Dataset, estimator: Estimator) -> str:
    """One row of the table: hit rates and calibration errors; ECE by a calibration on the rows of all folds."""
    table, changed = data.table, data.augmentations
    scores = out_of_fold(table, changed, estimator.fit, folds_of(table, 0))
    figures = evaluate(np.exp(scores[:, 0]), table.labels, table.classes, table.groups, title=name)
    calibration = fit(scores[:, 0], table.labels)
    degraded = np.mean([hits(scores[:, number], table.labels).mean() for number in range(1, scores.shape[1])])
    left_out = {one: _left_out(data, estimator, one) for one in ("4q", "emotify")}
    rates = [float(hits(found, labels).mean()) for found, labels in left_out.values()]
    errors = [
        _error(calibration(found), labels) for found, labels in (*left_out.values(), (scores[:, 0], table.labels))
    ]
    return (
        f"| {name} | {figures.accuracy.value:.3f} | {figures.macro_f1.value:.3f} | {degraded:.3f} | {errors[2]:.3f} | "
        f"{rates[0]:.3f} | {rates[1]:.3f} | {errors[1]:.3f} |"
    )


def _left_out(data: Dataset, estimator: Estimator, name: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The rows of a collection as scored by a model of the other one, and what is right for them."""
    inside: NDArray[np.bool_] = np.asarray(data.table.datasets == name)
    asked, labels = answerable(data.table.labels, inside)
    others = data.chosen(~inside)
    model = estimator.fit(others.table, others.augmentations)
    return scored(model, with_augmentations(data.chosen(asked).table, None))[:, 0], labels


def _error(probabilities: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    return expected_calibration_error(probabilities.max(axis=1), hits(probabilities, labels))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--views", type=Path, required=True)
    chosen = parser.parse_args()
    taxonomy = load()

    def data(*kinds: str) -> Dataset:
        return npz.with_augmentations(npz.read(chosen.table, kinds), chosen.views)

    def nets(recipe: MlpRecipe, *, prior: bool = True) -> Estimator:
        return mlp_estimator(0, recipe, taxonomy=taxonomy if prior else None)

    shipped = replace(PRIOR_RECIPE, members=MEMBERS)
    trials: list[tuple[str, Callable[[], Dataset], Estimator]] = [
        ("518 numbers (8 networks)", lambda: data("fma518"), mlp_estimator(0)),
        ("518 + MusiCNN", lambda: data("fma518", "musicnn"), nets(replace(EMBEDDING_RECIPE, members=MEMBERS))),
        ("518 + EfficientAT, no prior", lambda: data("fma518", "efficientat"), nets(shipped, prior=False)),
        ("**with its tags as a prior**", lambda: data(*EFFICIENTAT), nets(shipped)),
        ("without the 518", lambda: data(*EFFICIENTAT), nets(replace(PRIOR_RECIPE, members=("embedding",) * 4))),
        ("with MusiCNN beside it", lambda: data(*EFFICIENTAT, "musicnn"), nets(shipped)),
    ]
    if npz.array_of(TableFile.read(chosen.table), "musicnn-tags"):
        trials.append(("with MusiCNN's tags beside it", lambda: data(*EFFICIENTAT, "musicnn-tags"), nets(shipped)))
    print(HEADER, "|" + "---|" * (HEADER.count("|") - 1), sep="\n")
    for name, make, estimator in trials:
        print(line(name, make(), estimator), flush=True)
    for slope in (0.0, 2.5):
        with_slope(slope)
        print(line(f"flattening by disagreement x {slope}", data(*EFFICIENTAT), nets(shipped)), flush=True)


def with_slope(slope: float) -> None:
    """Set how fast scores flatten as networks and tags disagree."""
    mlp._DISAGREEMENT = slope


if __name__ == "__main__":
    main()
