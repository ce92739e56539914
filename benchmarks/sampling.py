"""Which tracks to label or extract first: macro-F1 on new artists by the size of a sample and by the shares of genres.

    python benchmarks/sampling.py [--table ../shared/data/training/genre_clips.npz] [--rounds 12]

Samples are drawn by `models.crossval.stratified_order` from 70 % of the artists of a training table, in proportion to
the tracks of a genre, to their square root, and in equal shares; a logistic regression on each is judged on the others.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from music_reclass.models.crossval import stratified_order
from music_reclass.models.dataset import read_table

SHARES = {"in proportion": 1.0, "square root": 0.5, "equal": 0.0}
SIZES = (100, 200, 300, 400)


def main() -> None:
    """Print a line for each size: macro-F1 and accuracy for each way to share."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--table", type=Path, default=Path("../shared/data/training/genre_clips.npz"))
    parser.add_argument("--vectors", default="fma518", help="an array of the table, or FILE:ARRAY with the same rows")
    parser.add_argument("--rounds", type=int, default=12)
    given = parser.parse_args()
    table = read_table(given.table)
    file, _, name = given.vectors.rpartition(":")
    with np.load(file or given.table) as stored:
        rows = np.arcsinh(stored[name].astype(np.float64))
    groups = [str(group) for group in table.groups]
    found: dict[tuple[int, str], list[tuple[float, float]]] = {}
    for number in range(given.rounds):
        artists = np.random.default_rng(number).permutation(int(table.groups.max()) + 1)
        pool, judged = (
            np.flatnonzero(np.isin(table.groups, part)) for part in np.split(artists, [round(0.7 * len(artists))])
        )
        for words, balance in SHARES.items():
            chosen = [groups[row] for row in pool], [str(row) for row in pool]
            order = pool[stratified_order(table.labels[pool], *chosen, seed=number, balance=balance)]
            for size in SIZES:
                figures = _figures(rows, table.labels, order[:size], judged)
                found.setdefault((size, words), []).append(figures)
    for size in SIZES:
        cells = [np.array(found[size, words]) for words in SHARES]
        shown = (
            f"{words} {cell[:, 0].mean():.3f} (accuracy {cell[:, 1].mean():.3f})"
            for words, cell in zip(SHARES, cells, strict=True)
        )
        gain = cells[1][:, 0] - cells[0][:, 0]
        print(f"{size} tracks: {'; '.join(shown)}; gain of the square root {gain.mean():+.3f} "
              f"± {gain.std() / len(gain) ** 0.5:.3f}")  # fmt: skip


def _figures(
    rows: NDArray[np.float64], labels: NDArray[np.bool_], learned: NDArray[np.int64], judged: NDArray[np.int64]
) -> tuple[float, float]:
    """Macro-F1 and accuracy on the rows `judged` of a model of the rows `learned`; a hit is a genre of the row."""
    from sklearn.linear_model import LogisticRegression

    rarest = np.where(labels, labels.sum(axis=0), len(labels)).argmin(axis=1)
    mean, scale = rows[learned].mean(axis=0), rows[learned].std(axis=0) + 1e-9
    model = LogisticRegression(C=0.01, max_iter=300).fit((rows[learned] - mean) / scale, rarest[learned])
    called = model.predict((rows[judged] - mean) / scale)
    carried = labels[judged]
    true = np.where(carried[np.arange(len(judged)), called], called, rarest[judged])
    each = [
        2 * np.sum((called == genre) & (true == genre)) / (np.sum(called == genre) + np.sum(true == genre))
        for genre in np.unique(true)
    ]
    return float(np.mean(each)), float(np.mean(true == called))


if __name__ == "__main__":
    main()
