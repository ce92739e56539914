"""The Audio Spectrogram Transformer's picture of ten seconds, (1024, 128): Kaldi's mel filter bank, in NumPy.

The model's own front end takes torchaudio where it is installed, and a torchaudio that does not fit torch breaks it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = 16000
FRAME, HOP, FFT = 400, 160, 512  # samples: 25 ms every 10 ms
MELS = 128
FRAMES = 1024
SAMPLES = 10 * RATE  # the length of AudioSet's clips, 998 frames; the rest of a picture was empty in training too
_LOW, _HIGH = 20.0, RATE / 2
_EMPHASIS = 0.97
_FLOOR = 1.1920929e-07  # float32's epsilon
_MEAN, _SPREAD = np.float32(-4.2677393), np.float32(2 * 4.5689974)  # of AudioSet's pictures


def picture(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The normalised log-mel picture, (1024, 128), of at least 400 samples at 16 kHz; cut or filled with zeros."""
    filled = np.zeros((FRAMES, MELS), dtype=np.float32)
    mel = log_mel(samples)[:FRAMES]
    filled[: len(mel)] = mel
    normalised: NDArray[np.float32] = (filled - _MEAN) / _SPREAD
    return normalised


def log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Natural log of the mel power, (1 + (n - 400) // 160, 128), of n >= 400 samples."""
    from scipy import fft

    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), FRAME)[::HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    spectrum = fft.rfft((frames - _EMPHASIS * before) * np.hanning(FRAME), n=FFT, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    return np.asarray(np.log(np.maximum(power @ _filters(), _FLOOR)), dtype=np.float32)


@lru_cache(maxsize=1)
def _filters() -> NDArray[np.float64]:
    """Triangles of height one on Kaldi's mel scale, equally wide in mel, (257, 128); the last bin is in none."""
    edges = np.linspace(_mel(_LOW), _mel(_HIGH), MELS + 2)
    bins = _mel(np.arange(FFT // 2 + 1) * RATE / FFT)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)), dtype=np.float64)


def _mel(hertz: Any) -> Any:
    return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)
