"""How long training takes: 17,000 rows of 518 columns with 16 genres, as `reclass train` does it.

python benchmarks/training.py [nets|linear|xgb|hgb]...            (two CPU cores: OMP_NUM_THREADS=2)
"""

from __future__ import annotations

import sys
import time

import numpy as np

from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.dataset import Dataset, Table, fma518
from music_reclass.models.linear import linear_estimator
from music_reclass.models.mlp import WIDE_RECIPE, mlp_estimator
from music_reclass.models.trees import HGB, XGB, trees_estimator
from music_reclass.training.train import StageRecipe, train

ROWS, GENRES, ARTISTS = 17_000, 16, 4_000


def made() -> Dataset:
    """Rows that can be told apart about as well as FMA's, with skewed genres; only the time means anything."""
    generator = np.random.default_rng(0)
    shares = 1.0 / np.arange(1, GENRES + 1)
    artist_genre = generator.choice(GENRES, ARTISTS, p=shares / shares.sum())
    groups = np.sort(generator.integers(0, ARTISTS, ROWS))
    genre = artist_genre[groups]
    centres = generator.normal(size=(GENRES, len(COLUMNS))) * 0.12
    rows = (centres[genre] + generator.normal(size=(ROWS, len(COLUMNS)))).astype(np.float32)
    labels = np.eye(GENRES, dtype=np.bool_)[genre]
    names = tuple(f"genre {number}" for number in range(GENRES))
    table = Table(COLUMNS, rows, names, labels, groups, np.full(ROWS, "made"))
    return Dataset(
        "made", table, fma518("full"), np.full(ROWS, ""), tuple(map(str, range(ROWS))), tuple(map(str, groups))
    )


def main() -> None:
    """Time the estimators named, or all."""
    data = made()
    trees = (trees_estimator(learner=learner, rounds=60) for learner in (XGB, HGB))
    every = (mlp_estimator(recipe=WIDE_RECIPE), linear_estimator(), *trees)
    for estimator in [one for one in every if one.name in (sys.argv[1:] or [one.name])]:
        started, busy = time.perf_counter(), time.process_time()
        result = train(data, StageRecipe(estimator.name, ("fma518",), (estimator,)))
        seconds = time.perf_counter() - started
        print(
            f"{estimator.name}: {seconds:.1f} s, {time.process_time() - busy:.1f} s of processor time, "
            f"{result.evaluation.accuracy.value:.3f} right on new artists",
            flush=True,
        )


if __name__ == "__main__":
    main()
