"""What the second stage is worth on a collection it never saw: train on CISUC 4Q, judge on Emotify.

    python benchmarks/second_stage.py [--table ../shared/data/training/genre_clips.npz] [--views ...]

4Q cannot teach Pop from Rock, so the two count as one. Prints the share of right first labels among all genres and
among the four that both collections have, for either stage.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from music_reclass.training import fma_mlp, kinds, musicnn_ensemble, tables
from music_reclass.training.bundles import Bundle

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "training"
SHARED = ("Classical", "Electronic", "Pop", "Rock")


def right(bundle: Bundle, rows: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Shares of rows whose first label is in the set: among all genres, and among the shared four."""
    pop, rock = bundle.labels.index("Pop"), bundle.labels.index("Rock")
    sets = labels.copy()
    sets[:, pop] = sets[:, rock] = labels[:, pop] | labels[:, rock]
    probabilities = bundle.predict_proba(rows)
    among = np.where(np.isin(bundle.labels, SHARED), probabilities, -1.0)
    numbers = np.arange(len(rows))
    return float(sets[numbers, probabilities.argmax(1)].mean()), float(sets[numbers, among.argmax(1)].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, default=DATA / "genre_clips.npz")
    parser.add_argument("--views", type=Path, default=DATA / "genre_clips_views.npz")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    table = tables.read(options.table)
    views = tables.read_views(options.views, table)
    heard = kinds.vectors(options.table, "musicnn", len(table))
    known, strange = table.datasets == "4q", table.datasets == "emotify"
    first = fma_mlp.train(table.chosen(known), views.chosen(known), options.seed)
    second = musicnn_ensemble.train(table.chosen(known), heard[known], views.chosen(known), options.seed)
    for name, bundle in (("first stage", first), ("second stage", second)):
        rows = kinds.rows_for(bundle.kinds, options.table, table)[strange]
        everything, shared = right(bundle, rows, table.labels[strange])
        print(f"{name:<14} {everything:.3f} right among all genres, {shared:.3f} among the shared four")


if __name__ == "__main__":
    main()
