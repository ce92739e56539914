"""`relabel`: the whole library decided again, after a change of taxonomy, rules or model; no audio is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from music_reclass.cli.options import json_flag, setting_flags
from music_reclass.cli.output import plain, print_json, printable, say

if TYPE_CHECKING:
    from music_reclass.classification.relabel import Relabelled
    from music_reclass.config import Settings

_SHOWN = 20  # kinds of change


@click.command()
@click.option(
    "-n",
    "--dry-run",
    "--pretend",
    "dry_run",
    is_flag=True,
    help="Show how many would change, and from what to what; leave every decision as it is.",
)
@setting_flags("taxonomy", "max_genres", "album", "speech", "bundle", "exit_policy", "effort", "prior", "wait")
@json_flag
def relabel(dry_run: bool, as_json: bool, settings: Settings) -> None:
    """Decide the whole library again from stored votes, after a change of taxonomy, rules or model; writes no tag."""
    import time

    from music_reclass.report.text import counted

    started = time.perf_counter()
    report = _relabel(settings, dry_run)
    seconds = time.perf_counter() - started
    if as_json:
        print_json(_as_object(report, dry_run, seconds))
        return
    voted = f"{report.from_vectors:,} of them from stored features"
    would = "would be " if dry_run else ""
    say("decided", f"{counted(report.decided, 'track')} {would}decided again ({seconds:.1f} s), {voted}")
    if dry_run:
        say("changed", f"{report.changed:,} would have another genre; nothing was stored")
    else:
        say("changed", f"{report.changed:,} have another genre now; write them: reclass apply")
    for (before, after), count in report.changes.most_common(_SHOWN):
        plain(f"{count:>8,}  {_joined(before)} -> {_joined(after)}")
    rest = list(report.changes.most_common())[_SHOWN:]
    if rest:
        plain(f"{sum(count for _, count in rest):>8,}  in {counted(len(rest), 'other way')} (--json lists all)")
    if settings.taxonomy is not None:
        plain("The next scan decides by the taxonomy of the configuration; put this one there: taxonomy = FILE.")


def _relabel(settings: Settings, dry_run: bool) -> Relabelled:
    """A dry run looks only: it takes no lease and settles nothing that an interrupted run left."""
    from music_reclass.classification.relabel import relabel
    from music_reclass.cli.session import cascade_for, reading, writing
    from music_reclass.taxonomy import load

    if dry_run:
        with reading(settings) as library:
            return relabel(library, cascade_for(settings, load(settings.taxonomy), library), dry_run=True)
    with writing(settings, "relabel", must_exist=True) as work:
        return relabel(work.database, cascade_for(settings, work.taxonomy, work.database))


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


def _joined(genres: tuple[str, ...]) -> str:
    return printable(", ".join(genres)) or "(no genre)"
