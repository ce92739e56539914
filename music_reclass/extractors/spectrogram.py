"""A mel spectrogram for the eye: levels in decibels below the loudest place, with the frequency of each band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from music_reclass.extractors.frames import hann, power_frames, slaney_mel
from music_reclass.extractors.windows import circular, finite

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = 2048  # samples of a frame
HOP = 1024
MELS = 128
LOWEST, HIGHEST = 40.0, 16000.0  # Hz; above lies little that a picture could show
FLOOR = -80.0  # dB
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


def spectrogram(samples: NDArray[np.float32], rate: int) -> Spectrogram:
    """The picture of mono float32 `samples`, at least one, at a `rate` of 32 to 48 kHz; silence is all at the floor."""
    samples = finite(samples)
    if len(samples) < SIZE:
        samples = circular(samples, SIZE)
    filters = slaney_mel(rate, SIZE, MELS, LOWEST, HIGHEST)
    power = power_frames(samples, hann(SIZE), HOP) @ filters
    loudest = max(float(power.max()), _SILENCE)
    levels = 10 * np.log10(np.maximum(power, _SILENCE * loudest) / loudest)
    if loudest <= _SILENCE:
        levels = np.full_like(levels, FLOOR)
    hertz = np.arange(SIZE // 2 + 1) * rate / SIZE @ filters / filters.sum(axis=0)
    return Spectrogram(
        np.ascontiguousarray(np.clip(levels, FLOOR, 0.0).T, dtype=np.float32), hertz, len(samples) / rate
    )
