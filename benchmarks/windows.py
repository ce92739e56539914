"""What several excerpts of a track cost and what they may bring: `scan --windows N`.

    python benchmarks/windows.py [--rounds 2] [--table TABLE.npz]

Cost: CPU seconds of `reclass scan --stages 1` in fresh processes on MP3 files of four minutes, each made of eight real
clips, with 1, 3 and 5 windows.

Gain, by proxy, as there is no labelled music of full length here: out-of-fold votes of a linear model on the clips of
the training table by artists of whom there are at least three clips with the same labels. One clip by itself against
the mean of three by the artist. Windows of one track are more alike than three recordings, so that the gain on tracks
is smaller than this one: it is an upper bound. And what less audio costs: the middle 15 s instead of 30 s.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.scan import SHARED, timed
from music_reclass.extractors.audio.load import load
from music_reclass.extractors.audio.synthesis import encode
from music_reclass.models.calibration import hits
from music_reclass.models.crossval import cross_calibrated, folds_of, out_of_fold
from music_reclass.models.dataset import read_augmentations
from music_reclass.models.linear import linear_estimator
from music_reclass.training import npz

COUNT = 6


def tracks(folder: Path) -> None:
    """MP3 files of four minutes, each of eight clips in another order."""
    real = [*sorted((SHARED.parents[1] / "golden").glob("*.flac")), *sorted(SHARED.glob("*.mp3"))]
    sounds = [load(path, "mid30", 44100).samples for path in real]
    random = np.random.default_rng(0)
    for number in range(COUNT):
        chosen = random.permutation(len(sounds))[:8]
        encode(folder / f"{number}.mp3", np.concatenate([sounds[place] for place in chosen])[:, None])


def cost(rounds: int) -> None:
    """CPU seconds a track by the number of windows."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "music").mkdir()
        tracks(folder / "music")
        for number in range(rounds):
            found = {}
            for windows in (1, 3, 5):
                words = [
                    "--stages",
                    "1",
                    "--jobs",
                    "1",
                    "--dry-run",
                    "--db",
                    str(folder / f"{number}-{windows}.sqlite3"),
                ]
                scan = [sys.executable, "-m", "music_reclass", "scan", str(folder / "music"), *words]
                found[windows] = timed([*scan, "--windows", str(windows)])[1]
            shown = "   ".join(f"{n} windows {s:5.2f} s ({s / found[1]:.2f}x)" for n, s in found.items())
            print(f"{COUNT} tracks of four minutes, CPU: {shown}")


def gain(table: Path) -> None:
    """How often the first genre is right, alone and as the mean of three."""
    data = npz.read(table)
    degraded = read_augmentations(table.with_name(f"{table.stem}_views.npz"), data.table)
    folds = folds_of(data.table, seed=0)
    scores = out_of_fold(data.table, degraded, lambda part, _: linear_estimator().fit(part, None), folds)
    versions = dict(zip(("clean", *degraded.names), scores.transpose(1, 0, 2), strict=True))
    for name in ("clean", "mid15"):
        print(f"{name:<6} right {hits(versions[name], data.table.labels).mean():.3f} of all clips, out of fold")
    votes = cross_calibrated(scores[:, :1], data.table.labels, folds)[:, 0]
    labels, artists = data.table.labels, data.table.groups
    alone, mean, product, sure = [], [], [], []
    random = np.random.default_rng(0)
    for artist in np.unique(artists):
        clips = np.flatnonzero(artists == artist)
        for wanted in np.unique(labels[clips], axis=0):
            same = random.permutation(clips[(labels[clips] == wanted).all(axis=1)])
            for three in (same[start : start + 3] for start in range(0, len(same) - 2, 3)):
                alone.append([wanted[votes[clip].argmax()] for clip in three])
                together = votes[three].mean(axis=0)
                mean.append(wanted[together.argmax()])
                logs = np.exp(np.log(votes[three]).mean(axis=0))
                product.append(wanted[logs.argmax()])
                sure.append((votes[three].max(axis=1).mean(), together.max(), (logs / logs.sum()).max()))
    print(f"\n{len(mean)} artists' triples of clips with the same labels, out of fold")
    for name, right, confidence in zip(
        ("one clip", "mean of probabilities", "mean of logarithms"),
        (alone, mean, product),
        np.mean(sure, axis=0),
        strict=True,
    ):
        print(f"{name:<22} right {np.mean(right):.3f}   mean confidence {confidence:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--table", type=Path, default=SHARED.parents[1] / "training" / "genre_clips.npz")
    options = parser.parse_args()
    cost(options.rounds)
    gain(options.table)
