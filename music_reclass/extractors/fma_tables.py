"""The constant tables behind the 518 FMA features: windows, filter banks and bands, as librosa 0.5.0 made them."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

RATE = 44100
N_FFT = 2048
HOP = 512
BINS = N_FFT // 2 + 1
# features.py of mdeff/fma forgets `sr=` in its spectral_* and chroma_stft calls, so librosa took its default rate
# and the published numbers are on that axis. It is kept: correct frequencies would be other features.
ASSUMED_RATE = 22050
TINY32 = np.finfo(np.float32).tiny
TINY64 = np.finfo(np.float64).tiny


class MelBlock(NamedTuple):
    """Sixteen neighbouring mel filters and the narrow range of FFT bins in which they are not zero."""

    first_mel: int
    low: int
    high: int
    weights: NDArray[np.float32]  # (high - low, 16)


class Band(NamedTuple):
    """One spectral-contrast band: bins [low, high) and how many of them count as its peak and its valley."""

    low: int
    high: int
    quantile: int


def hann(n: int) -> NDArray[np.float64]:
    """The periodic Hann window, shape (n,)."""
    window: NDArray[np.float64] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    return window


@lru_cache(maxsize=1)
def mel_edges() -> NDArray[np.float64]:
    """The lower ends, centres and upper ends of the 128 Slaney mel bands from 0 to 22,050 Hz, shape (130,), in Hz."""
    mel = np.linspace(0.0, 15.0 + np.log(RATE / 2 / 1000.0) / (np.log(6.4) / 27.0), 128 + 2)
    edges: NDArray[np.float64] = np.where(
        mel >= 15.0, 1000.0 * np.exp((np.log(6.4) / 27.0) * (mel - 15.0)), mel * 200.0 / 3
    )
    return edges


@lru_cache(maxsize=1)
def mel_blocks() -> tuple[MelBlock, ...]:
    """128 Slaney mel filters (area norm, 0 to 22,050 Hz) as eight narrow blocks: an eighth of the dense product."""
    edges = mel_edges()
    ramps = edges[:, None] - np.linspace(0, RATE / 2, BINS)[None]
    widths = np.diff(edges)[:, None]
    weights = np.maximum(0, np.minimum(-ramps[:-2] / widths[:-1], ramps[2:] / widths[1:]))
    weights *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    blocks = []
    for first in range(0, len(weights), 16):
        used = np.flatnonzero(weights[first : first + 16].any(axis=0))
        low, high = int(used[0]), int(used[-1]) + 1
        part = weights[first : first + 16, low:high].T
        blocks.append(MelBlock(first, low, high, np.ascontiguousarray(part, dtype=np.float32)))
    return tuple(blocks)


@lru_cache(maxsize=1)
def dct() -> NDArray[np.float64]:
    """The first 20 rows of the orthonormal DCT-II of 128 points, transposed: shape (128, 20)."""
    n = 128
    basis = np.cos(np.pi * np.arange(20)[:, None] * (2 * np.arange(n)[None] + 1) / (2.0 * n)) * np.sqrt(2.0 / n)
    basis[0] /= np.sqrt(2.0)
    return np.ascontiguousarray(basis.T)


@lru_cache(maxsize=128)
def chroma_filters(tuning: float) -> NDArray[np.float32]:
    """The chroma filter bank at `tuning` (fractions of a semitone), transposed: shape (1025, 12), C first."""
    frequencies = np.linspace(0, ASSUMED_RATE, N_FFT, endpoint=False)[1:]
    pitch = 12 * np.log2(frequencies / (440.0 * 2.0 ** (tuning / 12) / 16))
    pitch = np.concatenate(([pitch[0] - 18.0], pitch))  # bin 0 is put one and a half octaves below bin 1
    width = np.concatenate((np.maximum(np.diff(pitch), 1.0), [1.0]))[:BINS]
    pitch = pitch[:BINS]
    distance = np.remainder(pitch[None] - np.arange(12.0)[:, None] + 6 + 120, 12) - 6
    weights = np.exp(-0.5 * (2 * distance / width) ** 2)
    weights /= np.sqrt((weights**2).sum(axis=0))
    weights *= np.exp(-0.5 * ((pitch / 12 - 5.0) / 2) ** 2)
    return np.ascontiguousarray(np.roll(weights, -3, axis=0).T, dtype=np.float32)


@lru_cache(maxsize=1)
def contrast_bands() -> tuple[Band, ...]:
    """The seven octave bands of spectral contrast: edges 0, 200, 400 ... 12,800 Hz on the assumed axis."""
    frequencies = np.linspace(0, ASSUMED_RATE / 2, BINS)
    edges = np.concatenate(([0.0], 200.0 * 2.0 ** np.arange(7)))
    bands = []
    for k in range(7):
        inside = np.flatnonzero((frequencies >= edges[k]) & (frequencies <= edges[k + 1]))
        low = int(inside[0]) - (k > 0)
        high = BINS if k == 6 else int(inside[-1]) + 1
        quantile = int(max(np.rint(0.02 * (high - low)), 1))
        bands.append(Band(low, high - (k < 6), quantile))  # the quantile is counted before the last bin goes
    return tuple(bands)


@lru_cache(maxsize=1)
def tonnetz_axes() -> NDArray[np.float64]:
    """The six axes of fifths, minor and major thirds, transposed: shape (12, 6)."""
    steps = np.multiply.outer(np.array([7 / 6, 7 / 6, 3 / 2, 3 / 2, 2 / 3, 2 / 3]), np.arange(12.0))
    steps[::2] -= 0.5
    radii = np.array([1, 1, 1, 1, 0.5, 0.5])[:, None]
    return np.ascontiguousarray((radii * np.cos(np.pi * steps)).T)


def decibel(power: NDArray[Any]) -> NDArray[Any]:
    """10 log10 in place, floored at 1e-10 and at 80 dB below the highest value of the whole array."""
    np.maximum(power, 1e-10, out=power)
    np.log10(power, out=power)
    power *= 10
    np.maximum(power, power.max() - 80, out=power)
    return power


def frame_blocks(
    samples: NDArray[np.float32], length: int, hop: int, size: int, *, first: int = 0
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Centred frames of a signal whose ends are reflected, `size` at a time: (which frames, views (frames, length)).

    There are 1 + n // hop frames; they begin with frame `first`. Only blocks at the ends are copied, so that an hour
    of sound is not held twice.
    """
    half, n = length // 2, len(samples)
    count = 1 + n // hop
    padded = np.pad(samples, half, mode="reflect") if n <= 2 * length else None  # short ends reflect repeatedly
    for start in range(first, count, size):
        stop = min(start + size, count)
        low, high = start * hop - half, (stop - 1) * hop + half
        if padded is not None:
            piece = padded[low + half : high + half]
        elif low < 0 or high > n:
            left = samples[1 : 1 - low][::-1] if low < 0 else samples[:0]
            right = samples[2 * n - 1 - high : n - 1][::-1] if high > n else samples[:0]
            piece = np.concatenate([left, samples[max(low, 0) : min(high, n)], right])
        else:
            piece = samples[low:high]
        yield slice(start, stop), np.lib.stride_tricks.sliding_window_view(piece, length)[::hop]
