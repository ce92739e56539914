"""`train`: one stage from labelled music, evaluated on artists it never saw."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from music_reclass.cli.data import FIRST
from music_reclass.cli.options import Commands, force_flag, takes
from music_reclass.cli.output import complain
from music_reclass.cli.train_cascade import CASCADE_COMMANDS
from music_reclass.cli.train_options import (
    FILE,
    TrainOptions,
    common_flags,
    networks,
    save_stage,
    training_data,
    trees,
)

if TYPE_CHECKING:
    from music_reclass.models.base import Estimator
    from music_reclass.models.dataset import Dataset
    from music_reclass.taxonomy import Taxonomy

_MLP = "fma-mlp"


@click.group(cls=Commands)
def train() -> None:
    """Train a stage of the cascade on labelled music, or all of them."""


for cascade in CASCADE_COMMANDS:
    train.add_command(cascade)


def _stage_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    for flag in (
        click.option("--html", type=FILE, help="Write the evaluation as one page with plots."),
        force_flag,
        click.option(
            "--columns", metavar="GLOB", multiple=True, help="Only columns that match, as 'mfcc*'; repeatable."
        ),
        click.option(
            "--from-library",
            is_flag=True,
            help="Train on your own tags, likely wrong ones left out; the embedded model helps where tracks are few.",
        ),
        click.option("--ensemble", is_flag=True, help="Stack networks, trees and a linear model, if that is better."),
        click.option(
            "--augment",
            metavar="LIST",
            help="Train on changed versions of the audio too: stretch, pitch, noise, gain, mp3, lowpass, excerpt, or "
            "all.",
        ),
        common_flags,
    ):
        command = flag(command)
    return command


@train.command(_MLP)
@_stage_flags
@click.option("--epochs", type=click.IntRange(1), help="How often every row is used (default: 80, from 4000 rows 40).")
@takes(TrainOptions)
def train_fma_mlp(options: TrainOptions) -> None:
    """Networks on fma518 vectors: stage 1 of the cascade."""
    _train(_MLP, options)


@train.command("fma-xgb")
@_stage_flags
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@takes(TrainOptions)
def train_fma_xgb(options: TrainOptions) -> None:
    """Gradient-boosted trees on fma518 vectors, by XGBoost or else scikit-learn; predictions need NumPy alone."""
    _train("fma-xgb", options)


@train.command("fma-linear")
@_stage_flags
@takes(TrainOptions)
def train_fma_linear(options: TrainOptions) -> None:
    """Logistic regression on fma518 vectors: the quickest, and hard to beat with few rows."""
    _train("fma-linear", options)


def _train(name: str, options: TrainOptions) -> None:
    from music_reclass.models.dataset import select_columns
    from music_reclass.models.precision import PrecisionTarget
    from music_reclass.taxonomy import load
    from music_reclass.training.train import StageRecipe
    from music_reclass.training.train import train as trained

    taxonomy = load(options.settings.taxonomy)
    data = training_data(options, taxonomy)
    others: list[Estimator] = []
    if options.from_library:
        data, others = _without_label_issues(data, options, taxonomy)
    if options.columns:
        data = select_columns(data, options.columns)
    estimators = (*_estimators(name, data, options), *others)
    recipe = StageRecipe(name, (FIRST,), estimators, PrecisionTarget.of(options.target_precision))
    result = trained(data, recipe, seed=options.seed, log=complain, taxonomy=taxonomy.digest)
    save_stage(result, options)


def _without_label_issues(data: Dataset, options: TrainOptions, taxonomy: Taxonomy) -> tuple[Dataset, list[Estimator]]:
    """The library without tags that are probably wrong, and the embedded model as one more member of the stack."""
    from music_reclass.models.bundle import embedded
    from music_reclass.training.label_issues import as_estimator, library_label_issues, without_issues

    bundle = embedded()  # not the user's bundle, which may have been trained on these very tags
    issues = library_label_issues(data, bundle, taxonomy, seed=options.seed, log=complain)
    data = without_issues(data, issues)
    complain(data.table.notes[-1])
    fits = bundle.kinds == (data.kind,) and not options.columns
    return data, [as_estimator(bundle, taxonomy)] if fits else []


def _estimators(name: str, data: Dataset, options: TrainOptions) -> list[Estimator]:
    """What is trained; with --ensemble the one asked for and its siblings."""
    from music_reclass.models.linear import linear_estimator

    makers: dict[str, Callable[[], Estimator]] = {
        _MLP: lambda: networks(options, data),
        "fma-xgb": lambda: trees(options),
        "fma-linear": lambda: linear_estimator(seed=options.seed),
    }
    names = [name, *(other for other in makers if other != name)] if options.ensemble else [name]
    return [makers[wanted]() for wanted in names]
