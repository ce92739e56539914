"""What it costs to feed a network, in processor time of one window: reading, sending it to the parent, stacking it.

    python benchmarks/feeding.py

Windows of MERT (5 s at 24 kHz, 0.48 MB) of synthesised music as MP3; the least of ten batches of 32. The parent
receives in a thread beside the network's own; stacking and the copy to page-locked memory (here to plain memory) are
what a card waits for. At the end: from which speed of a card on that share of its time is more than 3 %.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from music_reclass.extractors.audio import load as audio
from music_reclass.extractors.audio.synthesis import encode, song

BATCH = 32
SHAPE = (6, 120_000)  # the windows of half a minute


def least(work: Callable[[], object], per: int) -> float:
    """Microseconds of processor time of one window, the least of ten."""
    best = float("inf")
    for _ in range(10):
        start = time.thread_time()
        work()
        best = min(best, time.thread_time() - start)
    return best / per * 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tune.mp3"
        encode(file, song(seed=1, seconds=60))
        reading = least(lambda: audio.load(file, "mid30", 24_000), SHAPE[0])
    windows = [np.random.default_rng(seed).standard_normal(SHAPE[1]).astype(np.float32) for seed in range(BATCH)]
    track = np.stack(windows[: SHAPE[0]])
    ours, theirs = multiprocessing.Pipe()
    sender = multiprocessing.get_context("fork").Process(target=lambda: [theirs.send(track) for _ in range(10)])
    sender.start()
    receiving = least(ours.recv, SHAPE[0])
    sender.join()
    stacking = least(lambda: np.stack(windows), BATCH)
    buffer, stacked = np.empty((BATCH, SHAPE[1]), np.float32), np.stack(windows)
    copying = least(lambda: np.copyto(buffer, stacked), BATCH)
    for name, cost in (("read", reading), ("receive", receiving), ("stack", stacking), ("copy", copying)):
        print(f"{name:<8} {cost:7.0f} us a window")
    share = 0.03 / (1 - 0.03)
    print(f"stacking and copying are 3 % of the time at {share / (stacking + copying) * 1e6:.0f} windows a second,")
    print(f"for which {share / (stacking + copying) * reading:.1f} cores read")


if __name__ == "__main__":
    main()
