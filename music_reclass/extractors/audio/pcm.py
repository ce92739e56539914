"""Decoded samples: int16 per channel first, then the mean of the channels, as the published features expect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.errors import FailTrack

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SLAB = 1 << 23  # samples; 32 MB, from where on the C library gives memory straight back to the system
# Headers are hostile until proven sane: beyond these, a buffer of "30 seconds" could be of any size.
_RATES = range(1000, 1_536_001)
_CHANNELS = range(1, 65)


@dataclass(frozen=True, slots=True)
class Decoded:
    """The middle of a file at the file's sample rate, mono float32 in parts, and what was wrong with the file."""

    parts: list[NDArray[np.float32]]  # of at most _SLAB samples
    rate: int
    channels: int
    start: int  # frame at which the first part begins
    total: int  # frames of the whole file, announced or counted
    short: bool = False  # fewer frames came than were announced
    damaged: bool = False  # the decoder complained on the way

    @property
    def frames(self) -> int:
        """How many frames the parts hold."""
        return sum(len(part) for part in self.parts)


class Slabs:
    """Mono samples put one behind the other in large arrays: the memory of many small arrays is never given back."""

    def __init__(self) -> None:
        self.parts: list[NDArray[np.float32]] = []
        self._slab = np.empty(0, np.float32)
        self._used = 0

    def append(self, samples: NDArray[np.float32]) -> None:
        """Copy `samples` behind what is there."""
        while len(samples):
            if self._used == len(self._slab):
                self.close()
                self._slab = np.empty(_SLAB, np.float32)
            taken = min(len(samples), len(self._slab) - self._used)
            self._slab[self._used : self._used + taken] = samples[:taken]
            self._used += taken
            samples = samples[taken:]

    def close(self) -> list[NDArray[np.float32]]:
        """All parts; the last one is cut to what is in it."""
        if self._used:
            self.parts.append(self._slab[: self._used])
            self._slab, self._used = np.empty(0, np.float32), 0
        return self.parts


def check_format(rate: int, channels: int) -> None:
    """FailTrack where a header claims a rate or a number of channels that no recording has."""
    if rate not in _RATES or channels not in _CHANNELS:
        raise FailTrack("decode", f"the file claims {rate} Hz and {channels} channels")


def middle(total: int, rate: int, seconds: float, place: float = 0.5) -> tuple[int, int]:
    """First frame and number of frames of `seconds` out of `total` frames; all where there are no more.

    `place` is the share of the rest that lies before them: the middle is at 0.5.
    """
    wanted = min(total, round(seconds * rate))
    return int((total - wanted) * place), wanted


def int16(samples: NDArray[Any]) -> NDArray[np.int16]:
    """Samples of any PCM type as int16: integers lose their low bits, floats are rounded and clipped."""
    return int16_steps(samples).astype(np.int16, copy=False)


def int16_steps(samples: NDArray[Any]) -> NDArray[Any]:
    """The numbers that `int16` gives, in a type that comes cheap: those of floats stay floats."""
    if samples.dtype == np.int16:
        return samples
    steps: NDArray[Any]
    if samples.dtype == np.uint8:
        steps = (samples.astype(np.int16) - 128) * np.int16(256)
    elif samples.dtype == np.int32:
        steps = samples >> 16
    else:
        steps = np.clip(samples, -1, 32767 / 32768)
        steps *= 32768
        np.rint(steps, out=steps)
        if np.isnan(steps.sum()):
            steps = np.nan_to_num(steps)
    return steps


def mono(channels_first: NDArray[Any]) -> NDArray[np.float32]:
    """The mean of channels of PCM (channels, n), each as int16, as float32 in [-1, 1), exact for up to 256 channels."""
    # converted where it lies, as single channels of interleaved samples would be at a third of the speed
    steps = int16_steps(channels_first).astype(np.float32, copy=False)
    total: NDArray[np.float32] = steps[0] + (steps[1] if len(steps) > 1 else np.float32(0))
    for channel in steps[2:]:
        total += channel
    total *= np.float32(1 / (32768 * len(steps)))
    return total


PEAKS = 500  # equal parts of an excerpt, of which its outline is drawn


def peaks(samples: NDArray[np.float32]) -> bytes:
    """Lowest and highest of mono float32 samples, shape (n,), in each of PEAKS equal parts: 2 * PEAKS signed bytes."""
    if not len(samples):
        return bytes(2 * PEAKS)
    edges = np.linspace(0, len(samples), PEAKS, endpoint=False).astype(np.int64)
    pairs = np.stack([np.minimum.reduceat(samples, edges), np.maximum.reduceat(samples, edges)], axis=1)
    return bytes((np.clip(pairs, -1.0, 1.0) * 127).astype(np.int8).tobytes())
