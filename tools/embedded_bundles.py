"""Trains the embedded bundles anew from one table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.errors import ReclassError
from music_reclass.extractors.efficientat import EfficientatNet, canonical_mn04, sigmoid
from music_reclass.extractors.weights.checkpoint import read_torch
from music_reclass.models import bundle as bundles
from music_reclass.models.bundle import EMBEDDED, make
from music_reclass.models.crossval import Log
from music_reclass.models.dataset import FIRST, Dataset, TableFile
from music_reclass.models.mlp import mlp_estimator
from music_reclass.models.precision import PrecisionTarget
from music_reclass.taxonomy import load
from music_reclass.training import npz
from music_reclass.training.cascade import stage_summary, train_cascade
from music_reclass.training.train import StageRecipe, Trained, silent

STAGES = {  # stage -> its kinds; the first stage, and those of which one may follow it
    "fma518": ("fma518",),
    "efficientat": ("fma518", "efficientat-tags", "efficientat"),
    "musicnn": ("fma518", "musicnn"),
}
KINDS = ("fma518", "efficientat-tags", "efficientat", "musicnn")
LICENCE = "MIT (the numbers of the model; no audio of its sources is part of it)"
# Networks alone: trees and a linear model beside them add nothing beyond chance here (docs/explanation/cascade.md).
# The second stage guarantees more: the tracks it is asked about are uncertain already.
AIMS = {
    "fma518": PrecisionTarget(0.8, 0.65),
    "efficientat": PrecisionTarget(0.85, 0.7),
    "musicnn": PrecisionTarget(0.85, 0.75),
}
# The first stage gains nothing by an exit before a stage whose vectors come from the same reading of the file.
SHARED = "the vectors of the next stage come from the same reading of the file"
NAMES = {"fma518": "fma-mlp", "efficientat": "efficientat-mlp", "musicnn": "musicnn-ensemble"}


def stage_recipe(stage: str, seed: int = 0) -> StageRecipe:
    """The recipe of an embedded stage."""
    return StageRecipe(NAMES[stage], STAGES[stage], (mlp_estimator(seed, taxonomy=load()),), AIMS[stage])


def train(data: Dataset, seed: int = 0, log: Log = silent) -> dict[str, Trained]:
    """The three stages by name, calibrated and certified; equal seeds give equal bundles on one machine.

    The first stage states an exit rule for each of the others, as one of them follows it.
    """
    first, *later = STAGES
    taxonomy = load().digest
    made: dict[str, Trained] = {}
    rules: list[dict[str, Any]] = []
    for stage in later:
        recipes = (stage_recipe(first, seed), stage_recipe(stage, seed))
        found = train_cascade(data, recipes, seed=seed, log=log, taxonomy=taxonomy, licence=LICENCE)
        made[stage] = found.stages[1]
        made[first] = found.stages[0]
        (rule,) = found.stages[0].bundle.manifest["exits"]
        rules.append({**rule, "threshold": None, "why": SHARED} if stage == "efficientat" else rule)
    bundle = made[first].bundle
    return {**made, first: replace(made[first], bundle=make({**bundle.manifest, "exits": rules}, bundle.model))}


def save(found: Mapping[str, Trained], folder: Path) -> None:
    """Write the bundles where the package keeps them; `folder` is music_reclass/data."""
    for stage, trained in found.items():
        bundles.save(trained.bundle, folder / EMBEDDED[stage])


def joined(table: Path, more: Path, weights: Path) -> dict[str, NDArray[Any]]:
    """The arrays of `table` with those of the file `more` of EfficientAT's vectors: `mn04`, (n, 384) or
    (n, versions, 384), and where it has them `mn04_logits`, as `efficientat` and `efficientat_tags`.

    Where there are no logits they are those of the mean embedding by the network's head in the checkpoint `weights`;
    a correlation of 0.998 with the mean logits on the table's clips.
    """
    arrays = dict(TableFile.read(table).arrays)
    with np.load(more, allow_pickle=False) as stored:
        embedding = stored["mn04"].astype(np.float32)
        if "mn04_logits" in stored.files:
            logits = stored["mn04_logits"].astype(np.float32)
        else:
            head = EfficientatNet(canonical_mn04(read_torch(weights), {})[0]).logits
            logits = head(embedding.reshape(-1, embedding.shape[-1])).reshape(*embedding.shape[:-1], -1)
    return {**arrays, "efficientat": embedding, "efficientat_tags": sigmoid(logits)}


def main(words: list[str] | None = None) -> int:
    """Run one of the commands; returns the exit code."""
    chosen = _parser().parse_args(words)
    try:
        if chosen.command == "join":
            np.savez(chosen.out, **joined(chosen.table, chosen.efficientat, chosen.weights))
            return 0
        kinds = KINDS if chosen.command == "train" else STAGES[chosen.stage]
        data = npz.read(chosen.table, kinds)
        if chosen.views is not None:
            data = npz.with_augmentations(data, chosen.views)
        if chosen.command == "evaluate":
            from tools import model_card

            print(model_card.model_card(data, stage_recipe(chosen.stage, chosen.seed), chosen.seed, _log))
            return 0
        found = train(data, chosen.seed, _log)
        save(found, chosen.out)
    except ReclassError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for stage, trained in found.items():
        for label, text in stage_summary(trained):
            print(f"{label:<12} {text}")
        bundle = trained.bundle
        folder = chosen.out / EMBEDDED[stage]
        print(f"{'bundle':<12} {folder} ({bundle.name} {bundle.version}, {bundle.digest})")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.embedded_bundles", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train_parser = commands.add_parser("train", help="train the three stages and write their bundles")
    card = commands.add_parser("evaluate", help="print the figures of the model card")
    join = commands.add_parser("join", help="add EfficientAT's vectors to a table, or to its degraded views")
    for command in (train_parser, card, join):
        command.add_argument("--table", type=Path, required=True, help="table (.npz) with the arrays of all kinds")
    for command in (train_parser, card):
        command.add_argument("--views", type=Path, help="degraded views of the same rows (.npz)")
        command.add_argument("--seed", type=int, default=0)
    train_parser.add_argument("--out", type=Path, required=True, help="folder for the bundles, as music_reclass/data")
    card.add_argument("--stage", choices=STAGES, default=FIRST)
    join.add_argument("--efficientat", type=Path, required=True, help="file (.npz) with mn04 and perhaps mn04_logits")
    join.add_argument("--weights", type=Path, help="mn04_as_mAP_432.pt, needed where there are no logits")
    join.add_argument("--out", type=Path, required=True, help="the table to write")
    return parser


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
