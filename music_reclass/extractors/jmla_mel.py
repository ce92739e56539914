"""OpenJMLA's log-mel picture of 29.92 seconds, (80, 2992), as its authors' wav_to_mel.py and transforms.py make it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from music_reclass.extractors.frames import hann, power_frames, slaney_mel
from music_reclass.extractors.windows import circular

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = 16000
SIZE = 400  # samples of a frame, 25 ms
HOP = 160
MELS = 80
FRAMES = 2992
SAMPLES = FRAMES * HOP  # 29.92 s
_EPSILON = np.float32(1.1920929e-07)  # float32's own
_MEAN, _SPREAD = np.float32(-4.5), np.float32(4.5)


@lru_cache(maxsize=1)
def _filters() -> NDArray[np.float32]:
    return slaney_mel(RATE, SIZE, MELS, 50.0, 8000.0)


def log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Natural log of the mel power, (80, 1 + n // 160), of mono float32 at 16 kHz; fewer than 400 samples repeat."""
    if len(samples) < SIZE:
        samples = circular(samples, SIZE)
    mel = power_frames(samples, hann(SIZE), HOP) @ _filters()
    return np.ascontiguousarray(np.log(mel + _EPSILON).T)


def picture(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The normalised log-mel, (80, 2992): cut after 29.92 s, or repeated in a circle around the middle if shorter."""
    return fitted((log_mel(samples) - _MEAN) / _SPREAD)


def fitted(mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """(80, n) with exactly 2992 frames."""
    missing = FRAMES - mel.shape[1]
    if missing <= 0:
        return np.ascontiguousarray(mel[:, :FRAMES])
    return circular(np.roll(mel, missing // 2 % mel.shape[1], axis=1), FRAMES)
