"""Which tracks to ask a person about: accuracy of a model retrained after 50, 100 and 200 answers, by the order.

    python benchmarks/review_order.py [--data ../shared/data/training] [--seeds 100]

Vectors of EfficientAT from the training table; 65 % of the artists are asked about, a logistic regression is judged on
the others. It starts with 60 labels drawn at random and is fitted again after every 50 answers, as after `learn`.
`random`; `margin`: the least sure first; `informative`: `training.review.informative_order`, as `decide --next` and
`edit --order informative` ask. Gains are against `random` on the same artists, with standard errors.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.training.review import directions, informative_order

START, ROUND, ANSWERS = 60, 50, (0, 50, 100, 200)
ORDERS = ("random", "margin", "informative")

Doubles = NDArray[np.float64]
Places = NDArray[np.int64]


def main() -> None:
    """Print a line for each order: accuracy after so many answers, and the gain against random order."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data/training"))
    parser.add_argument("--seeds", type=int, default=100)
    given = parser.parse_args()
    with np.load(given.data / "genre_clips.npz") as table, np.load(given.data / "genre_clips_mn04.npz") as vectors:
        labels, groups = table["labels"], np.unique(table["group"], return_inverse=True)[1]
        rows = vectors["mn04"].astype(np.float64)
    found: dict[str, list[list[float]]] = {order: [] for order in ORDERS}
    for seed in range(given.seeds):
        artists = np.random.default_rng(seed).permutation(int(groups.max()) + 1)
        asked, judged = (
            np.flatnonzero(np.isin(groups, part)) for part in np.split(artists, [round(0.65 * len(artists))])
        )
        for order in ORDERS:
            found[order].append(_accuracies(rows, labels, asked, judged, order, seed))
    base = np.array(found["random"])
    for order in ORDERS:
        figures = np.array(found[order])
        gains = figures - base
        error = gains.std(axis=0) / len(gains) ** 0.5
        cells = (
            f"{count} answers {mean:.3f} ({gain:+.3f} ± {spread:.3f})"
            for count, mean, gain, spread in zip(ANSWERS, figures.mean(axis=0), gains.mean(axis=0), error, strict=True)
        )
        print(f"{order:<11} {'; '.join(cells)}")


def _accuracies(
    rows: Doubles, labels: NDArray[np.bool_], asked: Places, judged: Places, order: str, seed: int
) -> list[float]:
    """Accuracy on the rows `judged` after each of ANSWERS."""
    rarest = np.where(labels, labels.sum(axis=0), len(labels)).argmin(axis=1)
    known = np.random.default_rng((seed, 1)).permutation(asked)[:START]
    draw = np.random.default_rng((seed, 2))
    figures = []
    for count in ANSWERS:
        while len(known) - START < count:
            others = np.setdiff1d(asked, known)
            shares = _shares(rows, rarest, known, others, labels.shape[1])
            known = np.concatenate([known, others[_chosen(order, rows, (others, known), shares, draw)]])
        called = _shares(rows, rarest, known, judged, labels.shape[1]).argmax(axis=1)
        figures.append(float(labels[judged, called].mean()))
    return figures


def _chosen(order: str, rows: Doubles, parts: tuple[Places, Places], shares: Doubles, draw: np.random.Generator) -> Any:
    """Places among the unanswered rows of the next ROUND that are asked about."""
    others, known = parts
    if order == "random":
        return draw.permutation(len(others))[:ROUND]
    first = np.sort(shares, axis=1)
    uncertain = (1.0 - (first[:, -1] - first[:, -2])).astype(np.float32)
    if order == "margin":
        return np.argsort(-uncertain, kind="stable")[:ROUND]
    alike = directions(np.concatenate([rows[others], rows[known]]).astype(np.float32))
    return informative_order(alike[: len(others)], uncertain, alike[len(others) :], ROUND)


def _shares(rows: Doubles, genres: Places, learned: Places, asked: Places, count: int) -> Doubles:
    """Probabilities, (asked, count), of a logistic regression on the rows `learned`."""
    from sklearn.linear_model import LogisticRegression

    mean, scale = rows[learned].mean(axis=0), rows[learned].std(axis=0) + 1e-9
    model = LogisticRegression(C=0.01, max_iter=200).fit((rows[learned] - mean) / scale, genres[learned])
    shares = np.zeros((len(asked), count))
    shares[:, model.classes_] = model.predict_proba((rows[asked] - mean) / scale)
    return shares


if __name__ == "__main__":
    main()
