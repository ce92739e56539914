"""The second stage: what MusiCNN hears beside the 518 features, for tracks that the first stage leaves in doubt."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from music_reclass.domain import FeatureKind
from music_reclass.errors import UsageError
from music_reclass.training import bundles, fma_mlp
from music_reclass.training.tables import Table, Views
from music_reclass.training.validation import Say

NAME, VERSION, STAGE = "musicnn-ensemble", "1", "musicnn"
# The version holds the digest of the published weights: vectors by other weights are refused.
KIND = FeatureKind("musicnn", "1-425c7c95", 200, "mid30")
KINDS = (fma_mlp.KIND, KIND)
# Stricter promises than the first stage: what it is asked about is in doubt already.
PLAN = replace(fma_mlp.PLAN, members=("embedding", "key_free_and_embedding") * 4, confident=0.85, likely=0.75)
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


def read_embeddings(path: Path, table: Table) -> NDArray[np.float32]:
    """The array `musicnn` of a table's file, shape (n, 200); UsageError if it is absent, misshapen or not finite."""
    with np.load(path, allow_pickle=False) as stored:
        if "musicnn" not in stored.files:
            raise UsageError(f"{path} holds no array musicnn; make it with reclass features --kind musicnn.")
        rows = np.asarray(stored["musicnn"], dtype=np.float32)
    if rows.shape != (len(table), KIND.dimension) or not np.isfinite(rows).all():
        raise UsageError(
            f"the array musicnn of {path} has the shape {rows.shape}, or numbers that are not finite; "
            f"({len(table)}, {KIND.dimension}) finite numbers belong there."
        )
    return rows


def rows_for(bundle: bundles.Bundle, path: Path, table: Table) -> NDArray[np.float32]:
    """The rows that `bundle` wants of the table at `path`: its 518 columns, and the embedding where it is asked for."""
    if KIND not in bundle.kinds:
        return table.rows
    return np.concatenate([table.rows, read_embeddings(path, table)], axis=1)


@lru_cache(maxsize=1)
def embedded() -> bundles.Bundle:
    """The second stage's bundle, shipped inside the package. MusiCNN's own weights are not: they are installed."""
    return bundles.load(_EMBEDDED)
