"""`eval`: how good a model is on labelled data, as text, JSON or HTML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from music_reclass.cli.data import data_flags, opened
from music_reclass.cli.options import database_flags, json_flag, settings_from
from music_reclass.cli.output import check_output, print_json, say, write_file

if TYPE_CHECKING:
    from music_reclass.models.metrics import Evaluation


@click.command("eval")
@data_flags
@click.option(
    "--bundle",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="A trained bundle, or a ladder of them (default: yours, else the embedded first stage).",
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
@json_flag
@database_flags
def evaluate(
    folder: Path | None, part: str | None, html: Path | None, seed: int, as_json: bool, db: Path | None,
    config_file: Path | None, **words: Any,
) -> None:  # fmt: skip
    """How good a bundle is on labelled data: accuracy, macro-F1, calibration, coverage, confusions, intervals."""
    from music_reclass.models import bundle as bundles
    from music_reclass.models import bundle as ladders
    from music_reclass.models.dataset import TEST
    from music_reclass.report.evaluation_page import page
    from music_reclass.taxonomy import load
    from music_reclass.training.evaluate import evaluate_cascade

    if html is not None:
        check_output(html)
    settings = settings_from(config_file, db=db, bundle=folder, jobs=words["jobs"])
    taxonomy = load(settings.taxonomy)
    stages = (bundles.embedded(),) if settings.bundle is None else ladders.load_cascade(settings.bundle)
    kinds = tuple(kind.name for kind in stages[-1].kinds)
    with opened(settings, words, taxonomy, kinds) as data:
        chosen = part or (TEST if data.is_split else "")
        evaluation = evaluate_cascade(stages, data, taxonomy, chosen, seed)
    if html is not None:
        write_file(html, page(evaluation))
    if as_json:
        print_json(evaluation.as_json())
    else:
        show(evaluation)


def show(evaluation: Evaluation) -> None:
    """The evaluation as lines; what makes the figures doubtful comes first."""
    say("what", f"{evaluation.title}: {evaluation.count:,} rows of {evaluation.artists:,} artists")
    for text in evaluation.warnings:
        say("warning", text)
    for name, own in (("accuracy", evaluation.accuracy), ("macro-F1", evaluation.macro_f1), ("ECE", evaluation.ece)):
        say(name, f"{own.value:.3f}   95 % of resampled artists: {own.low:.3f} to {own.high:.3f}")
    say("genres", f"{'':<18}{'rows':>6}{'counted':>9}{'called':>8}{'precision':>11}{'recall':>8}{'F1':>6}")
    for row in evaluation.genres:
        shares = f"{_share(row.precision):>11}{_share(row.recall):>8}{_share(row.f1):>6}"
        say("", f"{row.genre:<18}{row.carried:>6}{row.support:>9}{row.predicted:>8}{shares}")
    for number, pair in enumerate(evaluation.confusions):
        say("confused" if not number else "", f"{pair.genre} called {pair.called}: {pair.count}")
    for number, point in enumerate(evaluation.curve[::2]):
        label, right = "coverage" if not number else "", _share(point.precision)
        say(label, f"from {point.confidence:.1f}: {point.coverage:.0%} decided, {right} right")
    for name, point in evaluation.thresholds:
        say(name, f"from {point.confidence:.2f}: {point.coverage:.0%} decided, {_share(point.precision)} right")


def _share(value: float) -> str:
    return "-" if value != value else f"{value:.2f}"
