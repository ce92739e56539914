"""Equal windows of a recording, evenly spaced; a recording that is too short is repeated, never padded with zeros."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUIET = 1e-4  # root mean square, -80 dBFS: such a window says nothing about the music


def spread(samples: NDArray[np.float32], length: int, most: int, *, short: int = 0) -> NDArray[np.float32]:
    """Up to `most` windows of `length` samples from the first to the last sample, shape (n, length), n >= 1.

    As many as fit without overlap, or one more that overlaps a little where no more than `short` samples are wanting;
    one, of the samples in a circle, where not even one fits.
    """
    if len(samples) < length:
        return circular(samples, length)[None]
    count = max(1, min(most, (len(samples) + short) // length))
    starts = np.linspace(0, len(samples) - length, count).astype(int)
    return np.stack([samples[start : start + length] for start in starts])


def most_in(excerpt: str, counts: Mapping[str, int]) -> int:
    """How many windows an excerpt gives at most: those of half a minute are alike, wherever in a file they lie."""
    return counts.get(excerpt, counts["mid30"])


def circular(samples: NDArray[Any], length: int) -> NDArray[Any]:
    """The first `length` entries along the last axis of `samples` repeated for ever."""
    return samples[..., np.arange(length) % samples.shape[-1]]


def between(samples: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """The part between two shares of the length."""
    return samples[int(low * len(samples)) : int(high * len(samples))]


def audible(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The windows (n, length) that are not silent; all of them where every one is."""
    loud = np.sqrt(np.mean(np.square(windows, dtype=np.float32), axis=1)) >= QUIET
    return windows[loud] if loud.any() else windows


def finite(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The samples as float32, what is not a number as 0, what is beyond full scale by far clipped to it."""
    samples = np.ascontiguousarray(samples, dtype=np.float32)
    if len(samples) and float(np.abs(samples).max()) < 16.0:
        return samples
    return np.clip(np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)
