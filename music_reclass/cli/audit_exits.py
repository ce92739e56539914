"""`audit-exits`: what leaving the ladder early has cost, by a random sample that the whole ladder hears."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from music_reclass.cli.options import database_flags, json_flag, settings_from
from music_reclass.cli.output import complain, plain, print_json, say

if TYPE_CHECKING:
    from music_reclass.classification.exit_audit import ExitAudit
    from music_reclass.classification.voter import Ladder
    from music_reclass.cli.session import Session


@click.command("audit-exits")
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.02,
    show_default=True,
    help="Which part of the tracks that left early to draw.",
)
@click.option("--max-tracks", type=click.IntRange(1), help="Draw at most this many.")
@click.option("--seed", type=int, default=0, show_default=True, help="For the draw.")
@click.option("--stages", metavar="LIST", help="The stages of the ladder, as for scan.")
@click.option("--bundle", type=click.Path(path_type=Path, file_okay=False), help="The bundle or ladder, as for scan.")
@click.option(
    "-n", "--dry-run", "dry_run", is_flag=True, help="Draw, and say how much there is to listen to; listen to nothing."
)
@database_flags
@json_flag
def audit_exits(
    share: float,
    max_tracks: int | None,
    seed: int,
    stages: str | None,
    bundle: Path | None,
    dry_run: bool,
    db: Path | None,
    config_file: Path | None,
    as_json: bool,
) -> int:
    """Let the whole ladder hear a random part of the tracks that left it early, and say what leaving has cost.

    The exit code is 1 where more is lost than was promised. What is heard is kept; no tag is written and no decision
    changed.
    """
    from music_reclass.classification import exit_audit
    from music_reclass.classification.sources import Listener
    from music_reclass.cli.listing import open_library
    from music_reclass.cli.session import ladder_for, session
    from music_reclass.features.calibrations import ExitAudits
    from music_reclass.utils.progress import progress_bar

    settings = settings_from(config_file, db=db, stages=stages, bundle=bundle)
    open_library(db, config_file).close()  # a library that is not there is said before one is made
    with session(settings, "audit-exits") as work:
        ladder = ladder_for(settings, work.taxonomy)
        drawn = exit_audit.draw(work.database, ladder, share, max_tracks, seed)
        if dry_run:
            tracks = [own.track for own in drawn.leavers]
            return show_waiting(work, ladder, tracks, f"{len(tracks):,} of {drawn.early:,.0f} early exits", as_json)
        listener = Listener(work.database, settings)
        found = exit_audit.audited(work.database, ladder, drawn, listener, lambda: bool(work.stop), progress_bar)
        if not work.stop:
            ExitAudits(work.database).save(found.as_json())
    if as_json:
        print_json(found.as_json())
    else:
        _show(found)
    if found.stopped:
        complain("stopped as you asked; what was heard is kept: the same command goes on from here.")
        return 130
    return 1 if found.alarm else 0


def show_waiting(work: Session, ladder: Ladder, tracks: list[int], what: str, as_json: bool) -> int:
    """What there is to listen to, and how long that took the last time; exit code 0."""
    from music_reclass.classification.reporting import duration
    from music_reclass.classification.whole_ladder import lacking
    from music_reclass.features.scans import Scans

    waiting = lacking(work.database, ladder.stages, tracks)
    scans = Scans(work.database)
    costs = {name: scans.seconds_per_track(name) for name in waiting}
    if as_json:
        print_json({"tracks": len(tracks), "to_hear": waiting, "seconds_per_track": costs})
        return 0
    say("drawn", what)
    for name, count in waiting.items():
        each = costs[name]
        time = "" if each is None else f", about {duration(count * each)}"
        say("to hear", f"{count:,} tracks with {name}{time}")
    if not waiting:
        say("to hear", "nothing: every stage has heard them")
    return 0


def _show(found: ExitAudit) -> None:
    say("audit", f"{found.tracks:,} tracks, about {found.early:,} left the ladder early; {found.heard:,} of them heard")
    if found.heard < found.drawn:
        say("", f"{found.drawn - found.heard:,} more were drawn, and not every stage could hear them")
    for row in found.rows:
        share = f"{row.other / row.heard:.1%} [{row.low:.1%}, {row.high:.1%}]"
        how = "by its own vote" if row.how == "own" else "by its album"
        say(row.stage, f"{how}: {row.other:,} of {row.heard:,} get another genre from the whole ladder, {share}")
        if row.tagged:
            say(
                "",
                f"by your own tags, {row.tagged:,} of them: {row.lost:,} were right at the end only, "
                f"{row.won:,} when they left only",
            )
    for own in found.judgements:
        if own.alarm:
            plain(click.style(f"! {own.stage}: {own.sentence()}.", fg="red"))
        else:
            say(own.stage, own.sentence())
    if found.alarm:
        plain("exits that hold for this library: reclass calibrate --from-library (--label-free without tags)")
