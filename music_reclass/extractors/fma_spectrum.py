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
_WINDOW = hann(N_FFT)


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
        """Take the peaks of magnitudes (frames, 1025 or more) above a tenth of their frame's maximum."""
        loudest = block.max(axis=1)
        centre = block[:, _LOW:_HIGH]
        peak = centre > block[:, _LOW - 1 : _HIGH - 1]
        peak &= centre >= block[:, _LOW + 1 : _HIGH + 1]
        peak &= centre > (np.float32(0.1) * loudest)[:, None]
        place = np.flatnonzero(peak)
        frame = place // (_HIGH - _LOW)  # quicker than divmod, and than nonzero of two dimensions
        column = place - frame * (_HIGH - _LOW) + _LOW
        flat, at = block.reshape(-1), frame * block.shape[1] + column
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
    pitch = 12 * np.log2(frequency / np.float32(27.5))
    residual = pitch - np.floor(pitch)
    residual[residual >= 0.5] -= 1
    height = here + np.float32(0.5) * slope * shift
    residual = residual[height >= np.median(height)]
    places = np.floor((residual + np.float64(0.5)) * 100).astype(np.int64)  # by their edges in case of rounding
    places -= residual < _EDGES[places]
    places += residual >= _EDGES[np.minimum(places + 1, len(_EDGES) - 1)]
    counts = np.bincount(places, minlength=len(_EDGES))[: len(_EDGES) - 1]
    return round(float(_EDGES[int(np.argmax(counts))]), 2)


_BLOCK = 128  # frames whose magnitudes are worked on at a time: they about fill a core's cache
_TRANSFORMED = 32  # frames transformed at a time, in double precision
_KEPT = 8192  # frames (95 s) whose power is kept for chroma_stft; those beyond are transformed twice
_HERTZ = ASSUMED_RATE / N_FFT
_SUM = 32  # neighbouring bins that are summed at once
_PADDED = -(-BINS // _SUM) * _SUM  # bins of a row in memory: zeros behind the 1025 make whole groups
_TIE = 4e-6  # share of a frame's total within which the order of summation decides about the roll-off
_WITHIN = np.arange(_SUM) - (_SUM - 1) / 2  # places in a group of bins, from its middle
_POWERS = np.stack([_WITHIN**0, _WITHIN, _WITHIN**2], axis=1).astype(np.float32)
_MIDDLES = np.arange(0, _PADDED, _SUM) + (_SUM - 1) / 2


def spectral_frames(samples: NDArray[np.float32]) -> tuple[dict[str, NDArray[Any]], float]:
    """Frame values (T, k) of seven families, T = 1 + n // 512, and the tuning for the constant-Q transform."""
    count = 1 + len(samples) // HOP
    kept = np.empty((min(count, _KEPT), _PADDED), np.float32)
    spare = np.empty((_BLOCK, _PADDED), np.float32)
    kept[:, BINS:] = spare[:, BINS:] = 0.0
    energy, rolloff = np.empty(count, np.float32), np.empty(count, np.int64)
    centroid, bandwidth = np.empty(count), np.empty(count)  # in bins
    mel = np.empty((count, 128), np.float32)
    peak, valley = np.empty((count, 7), np.float32), np.empty((count, 7), np.float32)
    tuning = Tuning()
    for at, frames in frame_blocks(samples, N_FFT, HOP, _BLOCK):
        power = kept[at] if at.stop <= len(kept) else spare[: len(frames)]
        _power(frames, power)
        power.sum(axis=1, out=energy[at])
        for part in mel_blocks():
            target = mel[at, part.first_mel : part.first_mel + 16]
            np.matmul(power[:, part.low : part.high], part.weights, out=target)
        block = np.sqrt(power)
        sums = _sums(block)
        centroid[at], bandwidth[at] = _moments(sums)
        rolloff[at] = _rolloff(block, sums[0])
        _extremes(block, peak[at], valley[at])
        tuning.add(block)
    return {
        "rmse": np.sqrt(energy / BINS)[:, None],
        "spectral_centroid": (centroid * _HERTZ)[:, None],
        "spectral_bandwidth": (bandwidth * _HERTZ)[:, None],
        "spectral_rolloff": (rolloff * _HERTZ)[:, None],
        "spectral_contrast": decibel(peak.astype(np.float64)) - decibel(valley.astype(np.float64)),
        "mfcc": _cepstrum(decibel(mel)),
        "chroma_stft": _chroma(samples, kept, tuning.power()),
    }, tuning.magnitude()


def _power(frames: NDArray[np.float32], power: NDArray[np.float32]) -> None:
    """|FFT|^2 of frames (n, 2048) into the first 1025 columns of `power` (n, _PADDED), transformed in double precision:
    the valleys of spectral_contrast lie below the noise of a single-precision FFT."""
    windowed = np.empty((_TRANSFORMED, N_FFT))
    for start in range(0, len(frames), _TRANSFORMED):
        part = windowed[: len(frames) - start]
        np.multiply(frames[start : start + _TRANSFORMED], _WINDOW, out=part)
        parts = np.fft.rfft(part, axis=1).view(np.float64)  # real and imaginary parts in turn
        parts *= parts
        power[start : start + _TRANSFORMED, :BINS] = parts[:, ::2] + parts[:, 1::2]


def _sums(block: NDArray[np.float32]) -> NDArray[np.float64]:
    """Of magnitudes (n, _PADDED), for each 32 bins: their sum, times the place in the group, and times its square;
    shape (3, n, groups)."""
    sums = (block.reshape(-1, _SUM) @ _POWERS).reshape(len(block), -1, 3)
    return np.ascontiguousarray(sums.transpose(2, 0, 1), dtype=np.float64)


def _moments(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of the bin number, weighted with magnitudes: shape (n,) each.

    Taken about the middle of each group, so that a pure tone's small deviation is no difference of large numbers.
    """
    total = sums[0].sum(axis=1)
    total[total < TINY32] = 1.0
    mean = (sums[0] @ _MIDDLES + sums[1].sum(axis=1)) / total
    away = _MIDDLES - mean[:, None]
    squares = away * sums[0]
    squares += 2 * sums[1]
    squares *= away
    squares += sums[2]
    return mean, np.sqrt(np.maximum(squares.sum(axis=1) / total, 0.0))


def _rolloff(block: NDArray[np.float32], sums: NDArray[np.float64]) -> NDArray[np.int64]:
    """The lowest bin at which the running sum of magnitudes (frames, _PADDED) reaches 85 % of the frame's total.

    The `sums` (frames, groups) of 32 bins each find the group, a running sum inside it the bin. librosa adds up bin
    after bin in float32; where its rounding could decide otherwise, the frame is summed in that very way.
    """
    sums = sums.cumsum(axis=1)
    total = sums[:, -1]
    threshold = 0.85 * total
    stretch = (sums >= threshold[:, None]).argmax(axis=1)
    rows = np.arange(len(block))
    running = np.empty((len(block), _SUM + 1))
    running[:, 0] = np.where(stretch > 0, sums[rows, stretch - 1], 0.0)
    running[:, 1:] = block[rows[:, None], stretch[:, None] * _SUM + np.arange(_SUM)]
    running.cumsum(axis=1, out=running)
    running -= threshold[:, None]
    above = running[:, 1:] >= 0
    above[:, -1] = True
    first: NDArray[np.int64] = stretch * _SUM + above.argmax(axis=1)
    tied = (np.abs(running) <= (_TIE * total)[:, None]).any(axis=1)
    if tied.any():
        exact = np.cumsum(block[tied, :BINS], axis=1)
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
            ranked = part.copy()
            ranked.sort(axis=1)
            valley[:, i] = ranked[:, :q].sum(axis=1) / np.float32(q)
            peak[:, i] = ranked[:, -q:].sum(axis=1) / np.float32(q)


def _chroma(samples: NDArray[np.float32], kept: NDArray[np.float32], tuning: float) -> NDArray[np.float32]:
    """Power folded onto twelve pitch classes, each frame divided by its maximum, shape (T, 12)."""
    filters = chroma_filters(tuning)
    chroma = np.empty((1 + len(samples) // HOP, 12), np.float32)
    for start in range(0, len(kept), _BLOCK):
        block = kept[start : start + _BLOCK]
        np.matmul(block[:, :BINS], filters, out=chroma[start : start + len(block)])
    spare = np.empty((_BLOCK, _PADDED), np.float32)
    for at, frames in frame_blocks(samples, N_FFT, HOP, _BLOCK, first=len(kept)):
        _power(frames, spare[: len(frames)])
        np.matmul(spare[: len(frames), :BINS], filters, out=chroma[at])
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
