"""Five deterministic signals at 44.1 kHz, mono float32 in int16 steps: the inputs of the synthetic golden vectors."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

RATE = 44100


@lru_cache(maxsize=1)
def signals() -> dict[str, NDArray[np.float32]]:
    """Signals by name; legacy RandomState and the order of its draws are part of the definition."""
    random = np.random.RandomState(20170101)
    time = np.arange(10 * RATE) / RATE
    chirp = 0.5 * np.sin(2 * np.pi * (60 * time + (6000 - 60) / (2 * 10) * time**2))
    chord = sum(
        0.12 * np.sin(2 * np.pi * f * time) * np.exp(-(time % 1.0) * 3) for f in (220.0, 277.18, 329.63, 440.0, 659.26)
    )
    noise = 0.1 * random.randn(len(time))
    drums = np.zeros(len(time))
    for beat in range(20):
        start, length = int(beat * 0.5 * RATE), RATE // 5
        hit = random.randn(len(drums[start : start + length]))
        drums[start : start + length] += hit * np.exp(-np.arange(len(hit)) / (0.02 * RATE)) * 0.4
    made = {
        "chirp": chirp,
        "chord": chord,
        "noise": noise,
        "mix": 0.6 * chord + 0.5 * drums + 0.05 * noise,
        "short": chord[: RATE // 2],
    }
    return {name: _in_steps(signal) for name, signal in made.items()}


def _in_steps(signal: NDArray[np.float64]) -> NDArray[np.float32]:
    return (np.clip(np.round(signal * 32768), -32768, 32767) / 32768).astype(np.float32)
