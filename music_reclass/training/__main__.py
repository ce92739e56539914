"""`python -m music_reclass.training`: retrain the embedded model, or print every figure of its model card."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from music_reclass.errors import ReclassError
from music_reclass.training import bundles, fma_mlp, kinds, musicnn_ensemble, tables


def main(words: list[str] | None = None) -> int:
    """Run one of the commands; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m music_reclass.training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("fma-mlp", help="train the first stage and write its bundle")
    second = commands.add_parser("musicnn-ensemble", help="train the second stage; the table has an array musicnn")
    card = commands.add_parser("evaluate", help="print the figures of the model card")
    for command in (train, second, card):
        command.add_argument("--table", type=Path, required=True, help="training table (.npz)")
        command.add_argument("--views", type=Path, help="degraded views of the same rows (.npz)")
        command.add_argument("--seed", type=int, default=0)
    for command in (train, second):
        command.add_argument("--out", type=Path, required=True, help="folder for the bundle")
    chosen = parser.parse_args(words)
    try:
        table = tables.read(chosen.table)
        views = None if chosen.views is None else tables.read_views(chosen.views, table)
        if chosen.command == "evaluate":
            from music_reclass.training import card as model_card

            print(model_card.text(table, views, chosen.seed, _say))
            return 0
        if chosen.command == "musicnn-ensemble":
            embeddings = kinds.vectors(chosen.table, "musicnn", len(table))
            bundle = musicnn_ensemble.train(table, embeddings, views, chosen.seed, _say)
        else:
            bundle = fma_mlp.train(table, views, chosen.seed, _say)
        bundles.save(bundle, chosen.out)
    except ReclassError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for label, text in fma_mlp.summary(bundle):
        print(f"{label:<12} {text}")
    print(f"{'bundle':<12} {chosen.out} ({bundle.name} {bundle.version}, {bundle.digest})")
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
