"""`eval`: how good a model is on labelled data, as text, JSON or HTML."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from music_reclass.cli.data import data_flags, open_data
from music_reclass.cli.options import force_flag, json_flag, setting_flags
from music_reclass.cli.output import check_output, print_json, say, write_file
from music_reclass.utils.words import counted

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.models.bundle import Bundle
    from music_reclass.models.early_exit import ExitRule
    from music_reclass.models.exit_policy import ExitPolicy
    from music_reclass.models.metrics import Evaluation
    from music_reclass.training.open import DatasetRequest


@click.command("eval")
@data_flags
@click.option(
    "--bundle",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="A trained bundle, or a cascade of them (default: the stages that a scan would use on these data).",
)
@click.option(
    "--part",
    type=click.Choice(["training", "validation", "test"]),
    help="Only this part of the official split (default: test, where there is one).",
)
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Write one self-contained page with plots."
)
@click.option("--seed", type=int, default=0, show_default=True, help="For the bootstrap intervals.")
@force_flag
@setting_flags("jobs", "exit_policy", "effort")
@json_flag
def evaluate(
    *,
    request: DatasetRequest,
    folder: Path | None,
    part: str | None,
    html: Path | None,
    force: bool,
    seed: int,
    as_json: bool,
    settings: Settings,
) -> None:
    """How good a bundle is on labelled data: accuracy, macro-F1, calibration, coverage, confusions, intervals."""
    from dataclasses import replace

    from music_reclass.cli.session import bundles_for
    from music_reclass.models.bundle import load_cascade
    from music_reclass.models.dataset import TEST
    from music_reclass.report.evaluation_page import page
    from music_reclass.taxonomy import load
    from music_reclass.training.evaluate import evaluate_cascade

    if html is not None:
        check_output(html, force=force)
    taxonomy = load(settings.taxonomy)
    absent: dict[str, str] = {}
    if folder is None:
        bundles, absent = bundles_for(request, settings)
    else:
        bundles = list(load_cascade(folder))
    kinds = tuple(dict.fromkeys(kind.name for bundle in bundles for kind in bundle.kinds))
    data = open_data(replace(request, kinds=kinds, partial=folder is None), taxonomy, settings)
    part = part or (TEST if data.is_split else "")
    exits, policy = _exits(settings, bundles)
    evaluation = evaluate_cascade(bundles, data, taxonomy, part=part, seed=seed, library_exits=exits, policy=policy)
    left_out = (f"without the stage {stage}: {why}" for stage, why in absent.items())
    evaluation = replace(evaluation, warnings=(*left_out, *evaluation.warnings))
    if html is not None:
        write_file(html, page(evaluation), force=force)
    if as_json:
        print_json(evaluation.as_json())
    else:
        show(evaluation)


def _exits(settings: Settings, bundles: Sequence[Bundle]) -> tuple[dict[str, tuple[ExitRule, ...]], ExitPolicy]:
    """The exit rules certified on the user's library, and the exit policy, which a scan would use."""
    from music_reclass.cli.session import exit_policy, library_exits, reading

    if not settings.database.exists():
        return {}, exit_policy(settings, None)
    with reading(settings) as database:
        return library_exits(database, [bundle.digest for bundle in bundles]), exit_policy(settings, database)


def show(evaluation: Evaluation) -> None:
    """The evaluation as lines; warnings about the figures come first."""
    from music_reclass.report.text import policy_lines

    say("what", f"{evaluation.title}: {counted(evaluation.count, 'track')} of {counted(evaluation.artists, 'artist')}")
    for text in evaluation.warnings:
        say("warning", text)
    say("", "in brackets: where 95 % of repetitions with other artists would lie")
    for name, figure, meaning in (
        ("accuracy", evaluation.accuracy, "share of tracks with the right genre"),
        ("macro-F1", evaluation.macro_f1, "the same for rare and common genres alike"),
        ("ECE", evaluation.ece, "how far the stated confidence is from the share that is right; 0 is best"),
    ):
        say(name, f"{figure.value:.3f}  ({figure.low:.3f} to {figure.high:.3f})  {meaning}")
    say("genres", f"{'':<18}{'tracks':>7}{'counted':>9}{'called':>8}{'precision':>11}{'recall':>8}{'F1':>6}")
    for row in evaluation.genres:
        shares = f"{_share(row.precision):>11}{_share(row.recall):>8}{_share(row.f1):>6}"
        say("", f"{row.genre:<18}{row.carried:>7}{row.support:>9}{row.predicted:>8}{shares}")
    for number, (genre, called, count) in enumerate(evaluation.confusions):
        say("confused" if not number else "", f"{genre} called {called}: {count}")
    for number, point in enumerate(evaluation.curve[::2]):
        label, right = "coverage" if not number else "", _share(point.precision)
        say(
            label,
            f"confidence {point.confidence:.1f} or more: {point.coverage:.0%} of the tracks, {right} of them right",
        )
    for name, point in evaluation.thresholds:
        say(
            name,
            f"confidence {point.confidence:.2f} or more: {point.coverage:.0%} of the tracks, {_share(point.precision)} "
            "of them right",
        )

    for label, text in policy_lines(evaluation.policies, "right"):
        say(label, text)


def _share(value: float) -> str:
    return "-" if value != value else f"{value:.2f}"
