"""What the second stage is worth on a collection it never saw: train on CISUC 4Q, judge on Emotify.

    python benchmarks/second_stage.py [--table ../shared/data/training/genre_clips.npz] [--views ...]

4Q cannot teach Pop from Rock, so the two count as one. Prints the share of right first labels among all genres and
among the four that both collections have, for either stage.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from music_reclass.models.bundle import Bundle
from music_reclass.models.dataset import read_augmentations
from music_reclass.training import npz
from music_reclass.training.train import train
from tools import embedded_bundles as shipped

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
    data = npz.read(options.table, shipped.KINDS)
    data = data.with_augmentations(read_augmentations(options.views, data.table))
    known, strange = data.table.datasets == "4q", data.table.datasets == "emotify"
    for recipe in shipped.stage_recipes(options.seed):
        bundle = train(data.chosen(known), recipe, seed=options.seed).bundle
        asked = data.of(recipe.kinds).table.chosen(strange)
        everything, shared = right(bundle, asked.rows, asked.labels)
        print(f"{bundle.stage:<14} {everything:.3f} right among all genres, {shared:.3f} among the shared four")


if __name__ == "__main__":
    main()
