"""Spectral front ends: STFT power, mel filter banks, and the log-mel inputs of OpenJMLA, AST and the plots."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.extractors.windows import circular, finite

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


JMLA_RATE = 16000
JMLA_FFT = 400  # samples of a frame, 25 ms
JMLA_HOP = 160
JMLA_MELS = 80
JMLA_FRAMES = 2992
JMLA_SAMPLES = JMLA_FRAMES * JMLA_HOP  # 29.92 s
_EPSILON = np.float32(1.1920929e-07)  # float32's own
_MEAN, _SPREAD = np.float32(-4.5), np.float32(4.5)


@lru_cache(maxsize=1)
def _filters() -> NDArray[np.float32]:
    return slaney_mel(JMLA_RATE, JMLA_FFT, JMLA_MELS, 50.0, 8000.0)


def jmla_log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Natural log of the mel power, (80, 1 + n // 160), of mono float32 at 16 kHz; fewer than 400 samples repeat."""
    if len(samples) < JMLA_FFT:
        samples = circular(samples, JMLA_FFT)
    mel = power_frames(samples, hann(JMLA_FFT), JMLA_HOP) @ _filters()
    return np.ascontiguousarray(np.log(mel + _EPSILON).T)


def jmla_input(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The normalised log-mel, (80, 2992): cut after 29.92 s, or repeated in a circle around the middle if shorter."""
    return jmla_fitted((jmla_log_mel(samples) - _MEAN) / _SPREAD)


def jmla_fitted(mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """(80, n) with exactly 2992 frames."""
    missing = JMLA_FRAMES - mel.shape[1]
    if missing <= 0:
        return np.ascontiguousarray(mel[:, :JMLA_FRAMES])
    return circular(np.roll(mel, missing // 2 % mel.shape[1], axis=1), JMLA_FRAMES)


AST_RATE = 16000
AST_FRAME, AST_HOP, AST_FFT = 400, 160, 512  # samples: 25 ms every 10 ms
AST_MELS = 128
AST_FRAMES = 1024
AST_SAMPLES = (
    10 * AST_RATE
)  # the length of AudioSet's clips, 998 frames; the rest of a picture was empty in training too
_LOW, _HIGH = 20.0, AST_RATE / 2
_EMPHASIS = 0.97
_FLOOR = 1.1920929e-07  # float32's epsilon
_ast_mel_MEAN, _ast_mel_SPREAD = np.float32(-4.2677393), np.float32(2 * 4.5689974)  # of AudioSet's pictures


def ast_input(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The normalised log-mel picture, (1024, 128), of at least 400 samples at 16 kHz; cut or filled with zeros."""
    filled = np.zeros((AST_FRAMES, AST_MELS), dtype=np.float32)
    mel = ast_log_mel(samples)[:AST_FRAMES]
    filled[: len(mel)] = mel
    normalised: NDArray[np.float32] = (filled - _ast_mel_MEAN) / _ast_mel_SPREAD
    return normalised


def ast_log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Natural log of the mel power, (1 + (n - 400) // 160, 128), of n >= 400 samples."""
    from scipy import fft

    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), AST_FRAME)[::AST_HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    spectrum = fft.rfft((frames - _EMPHASIS * before) * np.hanning(AST_FRAME), n=AST_FFT, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    return np.asarray(np.log(np.maximum(power @ _ast_mel_filters(), _FLOOR)), dtype=np.float32)


@lru_cache(maxsize=1)
def _ast_mel_filters() -> NDArray[np.float64]:
    """Triangles of height one on Kaldi's mel scale, equally wide in mel, (257, 128); the last bin is in none."""
    edges = np.linspace(_ast_mel_mel(_LOW), _ast_mel_mel(_HIGH), AST_MELS + 2)
    bins = _ast_mel_mel(np.arange(AST_FFT // 2 + 1) * AST_RATE / AST_FFT)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)), dtype=np.float64)


def _ast_mel_mel(hertz: Any) -> Any:
    return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)


PLOT_FFT = 2048  # samples of a frame
PLOT_HOP = 1024
PLOT_MELS = 128
LOWEST, PLOT_HIGHEST = 40.0, 16000.0  # Hz; above lies little that a picture could show
PLOT_FLOOR = -80.0  # dB
_SILENCE = 1e-10


@dataclass(frozen=True, slots=True)
class Spectrogram:
    """`levels`: (128, frames) in [FLOOR, 0] dB; `hertz`: (128,) the middle of each band; `seconds`: of all frames."""

    levels: NDArray[np.float32]
    hertz: NDArray[np.float64]
    seconds: float

    def row_of(self, hertz: float) -> float:
        """At which row, counted from the bottom, a frequency lies."""
        return float(np.interp(hertz, self.hertz, np.arange(len(self.hertz))))


def plot_spectrogram(samples: NDArray[np.float32], rate: int) -> Spectrogram:
    """The picture of mono float32 `samples`, at least one, at a `rate` of 32 to 48 kHz; silence is all at the floor."""
    samples = finite(samples)
    if len(samples) < PLOT_FFT:
        samples = circular(samples, PLOT_FFT)
    filters = slaney_mel(rate, PLOT_FFT, PLOT_MELS, LOWEST, PLOT_HIGHEST)
    power = power_frames(samples, hann(PLOT_FFT), PLOT_HOP) @ filters
    loudest = max(float(power.max()), _SILENCE)
    levels = 10 * np.log10(np.maximum(power, _SILENCE * loudest) / loudest)
    if loudest <= _SILENCE:
        levels = np.full_like(levels, PLOT_FLOOR)
    hertz = np.arange(PLOT_FFT // 2 + 1) * rate / PLOT_FFT @ filters / filters.sum(axis=0)
    return Spectrogram(
        np.ascontiguousarray(np.clip(levels, PLOT_FLOOR, 0.0).T, dtype=np.float32), hertz, len(samples) / rate
    )
