"""What the wide MLP costs: seconds and accuracy on synthetic rows.

OMP_NUM_THREADS=1 python benchmarks/mlp.py [ROWS ...]

Synthetic rows of 518 columns (sixteen overlapping genres, artists of ten rows), 518-256-128-16, 40 epochs of batches of
256, one thread. Measured in November 2026 on one core of a busy machine against the same recipe in PyTorch 2.13 (CPU,
no early stopping), which therefore went:

    rows      by NumPy                            by PyTorch
     17,000    12.5 s CPU,  12.9 s wall, 0.565     18.9 s CPU,  19.0 s wall, 0.563 right
    100,000    91.3 s CPU,  93.9 s wall, 0.642    122.5 s CPU, 124.2 s wall, 0.649 right
"""

from __future__ import annotations

import sys
import time

import numpy as np

from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.dataset import Table
from music_reclass.models.mlp import WIDE_RECIPE, mlp_estimator

GENRES = 16


def table(count: int, seed: int = 0, hard: float = 16.0) -> Table:
    """Rows of `count` tracks: sixteen clouds along directions of their own, artists within them, and noise."""
    shapes = np.random.default_rng(99).normal(size=(GENRES, len(COLUMNS)))
    generator = np.random.default_rng(seed)
    genre = np.repeat(generator.integers(0, GENRES, -(-count // 10)), 10)[:count]
    artist = np.repeat(generator.normal(size=(-(-count // 10), len(COLUMNS))), 10, axis=0)[:count]
    rows = 2 * shapes[genre] + hard * generator.normal(size=(count, len(COLUMNS))) + hard / 4 * artist
    rows[:, ::3] = np.abs(rows[:, ::3]) ** 1.5  # some columns are skewed, as in music
    labels = np.eye(GENRES, dtype=bool)[genre]
    names = tuple(f"genre {number}" for number in range(GENRES))
    return Table(COLUMNS, rows.astype(np.float32), names, labels, np.arange(count) // 10, np.full(count, ""))


def main(sizes: list[int]) -> None:
    """One line for each size."""
    for size in sizes:
        known, new = table(size), table(4000, seed=1)
        cpu, wall = time.process_time(), time.perf_counter()
        model = mlp_estimator(recipe=WIDE_RECIPE).fit(known, None)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        right = (model.log_probabilities(new.rows).argmax(axis=1) == new.labels.argmax(axis=1)).mean()
        print(f"{size:>7,} rows: {cpu:7.1f} s CPU  {wall:7.1f} s wall  {right:.3f} right", flush=True)


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [17_000, 100_000])
