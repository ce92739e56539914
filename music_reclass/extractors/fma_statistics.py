"""Seven statistics over time, as scipy 0.19 and NumPy 1.12 computed them for the published table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

STATISTICS = ("kurtosis", "max", "mean", "median", "min", "skew", "std")


def seven_statistics(frames: NDArray[Any]) -> NDArray[np.float64]:
    """Rows in the order of STATISTICS, shape (7, k), of frame values (T, k) with T >= 1.

    Moments are biased (ddof 0), kurtosis is Fisher's. A constant row has skew 0 and kurtosis -3, as scipy 0.19
    said; newer ones say NaN.
    """
    rows = np.ascontiguousarray(frames.T, dtype=np.float64)
    n = rows.shape[1]
    mean = rows.mean(axis=1)
    deviation = rows - mean[:, None]
    squares = deviation * deviation
    second = squares.mean(axis=1)
    third = np.einsum("ij,ij->i", squares, deviation) / n
    fourth = np.einsum("ij,ij->i", squares, squares) / n
    # float32 sorts four times as fast, and the result is float32 anyway
    ranked = np.sort(rows.astype(np.float32), axis=1)
    # a row that varies by no more than the rounding of its mean has no shape to speak of
    constant = ranked[:, 0] == ranked[:, -1]
    constant |= second <= np.maximum((np.finfo(np.float64).eps * mean) ** 2, np.finfo(np.float64).tiny ** 0.5)
    spread = np.where(constant, 1.0, second)
    skew = np.where(constant, 0.0, third / spread**1.5)
    kurtosis = np.where(constant, 0.0, fourth / spread**2) - 3.0
    median = 0.5 * (ranked[:, (n - 1) // 2].astype(np.float64) + ranked[:, n // 2])
    return np.stack([kurtosis, ranked[:, -1], mean, median, ranked[:, 0], skew, np.sqrt(second)])
