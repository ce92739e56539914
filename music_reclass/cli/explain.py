"""`explain`: why a file got its genre, in words, as JSON, or as a picture."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from music_reclass.cli.options import force_flag, json_flag, setting_flags
from music_reclass.cli.output import check_output, complain, print_json, printable, say, shorten_home, write_file

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.explain.explanation import Explanation


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--all-stages", is_flag=True, help="Ask every installed stage, also those that were not needed.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="Draw the sound and the first stage's votes over the file.",
)
@force_flag
@setting_flags("bundle", "exit_policy", "effort", "prior", "windows", "device", "gpu_memory", "precision")
@json_flag
def explain(file: Path, all_stages: bool, plot: Path | None, *, force: bool, as_json: bool, settings: Settings) -> None:
    """Why FILE has its genre.

    Shows what each stage voted, why the next one was asked or not, what in the music points to the genre and against
    it, tags recognized in the sound, the album's vote, the decision, and what would be written.

    Features of a file that the library does not know are extracted now. Nothing is stored or written.
    """
    from music_reclass.cli.session import cascade_for, reading
    from music_reclass.domain import OnExisting
    from music_reclass.errors import NothingToDo
    from music_reclass.explain.explanation import explain
    from music_reclass.explain.render import render
    from music_reclass.extractors.device import Placement
    from music_reclass.features.journal import Journal
    from music_reclass.tagging.apply import WritePlan, styles_held
    from music_reclass.taxonomy import load

    if not file.exists():
        raise NothingToDo(f"The file {printable(str(file))} does not exist.")
    if plot is not None:
        from music_reclass.explain.plot import check_ending

        check_ending(plot)
        check_output(plot, force=force)
    taxonomy = load(settings.taxonomy)
    placement = Placement.from_settings(settings)
    with reading(settings) if settings.database.exists() else nullcontext() as library:
        finer = held = None
        if library is not None and settings.styles != "off":
            from music_reclass.classification.styles import StyleReader

            finer = StyleReader(library, taxonomy).finer
            held = styles_held(Journal(library)) if settings.styles == "style" else None
        plan = WritePlan(lambda: iter(()), taxonomy, OnExisting(settings.on_existing), finer=finer, held=held)
        cascade = cascade_for(settings, taxonomy, library)
        explanation = explain(
            os.path.realpath(file), cascade, plan, database=library, placement=placement, all_stages=all_stages
        )
    if as_json:
        print_json(explanation.as_json())
    else:
        for label, text in render(explanation):
            say(label, printable(shorten_home(text) if label == "file" else text))
    if plot is not None:
        _draw(explanation, plot, force=force, as_json=as_json)


def _draw(explanation: Explanation, plot: Path, *, force: bool, as_json: bool) -> None:
    from music_reclass.errors import TrackError
    from music_reclass.explain.plot import draw, window_votes
    from music_reclass.explain.render import caption, levels, title

    try:
        over_time = window_votes(Path(explanation.track.path), explanation.cascade.stages[0])
    except TrackError as error:
        complain(f"There is no picture: {error}")
        return
    content = draw(over_time, title(explanation), caption(explanation), levels=levels(explanation), ending=plot.suffix)
    write_file(plot, content, force=force)
    if not as_json:
        say("picture", printable(shorten_home(os.path.abspath(plot))))
