"""Constant-Q features of fma518: 84-bin magnitudes as in librosa 0.5.0, chroma_cqt, chroma_cens and tonnetz."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.extractors.fma_tables import HOP, RATE, TINY32, TINY64, frame_blocks, hann, tonnetz_axes

if TYPE_CHECKING:
    from numpy.typing import NDArray

OCTAVES, PER_OCTAVE = 7, 12
C1 = 440.0 * 2.0 ** ((24 - 69) / 12)
_ROWS = 32  # outputs of the decimator per matrix row
_CHUNK = 512  # frames, or decimator rows, worked on at a time: bounds memory and stays in cache


def cqt_magnitude(samples: NDArray[np.float32], tuning: float) -> NDArray[np.float32]:
    """Magnitudes (frames, 84), C1 upwards, of mono float32 at 44.1 kHz; `tuning` in semitones."""
    kernel, root_lengths = _kernel(tuning)
    signal, hop = decimate(samples, np.sqrt(2.0)), HOP // 2  # librosa's early decimation; always one step at 44.1 kHz
    octaves = []
    for octave in range(OCTAVES):
        if octave:
            # the resampler's own sqrt(2), and another that librosa 0.5.0 applies to keep the levels of octaves
            signal, hop = decimate(signal, 2.0), hop // 2
        octaves.append(_octave(signal, kernel, hop))
    frames = min(len(part) for part in octaves)
    result = np.concatenate([part[:frames] for part in reversed(octaves)], axis=1)
    result /= root_lengths
    return result


def _octave(signal: NDArray[np.float32], kernel: NDArray[np.float32], hop: int) -> NDArray[np.float32]:
    result = np.empty((1 + len(signal) // hop, PER_OCTAVE), np.float32)
    for at, frames in frame_blocks(signal, kernel.shape[0], hop, _CHUNK):
        response = np.ascontiguousarray(frames) @ kernel
        response *= response
        np.sqrt(response[:, :PER_OCTAVE] + response[:, PER_OCTAVE:], out=result[at])
    return result


@lru_cache(maxsize=128)
def _kernel(tuning: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Real and imaginary parts of the top octave's filters (n_fft, 24), and the root of all 84 filter lengths.

    librosa filters in the frequency domain after dropping the smallest 1 % of each filter's spectrum. Taking that
    pruned spectrum back to the time domain gives the same numbers from one product with the plain frames.
    """
    rate = RATE / 2
    quality = 1.0 / (2.0 ** (1.0 / PER_OCTAVE) - 1)
    bins = np.arange(OCTAVES * PER_OCTAVE)
    frequencies = C1 * 2.0 ** (tuning / PER_OCTAVE) * 2.0 ** (bins / PER_OCTAVE)
    lengths = quality * rate / frequencies
    top, top_lengths = frequencies[-PER_OCTAVE:], lengths[-PER_OCTAVE:]
    n_fft = int(2 ** np.ceil(np.log2(top_lengths.max())))
    basis = np.zeros((PER_OCTAVE, n_fft), complex)
    for i, (frequency, length) in enumerate(zip(top, top_lengths, strict=True)):
        time = np.arange(length)
        window = np.zeros(len(time))
        window[: int(length)] = hann(int(length))
        tone = np.exp(2j * np.pi * frequency / rate * time) * window
        start = (n_fft - len(tone)) // 2
        basis[i, start : start + len(tone)] = tone / np.abs(tone).sum()
    basis *= top_lengths[:, None] / n_fft
    spectrum = np.fft.fft(basis, axis=1)[:, : n_fft // 2 + 1]
    size = np.abs(spectrum)
    ranked = np.sort(size, axis=1)
    share = np.cumsum(ranked / size.sum(axis=1, keepdims=True), axis=1)
    threshold = ranked[np.arange(PER_OCTAVE), np.argmin(share < 0.01, axis=1)]
    pruned = np.where(size >= threshold[:, None], spectrum, 0)
    turn = np.arange(n_fft // 2 + 1)[:, None] * np.arange(n_fft)[None]
    filters = pruned @ np.exp(2j * np.pi * turn / n_fft)
    stacked = np.concatenate([filters.real, filters.imag]).T
    return np.ascontiguousarray(stacked, dtype=np.float32), np.sqrt(lengths).astype(np.float32)


@lru_cache(maxsize=1)
def _taps() -> tuple[NDArray[np.float64], int]:
    """resampy 0.1.5's `kaiser_fast` sampled for an exact 2:1 decimation, and the index of its centre tap."""
    zeros, precision = 16, 512
    n = zeros * precision
    time = np.linspace(0, zeros, n + 1)
    wing = 0.85 * np.sinc(0.85 * time) * np.kaiser(2 * n + 1, 8.555504641634386)[n:] / 2
    step = precision // 2
    left, right = wing[: (n + 1) // step * step : step], wing[step : (n + 1) // step * step : step]
    return np.concatenate([left[::-1], right]), len(left) - 1


@lru_cache(maxsize=1)
def _decimator() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The taps as a banded matrix for 32 outputs at once, split where a row of 64 inputs ends."""
    taps, _ = _taps()
    width = 2 * _ROWS
    banded = np.zeros((2 * width, _ROWS))
    for j in range(_ROWS):
        banded[2 * j : 2 * j + len(taps), j] = taps
    return np.ascontiguousarray(banded[:width], np.float32), np.ascontiguousarray(banded[width:], np.float32)


def decimate(samples: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """Every second sample after resampy's low-pass, times `scale`; shape (ceil(n / 2),), padded with zero."""
    _, centre = _taps()
    first, second = _decimator()
    n, width = len(samples), 2 * _ROWS
    whole = n // 2
    result = np.zeros(-(-n // 2), np.float32)
    rows = -(-whole // _ROWS)
    for row in range(0, rows, _CHUNK):
        count = min(_CHUNK, rows - row)
        start = row * width - centre
        stop = start + (count + 1) * width
        piece = samples[max(start, 0) : min(stop, n)]
        if start < 0 or stop > n:
            piece = np.pad(piece, (max(-start, 0), max(stop - max(n, start), 0)))
        block = piece.reshape(-1, width)
        out = block[:-1] @ first
        out += block[1:] @ second
        target = result[row * _ROWS : min((row + count) * _ROWS, whole)]
        target[:] = out.reshape(-1)[: len(target)]
    _end_early(samples, result, whole)
    result *= np.float32(scale)
    return result


def _end_early(samples: NDArray[np.float32], result: NDArray[np.float32], whole: int) -> None:
    """Redo the last outputs as resampy 0.1.5 did: it ends the right wing too early by the length of the left one."""
    taps, centre = _taps()
    n, left, right = len(samples), centre + 1, len(taps) - centre - 1
    for t in range(max(0, (n - left - right) // 2 - 1), whole):
        middle = 2 * t
        before = min(middle + 1, left)
        after = min(n - (before - 1) - middle + 1, right)
        if after >= right and before == left:
            continue
        after = max(0, min(after, n - middle - 1))
        window = samples[middle - before + 1 : middle + 1 + after].astype(np.float64)
        result[t] = window @ taps[centre - before + 1 : centre + 1 + after]


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
