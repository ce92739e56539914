"""`relabel`: another taxonomy, other rules, another model; a whole library decided again in seconds, no audio read."""

from __future__ import annotations

from pathlib import Path

import click

from music_reclass.cli.options import database_flags, json_flag, settings_from
from music_reclass.cli.output import plain, print_json, say


@click.command()
@click.option(
    "--taxonomy", type=click.Path(path_type=Path, dir_okay=False), help="Another file over the built-in taxonomy."
)
@click.option("--max-genres", type=click.IntRange(1), help="How many genres a track may get (default: 1).")
@click.option("--album/--no-album", default=None, help="Whether the tracks of an album vote together (default: yes).")
@click.option("--bundle", type=click.Path(path_type=Path, file_okay=False), help="Another bundle for stage 1.")
@database_flags
@json_flag
def relabel(
    taxonomy: Path | None,
    max_genres: int | None,
    album: bool | None,
    bundle: Path | None,
    db: Path | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Decide the whole library again from stored votes, after a change of taxonomy, rules or model; writes no tag."""
    import time

    from music_reclass.classification import relabelling
    from music_reclass.cli.listing import open_library
    from music_reclass.cli.session import ladder_for, session

    settings = settings_from(config_file, db=db, taxonomy=taxonomy, max_genres=max_genres, album=album, bundle=bundle)
    open_library(db, config_file).close()  # a library that is not there is said before one is made
    with session(settings, "relabel") as work:
        started = time.perf_counter()
        report = relabelling.relabel(work.database, ladder_for(settings, work.taxonomy))
        seconds = time.perf_counter() - started
    if as_json:
        print_json(
            {
                "decided": report.decided, "from_votes": report.from_votes, "from_vectors": report.from_vectors,
                "changed": report.changed, "seconds": round(seconds, 3),
            }
        )  # fmt: skip
        return
    say(
        "decided", f"{report.decided:,} tracks in {seconds:.1f} s, {report.from_vectors:,} of them from stored features"
    )
    say("changed", f"{report.changed:,} have another genre now; write them: reclass apply")
    if taxonomy is not None:
        plain("the next scan decides by the taxonomy of the configuration; put this one there: taxonomy = FILE")
