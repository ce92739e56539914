"""CORAL: training rows given the second-order statistics of an unlabelled library (arXiv 1607.01719)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def aligned(source: Floats, target: Floats, ridge: float = 1.0) -> Floats:
    """`source` rows, (n, columns), whitened and coloured as `target`, (m, columns), is; both scaled alike before.

    `ridge` is added to both covariances, as a few hundred rows do not tell 518 columns apart.
    """
    centre, goal = source.mean(axis=0), target.mean(axis=0)
    own = np.cov(source, rowvar=False) + ridge * np.eye(source.shape[1])
    theirs = np.cov(target, rowvar=False) + ridge * np.eye(source.shape[1])
    turned = (source - centre) @ _power(own, -0.5) @ _power(theirs, 0.5)
    return np.asarray(turned + goal, dtype=np.float32)


def _power(covariance: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.maximum(values, 1e-9) ** exponent) @ vectors.T, dtype=np.float64)
