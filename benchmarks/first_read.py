"""What a second kind of features costs a scan: decoded with the first, and decoded again for a library scanned before.

    python benchmarks/first_read.py [--model efficientat] [--weights FILE] [--clips 24] [--rounds 3]

CPU seconds, of all processes together, of `reclass scan` in fresh processes on the same clips: the 518 features alone;
the 518 and those of the model, read at once; and the model's alone for a library that holds the 518. The stage that
wants them is a linear one with made-up weights, as what is measured is extraction.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.scan import SHARED, clips, timed
from music_reclass.cli.main import run
from music_reclass.domain import FeatureKind
from music_reclass.extractors.registry import extractor
from music_reclass.models import bundle, linear

WEIGHTS = SHARED.parents[1] / "weights"
FILES = {"efficientat": WEIGHTS / "mn04_as_mAP_432.pt", "musicnn": WEIGHTS / "musicnn_jamendo.pth"}


def stage_of(kinds: list[FeatureKind], folder: Path) -> Path:
    """A bundle of `kinds` in `folder` whose votes mean nothing; the embedded first stage lets no track exit before."""
    columns, labels = sum(kind.dimension for kind in kinds), bundle.embedded().labels
    arrays = {
        "knots": np.linspace(-5, 5, 5)[:, None] * np.ones((1, columns)),
        "weights": np.random.default_rng(0).normal(0, 0.01, (columns, len(labels))),
        "bias": np.zeros(len(labels)),
    }
    model = linear.restored({"input": "unchanged"}, arrays, columns, len(labels))
    manifest = {
        "name": "second", "version": "1", "stage": kinds[-1].name, "kinds": [asdict(kind) for kind in kinds],
        "labels": labels, "thresholds": {"confident": 0.9, "likely": 0.5},
        "calibration": {"temperature": 1.0, "doubt": 0.0},
    }  # fmt: skip
    bundle.save(bundle.make(manifest, model), folder)
    return folder


def cpu_seconds(music: Path, db: Path, *words: str) -> float:
    """CPU seconds of a scan with one worker, children included."""
    command = [sys.executable, "-m", "music_reclass", "scan", str(music), "--db", str(db), "--dry-run", "--jobs", "1"]
    return timed([*command, *words])[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="efficientat")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["RECLASS_MODELS"] = str(folder / "models")
        run(["models", "install", options.model, str(options.weights or FILES[options.model])])
        (folder / "music").mkdir()
        clips(folder / "music", options.clips)
        kinds = [extractor(name, "mid30").kind for name in ("fma518", options.model)]
        second = ("--bundle", str(stage_of(kinds, folder / "bundle")))
        for number in range(options.rounds):
            db, fresh = folder / f"{number}.sqlite3", folder / f"fresh{number}.sqlite3"
            alone = cpu_seconds(folder / "music", db, "--stages", "1")
            later = cpu_seconds(folder / "music", db, *second)
            both = cpu_seconds(folder / "music", fresh, *second)
            print(
                f"518 alone {alone:5.2f} s   518 and {options.model} at once {both:5.2f} s ({both / alone:.2f}x)   "
                f"one after the other {alone + later:5.2f} s ({(alone + later) / alone:.2f}x)   {options.clips} clips"
            )


if __name__ == "__main__":
    main()
