"""Short-time power spectra and mel filters as torch, torchaudio and librosa define them for neural front ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK = 1024  # frames transformed at once: they stay in the cache


def power_frames(samples: NDArray[np.float32], window: NDArray[Any], hop: int) -> NDArray[np.float32]:
    """|FFT|^2 of centred frames, the edges reflected: (..., n) samples give (..., 1 + n // hop, bins).

    Needs more samples than half a window. The scaling is torch.stft's and librosa's: none. Transformed in float64,
    as float32 blurs what is 60 dB below the loudest bin of its frame.
    """
    from scipy import fft

    size = len(window)
    edges = [(0, 0)] * (samples.ndim - 1) + [(size // 2, size // 2)]
    padded = np.pad(samples, edges, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, size, axis=-1)[..., ::hop, :]
    window = window.astype(np.float64)
    power = np.empty((*frames.shape[:-1], size // 2 + 1), dtype=np.float32)
    for first in range(0, frames.shape[-2], _BLOCK):
        spectrum = fft.rfft(frames[..., first : first + _BLOCK, :] * window, axis=-1)
        power[..., first : first + _BLOCK, :] = spectrum.real**2 + spectrum.imag**2
    return power


def slaney_mel(rate: int, size: int, mels: int, low: float, high: float) -> NDArray[np.float32]:
    """Triangular filters on Slaney's mel scale, each of area one: shape (bins, mels). As librosa.filters.mel."""
    edges = _hertz(np.linspace(_mel(low), _mel(high), mels + 2))
    ramps = edges[:, None] - np.linspace(0.0, rate / 2, size // 2 + 1)
    widths = np.diff(edges)[:, None]
    weights = np.maximum(0.0, np.minimum(-ramps[:-2] / widths[:-1], ramps[2:] / widths[1:]))
    weights *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return np.ascontiguousarray(weights.T, dtype=np.float32)


# Slaney's scale is linear below 1 kHz (200/3 Hz a mel) and logarithmic above (27 mels for a factor of 6.4).
def _mel(hertz: float) -> float:
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * float(np.log(hertz / 1000)) / float(np.log(6.4))


def _hertz(mel: NDArray[Any]) -> NDArray[Any]:
    above: NDArray[Any] = 1000 * np.exp(np.log(6.4) / 27 * (mel - 15))
    return np.where(mel >= 15, above, mel * 200 / 3)


def hann(size: int) -> NDArray[np.float32]:
    """The periodic Hann window, shape (size,)."""
    window: NDArray[Any] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    return window.astype(np.float32)
