"""The ladder inside the package: its recipes, and how both bundles are made anew from one table."""

from __future__ import annotations

from pathlib import Path

from music_reclass.taxonomy import load
from music_reclass.training import bundles
from music_reclass.training.datasets.shape import Dataset
from music_reclass.training.estimators.small import Small
from music_reclass.training.promises import Aim
from music_reclass.training.rungs import Rung, TrainedLadder, ladder
from music_reclass.training.tables import Views
from music_reclass.training.validation import Say

KINDS = ("fma518", "musicnn")
FOLDERS = ("embedded", "embedded-musicnn")  # in music_reclass/data
LICENCE = "MIT (the numbers of the model; no audio of its sources is part of it)"
# Networks alone: trees and a linear model beside them add nothing beyond chance here (docs/explanation/ladder.md).
# The second stage promises more: what it is asked about is in doubt already.
AIMS = (Aim(0.8, 0.65), Aim(0.85, 0.75))


def rungs(seed: int = 0) -> tuple[Rung, Rung]:
    """The two stages to be."""
    first, second = AIMS
    return (
        Rung("fma-mlp", KINDS[:1], (Small(seed),), first),
        Rung("musicnn-ensemble", KINDS, (Small(seed),), second),
    )


def train(data: Dataset, views: Views | None, seed: int = 0, say: Say | None = None) -> TrainedLadder:
    """Both stages, calibrated and certified; equal seeds give equal bundles on one machine."""
    return ladder(data, views, rungs(seed), seed, say=say, taxonomy=load().digest, licence=LICENCE)


def save(found: TrainedLadder, folder: Path) -> None:
    """Write the bundles where the package keeps them; `folder` is music_reclass/data."""
    for name, stage in zip(FOLDERS, found.stages, strict=True):
        bundles.save(stage.bundle, folder / name)
