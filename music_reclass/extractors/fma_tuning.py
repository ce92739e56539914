"""How far a recording is tuned away from A440: librosa 0.5.0's estimate from the peaks of a spectrogram."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from music_reclass.extractors.fma_tables import ASSUMED_RATE, BINS, N_FFT, RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOWEST, HIGHEST = 150.0, 4000.0  # Hz, the range in which peaks are looked for
# 0.5.0 draws 100 edges, hence 99 bins, and what lies above the last edge is not counted.
_EDGES = np.linspace(-0.5, 0.5, 100, endpoint=False)


def _range(rate: int) -> tuple[int, int]:
    return int(np.ceil(LOWEST * N_FFT / rate)), int(np.ceil(HIGHEST * N_FFT / rate))


@dataclass(slots=True)
class Tuning:
    """Collects peaks block by block; `magnitude()` and `power()` are the two tunings features.py ends up with.

    The constant-Q families ask for the tuning of the magnitudes at the true rate, chroma_stft for the tuning of
    the *power* at the assumed rate. Only a residual and a height are kept of each peak.
    """

    _magnitude: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = field(default_factory=list)
    _power: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = field(default_factory=list)

    def add(self, block: NDArray[np.float32]) -> None:
        """Take the peaks of magnitudes (frames, 1025) above a tenth of their frame's maximum."""
        true, assumed = _range(RATE), _range(ASSUMED_RATE)
        low, high = min(true[0], assumed[0]), max(true[1], assumed[1])
        loudest = block.max(axis=1, keepdims=True)
        centre = block[:, low:high]
        peak = centre > block[:, low - 1 : high - 1]
        peak &= centre >= block[:, low + 1 : high + 1]
        peak &= centre > np.float32(0.1) * loudest
        frame, column = np.divmod(np.flatnonzero(peak), high - low)
        column += low
        flat, at = block.reshape(-1), frame * BINS + column
        here, below, above = flat[at], flat[at - 1], flat[at + 1]
        inside = (column >= true[0]) & (column < true[1])
        self._magnitude.append(_refine(column[inside], here[inside], below[inside], above[inside], RATE))
        inside = (column >= assumed[0]) & (column < assumed[1])
        inside &= here * here > np.float32(0.1) * (loudest[:, 0] * loudest[:, 0])[frame]
        here, below, above = here[inside], below[inside], above[inside]
        self._power.append(_refine(column[inside], here * here, below * below, above * above, ASSUMED_RATE))

    def magnitude(self) -> float:
        """Tuning for the constant-Q transform, in semitones, [-0.5, 0.5)."""
        return _fullest(self._magnitude)

    def power(self) -> float:
        """Tuning for chroma_stft, in semitones, [-0.5, 0.5)."""
        return _fullest(self._power)


def _refine(
    column: NDArray[np.int64],
    here: NDArray[np.float32],
    below: NDArray[np.float32],
    above: NDArray[np.float32],
    rate: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Residuals in semitones, [-0.5, 0.5), and heights of peaks refined by a parabola through three bins."""
    slope = np.float32(0.5) * (above - below)
    bend = 2 * here - above - below
    shift = slope / np.where(np.abs(bend) < np.finfo(np.float32).tiny, np.float32(1), bend)
    frequency = ((column + shift) * (rate / N_FFT)).astype(np.float32)
    residual = np.mod(12 * np.log2(frequency / np.float32(27.5)), np.float32(1))
    residual[residual >= 0.5] -= 1
    return residual, here + np.float32(0.5) * slope * shift


def _fullest(peaks: list[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> float:
    """The left edge of the fullest histogram bin, of the peaks at or above the median height; 0 without peaks."""
    residual = np.concatenate([r for r, _ in peaks]) if peaks else np.zeros(0, np.float32)
    if not len(residual):
        return 0.0
    height = np.concatenate([h for _, h in peaks])
    counts, _ = np.histogram(residual[height >= np.median(height)], _EDGES)
    return round(float(_EDGES[int(np.argmax(counts))]), 2)
