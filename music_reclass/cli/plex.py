"""`plex`: check, map, import, diff, sync, restore, unlock, selftest."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from music_reclass.cli import plex_output as report
from music_reclass.cli.options import Choice, database_flags, json_flag, settings_from, write_flags
from music_reclass.cli.output import complain, print_json, printable, say
from music_reclass.cli.plex_output import compare_flags, library_flag, map_flag, may_write, path_map, request_from

if TYPE_CHECKING:
    from music_reclass.cli.session import Session
    from music_reclass.config import Settings
    from music_reclass.features.plex import KnownServer
    from music_reclass.plex.model import ItemEdit, Section
    from music_reclass.plex.server import Server
    from music_reclass.plex.write import Outcome


@click.command()
@compare_flags
@database_flags
@json_flag
def diff(
    library: str | None, pairs: tuple[str, ...], level: str, mode: str, lock: str, allow_partial: bool, as_json: bool,
    db: Path | None, config_file: Path | None, **flags: Any,
) -> None:  # fmt: skip
    """What would change on the server, and why; nothing is written."""
    from music_reclass.cli.library import open_library
    from music_reclass.features.plex import PlexJournal
    from music_reclass.plex.server import connect
    from music_reclass.plex.sync import compare
    from music_reclass.taxonomy import load

    settings = settings_from(config_file, db=db, plex_library=library)
    request = request_from(pairs, level, mode, lock, flags)
    database = open_library(db, config_file)
    server = connect(settings)
    found = compare(
        server, server.music(settings.plex_library), database, PlexJournal(database), request, load(settings.taxonomy),
        allow_partial=allow_partial,
    )  # fmt: skip
    report.show_survey(found, as_json)
    counts, _ = report.show_rows(found.rows, as_json)
    if not as_json:
        report.show_counts(counts)


@click.command()
@compare_flags
@write_flags
def sync(
    library: str | None, pairs: tuple[str, ...], level: str, mode: str, lock: str, allow_partial: bool, dry_run: bool,
    yes: bool, as_json: bool, db: Path | None, config_file: Path | None, **flags: Any,
) -> int:  # fmt: skip
    """Write the decisions into the Plex library: shown first, verified after, and taken back by `plex restore`."""
    from music_reclass.cli.library import open_library
    from music_reclass.cli.session import writing
    from music_reclass.features.plex import PlexJournal
    from music_reclass.plex.server import connect
    from music_reclass.plex.sync import compare, server_in_journal

    settings = settings_from(config_file, db=db, plex_library=library)
    request = request_from(pairs, level, mode, lock, flags)
    open_library(db, config_file).close()
    server = connect(settings)
    section = server.music(settings.plex_library)
    with writing(settings, "plex sync") as work:
        journal = PlexJournal(work.journal.database)
        known = server_in_journal(server, journal)
        found = compare(
            server, section, work.database, journal, request, work.taxonomy, allow_partial=allow_partial,
            stop=lambda: bool(work.stop),
        )  # fmt: skip
        report.show_survey(found, as_json)
        counts, edits = report.show_rows(found.rows, as_json)
        if not as_json:
            report.show_counts(counts)
        if work.stop:
            complain("stopped as you asked; nothing was written.")
            return 130
        if not may_write(len(edits), "items of the Plex library", dry_run, yes, as_json):
            return 0
        journal.remember_mapping(known.id, found.found.path_map.as_dict())
        arguments: dict[str, object] = {
            "library": section.title,
            "server": server.client.name,
            "level": found.request.level,
            "mode": mode,
        }
        return _write(work, server, section, known, edits, "plex sync", arguments, as_json)


def _write(
    work: Session, server: Server, section: Section, known: KnownServer, edits: list[ItemEdit], command: str,
    arguments: dict[str, object], as_json: bool,
) -> int:  # fmt: skip
    """Write the edits as one run of the journal, and tell how it went; the exit code."""
    from music_reclass.features.plex import PlexJournal
    from music_reclass.plex.sync import write_edits

    run = work.journal.begin_run(command, arguments)
    journal = PlexJournal(work.journal.database)
    outcome = write_edits(server, section, journal, known, run, edits, lambda: bool(work.stop))
    work.journal.finish_run(run, {"written": outcome.written, "failed": len(outcome.failed)})
    if as_json:
        print_json({"run": run, **report.outcome_as_json(outcome)})
    else:
        report.show_outcome(outcome, f"take it back: reclass plex restore {run}")
    return _code(outcome)


def _code(outcome: Outcome) -> int:
    if outcome.stopped:
        complain("stopped as you asked; what was sent is verified and booked: the same command goes on from here.")
        return 130
    return 1 if outcome.failed or outcome.changed else 0


@click.command()
@click.argument("run", type=int, required=False)
@click.option("--force", is_flag=True, help="Bring the old genres back even where somebody has set others since.")
@write_flags
def restore(
    run: int | None, force: bool, dry_run: bool, yes: bool, as_json: bool, db: Path | None, config_file: Path | None
) -> int:
    """Take RUN back, by default the newest that stands on a server, wherever the server holds what it wrote."""
    settings = settings_from(config_file, db=db)
    return restore_run(settings, run, force, Choice(dry_run, yes, as_json))


def restore_run(settings: Settings, run: int | None, force: bool, choice: Choice) -> int:
    """Take a run back on the server, by default the newest that stands there; the exit code."""
    from music_reclass.cli.session import reading, writing
    from music_reclass.errors import NothingToDo
    from music_reclass.features.plex import PlexJournal
    from music_reclass.plex.restore import plan_restore, restore_planned
    from music_reclass.plex.server import connect
    from music_reclass.plex.sync import server_in_journal

    with reading(settings):
        pass  # a library that is not there is said before the server is asked
    server = connect(settings)
    with writing(settings, "plex restore") as work:
        journal = PlexJournal(work.journal.database)
        server_in_journal(server, journal)
        number = run if run is not None else journal.last_standing_run()
        if number is None:
            raise NothingToDo("there is nothing to take back: no run has written anything that still stands on Plex.")
        plan = plan_restore(server, journal, number, force=force)
        report.show_restore_plan(number, plan, choice.as_json)
        if not plan.edits and not choice.dry_run:
            journal.settle(plan.settled)
        if not may_write(len(plan.edits), "items of the Plex library back", choice.dry_run, choice.yes, choice.as_json):
            return 1 if plan.left else 0
        outcome = restore_planned(server, journal, number, plan, lambda: bool(work.stop))
        if choice.as_json:
            print_json({"run": number, **report.outcome_as_json(outcome)})
        else:
            report.show_outcome(outcome, "", verb="restored")
        return max(_code(outcome), 1 if plan.left else 0)


@click.command()
@library_flag
@write_flags
def unlock(
    library: str | None, dry_run: bool, yes: bool, as_json: bool, db: Path | None, config_file: Path | None
) -> int:
    """Release the locks that `plex sync` has set; the genres stay until the server reads its own again."""
    from music_reclass.cli.library import open_library
    from music_reclass.cli.session import writing
    from music_reclass.features.plex import PlexJournal
    from music_reclass.plex.server import connect
    from music_reclass.plex.sync import server_in_journal, unlocking

    settings = settings_from(config_file, db=db, plex_library=library)
    open_library(db, config_file).close()
    server = connect(settings)
    section = server.music(settings.plex_library)
    with writing(settings, "plex unlock") as work:
        journal = PlexJournal(work.journal.database)
        known = server_in_journal(server, journal)
        edits = unlocking(server, section, journal, known)
        if not as_json:
            say("locks", f"{len(edits):,} items hold a lock of ours")
        if not may_write(len(edits), "locks", dry_run, yes, as_json):
            return 0
        return _write(work, server, section, known, edits, "plex unlock", {"library": section.title}, as_json)


@click.group()
def plex() -> None:
    """Bring the decisions into a Plex library, safely, and take them back."""


for command in (diff, sync, restore, unlock):
    plex.add_command(command)


@plex.command()
@library_flag
@database_flags
@json_flag
def check(library: str | None, db: Path | None, config_file: Path | None, as_json: bool) -> int:
    """Whether the server answers, and whether its tracks can carry genres."""
    from music_reclass.plex.server import connect

    settings = settings_from(config_file, db=db, plex_library=library)
    server = connect(settings)
    section = server.music(settings.plex_library)
    carries = server.carries_genres(section, "track")
    if as_json:
        print_json(
            {
                "server": server.client.name, "version": server.client.version, "library": section.title,
                "locations": list(section.locations), "track_genres": carries,
            }
        )  # fmt: skip
        return 0
    say("server", f"{printable(server.client.name)}, Plex Media Server {printable(server.client.version)}")
    say("library", f"{printable(section.title)}: {', '.join(map(printable, section.locations))}")
    say("tracks", "can carry genres" if carries else "carry no genre here: use --level album")
    return 0


@plex.command()
@database_flags
@json_flag
def libraries(db: Path | None, config_file: Path | None, as_json: bool) -> None:
    """The libraries of the server."""
    from music_reclass.plex.server import connect

    for one in connect(settings_from(config_file, db=db)).sections():
        if as_json:
            print_json({"number": one.key, "title": one.title, "type": one.kind, "locations": list(one.locations)})
        else:
            say(str(one.key), f"{printable(one.title):<24} {one.kind:<8} {', '.join(map(printable, one.locations))}")


@plex.command("map")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path, exists=True))
@library_flag
@map_flag
@write_flags
def map_folders(
    folders: tuple[Path, ...], library: str | None, pairs: tuple[str, ...], dry_run: bool, yes: bool, as_json: bool,
    db: Path | None, config_file: Path | None,
) -> int:  # fmt: skip
    """Find out which folder of the server is which folder here, from the library or from the files below FOLDERS."""
    from music_reclass.cli.session import writing
    from music_reclass.features.plex import PlexJournal, local_tracks
    from music_reclass.plex.plan import inferred, listing
    from music_reclass.plex.server import connect
    from music_reclass.utils.files import walk

    settings = settings_from(config_file, db=db, plex_library=library)
    server = connect(settings)
    section = server.music(settings.plex_library)
    with writing(settings, "plex map") as work:
        here = [track.path for track in local_tracks(work.database)]
        here += [found.path for found in walk([str(folder) for folder in folders])]
        found = inferred(section, listing(server, section), here)
        mapped = path_map(pairs).over(found.path_map)
        report.show_map(found, mapped, as_json)
        storing = bool(mapped.pairs) and not dry_run
        if storing:
            journal = PlexJournal(work.journal.database)
            known = journal.server(server.client.machine, server.client.name)
            journal.remember_mapping(known.id, mapped.as_dict())
        if not as_json:
            say("stored", "yes" if storing else "no")
    return 0 if mapped.pairs else 3


@plex.command("import")
@library_flag
@map_flag
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path, exists=True))
@write_flags
def import_tracks(
    library: str | None, pairs: tuple[str, ...], folders: tuple[Path, ...], dry_run: bool, yes: bool, as_json: bool,
    db: Path | None, config_file: Path | None,
) -> int:  # fmt: skip
    """Take what a Plex library holds into the library here; FOLDERS help to find out which folder is which.

    Only the library database is written, so nothing is asked.
    """
    from music_reclass.cli.session import writing
    from music_reclass.features.plex import PlexJournal, local_tracks
    from music_reclass.plex.library import import_library
    from music_reclass.plex.server import connect
    from music_reclass.plex.sync import map_for, server_in_journal
    from music_reclass.utils.files import walk

    settings = settings_from(config_file, db=db, plex_library=library)
    server = connect(settings)
    section = server.music(settings.plex_library)
    with writing(settings, "plex import") as work:
        journal = PlexJournal(work.journal.database)
        known = server_in_journal(server, journal)
        here = [track.path for track in local_tracks(work.database)]
        here += [found.path for found in walk([str(folder) for folder in folders])]
        mapped = map_for(server, section, journal, known, path_map(pairs), here, storing=not dry_run)
        done = import_library(
            server, section, work.database, known, mapped, lambda: bool(work.stop), dry_run=dry_run
        )  # fmt: skip
        report.show_import(section.title, done, dry_run, as_json)
        return 130 if work.stop else (0 if done.new + done.known else 3)


@plex.command()
@click.argument("track")
@library_flag
@map_flag
@write_flags
def selftest(
    track: str, library: str | None, pairs: tuple[str, ...], dry_run: bool, yes: bool, as_json: bool,
    db: Path | None, config_file: Path | None,
) -> int:  # fmt: skip
    """Try on one TRACK (its file or rating key) what was never tried on your server, and put it back."""
    from music_reclass.cli.session import writing
    from music_reclass.features.plex import PlexJournal
    from music_reclass.plex.paths import PathMap
    from music_reclass.plex.selftest import find_track
    from music_reclass.plex.selftest import selftest as steps
    from music_reclass.plex.server import connect
    from music_reclass.plex.sync import server_in_journal

    settings = settings_from(config_file, db=db, plex_library=library)
    server = connect(settings)
    section = server.music(settings.plex_library)
    with writing(settings, "plex selftest") as work:
        journal = PlexJournal(work.journal.database)
        known = server_in_journal(server, journal)
        mapped = path_map(pairs).over(PathMap(tuple(known.mapping.items())))
        named = track if track.isdigit() or "\\" in track else os.path.abspath(os.path.expanduser(track))
        key = find_track(server, section, named, mapped)
        if not may_write(1, f"track (number {key}), and put it back", dry_run, yes, as_json):
            return 0
        run = work.journal.begin_run("plex selftest", {"library": section.title, "track": key})
        bad = report.show_steps(steps(server, section, key, journal, known, run), as_json)
        work.journal.finish_run(run, {"bad": bad})
        return 1 if bad else 0
