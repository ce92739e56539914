"""`train *-ensemble` and `train all`: later stages, and whole cascades."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from music_reclass.cli.data import FIRST, LATER
from music_reclass.cli.options import takes
from music_reclass.cli.output import complain, printable, say
from music_reclass.cli.train_options import (
    TrainOptions,
    common_flags,
    finish,
    networks,
    save_stage,
    training_data,
    trees,
)

if TYPE_CHECKING:
    from music_reclass.models.dataset import Dataset
    from music_reclass.training.train import StageRecipe


def _cascade_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    for flag in (
        click.option("--device", default="cpu", show_default=True, help="Where trees grow: cpu, cuda, cuda:1."),
        click.option(
            "--epochs",
            type=click.IntRange(1),
            help="How often networks use every row (default: 80, from 4000 rows 40).",
        ),
        common_flags,
    ):
        command = flag(command)
    return command


@click.command("efficientat-ensemble")
@_cascade_flags
@takes(TrainOptions)
def efficientat_ensemble(options: TrainOptions) -> None:
    """Networks, trees and a linear model on fma518 and EfficientAT vectors: stage 2, without torch."""
    _train_stage((FIRST, "efficientat"), options)


@click.command("musicnn-ensemble")
@_cascade_flags
@takes(TrainOptions)
def musicnn_ensemble(options: TrainOptions) -> None:
    """Networks, trees and a linear model on fma518 and MusiCNN vectors: stage 2 where MERT cannot run."""
    _train_stage((FIRST, "musicnn"), options)


@click.command("mert-ensemble")
@_cascade_flags
@takes(TrainOptions)
def mert_ensemble(options: TrainOptions) -> None:
    """Networks, trees and a linear model on fma518 and MERT vectors: stage 2 of the cascade."""
    _train_stage((FIRST, "mert"), options)


@click.command("jmla-ensemble")
@_cascade_flags
@takes(TrainOptions)
def jmla_ensemble(options: TrainOptions) -> None:
    """Networks, trees and a linear model on fma518, MERT and OpenJMLA vectors: stage 3 of the cascade."""
    _train_stage((FIRST, "mert", "jmla"), options)


@click.command("all")
@_cascade_flags
@click.option(
    "--stages",
    default="auto",
    show_default=True,
    help="The cascade, cheapest first, as fma518,efficientat or fma518,mert,jmla; auto: all that is installed "
    "and shows a gain over the stages before it.",
)
@click.option(
    "--epsilon",
    type=click.FloatRange(0.0, 0.5, min_open=True),
    default=0.02,
    show_default=True,
    help="Share of all tracks that may leave a stage wrong where the whole cascade would have been right.",
)
@click.option(
    "--delta",
    type=click.FloatRange(0.0, 0.5, min_open=True),
    default=0.1,
    show_default=True,
    help="How likely that guarantee may fail, all exit rules of the cascade together.",
)
@takes(TrainOptions)
def train_all(options: TrainOptions) -> None:
    """A whole cascade from one labelled set, with exit rules that are certified against the later stages."""
    _train_cascade(options)


CASCADE_COMMANDS = (efficientat_ensemble, musicnn_ensemble, mert_ensemble, jmla_ensemble, train_all)


def _train_stage(kinds: tuple[str, ...], options: TrainOptions) -> None:
    from music_reclass.taxonomy import load
    from music_reclass.training.train import train

    taxonomy = load(options.settings.taxonomy)
    data = training_data(options, taxonomy, kinds)
    recipe = _stage_recipe(kinds, data, options)
    result = train(data, recipe, seed=options.seed, log=complain, taxonomy=taxonomy.digest)
    save_stage(result, options)


def _train_cascade(options: TrainOptions) -> None:
    from music_reclass.models.bundle import save_cascade
    from music_reclass.models.early_exit import RiskTarget
    from music_reclass.taxonomy import load
    from music_reclass.training.cascade import summary, train_cascade

    kinds = _kinds(options)
    taxonomy = load(options.settings.taxonomy)
    data = training_data(options, taxonomy, kinds)
    recipes = [_stage_recipe(kinds[:last], data, options) for last in range(1, len(kinds) + 1)]
    target = RiskTarget(options.epsilon, options.delta)
    found = train_cascade(
        data, recipes, seed=options.seed, target=target, log=complain, taxonomy=taxonomy.digest,
        only_gains=options.stages == "auto",
    )  # fmt: skip
    folder = options.folder("-".join(stage.bundle.stage for stage in found.stages))
    save_cascade([stage.bundle for stage in found.stages], folder)
    for label, text in summary(found):
        say(label, text)
    say("bundles", f"{printable(str(folder))}  ({', '.join(stage.bundle.digest[:12] for stage in found.stages)})")
    finish(options, folder)


def _kinds(options: TrainOptions) -> tuple[str, ...]:
    """The feature kinds of the cascade, one a stage, as `--stages` says it. UsageError where it makes no cascade."""
    from music_reclass.errors import UsageError
    from music_reclass.models.dataset import TableFile
    from music_reclass.training.npz import is_installed, kinds_in

    if options.stages != "auto":
        named = tuple(word.strip() for word in options.stages.split(","))
        if named[0] != FIRST or len(set(named)) != len(named) or not set(named[1:]) <= set(LATER):
            raise UsageError(
                f"There is no cascade {options.stages!r}; it begins with {FIRST} and goes on with some of "
                f"{', '.join(LATER)}, each once."
            )
        return named
    request = options.data_request()
    if request.form == "table" and request.path is not None:
        file = TableFile.read(request.path)
        file.table()  # what is wrong with the table is said first
        at_hand = [name for name in kinds_in(file) if name in LATER]
    else:
        at_hand = [name for name in LATER if is_installed(name, request.excerpt)]
    better = next((name for name in ("efficientat", "mert", "mert-330m") if name in at_hand), None)
    if better is not None and "musicnn" in at_hand:
        with_it = ",".join((FIRST, *at_hand))
        at_hand.remove("musicnn")
        why = "it adds nothing" if better == "efficientat" else "it is for machines that cannot run that"
        complain(
            f"musicnn is left out: beside {better} {why} (docs/explanation/model-card.md); else: --stages {with_it}"
        )
    return (FIRST, *at_hand)


def _stage_recipe(kinds: tuple[str, ...], data: Dataset, options: TrainOptions) -> StageRecipe:
    """The stage that needs `kinds`: networks, trees and a linear model."""
    from music_reclass.models.linear import linear_estimator
    from music_reclass.models.precision import PrecisionTarget
    from music_reclass.training.train import StageRecipe
    from music_reclass.utils.lazy import require

    require("sklearn", extra="train")  # said before the first network has trained
    estimators = (networks(options, data.of(kinds)), trees(options), linear_estimator(seed=options.seed))
    name = "fma-mlp" if kinds[-1] == FIRST else f"{kinds[-1]}-ensemble"
    return StageRecipe(name, kinds, estimators, PrecisionTarget.of(options.target_precision))
