"""`train *-ensemble` and `train all`: later stages, and whole cascades."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from music_reclass.cli.data import data_flags, opened_with_views
from music_reclass.cli.options import database_flags, settings_from
from music_reclass.cli.output import complain, say
from music_reclass.cli.train_options import common_flags, finish, with_views

if TYPE_CHECKING:
    from music_reclass.models.base import Estimator
    from music_reclass.models.dataset import Dataset
    from music_reclass.training.cascade import StageRecipe

Command = TypeVar("Command", bound=Callable[..., Any])
_FIRST = "fma518"
_LATER = ("musicnn", "mert", "mert-330m", "jmla")


def _flags(command: Command) -> Command:
    for flag in (
        click.option("--device", default="cpu", show_default=True, help="Where trees grow: cpu, cuda, cuda:1."),
        click.option(
            "--epochs",
            type=click.IntRange(1),
            help="How often networks see every row (default: 80, from 4000 rows 40).",
        ),
        common_flags,
        data_flags,
        database_flags,
    ):
        command = flag(command)
    return command


@click.command("musicnn-ensemble")
@_flags
def musicnn_ensemble(**words: Any) -> None:
    """Networks, trees and a linear model on fma518 and MusiCNN vectors: stage 2 where MERT cannot run."""
    _one("musicnn-ensemble", (_FIRST, "musicnn"), words)


@click.command("mert-ensemble")
@_flags
def mert_ensemble(**words: Any) -> None:
    """Networks, trees and a linear model on fma518 and MERT vectors: stage 2 of the ladder."""
    _one("mert-ensemble", (_FIRST, "mert"), words)


@click.command("jmla-ensemble")
@_flags
def jmla_ensemble(**words: Any) -> None:
    """Networks, trees and a linear model on fma518, MERT and OpenJMLA vectors: stage 3 of the ladder."""
    _one("jmla-ensemble", (_FIRST, "mert", "jmla"), words)


@click.command("all")
@_flags
@click.option(
    "--stages",
    default="auto",
    show_default=True,
    help="The ladder, cheapest first, as fma518,musicnn or fma518,mert,jmla; auto: all that is at hand.",
)
@click.option(
    "--epsilon",
    type=click.FloatRange(0.0, 0.5, min_open=True),
    default=0.02,
    show_default=True,
    help="Share of all tracks that may leave a stage wrong where the whole ladder would have been right.",
)
@click.option(
    "--delta",
    type=click.FloatRange(0.0, 0.5, min_open=True),
    default=0.1,
    show_default=True,
    help="How likely that promise may fail, all exits of the ladder together.",
)
def train_all(**words: Any) -> None:
    """A whole ladder from one labelled set, with exits that are certified against the stages behind them."""
    _all(words)


CASCADE_COMMANDS = (musicnn_ensemble, mert_ensemble, jmla_ensemble, train_all)


def _one(name: str, kinds: tuple[str, ...], words: dict[str, Any]) -> None:
    from music_reclass.cli.eval import show
    from music_reclass.models import bundle as bundles
    from music_reclass.taxonomy import load
    from music_reclass.training import train as recipes

    settings = settings_from(words["config_file"], db=words["db"], jobs=words["jobs"])
    _short_for_table(words)
    taxonomy = load(settings.taxonomy)
    with opened_with_views(settings, words, taxonomy, kinds) as (data, changed):
        views = with_views(data, changed, words, taxonomy)
        rung = _stage_recipe(name, kinds, data, words)
        result = recipes.train(data, views, rung.estimators, name, words["seed"], rung.aim, complain, taxonomy.digest)
    bundles.save(result.bundle, words["out"])
    show(result.evaluation)
    for label, text in [*recipes.guarantee_lines(result.bundle), *(("note", note) for note in result.notes)]:
        say(label, text)
    say("bundle", f"{words['out']}  ({name} {result.bundle.version}, {result.bundle.digest[:12]})")
    finish(words, f"use it: reclass scan --bundle {words['out']} PATH")


def _all(words: dict[str, Any]) -> None:
    from music_reclass.models import bundle as ladders
    from music_reclass.models.early_exit import RiskTarget
    from music_reclass.taxonomy import load
    from music_reclass.training import cascade as rungs

    settings = settings_from(words["config_file"], db=words["db"], jobs=words["jobs"])
    _short_for_table(words)
    first, *later = _kinds(words)
    taxonomy = load(settings.taxonomy)
    with opened_with_views(settings, words, taxonomy, (first, *later)) as (data, changed):
        views = with_views(data, changed, words, taxonomy)
        seen = [(first,), *((first, *later[: place + 1]) for place in range(len(later)))]
        steps = [_stage_recipe(_name(kinds[-1]), kinds, data, words) for kinds in seen]
        promise = RiskTarget(words["epsilon"], words["delta"])
        found = rungs.train_cascade(data, views, steps, words["seed"], promise, complain, taxonomy.digest)
    ladders.save_cascade([one.bundle for one in found.stages], words["out"])
    for label, text in rungs.summary(found):
        say(label, text)
    say("bundles", f"{words['out']}  ({', '.join(one.bundle.digest[:12] for one in found.stages)})")
    finish(
        words, f"use it: reclass scan --bundle {words['out']} PATH, or reclass predict --table FILE.npz --bundle ..."
    )


def _short_for_table(words: dict[str, Any]) -> None:
    if words["table"] is not None:
        words.update(kind="table", data_path=words["table"])


def _name(kind: str) -> str:
    return "fma-mlp" if kind == _FIRST else f"{kind}-ensemble"


def _kinds(words: dict[str, Any]) -> tuple[str, ...]:
    """The kinds of the ladder, one a stage, as `--stages` says it. UsageError where it makes no ladder."""
    from music_reclass.errors import UsageError
    from music_reclass.models import dataset as tables
    from music_reclass.training import npz as kinds

    if words["stages"] != "auto":
        named = tuple(word.strip() for word in words["stages"].split(","))
        if named[0] != _FIRST or len(set(named)) != len(named) or not set(named[1:]) <= set(_LATER):
            raise UsageError(
                f"there is no ladder {words['stages']!r}; it begins with {_FIRST} and goes on with some of "
                f"{', '.join(_LATER)}, each once."
            )
        return named
    if words["kind"] == "table" and words["data_path"] is not None:
        tables.read_table(words["data_path"])  # what is wrong with the table is said first
        at_hand = [name for name in kinds.kinds_in(words["data_path"]) if name in _LATER]
    else:
        at_hand = [name for name in _LATER if kinds.is_installed(name, words["excerpt"])]
    if "mert" in at_hand or "mert-330m" in at_hand:  # MusiCNN is for machines that cannot run MERT
        at_hand = [name for name in at_hand if name != "musicnn"]
    return (_FIRST, *at_hand)


def _stage_recipe(name: str, kinds: tuple[str, ...], data: Dataset, words: dict[str, Any]) -> StageRecipe:
    """The stage that sees `kinds`: networks, trees and a linear model."""
    from music_reclass.models import linear, mlp
    from music_reclass.models import xgb as boosted
    from music_reclass.models.precision import PrecisionTarget
    from music_reclass.training.cascade import StageRecipe
    from music_reclass.utils.lazy import require

    for package in ("sklearn", "xgboost"):  # said before the first network has trained
        require(package, extra="train")
    seed, device = words["seed"], words["device"]
    estimators: tuple[Estimator, ...] = (
        mlp.MlpEnsemble(seed, mlp.recipe_for(data.of(kinds).table.columns, len(data)), words["epochs"]),
        boosted.Xgb(seed=seed, device=device if device.startswith("cuda") else "cpu"),
        linear.Linear(seed=seed),
    )
    return StageRecipe(name, kinds, estimators, PrecisionTarget.of(words["target_precision"]))
