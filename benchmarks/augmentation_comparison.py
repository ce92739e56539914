"""audiomentations against our own versions of a recording: processor time for a clip of 30 s, taken in turns.

pip install audiomentations fast-mp3-augment
python benchmarks/augmentation_comparison.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from music_reclass.training import augment as augmentation

Samples = NDArray[np.float32]

RATE, SECONDS, ROUNDS = 44100, 30, 7


def clip() -> Samples:
    """Three tones that come and go, over noise: 30 s, mono."""
    generator = np.random.default_rng(0)
    times = np.arange(RATE * SECONDS) / RATE
    tones = sum(
        np.sin(2 * np.pi * pitch * times) * (1 + np.sin(times * beat)) for pitch, beat in ((220, 3), (277, 5), (660, 7))
    )
    return np.asarray(0.1 * tones + 0.02 * generator.standard_normal(len(times)), dtype=np.float32)


def theirs() -> dict[str, Callable[..., Samples]]:
    """Their transform nearest to each of ours, with the same range."""
    import audiomentations as made

    return {
        "stretch": made.TimeStretch(0.9, 1.1, leave_length_unchanged=False, p=1.0),
        "stretch (librosa)": made.TimeStretch(
            0.9, 1.1, leave_length_unchanged=False, method="librosa_phase_vocoder", p=1.0
        ),
        "pitch": made.PitchShift(-2, 2, p=1.0),
        "pitch (librosa)": made.PitchShift(-2, 2, method="librosa_phase_vocoder", p=1.0),
        "noise": made.AddGaussianSNR(20.0, 35.0, p=1.0),
        "gain": made.Gain(-12.0, -3.0, p=1.0),
        "lowpass": made.LowPassFilter(8000, 11025, p=1.0),
        "mp3": made.Mp3Compression(64, 64, p=1.0),
    }


def turns(samples: Samples) -> Iterator[tuple[str, float, float]]:
    """Name, their seconds, ours: medians of processor time (their MP3 works in threads; those count)."""
    for name, transform in theirs().items():
        own = augmentation.AUGMENTATIONS[name.split(" ")[0]]
        seconds: dict[str, list[float]] = {"theirs": [], "ours": []}
        for number in range(ROUNDS):
            for whose in ("theirs", "ours"):
                started = time.process_time()
                if whose == "theirs":
                    transform(samples=samples, sample_rate=RATE)
                else:
                    own(samples, RATE, np.random.default_rng(number))
                seconds[whose].append(time.process_time() - started)
        yield name, statistics.median(seconds["theirs"][1:]), statistics.median(seconds["ours"][1:])


def main() -> None:
    """One line a version."""
    for name, other, own in turns(clip()):
        print(f"{name:18} audiomentations {other:6.3f} s, ours {own:6.3f} s, ratio {other / own:5.2f}", flush=True)


if __name__ == "__main__":
    main()
