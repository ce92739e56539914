"""cleanlab against our own search for wrong tags, on the same libraries and the same out-of-fold probabilities.

pip install cleanlab
python benchmarks/cleanlab_comparison.py TABLE.npz

cleanlab knows one label a row (`find_label_issues`) or independent labels (`multi_label`); our tags are sets of which
any may be right. So it is asked in both ways: with the likeliest of a row's own labels as its label, which favours it,
and as a multi-label task. Every row is asked about; the figures of rows with a single tag follow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from table_studies import average_precision, tagged_libraries

from music_reclass.models.linear import linear_estimator
from music_reclass.training.label_issues import LabelIssues, find_label_issues

Doubles = NDArray[np.float64]
Marks = NDArray[np.bool_]
LISTS = ("prune_by_noise_rate", "prune_by_class", "both", "confident_learning", "predicted_neq_given")
SCORES = ("self_confidence", "normalized_margin")


def main() -> None:
    """Print, for every ranking and list, the mean over five libraries."""
    found: dict[str, list[tuple[float, ...]]] = {}
    for library in tagged_libraries(Path(sys.argv[1])):
        doubt = find_label_issues(library.table, [linear_estimator(seed=library.seed), library.base], seed=library.seed)
        for rows, part in ((np.ones(len(library.wrong), dtype=bool), "all"), (_alone(library.table.labels), "single")):
            wrong, labels = library.wrong[rows], library.table.labels[rows]
            shares = _softmax(doubt.log_probabilities[rows])
            for name, scores in _rankings(doubt, rows, shares, labels).items():
                found.setdefault(f"{part}, ranking: {name}", []).append((average_precision(scores, wrong),))
            for name, chosen in _lists(doubt, rows, shares, labels).items():
                hit = int(wrong[chosen].sum())
                numbers = (len(chosen), hit / len(chosen) if len(chosen) else np.nan, hit / wrong.sum())
                found.setdefault(f"{part}, list: {name}", []).append(numbers)
        print(f"library {library.seed} done", file=sys.stderr, flush=True)
    for name, each in found.items():
        mean = np.nanmean(np.array(each), axis=0)
        spread = ", ".join("/".join(f"{value:.3g}" for value in column) for column in zip(*each, strict=True))
        if len(mean) == 1:
            print(f"{name}: average precision {mean[0]:.3f} ({spread})")
        else:
            print(f"{name}: {mean[0]:.0f} tracks, precision {mean[1]:.2f}, recall {mean[2]:.2f} ({spread})")


def _rankings(doubt: LabelIssues, rows: Marks, shares: Doubles, labels: Marks) -> dict[str, Doubles]:
    from cleanlab.multilabel_classification import get_label_quality_scores as of_sets
    from cleanlab.rank import get_label_quality_scores

    label = np.where(labels, shares, -1.0).argmax(axis=1)
    found: dict[str, Doubles] = {"ours": doubt.wrong[rows]}
    for method in SCORES:
        found[f"cleanlab {method}"] = 1 - get_label_quality_scores(label, shares, method=method)
    found["cleanlab multi-label"] = 1 - of_sets(_as_lists(labels), shares)
    return found


def _lists(doubt: LabelIssues, rows: Marks, shares: Doubles, labels: Marks) -> dict[str, NDArray[np.int64]]:
    from cleanlab.filter import find_label_issues

    label = np.where(labels, shares, -1.0).argmax(axis=1)
    place = np.cumsum(rows) - 1
    found = {"ours, 0.5": place[[row for row in doubt.suspects() if rows[row]]].astype(np.int64)}
    found["ours, 0.3"] = place[[row for row in doubt.suspects(0.3) if rows[row]]].astype(np.int64)
    ask: dict[str, Callable[[], NDArray[np.int64]]] = {
        f"cleanlab {way}": lambda way=way: np.flatnonzero(find_label_issues(label, shares, filter_by=way, n_jobs=1))
        for way in LISTS
    }
    ask["cleanlab multi-label"] = lambda: np.flatnonzero(
        find_label_issues(_as_lists(labels), shares, multi_label=True, n_jobs=1)
    )
    for name, asked in ask.items():
        found[name] = asked()
    doubted = np.argsort(-doubt.wrong[rows], kind="stable")
    found["ours, as many as cleanlab confident_learning"] = doubted[: len(found["cleanlab confident_learning"])]
    return found


def _as_lists(labels: Marks) -> list[list[int]]:
    return [np.flatnonzero(row).tolist() for row in labels]


def _alone(labels: Marks) -> Marks:
    return np.asarray(labels.sum(axis=1) == 1)


def _softmax(scores: Doubles) -> Doubles:
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


if __name__ == "__main__":
    main()
