"""`relabel`: another taxonomy, other rules, another model; a whole library decided again in seconds, no audio read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from music_reclass.cli.options import database_flags, json_flag, settings_from
from music_reclass.cli.output import plain, print_json, printable, say

if TYPE_CHECKING:
    from music_reclass.classification.relabel import Relabelled
    from music_reclass.config import Settings

_SHOWN = 20  # kinds of change


@click.command()
@click.option(
    "--taxonomy", type=click.Path(path_type=Path, dir_okay=False), help="Another file over the built-in taxonomy."
)
@click.option("--max-genres", type=click.IntRange(1), help="How many genres a track may get (default: 1).")
@click.option("--album/--no-album", default=None, help="Whether the tracks of an album vote together (default: yes).")
@click.option("--bundle", type=click.Path(path_type=Path, file_okay=False), help="Another bundle for stage 1.")
@click.option(
    "-n",
    "--dry-run",
    "--pretend",
    "dry_run",
    is_flag=True,
    help="Show how many would change, and from what to what; leave every decision as it is.",
)
@database_flags
@json_flag
def relabel(
    taxonomy: Path | None,
    max_genres: int | None,
    album: bool | None,
    bundle: Path | None,
    dry_run: bool,
    db: Path | None,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Decide the whole library again from stored votes, after a change of taxonomy, rules or model; writes no tag."""
    import time

    from music_reclass.cli.library import open_library

    settings = settings_from(config_file, db=db, taxonomy=taxonomy, max_genres=max_genres, album=album, bundle=bundle)
    open_library(db, config_file).close()  # a library that is not there is said before one is made
    started = time.perf_counter()
    report = _rehearsed(settings) if dry_run else _done(settings)
    seconds = time.perf_counter() - started
    if as_json:
        print_json(_as_object(report, dry_run, seconds))
        return
    voted = f"{report.from_vectors:,} of them from stored features"
    would = "would be " if dry_run else ""
    say("decided", f"{report.decided:,} tracks {would}decided again ({seconds:.1f} s), {voted}")
    if dry_run:
        say("changed", f"{report.changed:,} would have another genre; nothing was stored")
    else:
        say("changed", f"{report.changed:,} have another genre now; write them: reclass apply")
    for (before, after), count in report.changes.most_common(_SHOWN):
        plain(f"{count:>8,}  {_words(before)} -> {_words(after)}")
    rest = list(report.changes.most_common())[_SHOWN:]
    if rest:
        plain(f"{sum(count for _, count in rest):>8,}  in {len(rest)} other ways (--json lists all)")
    if taxonomy is not None:
        plain("the next scan decides by the taxonomy of the configuration; put this one there: taxonomy = FILE")


def _done(settings: Settings) -> Relabelled:
    from music_reclass.classification import relabel as relabelling
    from music_reclass.cli.session import cascade_for, session

    with session(settings, "relabel") as work:
        return relabelling.relabel(work.database, cascade_for(settings, work.taxonomy))


def _rehearsed(settings: Settings) -> Relabelled:
    """Without the lease of a writer, and without settling what an interrupted run left: nothing is written."""
    from music_reclass.classification import relabel as relabelling
    from music_reclass.cli.session import cascade_for
    from music_reclass.features.database import Database
    from music_reclass.taxonomy import load

    cascade = cascade_for(settings, load(settings.taxonomy))
    database = Database(settings.database)
    try:
        return relabelling.relabel(database, cascade, dry_run=True)
    finally:
        database.close()


def _as_object(report: Relabelled, dry_run: bool, seconds: float) -> dict[str, object]:
    return {
        "decided": report.decided,
        "from_votes": report.from_votes,
        "from_vectors": report.from_vectors,
        "changed": report.changed,
        "changes": [
            {"before": list(before), "after": list(after), "tracks": count}
            for (before, after), count in report.changes.most_common()
        ],
        "dry_run": dry_run,
        "seconds": round(seconds, 3),
    }


def _words(genres: tuple[str, ...]) -> str:
    return printable(", ".join(genres)) or "(no genre)"
