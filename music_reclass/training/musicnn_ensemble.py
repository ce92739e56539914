"""The second stage: what MusiCNN hears beside the 518 features, for tracks that the first stage leaves in doubt."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from music_reclass.training import bundles, fma_mlp, kinds
from music_reclass.training.tables import Table, Views
from music_reclass.training.validation import Say

NAME, VERSION, STAGE = "musicnn-ensemble", "1", "musicnn"
KIND = kinds.MUSICNN
KINDS = (fma_mlp.KIND, KIND)
# Stricter promises than the first stage: what it is asked about is in doubt already.
PLAN = replace(fma_mlp.BESIDE, confident=0.85, likely=0.75)
_EMBEDDED = Path(__file__).resolve().parent.parent / "data" / "embedded-musicnn"


def train(
    table: Table,
    embeddings: NDArray[np.float32],
    views: Views | None = None,
    seed: int = 0,
    progress: Say | None = None,
) -> bundles.Bundle:
    """The bundle of the second stage. `embeddings`, shape (n, 200), belong to the rows of `table`.

    Half of its networks hear the embedding alone, half the 518 features as well. The degraded views exist for the 518
    features only; each stands beside the clean embedding, which teaches not to lean on what a bad file loses.
    """
    joined = replace(
        table,
        columns=(*table.columns, *(f"musicnn_{number:03}" for number in range(KIND.dimension))),
        rows=np.concatenate([table.rows, embeddings], axis=1),
    )
    if views is not None:
        beside = np.repeat(embeddings[:, None], views.rows.shape[1], axis=1)
        views = Views(views.names, np.concatenate([views.rows, beside], axis=2))
    rung = fma_mlp.Rung(NAME, VERSION, STAGE, KINDS)
    return fma_mlp.train(joined, views, seed, progress, PLAN, rung)


@lru_cache(maxsize=1)
def embedded() -> bundles.Bundle:
    """The second stage's bundle, shipped inside the package. MusiCNN's own weights are not: they are installed."""
    return bundles.load(_EMBEDDED)
