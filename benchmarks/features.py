"""How much faster the 518 features are than mdeff/fma's features.py calls under librosa 0.11: one core, one run.

    python benchmarks/features.py [--rounds 3] [--json]

Both sides get the same decoded 30 s clips: the golden recordings where ../shared/data is present, else synthesised
songs. numba is warmed up before the clock starts. The two sides take turns, so that a busy machine hurts both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from music_reclass.extractors import (
    fma518 as fma,
)
from music_reclass.extractors import (
    fma518 as fma_statistics,
)
from music_reclass.extractors import (
    fma_cqt,
    fma_spectrum,
)
from music_reclass.extractors import (
    fma_cqt as fma_chroma,
)
from music_reclass.extractors.audio.load import load
from music_reclass.extractors.audio.synthesis import song
from music_reclass.extractors.fma_tables import HOP, N_FFT, RATE, frame_blocks

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "data" / "golden"
TARGET = 6.0
ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def reference(x: Any, sr: int) -> np.ndarray:
    """The calls of features.py in their order, with what librosa 0.11 renamed or moved, and nothing else changed."""
    import librosa
    from scipy import stats

    rows: list[np.ndarray] = []

    def feature_stats(values: np.ndarray) -> None:
        rows.append(np.mean(values, axis=1))
        rows.append(np.std(values, axis=1))
        rows.append(stats.skew(values, axis=1))
        rows.append(stats.kurtosis(values, axis=1))
        rows.append(np.median(values, axis=1))
        rows.append(np.min(values, axis=1))
        rows.append(np.max(values, axis=1))

    feature_stats(librosa.feature.zero_crossing_rate(x, frame_length=2048, hop_length=512))
    cqt = np.abs(librosa.cqt(x, sr=sr, hop_length=512, bins_per_octave=12, n_bins=7 * 12, tuning=None))
    feature_stats(librosa.feature.chroma_cqt(C=cqt, n_chroma=12, n_octaves=7, bins_per_octave=12))
    f = librosa.feature.chroma_cens(C=cqt, n_chroma=12, n_octaves=7, bins_per_octave=12)
    feature_stats(f)
    feature_stats(librosa.feature.tonnetz(chroma=f))
    del cqt
    stft = np.abs(librosa.stft(x, n_fft=2048, hop_length=512))
    feature_stats(librosa.feature.chroma_stft(S=stft**2, n_chroma=12))
    feature_stats(librosa.feature.rms(S=stft))
    feature_stats(librosa.feature.spectral_centroid(S=stft))
    feature_stats(librosa.feature.spectral_bandwidth(S=stft))
    feature_stats(librosa.feature.spectral_contrast(S=stft, n_bands=6))
    feature_stats(librosa.feature.spectral_rolloff(S=stft))
    mel = librosa.feature.melspectrogram(sr=sr, S=stft**2)
    del stft
    feature_stats(librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=20))
    return np.concatenate(rows)


def clips() -> dict[str, np.ndarray]:
    """30 s of mono float32 at 44.1 kHz by name."""
    if GOLDEN.is_dir():
        return {path.stem: load(path).samples for path in sorted(GOLDEN.glob("*.flac"))}
    made = {}
    for seed in range(5):
        pcm = np.rint(song(seed, 30.0) * 32767).clip(-32768, 32767)
        made[f"song-{seed}"] = (pcm.mean(axis=1) / 32768).astype(np.float32)
    return made


def cpu(task: Callable[[], Any]) -> float:
    """CPU milliseconds of one call."""
    start = time.process_time()
    task()
    return (time.process_time() - start) * 1e3


def stages(samples: np.ndarray) -> dict[str, float]:
    """CPU milliseconds of each stage of our extractor, measured apart from one another; medians of five."""
    frames = fma.frame_features(samples)
    _, tuning = fma_spectrum.spectral_frames(samples)

    def transform() -> None:
        power = np.empty((128, fma_spectrum._PADDED), np.float32)
        for _, frames in frame_blocks(samples, N_FFT, HOP, 128):
            fma_spectrum._power(frames, power[: len(frames)])

    def halve_seven_times() -> None:
        signal = samples
        for _ in range(7):
            signal = fma_cqt.decimate(signal, 1.0)

    tasks: dict[str, Callable[[], Any]] = {
        "whole": lambda: fma.Fma518("mid30").vector(samples),
        "STFT and power": transform,
        "STFT and all spectral families": lambda: fma_spectrum.spectral_frames(samples),
        "constant-Q families": lambda: fma_chroma.constant_q_frames(samples, tuning),
        "  of which decimation": halve_seven_times,
        "zero crossings": lambda: fma_spectrum.zero_crossings(samples),
        "statistics": lambda: [fma_statistics.seven_statistics(values) for values in frames.values()],
    }
    return {name: statistics.median(cpu(task) for _ in range(5)) for name, task in tasks.items()}


def main() -> int:
    """Print times, ratio and shares; 1 if the ratio is below the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not ONE_CORE.items() <= os.environ.items():  # libraries read these once, when they are loaded
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_CORE})
    warnings.simplefilter("ignore")
    sounds = clips()
    extractor = fma.Fma518("mid30")
    some = next(iter(sounds.values()))
    reference(some, RATE)
    extractor.vector(some)
    ours, theirs = [], []
    for _ in range(options.rounds):
        for samples in sounds.values():
            theirs.append(cpu(lambda samples=samples: reference(samples, RATE)))
            ours.append(cpu(lambda samples=samples: extractor.vector(samples)))
    ratios = sorted(b / a for a, b in zip(ours, theirs, strict=True))
    ratio = sum(theirs) / sum(ours)
    shares = stages(some)
    report = {
        "clips": len(sounds),
        "rounds": options.rounds,
        "reference_ms": statistics.median(theirs),
        "ours_ms": statistics.median(ours),
        "ratio": ratio,
        "ratio_quartiles": [ratios[len(ratios) // 4], ratios[3 * len(ratios) // 4]],
        "target": TARGET,
        "stages_ms": shares,
    }
    if options.json:
        print(json.dumps(report))
    else:
        print(f"{len(sounds)} clips of 30 s, {options.rounds} rounds, one core, CPU time, medians")
        print(f"features.py under librosa 0.11  {report['reference_ms']:8.1f} ms a clip")
        print(f"fma518                          {report['ours_ms']:8.1f} ms a clip")
        low, high = report["ratio_quartiles"]
        print(f"ratio {ratio:.2f} (quartiles {low:.2f} to {high:.2f}), target {TARGET:.0f}")
        for name, spent in shares.items():
            print(f"  {name:32s}{spent:8.1f} ms {spent / shares['whole']:6.0%}")
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
