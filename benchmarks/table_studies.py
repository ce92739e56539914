"""Three studies on a training table: the stack against its members, promises on 200 splits, found label errors.

python benchmarks/table_studies.py stack TABLE.npz [VIEWS.npz]
python benchmarks/table_studies.py promises TABLE.npz
python benchmarks/table_studies.py audit TABLE.npz
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from music_reclass.taxonomy import load
from music_reclass.training import recipes, tables
from music_reclass.training.calibration import Calibration, hits
from music_reclass.training.datasets import npz
from music_reclass.training.estimators.boosted import Boosted
from music_reclass.training.estimators.linear import Linear
from music_reclass.training.estimators.small import Small
from music_reclass.training.estimators.translating import Base
from music_reclass.training.label_errors import average_precision, disagreement, doubted
from music_reclass.training.promises import promised
from music_reclass.training.thresholds import Certificate
from music_reclass.training.validation import cross_calibrated, folds_of, out_of_fold, pooled_calibration


def say(text: str) -> None:
    """Progress goes to stderr."""
    print(text, file=sys.stderr, flush=True)


def stack(table: Path, views: Path | None) -> None:
    """The stack of networks, trees and a linear model against each of them, on artists none of them saw."""
    data = npz.read(table)
    degraded = None if views is None else tables.read_views(views, data.table)
    for seed in range(3):
        folds = folds_of(data.table, seed)
        each = [
            out_of_fold(data.table, degraded, estimator.fit, folds)
            for estimator in (Small(seed=seed), Boosted(seed=seed), Linear(seed=seed))
        ]
        scores = recipes._Scores(np.arange(len(data)), tuple(each), folds, folds=True)
        members = [Small(seed=seed), Boosted(seed=seed), Linear(seed=seed)]
        _, weights, notes = recipes._members(scores, data.table, members)
        print(f"seed {seed}: {notes[0]}; weights {', '.join(f'{w:.2f}' for w in weights)}", flush=True)


def promises(table: Path) -> None:
    """Thresholds certified on half of the artists, judged on the other half: 200 random splits for each precision."""
    data = npz.read(table)
    folds = folds_of(data.table, 0)
    scores = out_of_fold(data.table, None, Small().fit, folds, say)
    probabilities = cross_calibrated(scores, data.table.labels, folds)[:, 0]
    confidence, right = probabilities.max(axis=1), hits(probabilities, data.table.labels)
    groups = data.table.groups
    for precision in (0.7, 0.75, 0.8, 0.85, 0.9):
        made = pool = other = 0
        shares = []
        for seed in range(200):
            generator = np.random.default_rng(seed)
            artists = generator.permutation(np.unique(groups))
            own = np.isin(groups, artists[: len(artists) // 2])
            found = promised(confidence[own], right[own], groups[own], precision, 0.1, seed)
            if isinstance(found, Certificate):
                made += 1
                above = confidence >= found.threshold
                weight = 1.0 / np.bincount(groups)[groups]  # an artist counts once, as the promise is made
                pool += bool(np.average(right[above], weights=weight[above]) < precision)
                rest = above & ~own
                other += bool(rest.any() and np.average(right[rest], weights=weight[rest]) < precision)
                shares.append(float(above.mean()))
        shown = f"{np.median(shares):.0%} of rows above" if shares else "-"
        print(
            f"precision {precision:.2f}, promised with 90 %: certified in {made} of 200 splits, {shown}; broken among "
            f"all artists {pool}, in the sample of the other half {other}",
            flush=True,
        )


def audit(table: Path) -> None:
    """15 % of the tags of one half of the artists swapped; a base model from the other half plays the embedded one."""
    data = npz.read(table).table
    for seed in range(5):
        generator = np.random.default_rng(seed)
        artists = generator.permutation(np.unique(data.groups))
        mine = np.isin(data.groups, artists[: len(artists) // 2])
        other, own = data.chosen(~mine), data.chosen(mine)
        labels, wrong = swapped(own.labels, 0.15, generator)
        tagged = replace(own, labels=labels)
        taxonomy = load()
        model = Small(seed=seed).fit(other, None)
        base = Base(model, pooled_calibration_of(other, seed), other.classes, taxonomy)
        rivals = {
            "embedded model's disagreement": disagreement(
                base.fit(tagged, None).log_probabilities(tagged.rows), labels
            ),
            "own model alone": doubted(tagged, [Linear(seed=seed)], seed).wrong,
        }
        doubt = doubted(tagged, [Linear(seed=seed), base], seed)
        chosen = doubt.suspects()
        shown = ", ".join(f"{name} {average_precision(scores, wrong):.3f}" for name, scores in rivals.items())
        print(
            f"seed {seed}: {int(wrong.sum())} of {len(wrong)} tags wrong; average precision: {shown}, both "
            f"{average_precision(doubt.wrong, wrong):.3f}; list of {len(chosen)}: precision {wrong[chosen].mean():.2f} "
            f"(expected {doubt.expected_precision(chosen):.2f}), recall {wrong[chosen].sum() / wrong.sum():.2f}; "
            f"noise found {doubt.rate:.2f}",
            flush=True,
        )


def swapped(
    labels: NDArray[np.bool_], share: float, generator: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """`labels` with `share` of the rows carrying the set of another row that has nothing in common, and which rows."""
    wrong = np.zeros(len(labels), dtype=np.bool_)
    noisy = labels.copy()
    for row in generator.permutation(len(labels))[: round(share * len(labels))]:
        strangers = np.flatnonzero(~(labels & labels[row]).any(axis=1))
        noisy[row] = labels[generator.choice(strangers)]
        wrong[row] = True
    return noisy, wrong


def pooled_calibration_of(table: tables.Table, seed: int) -> Calibration:
    """The calibration of the networks on artists of `table` that they did not see."""
    return pooled_calibration(out_of_fold(table, None, Small(seed=seed).fit, folds_of(table, seed)), table.labels)


def main() -> None:
    """Run the study named first."""
    study, table, *views = sys.argv[1:]
    if study == "stack":
        stack(Path(table), Path(views[0]) if views else None)
    elif study == "promises":
        promises(Path(table))
    elif study == "audit":
        audit(Path(table))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
