"""What half a minute of sound costs each network on the processor: CPU seconds, memory, and what bfloat16 changes.

    python benchmarks/networks.py

Random weights in the exact architectures (values do not change the work), one thread, windows as `features` cuts them;
the best of three. Memory is the most that torch's allocator holds for one window beyond the weights.
"""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path

import numpy as np
from neural import install_random, most_held, timed

NAMES = ("mert", "mert-330m", "jmla")


def installed(folder: Path, names: tuple[str, ...] = NAMES) -> None:
    """Random weights in these architectures, installed."""
    for name in names:
        install_random(folder, name)


def measured(name: str, precision: str) -> tuple[np.ndarray, float, float]:
    """The vector of half a minute, its seconds, and the megabytes of one window."""
    from music_reclass.extractors.audio.synthesis import song
    from music_reclass.extractors.device import Placement
    from music_reclass.extractors.pipeline import network_extractor

    extractor = network_extractor(name, "mid30", Placement("cpu", "", precision))
    sound = song(seed=0, seconds=30, rate=extractor.rate).mean(axis=1)
    cut = extractor.windows(sound)
    list(extractor.network.map(cut[:1]))  # the weights are loaded before the clock starts
    best = float("inf")
    for _ in range(3):
        spent, _ = timed(functools.partial(list, extractor.network.map(cut)))
        best = min(best, spent)
    rows = list(extractor.network.map(cut))
    held = most_held(functools.partial(list, extractor.network.map(cut[:1])))
    return extractor.pool(np.stack(rows)), best, held


def main() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RECLASS_MODELS"] = str(Path(folder) / "models")
        for name in NAMES:
            install_random(Path(folder), name)
            (long, slow, large), (short, quick, small) = (measured(name, own) for own in ("fp32", "bf16"))
            cosine = float(long @ short / np.linalg.norm(long) / np.linalg.norm(short))
            print(
                f"{name:<10} float32 {slow:5.1f} s, {large:4.0f} MB a window   "
                f"bfloat16 {quick:5.1f} s, {small:4.0f} MB   cosine {cosine:.5f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
