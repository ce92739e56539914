"""The three families that stand on the constant-Q transform: chroma_cqt, chroma_cens and tonnetz."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.extractors.fma_cqt import OCTAVES, PER_OCTAVE, cqt_magnitude
from music_reclass.extractors.fma_tables import TINY32, TINY64, hann, tonnetz_axes

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SMOOTHING = 43  # frames: 41 and the two zero ends of the window


def constant_q_frames(samples: NDArray[np.float32], tuning: float) -> dict[str, NDArray[Any]]:
    """Frame values (T, k) of the three families, of mono float32 at 44.1 kHz."""
    octaves = cqt_magnitude(samples, tuning)
    folded = octaves.reshape(len(octaves), OCTAVES, PER_OCTAVE).sum(axis=1)
    loudest = folded.max(axis=1, keepdims=True)
    cens = _cens(folded)
    return {
        "chroma_cqt": folded / np.where(loudest < TINY32, np.float32(1), loudest),
        "chroma_cens": cens,
        "tonnetz": _share(cens) @ tonnetz_axes(),
    }


def _share(rows: NDArray[Any]) -> NDArray[Any]:
    """Rows divided by their sum, left alone where that is zero."""
    total = rows.sum(axis=1, keepdims=True)
    tiny = TINY32 if rows.dtype == np.float32 else TINY64
    share: NDArray[Any] = rows / np.where(total < tiny, rows.dtype.type(1), total)
    return share


def _cens(folded: NDArray[np.float32]) -> NDArray[np.float64]:
    """Chroma energy normalised statistics (Mueller and Ewert, 2011): shares quantised, smoothed, unit length."""
    share = _share(folded)
    quantised = np.zeros(share.shape)
    for step in (0.4, 0.2, 0.1, 0.05):
        quantised += share > step
    window = hann(_SMOOTHING)
    window *= 0.25 / window.sum()
    half, count = _SMOOTHING // 2, len(share)
    columns = [np.convolve(column, window)[half : half + count] for column in quantised.T]
    smooth = np.stack(columns, axis=1)
    norm = np.sqrt((smooth**2).sum(axis=1, keepdims=True))
    return smooth / np.where(norm < TINY64, 1.0, norm)
