"""`python -m music_reclass.training`: make the ladder inside the package anew, or print the model card's figures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from music_reclass.errors import ReclassError
from music_reclass.training import kinds, rungs, shipped, tables
from music_reclass.training.datasets import npz


def main(words: list[str] | None = None) -> int:
    """Run one of the commands; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m music_reclass.training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("ladder", help="train both stages and write their bundles")
    card = commands.add_parser("evaluate", help="print the figures of the model card")
    for command in (train, card):
        command.add_argument("--table", type=Path, required=True, help="training table (.npz) with fma518 and musicnn")
        command.add_argument("--views", type=Path, help="degraded views of the same rows (.npz)")
        command.add_argument("--seed", type=int, default=0)
    train.add_argument("--out", type=Path, required=True, help="folder for the bundles, as music_reclass/data")
    card.add_argument("--stage", choices=shipped.KINDS, default=kinds.FIRST)
    chosen = parser.parse_args(words)
    own = shipped.KINDS if chosen.command == "ladder" else shipped.KINDS[: shipped.KINDS.index(chosen.stage) + 1]
    try:
        data = npz.read(chosen.table, own)
        views = None if chosen.views is None else tables.read_views(chosen.views, data.table)
        if chosen.command == "evaluate":
            from music_reclass.training import card as model_card

            print(model_card.text(data, views, shipped.rungs(chosen.seed)[len(own) - 1], chosen.seed, _say))
            return 0
        found = shipped.train(data, views, chosen.seed, _say)
        shipped.save(found, chosen.out)
    except ReclassError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for label, text in rungs.summary(found):
        print(f"{label:<12} {text}")
    for folder, stage in zip(shipped.FOLDERS, found.stages, strict=True):
        print(
            f"{'bundle':<12} {chosen.out / folder} ({stage.bundle.name} {stage.bundle.version}, {stage.bundle.digest})"
        )
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
