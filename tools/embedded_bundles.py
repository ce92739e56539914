"""Trains the embedded bundles anew from one table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from music_reclass.errors import ReclassError
from music_reclass.models import bundle as bundles
from music_reclass.models.crossval import Log
from music_reclass.models.dataset import FIRST, Dataset, read_augmentations
from music_reclass.models.mlp import mlp_estimator
from music_reclass.models.precision import PrecisionTarget
from music_reclass.taxonomy import load
from music_reclass.training import npz
from music_reclass.training.cascade import TrainedCascade, summary, train_cascade
from music_reclass.training.train import StageRecipe, silent

KINDS = ("fma518", "musicnn")
FOLDERS = ("embedded", "embedded-musicnn")  # in music_reclass/data
LICENCE = "MIT (the numbers of the model; no audio of its sources is part of it)"
# Networks alone: trees and a linear model beside them add nothing beyond chance here (docs/explanation/cascade.md).
# The second stage guarantees more: the tracks it is asked about are uncertain already.
AIMS = (PrecisionTarget(0.8, 0.65), PrecisionTarget(0.85, 0.75))


def stage_recipes(seed: int = 0) -> tuple[StageRecipe, StageRecipe]:
    """The two stages to be."""
    first, second = AIMS
    return (
        StageRecipe("fma-mlp", KINDS[:1], (mlp_estimator(seed),), first),
        StageRecipe("musicnn-ensemble", KINDS, (mlp_estimator(seed),), second),
    )


def train(data: Dataset, seed: int = 0, log: Log = silent) -> TrainedCascade:
    """Both stages, calibrated and certified; equal seeds give equal bundles on one machine."""
    return train_cascade(data, stage_recipes(seed), seed=seed, log=log, taxonomy=load().digest, licence=LICENCE)


def save(found: TrainedCascade, folder: Path) -> None:
    """Write the bundles where the package keeps them; `folder` is music_reclass/data."""
    for name, stage in zip(FOLDERS, found.stages, strict=True):
        bundles.save(stage.bundle, folder / name)


def main(words: list[str] | None = None) -> int:
    """Run one of the commands; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.embedded_bundles", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    bundles_parser = commands.add_parser("train", help="train both stages and write their bundles")
    card = commands.add_parser("evaluate", help="print the figures of the model card")
    for command in (bundles_parser, card):
        command.add_argument("--table", type=Path, required=True, help="training table (.npz) with fma518 and musicnn")
        command.add_argument("--views", type=Path, help="degraded views of the same rows (.npz)")
        command.add_argument("--seed", type=int, default=0)
    bundles_parser.add_argument("--out", type=Path, required=True, help="folder for the bundles, as music_reclass/data")
    card.add_argument("--stage", choices=KINDS, default=FIRST)
    chosen = parser.parse_args(words)
    kinds = KINDS if chosen.command == "train" else KINDS[: KINDS.index(chosen.stage) + 1]
    try:
        data = npz.read(chosen.table, kinds)
        if chosen.views is not None:
            data = data.with_augmentations(read_augmentations(chosen.views, data.table))
        if chosen.command == "evaluate":
            from tools import model_card

            print(model_card.model_card(data, stage_recipes(chosen.seed)[len(kinds) - 1], chosen.seed, _log))
            return 0
        found = train(data, chosen.seed, _log)
        save(found, chosen.out)
    except ReclassError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for label, text in summary(found):
        print(f"{label:<12} {text}")
    for folder, stage in zip(FOLDERS, found.stages, strict=True):
        print(
            f"{'bundle':<12} {chosen.out / folder} ({stage.bundle.name} {stage.bundle.version}, {stage.bundle.digest})"
        )
    return 0


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
