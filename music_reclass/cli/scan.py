"""The main job: `scan` listens, decides, shows the plan and writes it; `apply` writes what an earlier scan decided."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from music_reclass.cli.options import Choice, bundle_flag, network_flags, settings_from, write_flags, write_option_flags
from music_reclass.cli.output import printable, say, shorten_home
from music_reclass.cli.plex_output import map_flag
from music_reclass.cli.writing import conclude, plan_for

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.features.scans import ScanStats


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@write_option_flags
@click.option("--plex", "plex_library", metavar="LIBRARY", help="Only what this Plex music library holds.")
@click.option("--sync-plex", is_flag=True, help="After writing, refresh Plex and write the same genres there.")
@map_flag
@click.option(
    "--include", multiple=True, metavar="GLOB", help="Only files whose name or path matches; may be repeated."
)
@click.option("--exclude", multiple=True, metavar="GLOB", help="No files whose name or path matches; may be repeated.")
@click.option("--rescan", is_flag=True, help="Read every file again, known or not.")
@click.option("-j", "--jobs", type=int, help="Worker processes (default: the cores less one, at most eight).")
@click.option("--timeout", type=float, help="Seconds one file may take (default: 120).")
@click.option("--max-genres", type=int, help="How many genres may be written to a file (default: 1).")
@click.option(
    "--stages",
    metavar="LIST",
    help="Which stages may vote, by name or number: 1, or 1,musicnn (default: 1 and those that are installed).",
)
@bundle_flag
@click.option("--album/--no-album", default=None, help="Whether the tracks of an album vote together (default: yes).")
@click.option("--max-time", metavar="TIME", help="How long later stages may listen: 2h, 30m, 90s (default: no limit).")
@click.option(
    "--max-tracks", type=click.IntRange(1), help="How many tracks they may listen to, the most valuable (default: all)."
)
@click.option("--all-layers", is_flag=True, default=None, help="Where MERT listens, store the means of all its layers.")
@network_flags
@write_flags
def scan(
    paths: tuple[Path, ...],
    plex_library: str | None,
    sync_plex: bool,
    pairs: tuple[str, ...],
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    rescan: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    config_file: Path | None,
    **manner: Any,
) -> int:
    """Listen to the music in PATHS, decide each track's genre, and tag it.

    On a terminal the plan is shown before anything is written, and you are asked. Without a terminal nothing is
    written unless --yes is given. `reclass undo` takes the last run back, to the byte.
    """
    from music_reclass.classification.scan import ScanRequest
    from music_reclass.classification.scan import scan as bring_up_to_date
    from music_reclass.cli.plex import files_in_plex, sync_after_scan
    from music_reclass.cli.session import cascade_for, writing
    from music_reclass.features.decisions import Decisions
    from music_reclass.features.scope import Scope
    from music_reclass.features.statistics import Outcomes
    from music_reclass.plex.server import connect
    from music_reclass.report.summary import after_scan, store_scan

    settings = settings_from(config_file, plex_library=plex_library, **manner)
    roots = tuple(map(str, paths))
    if not roots and plex_library is None:
        raise click.UsageError("name a folder or file to scan, or a Plex library with --plex.")
    if sync_plex or plex_library is not None:
        connect(settings)  # a server that does not answer is said before hours of listening
    with writing(settings, "scan") as work:
        if plex_library is not None:
            roots = files_in_plex(work, pairs, roots)
        request = ScanRequest(roots, include, exclude, rescan)
        cascade = cascade_for(settings, work.taxonomy, work.database)
        scope = Scope(work.database)
        stats = bring_up_to_date(scope, request, cascade, settings, stop=work.stop)
        arguments = {"paths": [os.path.abspath(path) for path in paths], "rescan": rescan}
        store_scan(scope, stats, cascade, arguments)
        if not as_json:
            _show_discovery(stats, paths, settings)
            _show_later_stages(stats, cascade.absent)
            for label, text in after_scan(stats, Outcomes(work.database, scope), cascade):
                say(label, printable(text))
        plan = plan_for(work, lambda: Decisions(work.database).in_scope(scope))
        after = (lambda written: sync_after_scan(work, pairs, written, as_json)) if sync_plex else None
        code = conclude(work, plan, Choice(dry_run, yes, as_json), command="scan", arguments=arguments, after=after)
        return code or (1 if stats.unreadable else 0)


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@write_option_flags
@write_flags
def apply(
    paths: tuple[Path, ...],
    on_existing: str | None,
    profile: str | None,
    preserve_mtime: bool | None,
    detach_hard_links: bool | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    db: Path | None,
    config_file: Path | None,
) -> int:
    """Write the genres that earlier scans decided, below PATHS or in the whole library; no audio is read."""
    from music_reclass.cli.library import open_library
    from music_reclass.cli.session import writing
    from music_reclass.errors import NothingToDo
    from music_reclass.features.decisions import Decisions

    settings = settings_from(
        config_file,
        db=db,
        on_existing=on_existing,
        profile=profile,
        preserve_mtime=preserve_mtime,
        detach_hard_links=detach_hard_links,
    )
    open_library(db, config_file).close()  # a library that is not there is said before one is made
    folders = [os.path.realpath(path) for path in paths]
    with writing(settings, "apply") as work:
        decisions = Decisions(work.database)
        if next(decisions.below(folders), None) is None:
            raise NothingToDo("no track of the library lies there; scan it first (reclass scan PATH).")
        plan = plan_for(work, lambda: decisions.below(folders))
        return conclude(work, plan, Choice(dry_run, yes, as_json), command="apply", arguments={"paths": folders})


def _show_discovery(stats: ScanStats, paths: tuple[Path, ...], settings: Settings) -> None:
    parts = [f"{stats.new:,} new", f"{stats.known:,} known"]
    parts += [f"{count:,} {name}" for name, count in (("changed", stats.changed), ("gone", stats.gone)) if count]
    where = ", ".join(printable(shorten_home(os.path.abspath(path))) for path in paths)
    say("music", f"{where}   {stats.found:,} audio files  ({', '.join(parts)})")
    if stats.read:
        seconds = stats.seconds["read"]
        rate = stats.read / seconds if seconds else 0.0
        say("read", f"{stats.read:,} files in {_duration(seconds)}, {rate:,.1f} a second, {settings.workers} at a time")
    for path, why in stats.unreadable[:5]:
        say("", click.style("! ", fg="red") + f"{printable(path)[:200]}: {why}")


def _show_later_stages(stats: ScanStats, absent: Mapping[str, str]) -> None:
    """Whom the later stages listened to, whom they did not reach or could not hear, and who could not listen."""
    for name, stage in list(stats.stages.items())[1:]:
        if stage.extracted:
            say("listened", f"{stage.extracted:,} tracks in doubt with {name} in {_duration(stage.seconds)}")
    unreached = {name: stage.unreached for name, stage in stats.stages.items() if stage.unreached}
    failed = {name: stage.failed for name, stage in stats.stages.items() if stage.failed}
    if unreached:
        count = sum(unreached.values())
        say("left", f"{count:,} tracks in doubt were left for the next scan ({_by_name(unreached)})")
    if failed:
        count = sum(failed.values())
        say("", f"{count:,} tracks in doubt could not be heard by a later stage ({_by_name(failed)})")
    if stats.in_pieces:
        say("", f"{stats.in_pieces:,} windows were computed in pieces for want of memory: other programs hold the rest")
    for absentee, why in absent.items():
        say("absent", f"the stage {absentee} does not vote: {why}")


def _by_name(counts: Mapping[str, int]) -> str:
    return " · ".join(f"{name} {count:,}" for name, count in counts.items())


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 90 else f"{minutes} min"
