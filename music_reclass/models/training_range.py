"""How far a row lies from the training rows: nearest neighbours in a low-dimensional space of a model's inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.models.base import Doubles, Floats

AXES = 32
NEIGHBOURS = 5
MOST = 1000  # training rows that are kept
_SHARE = 0.95  # of the training rows that count as in range
_CHUNK = 256


@dataclass(frozen=True, slots=True)
class TrainingRange:
    """Training rows as unit vectors on their principal axes, and the distances that are usual among them.

    The distance of a row is one minus the mean cosine to its NEIGHBOURS nearest training rows; `limit` is the one
    below which 95 % of the training rows lie (neighbours of the same artist left out), `width` from there to the
    median.
    """

    axes: Floats  # (inputs, AXES)
    rows: Floats  # (n, AXES), unit vectors
    limit: float
    width: float

    @classmethod
    def fit(cls, inputs: Floats, groups: NDArray[np.int64], seed: int) -> TrainingRange | None:
        """The range of scaled `inputs`, (n, inputs), of artists `groups`, (n,); None for too few rows or artists."""
        if len(np.unique(groups)) <= 2 * NEIGHBOURS:
            return None
        chosen = np.sort(np.random.default_rng(seed).permutation(len(inputs))[:MOST])
        inputs, groups = inputs[chosen], groups[chosen]
        values, vectors = np.linalg.eigh(inputs.T.astype(np.float64) @ inputs)
        axes = vectors[:, np.argsort(-values)[:AXES]].astype(np.float16).astype(np.float32)
        rows = _unit(inputs @ axes).astype(np.float16).astype(np.float32)
        near = rows @ rows.T
        near[groups[:, None] == groups[None]] = -np.inf
        best = np.sort(near, axis=1)[:, -NEIGHBOURS:]
        distances = 1.0 - best[np.isfinite(best).all(axis=1)].mean(axis=1)
        if not len(distances):
            return None
        limit, middle = np.quantile(distances, _SHARE), np.median(distances)
        return cls(axes, rows, float(limit), float(max(limit - middle, 1e-3)))

    def excess(self, inputs: Floats) -> Doubles:
        """How far beyond the usual each scaled row lies, in widths, (n,); zero in range."""
        found = np.empty(len(inputs))
        for start in range(0, len(inputs), _CHUNK):
            near = _unit(inputs[start : start + _CHUNK] @ self.axes) @ self.rows.T
            found[start : start + _CHUNK] = 1.0 - np.sort(near, axis=1)[:, -NEIGHBOURS:].mean(axis=1)
        return np.asarray(np.maximum(found - self.limit, 0.0) / self.width, dtype=np.float64)

    def description(self) -> dict[str, float]:
        """What the manifest keeps beside the arrays."""
        return {"limit": self.limit, "width": self.width}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """`axes` and `rows`, as float16, which they are already."""
        return {"range.axes": self.axes.astype(np.float16), "range.rows": self.rows.astype(np.float16)}

    @classmethod
    def restored(cls, description: Mapping[str, Any], axes: Floats, rows: Floats) -> TrainingRange:
        """What a bundle keeps; ValueError or KeyError if it makes no sense."""
        limit, width = float(description["limit"]), float(description["width"])
        if not (np.isfinite([limit, width]).all() and width > 0 and len(rows) >= NEIGHBOURS):
            raise ValueError("the range of the training rows makes no sense")
        return cls(axes, rows, limit, width)


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6), dtype=np.float32)
