"""One short-time Fourier transform, walked through in blocks, for every feature family that can share it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.extractors.fma_tables import (
    ASSUMED_RATE,
    BINS,
    HOP,
    N_FFT,
    TINY32,
    chroma_filters,
    contrast_bands,
    dct,
    decibel,
    hann,
    mel_blocks,
    strides_of_frames,
)
from music_reclass.extractors.fma_tuning import Tuning

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK = 64  # frames at a time: a block and its spectrum stay in a core's cache
_KEPT = 8192  # frames (95 s) whose magnitudes are kept for chroma_stft; those beyond are transformed twice
_HERTZ = ASSUMED_RATE / N_FFT


def spectral_frames(samples: NDArray[np.float32]) -> tuple[dict[str, NDArray[Any]], float]:
    """Frame values (T, k) of seven families, T = 1 + n // 512, and the tuning for the constant-Q transform."""
    frames = strides_of_frames(np.pad(samples, N_FFT // 2, mode="reflect"), N_FFT, HOP)
    count = len(frames)
    kept = np.empty((min(count, _KEPT), BINS), np.float32)
    spare = np.empty((_BLOCK, BINS), np.float32)
    energy, rolloff = np.empty(count), np.empty(count, np.int64)
    moments = np.empty((count, 3))
    mel = np.empty((count, 128), np.float32)
    peak, valley = np.empty((count, 7)), np.empty((count, 7))
    tuning = Tuning()
    weights = np.vander(np.arange(BINS, dtype=np.float64), 3, increasing=True)  # sums of 1, k, k^2
    for start in range(0, count, _BLOCK):
        at = slice(start, min(start + _BLOCK, count))
        block = kept[at] if at.stop <= len(kept) else spare[: at.stop - start]
        magnitude = _magnitudes(frames[at])
        block[:] = magnitude
        power = block * block
        energy[at] = power.sum(axis=1)
        moments[at] = magnitude @ weights
        rolloff[at] = _rolloff(block)
        for part in mel_blocks():
            mel[at, part.first_mel : part.first_mel + 16] = power[:, part.low : part.high] @ part.weights
        _extremes(block, peak[at], valley[at])
        tuning.add(block)
    total = np.where(moments[:, 0] < TINY32, 1.0, moments[:, 0])
    centroid = moments[:, 1] / total
    variance = moments[:, 2] / total - centroid * centroid
    return {
        "rmse": np.sqrt(energy / BINS)[:, None],
        "spectral_centroid": (centroid * _HERTZ)[:, None],
        "spectral_bandwidth": (np.sqrt(np.maximum(variance, 0.0)) * _HERTZ)[:, None],
        "spectral_rolloff": (rolloff * _HERTZ)[:, None],
        "spectral_contrast": decibel(peak) - decibel(valley),
        "mfcc": decibel(mel).astype(np.float64) @ dct(),
        "chroma_stft": _chroma(frames, kept, tuning.power()),
    }, tuning.magnitude()


def _magnitudes(frames: NDArray[np.float32]) -> NDArray[np.float64]:
    """|FFT| in double precision: the valleys of spectral_contrast lie below the noise of a single-precision FFT."""
    import scipy.fft

    spectrum = scipy.fft.rfft(frames * hann(N_FFT), axis=1, overwrite_x=True)
    magnitude: NDArray[np.float64] = np.abs(spectrum)
    return magnitude


def _rolloff(block: NDArray[np.float32]) -> NDArray[np.int64]:
    """The lowest bin at which the running sum reaches 85 % of the frame's total."""
    running = np.cumsum(block, axis=1)
    reached = running >= np.float32(0.85) * running[:, -1:]
    first: NDArray[np.int64] = reached.argmax(axis=1)
    return first


def _extremes(block: NDArray[np.float32], peak: NDArray[np.float64], valley: NDArray[np.float64]) -> None:
    """Mean of each contrast band's strongest and weakest bins, into `peak` and `valley` (frames, 7)."""
    for i, band in enumerate(contrast_bands()):
        part, q = block[:, band.low : band.high], band.quantile
        if q == 1:
            part.min(axis=1, out=valley[:, i])
            part.max(axis=1, out=peak[:, i])
        else:
            ranked = np.sort(part, axis=1)
            valley[:, i] = ranked[:, :q].mean(axis=1)
            peak[:, i] = ranked[:, -q:].mean(axis=1)


def _chroma(frames: NDArray[np.float32], kept: NDArray[np.float32], tuning: float) -> NDArray[np.float32]:
    """Power folded onto twelve pitch classes, each frame divided by its maximum, shape (T, 12)."""
    filters = chroma_filters(tuning)
    chroma = np.empty((len(frames), 12), np.float32)
    for start in range(0, len(frames), _BLOCK):
        stop = min(start + _BLOCK, len(frames))
        block = kept[start:stop] if stop <= len(kept) else _magnitudes(frames[start:stop]).astype(np.float32)
        chroma[start:stop] = (block * block) @ filters
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
