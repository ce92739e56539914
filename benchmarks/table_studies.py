"""Studies on a training table: the stack against its members, trees, promises on 200 splits, found label errors.

python benchmarks/table_studies.py stack TABLE.npz [VIEWS.npz]
python benchmarks/table_studies.py trees TABLE.npz         (XGBoost against scikit-learn's HistGradientBoosting)
python benchmarks/table_studies.py promises TABLE.npz
python benchmarks/table_studies.py audit TABLE.npz
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from music_reclass.models.base import Estimator
from music_reclass.models.calibration import Calibration, hits
from music_reclass.models.crossval import Scores, cross_calibrated, folds_of, out_of_fold, pooled_calibration
from music_reclass.models.dataset import Table, read_augmentations
from music_reclass.models.early_exit import GRID, one_a_group
from music_reclass.models.linear import linear_estimator
from music_reclass.models.mlp import mlp_estimator
from music_reclass.models.precision import certified_threshold
from music_reclass.models.stacking import member_weights, stacked, translated_estimator
from music_reclass.models.trees import HGB, XGB, trees_estimator
from music_reclass.taxonomy import load
from music_reclass.training import npz
from music_reclass.training.label_issues import find_label_issues

Doubles = NDArray[np.float64]
Marks = NDArray[np.bool_]
Groups = NDArray[np.int64]


def say(text: str) -> None:
    """Progress goes to stderr."""
    print(text, file=sys.stderr, flush=True)


def stack(table: Path, augmentations: Path | None) -> None:
    """The stack of networks, trees and a linear model against each of them, on artists none of them saw."""
    data = npz.read(table).table
    degraded = None if augmentations is None else read_augmentations(augmentations, data)
    gains = []
    for seed in range(3):
        folds = folds_of(data, seed)
        estimators = [mlp_estimator(seed=seed), trees_estimator(seed=seed), linear_estimator(seed=seed)]
        each = [out_of_fold(data, degraded, estimator.fit, folds) for estimator in estimators]
        scores = Scores(np.arange(len(data)), tuple(each), folds, folds=True)
        _, notes = member_weights(scores, data.labels, [one.name for one in estimators])
        alone = [hits(one[:, 0], data.labels) for one in each]
        together = hits(stacked(scores, (1.0,) * len(each), data.labels)[:, 0], data.labels)
        gains.append(together.astype(float) - max(alone, key=np.mean))
        shown = ", ".join(f"{e.name} {one.mean():.4f}" for e, one in zip(estimators, alone, strict=True))
        print(
            f"seed {seed}: stack {together.mean():.4f}, {shown}; better than the best alone by {gains[-1].mean():+.4f} "
            f"(standard error by artist {error_by_group(gains[-1], data.groups):.4f}); {notes[0]}",
            flush=True,
        )
    mean = np.mean(gains, axis=0)
    print(f"mean of the seeds: {mean.mean():+.4f} (standard error by artist {error_by_group(mean, data.groups):.4f})")


def trees(table: Path) -> None:
    """Both learners of trees: right on artists they never saw, processor time, and the size of one model's arrays."""
    data = npz.read(table).table
    right: dict[str, list[Marks]] = {XGB: [], HGB: []}
    for seed in range(3):
        for learner, found in right.items():
            estimator, started = trees_estimator(seed, learner), time.process_time()
            scores = out_of_fold(data, None, estimator.fit, folds_of(data, seed))
            seconds = time.process_time() - started
            found.append(hits(scores[:, 0], data.labels))
            print(f"seed {seed}, {learner}: {found[-1].mean():.4f} right, {seconds:.1f} s for five folds", flush=True)
    gain = np.mean(right[HGB], axis=0) - np.mean(right[XGB], axis=0)
    error = error_by_group(gain, data.groups)
    print(f"{HGB} is better than {XGB} by {gain.mean():+.4f} (standard error by artist {error:.4f})")
    for learner in right:
        model = trees_estimator(0, learner).fit(data, None)
        file = io.BytesIO()
        np.savez_compressed(file, **model.arrays())
        started = time.process_time()
        model.log_probabilities(data.rows)
        each = (time.process_time() - started) / len(data)
        print(f"{learner}: {file.tell() / 1024:.0f} KiB compressed, {1e6 * each:.0f} us a track to predict")


def error_by_group(values: Doubles, groups: Groups) -> float:
    """The standard error of the mean of `values` where those of one group are not independent."""
    place = np.unique(groups, return_inverse=True)[1].reshape(-1)
    sums = np.bincount(place, values - values.mean())
    return float(np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / len(values))


def promises(table: Path) -> None:
    """Thresholds certified on one sample, judged on the next, for four splits into folds of the networks' training.

    Halves: on half of the artists, judged on the other half and on all, 200 times. Drawn: the table as the population,
    samples of one track of as many artists drawn with replacement, judged on another such sample, 500 times. The same
    for a test of the true precision alone.
    """
    data = npz.read(table).table
    for fold_seed in range(4):
        folds = folds_of(data, fold_seed)
        scores = out_of_fold(data, None, mlp_estimator().fit, folds)
        probabilities = cross_calibrated(scores, data.labels, folds)[:, 0]
        confidence, right = probabilities.max(axis=1), hits(probabilities, data.labels)
        for precision in (0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9):
            for name, find in (("promised", of_the_next_sample), ("true precision alone", of_the_true_precision)):
                print(
                    f"folds {fold_seed}, precision {precision:.2f}, {name}: "
                    f"{halves(confidence, right, data.groups, precision, find)}; "
                    f"{drawn(confidence, right, data.groups, precision, find)}",
                    flush=True,
                )


Find = Callable[[Doubles, Marks, Groups, float, int], "float | None"]  # the threshold that is certified


def of_the_next_sample(confidence: Doubles, right: Marks, groups: Groups, precision: float, seed: int) -> float | None:
    """What the program promises, with 90 %."""
    found = certified_threshold(confidence, right, groups, precision, seed=seed)
    return found.threshold


def of_the_true_precision(
    confidence: Doubles, right: Marks, groups: Groups, precision: float, seed: int
) -> float | None:
    """The same sequence with the exact binomial test of the true precision at 10 %."""
    from scipy.special import bdtr

    rows = one_a_group(groups, seed)
    start = max(0.2 * len(rows), 2 * np.ceil(np.log(0.1) / np.log(precision)))
    found = None
    for threshold in GRID:
        above = confidence[rows] >= threshold
        if above.sum() < start:
            continue
        if bdtr((above & ~right[rows]).sum(), above.sum(), 1 - precision) > 0.1:
            break
        found = float(threshold)
    return found


def halves(confidence: Doubles, right: Marks, groups: Groups, precision: float, find: Find) -> str:
    """How often what one half of the artists certifies is broken in the other half, and among all."""
    weight = 1.0 / np.bincount(groups)[groups]  # an artist counts once, as the promise is made
    made = pool = other = 0
    shares = []
    for seed in range(200):
        artists = np.random.default_rng(seed).permutation(np.unique(groups))
        own = np.isin(groups, artists[: len(artists) // 2])
        threshold = find(confidence[own], right[own], groups[own], precision, seed)
        if threshold is not None:
            made += 1
            above = confidence >= threshold
            pool += bool(np.average(right[above], weights=weight[above]) < precision)
            rest = above & ~own
            other += bool(rest.any() and np.average(right[rest], weights=weight[rest]) < precision)
            shares.append(float(above.mean()))
    shown = f"{np.mean(shares):.0%} of rows above" if shares else "-"
    return f"certified in {made} of 200 splits, {shown}; broken in the other half {other}, among all {pool}"


def drawn(confidence: Doubles, right: Marks, groups: Groups, precision: float, find: Find) -> str:
    """How often what one sample certifies is broken in the next of the same size, and in the population."""
    weight = 1.0 / np.bincount(groups)[groups]
    rows_of = [np.flatnonzero(groups == artist) for artist in np.unique(groups)]
    made = following = pool = 0
    for seed in range(500):
        generator = np.random.default_rng(seed)
        own, next_rows = (
            np.array(
                [generator.choice(rows_of[artist]) for artist in generator.integers(0, len(rows_of), len(rows_of))]
            )
            for _ in range(2)
        )
        threshold = find(confidence[own], right[own], np.arange(len(own)), precision, seed)
        if threshold is not None:
            made += 1
            above, later = confidence >= threshold, next_rows[confidence[next_rows] >= threshold]
            pool += bool(np.average(right[above], weights=weight[above]) < precision)
            following += bool(len(later) and right[later].mean() < precision)
    return f"drawn: certified in {made} of 500, broken in the next sample {following}, in the population {pool}"


@dataclass(frozen=True, slots=True)
class Tagged:
    """One half of the artists with some of their tags swapped, which, and the model of the other half."""

    seed: int
    table: Table
    wrong: Marks
    base: Estimator


def tagged_libraries(path: Path) -> Iterator[Tagged]:
    """15 % of the tags of one half of the artists swapped; a base model from the other half plays the embedded one."""
    data = npz.read(path).table
    for seed in range(5):
        generator = np.random.default_rng(seed)
        artists = generator.permutation(np.unique(data.groups))
        mine = np.isin(data.groups, artists[: len(artists) // 2])
        other, own = data.chosen(~mine), data.chosen(mine)
        labels, wrong = swapped(own.labels, 0.15, generator)
        base = translated_estimator(
            mlp_estimator(seed=seed).fit(other, None), pooled_calibration_of(other, seed), other.classes, load()
        )
        yield Tagged(seed, replace(own, labels=labels), wrong, base)


def disagreement(log_probabilities: Doubles, labels: Marks) -> Doubles:
    """How little of the probability a model leaves to a row's labels, (n,): the plain rival of `find_label_issues`."""
    return 1.0 - (np.exp(log_probabilities) * labels).sum(axis=1)


def average_precision(scores: Doubles, wrong: Marks) -> float:
    """The area under precision by recall of the ranking by `scores`, highest first."""
    found = wrong[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(found) / np.arange(1, len(found) + 1)
    return float(precision[found].mean()) if found.any() else float("nan")


def audit(table: Path) -> None:
    """What `audit` finds in libraries with swapped tags, against rankings by one model."""
    for library in tagged_libraries(table):
        tagged, wrong, seed = library.table, library.wrong, library.seed
        rivals = {
            "embedded model's disagreement": disagreement(
                library.base.fit(tagged, None).log_probabilities(tagged.rows), tagged.labels
            ),
            "own model alone": find_label_issues(tagged, [linear_estimator(seed=seed)], seed=seed).wrong,
        }
        doubt = find_label_issues(tagged, [linear_estimator(seed=seed), library.base], seed=seed)
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


def pooled_calibration_of(table: Table, seed: int) -> Calibration:
    """The calibration of the networks on artists of `table` that they did not see."""
    return pooled_calibration(
        out_of_fold(table, None, mlp_estimator(seed=seed).fit, folds_of(table, seed)), table.labels
    )


def main() -> None:
    """Run the study named first."""
    study, table, *augmentations = sys.argv[1:]
    if study == "stack":
        stack(Path(table), Path(augmentations[0]) if augmentations else None)
    elif study == "trees":
        trees(Path(table))
    elif study == "promises":
        promises(Path(table))
    elif study == "audit":
        audit(Path(table))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
