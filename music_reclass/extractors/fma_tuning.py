"""How far a recording is tuned away from A440: librosa 0.5.0's estimate from the peaks of a spectrogram."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from music_reclass.extractors.fma_tables import ASSUMED_RATE, BINS, N_FFT, RATE, TINY32

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOWEST, HIGHEST = 150.0, 4000.0  # Hz, the range in which peaks are looked for
# 0.5.0 draws 100 edges, hence 99 bins, and what lies above the last edge is not counted.
_EDGES = np.linspace(-0.5, 0.5, 100, endpoint=False)


def _range(rate: int) -> tuple[int, int]:
    return int(np.ceil(LOWEST * N_FFT / rate)), int(np.ceil(HIGHEST * N_FFT / rate))


_TRUE, _ASSUMED = _range(RATE), _range(ASSUMED_RATE)
_LOW, _HIGH = min(_TRUE[0], _ASSUMED[0]), max(_TRUE[1], _ASSUMED[1])


class Tuning:
    """Collects peaks block by block; `magnitude()` and `power()` are the two tunings features.py ends up with.

    The constant-Q families ask for the tuning of the magnitudes at the true rate, chroma_stft for the tuning of
    the *power* at the assumed rate.
    """

    def __init__(self) -> None:
        # of each peak: its bin, its height and its neighbours' heights, whether it counts in the power spectrum too
        self._bins: list[NDArray[np.int16]] = []
        self._heights: list[NDArray[np.float32]] = []
        self._strong: list[NDArray[np.bool_]] = []

    def add(self, block: NDArray[np.float32]) -> None:
        """Take the peaks of magnitudes (frames, 1025) above a tenth of their frame's maximum."""
        loudest = block.max(axis=1)
        centre = block[:, _LOW:_HIGH]
        peak = centre > block[:, _LOW - 1 : _HIGH - 1]
        peak &= centre >= block[:, _LOW + 1 : _HIGH + 1]
        peak &= centre > (np.float32(0.1) * loudest)[:, None]
        frame, column = np.divmod(np.flatnonzero(peak), _HIGH - _LOW)
        column += _LOW
        flat, at = block.reshape(-1), frame * BINS + column
        here = flat[at]
        self._bins.append(column.astype(np.int16))
        self._heights.append(np.stack([flat[at - 1], here, flat[at + 1]]))
        self._strong.append(here * here > (np.float32(0.1) * (loudest * loudest))[frame])

    def magnitude(self) -> float:
        """Tuning for the constant-Q transform, in semitones, [-0.5, 0.5)."""
        bins, heights, _ = self._peaks()
        inside = (bins >= _TRUE[0]) & (bins < _TRUE[1])
        return _fullest(bins[inside], heights[:, inside], RATE)

    def power(self) -> float:
        """Tuning for chroma_stft, in semitones, [-0.5, 0.5)."""
        bins, heights, strong = self._peaks()
        inside = strong & (bins >= _ASSUMED[0]) & (bins < _ASSUMED[1])
        return _fullest(bins[inside], heights[:, inside] ** 2, ASSUMED_RATE)

    def _peaks(self) -> tuple[NDArray[np.int16], NDArray[np.float32], NDArray[np.bool_]]:
        return np.concatenate(self._bins), np.concatenate(self._heights, axis=1), np.concatenate(self._strong)


def _fullest(bins: NDArray[np.int16], heights: NDArray[np.float32], rate: int) -> float:
    """The left edge of the fullest histogram bin of semitone residuals, of the higher half of the peaks; 0 for none.

    A parabola through a peak (1, k) and its neighbours, `heights` (3, k), refines where it is and how high.
    """
    if not len(bins):
        return 0.0
    below, here, above = heights
    slope = np.float32(0.5) * (above - below)
    bend = 2 * here - above - below
    shift = slope / np.where(np.abs(bend) < TINY32, np.float32(1), bend)
    frequency = ((bins + shift.astype(np.float64)) * (rate / N_FFT)).astype(np.float32)
    residual = np.mod(12 * np.log2(frequency / np.float32(27.5)), np.float32(1))
    residual[residual >= 0.5] -= 1
    height = here + np.float32(0.5) * slope * shift
    counts, _ = np.histogram(residual[height >= np.median(height)], _EDGES)
    return round(float(_EDGES[int(np.argmax(counts))]), 2)
