"""`train`: one stage from labelled music, evaluated on artists it never saw."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from music_reclass.cli.data import data_flags, opened_with_views
from music_reclass.cli.options import database_flags, settings_from
from music_reclass.cli.output import complain, say
from music_reclass.cli.train_cascade import CASCADE_COMMANDS
from music_reclass.cli.train_options import EXISTING_FILE, common_flags, finish, with_views

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.models.base import Estimator
    from music_reclass.models.dataset import Augmentations, Dataset
    from music_reclass.training.train import Trained

Command = TypeVar("Command", bound=Callable[..., Any])
_MLP = "fma-mlp"


@click.group()
def train() -> None:
    """Train a stage of the ladder on labelled music, or all of them."""


for cascade in CASCADE_COMMANDS:
    train.add_command(cascade)


def _training_flags(command: Command) -> Command:
    for flag in (
        click.option("--html", type=EXISTING_FILE, help="Write the evaluation as one page with plots."),
        click.option(
            "--columns", metavar="GLOB", multiple=True, help="Only columns that match, as 'mfcc*'; repeatable."
        ),
        click.option(
            "--from-library",
            is_flag=True,
            help="Learn from your own tags, likely wrong ones left out; the embedded model helps where tracks are few.",
        ),
        click.option("--ensemble", is_flag=True, help="Stack networks, trees and a linear model, if that is better."),
        click.option(
            "--augment",
            metavar="LIST",
            help="Train on changed versions of audio too: stretch, pitch, noise, gain, mp3, lowpass, excerpt, or all.",
        ),
        common_flags,
        data_flags,
        database_flags,
    ):
        command = flag(command)
    return command


@train.command(_MLP)
@_training_flags
@click.option("--epochs", type=click.IntRange(1), help="How often every row is seen (default: 80, from 4000 rows 40).")
def train_fma_mlp(**words: Any) -> None:
    """Networks on fma518 vectors: stage 1 of the ladder."""
    _train(_MLP, words)


@train.command("fma-xgb")
@_training_flags
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
def train_fma_xgb(**words: Any) -> None:
    """Gradient-boosted trees on fma518 vectors, by XGBoost; predictions need NumPy alone."""
    _train("fma-xgb", words)


@train.command("fma-linear")
@_training_flags
def train_fma_linear(**words: Any) -> None:
    """Logistic regression on fma518 vectors: the quickest, and hard to beat with few rows."""
    _train("fma-linear", words)


def _train(name: str, words: dict[str, Any]) -> None:
    from music_reclass.models import bundle as bundles
    from music_reclass.taxonomy import load

    if words["table"] is not None:
        words.update(kind="table", data_path=words["table"])
    if words["from_library"]:
        words.update(kind="library")
    settings = settings_from(words["config_file"], db=words["db"], jobs=words["jobs"])
    beside: list[Estimator] = []
    taxonomy = load(settings.taxonomy)
    with opened_with_views(settings, words, taxonomy) as (data, changed):
        views = with_views(data, changed, words, taxonomy)
        if words["from_library"]:
            data, beside = _own(data, settings, words)
        result = _trained(name, data, views, words, beside, taxonomy.digest)
    bundles.save(result.bundle, words["out"])
    _report(result, words)
    finish(
        words, f"use it: reclass scan --bundle {words['out']} PATH, or reclass predict --table FILE.npz --bundle ..."
    )


def _own(data: Dataset, settings: Settings, words: dict[str, Any]) -> tuple[Dataset, list[Estimator]]:
    """The library without its doubtful tags, and the model at hand as one more member of the stack."""
    from music_reclass.models import bundle as bundles
    from music_reclass.taxonomy import load
    from music_reclass.training import label_issues as own_library

    taxonomy = load(settings.taxonomy)
    bundle = bundles.embedded()  # not the user's own, which may have learned from these very tags
    doubt = own_library.library_label_issues(data, bundle, taxonomy, words["seed"], complain)
    clean = own_library.cleaned(data, doubt)
    complain(clean.note)
    beside = [own_library.base_of(bundle, taxonomy)] if bundle.kinds == (data.kind,) and not words["columns"] else []
    return clean.data, list(beside)


def _trained(
    name: str,
    data: Dataset,
    views: Augmentations | None,
    words: dict[str, Any],
    beside: list[Estimator],
    taxonomy: str,
) -> Trained:
    from music_reclass.models.dataset import select_columns
    from music_reclass.models.precision import PrecisionTarget
    from music_reclass.training import train as recipes

    if words["columns"]:
        data, views = select_columns(data, views, words["columns"])
    estimators = [*_estimators(name, data, words), *beside]
    return recipes.train(
        data, views, estimators, name, words["seed"], PrecisionTarget.of(words["target_precision"]), complain, taxonomy
    )


def _estimators(name: str, data: Dataset, words: dict[str, Any]) -> list[Estimator]:
    """What is trained; with --ensemble the one asked for and its siblings."""
    from music_reclass.models import linear, mlp
    from music_reclass.models import xgb as boosted

    seed, device = words["seed"], words.get("device", "cpu")
    makers: dict[str, Callable[[], Estimator]] = {
        _MLP: lambda: mlp.MlpEnsemble(seed, mlp.recipe_for(data.table.columns, len(data)), words.get("epochs")),
        "fma-xgb": lambda: boosted.Xgb(seed=seed, device=device if device.startswith("cuda") else "cpu"),
        "fma-linear": lambda: linear.Linear(seed=seed),
    }
    names = [name, *(other for other in makers if other != name)] if words["ensemble"] else [name]
    return [makers[wanted]() for wanted in names]


def _report(result: Trained, words: dict[str, Any]) -> None:
    from music_reclass.cli.eval import show
    from music_reclass.cli.output import write_file
    from music_reclass.report.evaluation_page import page
    from music_reclass.training.train import guarantee_lines

    bundle = result.bundle
    show(result.evaluation)
    for word, text in guarantee_lines(bundle):
        say(word, text)
    for note in result.notes:
        say("note", note)
    if words["html"] is not None:
        write_file(words["html"], page(result.evaluation))
    say("bundle", f"{words['out']}  ({bundle.name} {bundle.version}, {bundle.digest[:12]})")
