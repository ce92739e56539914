"""Does CORAL help? A linear model of one half of the artists, judged on spoiled recordings of the other half.

python benchmarks/adaptation.py TABLE.npz VIEWS.npz
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from music_reclass.models import dataset as tables
from music_reclass.models.base import examples
from music_reclass.models.calibration import hits
from music_reclass.models.linear import aligned
from music_reclass.models.transforms import QuantileScale, key_free


def main() -> None:
    """For each view: accuracy without adaptation, and with the training rows aligned to unlabelled rows of the view."""
    from sklearn.linear_model import LogisticRegression

    table = tables.read_table(Path(sys.argv[1]))
    augmentations = tables.read_augmentations(Path(sys.argv[2]), table)
    worlds = {"clean": table.rows, **{name: augmentations.rows[:, n] for n, name in enumerate(augmentations.names)}}
    found: dict[str, list[list[float]]] = {name: [] for name in worlds}
    for seed in range(5):
        artists = np.random.default_rng(seed).permutation(np.unique(table.groups))
        known = np.isin(table.groups, artists[: len(artists) // 2])
        scale = QuantileScale.fit(key_free(table.rows[known]))
        seen = examples(table.chosen(known), None, 0.25, 1, seed)
        source = scale(key_free(seen.rows))
        for name, rows in worlds.items():
            target = scale(key_free(rows[~known]))
            scores = []
            for training in (source, aligned(source, target, 1.0), aligned(source, target, 10.0)):
                model = LogisticRegression(C=0.003, max_iter=200).fit(training, seen.genre, sample_weight=seen.weights)
                likely = np.zeros((len(target), len(table.classes)))
                likely[:, model.classes_] = model.predict_proba(target)
                scores.append(float(hits(likely, table.labels[~known]).mean()))
            found[name].append(scores)
    for name, scores in found.items():
        plain, strong, weak = np.mean(scores, axis=0)
        print(f"{name:<8} plain {plain:.4f}, CORAL {strong:.4f}, with a ridge of 10 {weak:.4f}", flush=True)


if __name__ == "__main__":
    main()
