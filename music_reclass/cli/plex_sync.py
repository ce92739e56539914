"""Plex: what would change, sync, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from music_reclass.cli import plex_report as report
from music_reclass.cli.options import database_flags, json_flag, settings_from, write_flags
from music_reclass.cli.output import complain, print_json, say
from music_reclass.cli.plex_options import compare_flags, library_flag, may_write, request_from

if TYPE_CHECKING:
    from music_reclass.cli.session import Session
    from music_reclass.features.plex_journal import KnownServer
    from music_reclass.tagging.plex.nouns import ItemEdit, Section
    from music_reclass.tagging.plex.server import Server
    from music_reclass.tagging.plex.writing import Outcome


@click.command()
@compare_flags
@database_flags
@json_flag
def diff(
    library: str | None, pairs: tuple[str, ...], level: str, mode: str, lock: str, allow_partial: bool, as_json: bool,
    db: Path | None, config_file: Path | None, **flags: Any,
) -> None:  # fmt: skip
    """What would change on the server, and why; nothing is written."""
    from music_reclass.cli.listing import open_library
    from music_reclass.features.plex_journal import PlexJournal
    from music_reclass.tagging.plex.server import connect
    from music_reclass.tagging.plex.sync import compare
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
    from music_reclass.cli.listing import open_library
    from music_reclass.cli.session import session
    from music_reclass.features.plex_journal import PlexJournal
    from music_reclass.tagging.plex.server import connect
    from music_reclass.tagging.plex.sync import compare, server_in_journal

    settings = settings_from(config_file, db=db, plex_library=library)
    request = request_from(pairs, level, mode, lock, flags)
    open_library(db, config_file).close()
    server = connect(settings)
    section = server.music(settings.plex_library)
    with session(settings, "plex sync") as work:
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
    from music_reclass.features.plex_journal import PlexJournal
    from music_reclass.tagging.plex.sync import write_edits

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
    from music_reclass.cli.listing import open_library
    from music_reclass.cli.session import session
    from music_reclass.errors import NothingToDo
    from music_reclass.features.plex_journal import PlexJournal
    from music_reclass.tagging.plex.restore import carry_out, plan_return
    from music_reclass.tagging.plex.server import connect
    from music_reclass.tagging.plex.sync import server_in_journal

    settings = settings_from(config_file, db=db)
    open_library(db, config_file).close()
    server = connect(settings)
    with session(settings, "plex restore") as work:
        journal = PlexJournal(work.journal.database)
        server_in_journal(server, journal)
        number = run if run is not None else journal.last_standing_run()
        if number is None:
            raise NothingToDo("there is nothing to take back: no run has written anything that still stands on Plex.")
        plan = plan_return(server, journal, number, force=force)
        report.show_return(number, plan, as_json)
        if not plan.edits and not dry_run:
            journal.settle(plan.settled)
        if not may_write(len(plan.edits), "items of the Plex library back", dry_run, yes, as_json):
            return 1 if plan.left else 0
        outcome = carry_out(server, journal, number, plan, lambda: bool(work.stop))
        if as_json:
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
    from music_reclass.cli.listing import open_library
    from music_reclass.cli.session import session
    from music_reclass.features.plex_journal import PlexJournal
    from music_reclass.tagging.plex.server import connect
    from music_reclass.tagging.plex.sync import server_in_journal, unlocking

    settings = settings_from(config_file, db=db, plex_library=library)
    open_library(db, config_file).close()
    server = connect(settings)
    section = server.music(settings.plex_library)
    with session(settings, "plex unlock") as work:
        journal = PlexJournal(work.journal.database)
        known = server_in_journal(server, journal)
        edits = unlocking(server, section, journal, known)
        if not as_json:
            say("locks", f"{len(edits):,} items hold a lock of ours")
        if not may_write(len(edits), "locks", dry_run, yes, as_json):
            return 0
        return _write(work, server, section, known, edits, "plex unlock", {"library": section.title}, as_json)
