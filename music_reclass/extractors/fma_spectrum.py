"""STFT-based feature families of fma518, computed from one transform in blocks, and the tuning estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.extractors.fma_tables import (
    ASSUMED_RATE,
    BINS,
    HOP,
    N_FFT,
    RATE,
    TINY32,
    chroma_filters,
    contrast_bands,
    dct,
    decibel,
    frame_blocks,
    hann,
    mel_blocks,
)

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


_BLOCK = 128  # frames at a time: a block and its spectrum about fill a core's cache
_KEPT = 8192  # frames (95 s) whose magnitudes are kept for chroma_stft; those beyond are transformed twice
_HERTZ = ASSUMED_RATE / N_FFT
_SUM = 32  # bins summed at once on the way to the roll-off
_TIE = 4e-6  # share of a frame's total within which the order of summation decides about the roll-off


def spectral_frames(samples: NDArray[np.float32]) -> tuple[dict[str, NDArray[Any]], float]:
    """Frame values (T, k) of seven families, T = 1 + n // 512, and the tuning for the constant-Q transform."""
    count = 1 + len(samples) // HOP
    kept = np.empty((min(count, _KEPT), BINS), np.float32)
    spare = np.empty((_BLOCK, BINS), np.float32)
    energy, rolloff = np.empty(count, np.float32), np.empty(count, np.int64)
    moments = np.empty((3, count))  # sums of magnitude times 1, k, k^2 over the bins k
    mel = np.empty((count, 128), np.float32)
    peak, valley = np.empty((count, 7), np.float32), np.empty((count, 7), np.float32)
    tuning = Tuning()
    bins = np.arange(BINS, dtype=np.float64)
    for at, frames in frame_blocks(samples, N_FFT, HOP, _BLOCK):
        block = kept[at] if at.stop <= len(kept) else spare[: len(frames)]
        magnitude = _magnitudes(frames)
        block[:] = magnitude
        moments[:, at] = magnitude.sum(axis=1), magnitude @ bins, magnitude @ bins**2
        power = block * block
        power.sum(axis=1, out=energy[at])
        for part in mel_blocks():
            mel[at, part.first_mel : part.first_mel + 16] = power[:, part.low : part.high] @ part.weights
        rolloff[at] = _rolloff(block)
        _extremes(block, peak[at], valley[at])
        tuning.add(block)
    total = np.where(moments[0] < TINY32, 1.0, moments[0])
    centroid = moments[1] / total
    variance = moments[2] / total - centroid * centroid
    return {
        "rmse": np.sqrt(energy / BINS)[:, None],
        "spectral_centroid": (centroid * _HERTZ)[:, None],
        "spectral_bandwidth": (np.sqrt(np.maximum(variance, 0.0)) * _HERTZ)[:, None],
        "spectral_rolloff": (rolloff * _HERTZ)[:, None],
        "spectral_contrast": decibel(peak.astype(np.float64)) - decibel(valley.astype(np.float64)),
        "mfcc": _cepstrum(decibel(mel)),
        "chroma_stft": _chroma(samples, kept, tuning.power()),
    }, tuning.magnitude()


def _magnitudes(frames: NDArray[np.float32]) -> NDArray[np.float64]:
    """|FFT| in double precision: the valleys of spectral_contrast lie below the noise of a single-precision FFT."""
    import scipy.fft

    magnitude: NDArray[np.float64] = np.abs(scipy.fft.rfft(frames * hann(N_FFT), axis=1))
    return magnitude


def _rolloff(block: NDArray[np.float32]) -> NDArray[np.int64]:
    """The lowest bin at which the running sum of magnitudes (frames, 1025) reaches 85 % of the frame's total.

    Sums of 32 bins find the stretch, a running sum inside it the bin. librosa adds up bin after bin in float32; where
    its rounding could decide otherwise, the frame is summed in that very way.
    """
    whole = BINS // _SUM * _SUM
    sums = np.einsum("ijk->ij", block[:, :whole].reshape(len(block), -1, _SUM)).cumsum(axis=1, dtype=np.float64)
    total = sums[:, -1] + block[:, whole:].sum(axis=1)
    threshold = 0.85 * total
    stretch = (sums < threshold[:, None]).sum(axis=1)
    np.minimum(stretch, sums.shape[1] - 1, out=stretch)
    rows = np.arange(len(block))
    running = np.empty((len(block), _SUM + 1))
    running[:, 0] = np.where(stretch > 0, sums[rows, stretch - 1], 0.0)
    running[:, 1:] = block[rows[:, None], stretch[:, None] * _SUM + np.arange(_SUM)]
    running.cumsum(axis=1, out=running)
    below = running[:, 1:] < threshold[:, None]
    first: NDArray[np.int64] = stretch * _SUM + below.sum(axis=1)
    tied = np.abs(running - threshold[:, None]).min(axis=1) <= _TIE * total
    if tied.any():
        exact = np.cumsum(block[tied], axis=1)
        first[tied] = (exact >= np.float32(0.85) * exact[:, -1:]).argmax(axis=1)
    return first


def _cepstrum(mel: NDArray[np.float32]) -> NDArray[np.float64]:
    """The first 20 cosine coefficients of mel levels (T, 128), shape (T, 20)."""
    result = np.empty((len(mel), 20))
    for start in range(0, len(mel), _KEPT):
        # double precision, or frames wholly on the 80 dB floor come out as noise instead of nothing
        result[start : start + _KEPT] = mel[start : start + _KEPT].astype(np.float64) @ dct()
    return result


def _extremes(block: NDArray[np.float32], peak: NDArray[np.float32], valley: NDArray[np.float32]) -> None:
    """Mean of each contrast band's strongest and weakest bins, into `peak` and `valley` (frames, 7)."""
    for i, band in enumerate(contrast_bands()):
        part, q = block[:, band.low : band.high], band.quantile
        if q == 1:
            part.min(axis=1, out=valley[:, i])
            part.max(axis=1, out=peak[:, i])
        else:
            ranked = np.sort(part, axis=1)
            valley[:, i] = ranked[:, :q].sum(axis=1) / np.float32(q)
            peak[:, i] = ranked[:, -q:].sum(axis=1) / np.float32(q)


def _chroma(samples: NDArray[np.float32], kept: NDArray[np.float32], tuning: float) -> NDArray[np.float32]:
    """Power folded onto twelve pitch classes, each frame divided by its maximum, shape (T, 12)."""
    filters = chroma_filters(tuning)
    chroma = np.empty((1 + len(samples) // HOP, 12), np.float32)
    for start in range(0, len(kept), _BLOCK):
        block = kept[start : start + _BLOCK]
        np.matmul(block * block, filters, out=chroma[start : start + len(block)])
    for at, frames in frame_blocks(samples, N_FFT, HOP, _BLOCK, first=len(kept)):
        block = _magnitudes(frames).astype(np.float32)
        np.matmul(block * block, filters, out=chroma[at])
    loudest = chroma.max(axis=1, keepdims=True)
    chroma /= np.where(loudest < TINY32, np.float32(1), loudest)
    return chroma


def zero_crossings(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """The zero-crossing rate of frames of 2048, shape (T, 1), edges repeated; up to 1e-10 counts as positive.

    A frame's first sample never counts as a crossing. Four block sums a frame replace 2048 comparisons.
    """
    half = N_FFT // 2
    count = 1 + len(samples) // HOP
    negative = np.empty(len(samples) + N_FFT, np.bool_)
    np.less(samples, np.float32(-1e-10), out=negative[half:-half])
    negative[:half], negative[-half:] = negative[half], negative[-half - 1]
    crossing = np.zeros((count + 3) * HOP, np.uint8)
    used = min(len(crossing), len(negative))
    np.not_equal(negative[1:used], negative[: used - 1], out=crossing[1:used].view(np.bool_))
    blocks = crossing.reshape(-1, HOP)
    sums = blocks.sum(axis=1, dtype=np.int32)
    crossings = sums[:-3] + sums[1:-2] + sums[2:-1] + sums[3:] - blocks[:-3, 0]
    rate: NDArray[np.float64] = crossings[:, None] / float(N_FFT)
    return rate
