"""The way back: `undo` takes a run back to the byte, `history` tells what was done."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from music_reclass.cli.options import database_flags, json_flag, settings_from, write_flags
from music_reclass.cli.output import complain, interactive, plain, print_json, printable, say, shorten_home

if TYPE_CHECKING:
    from music_reclass.cli.session import Session
    from music_reclass.features.database import Database
    from music_reclass.features.journal import Journal
    from music_reclass.features.plex import PlexJournal
    from music_reclass.tagging.undo import Undone, UndoReport

WORDS = {
    "restored": "as before, to the byte",
    "already": "as before already",
    "field": "edited since: only the genre is as before",
    "left": "edited since, genre too: left alone",
    "failed": "not restored",
}


@click.command()
@click.argument("run", type=int, required=False)
@click.option("--force", is_flag=True, help="Bring the old genre back even where somebody has set another since.")
@write_flags
@click.pass_context
def undo(
    context: click.Context,
    run: int | None,
    force: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    db: Path | None,
    config_file: Path | None,
) -> int:
    """Take RUN back, by default the newest run that wrote something: every file gets its very bytes back.

    A run that wrote to a Plex server is taken back there.
    """
    from music_reclass.cli.library import open_library
    from music_reclass.cli.plex import restore
    from music_reclass.cli.session import session

    settings = settings_from(config_file, db=db)
    number, on_plex = _run_to_undo(open_library(db, config_file), run)
    if on_plex:
        return int(
            context.invoke(
                restore,
                run=number,
                force=force,
                dry_run=dry_run,
                yes=yes,
                as_json=as_json,
                db=db,
                config_file=config_file,
            )
        )
    with session(settings, "undo") as work:
        if not dry_run and not yes:
            if as_json or not interactive():
                complain(f"run {number} would be taken back; nothing was done without a terminal: add --yes.")
                return 0
            if not click.confirm(f"take run {number} back ({_count(work.journal, number):,} files)?", default=True):
                return 0
        report = _take_back(work, number, dry_run, force, as_json)
        if not as_json:
            _show(report, dry_run)
        if work.stop:
            complain("stopped as you asked; the same command goes on from here.")
            return 130
        return 1 if report.counts["failed"] or report.counts["left"] else 0


def _run_to_undo(database: Database, run: int | None) -> tuple[int, bool]:
    """The run to take back, and whether it wrote to a Plex server rather than to files."""
    from music_reclass.errors import NothingToDo
    from music_reclass.features.journal import Journal
    from music_reclass.features.plex import PlexJournal
    from music_reclass.plex.restore import COMMANDS

    journal = Journal(database)
    newest = max(journal.last_undoable_run() or 0, PlexJournal(database).last_standing_run() or 0)
    number = run if run is not None else newest
    if number == 0:
        raise NothingToDo("there is nothing to take back: no run has written anything that still stands.")
    command = journal.command_of(number)
    database.close()
    return number, command in COMMANDS


def _take_back(work: Session, run: int, dry_run: bool, force: bool, as_json: bool) -> UndoReport:
    from music_reclass.features.library import Library
    from music_reclass.tagging.apply import note_file
    from music_reclass.tagging.commit import WriteOptions
    from music_reclass.tagging.undo import undo as take_back
    from music_reclass.utils.progress import progress_bar

    library = Library(work.database)

    def emit(undone: Undone) -> None:
        if as_json:
            print_json({"path": undone.path, "result": undone.outcome, "detail": undone.detail})
        if not dry_run and undone.outcome in ("restored", "field"):
            note_file(library, undone.path)

    options = WriteOptions(work.settings.preserve_mtime, work.settings.detach_hard_links)
    with progress_bar("undoing", _count(work.journal, run)) as bar:
        return take_back(
            work.journal, run, dry_run=dry_run, force=force, options=options, find=library.paths_of_audio,
            emit=emit, stop=lambda: bool(work.stop), progress=bar,
        )  # fmt: skip


def _count(journal: Journal, run: int) -> int:
    return next((found.written for found in journal.runs() if found.id == run), 0)


def _show(report: UndoReport, dry_run: bool) -> None:
    say("undo", f"run {report.run}" + (" (dry run: nothing was changed)" if dry_run else ""))
    for outcome, count in report.counts.items():
        if count:
            say("", f"{count:,} {WORDS[outcome]}")
    if not any(report.counts.values()):
        say("", "nothing of it stands written")
    for problem in report.problems[:20]:
        say("", f"{printable(shorten_home(problem.path))}: {problem.detail}")


@click.command()
@click.argument("run", type=int, required=False)
@database_flags
@json_flag
def history(run: int | None, db: Path | None, config_file: Path | None, as_json: bool) -> None:
    """The runs that wrote, newest last; with RUN the files of that run, genres before and after."""
    from music_reclass.cli.library import open_library
    from music_reclass.features.journal import Journal
    from music_reclass.features.plex import PlexJournal

    journal = Journal(open_library(db, config_file))
    plex = PlexJournal(journal.database)
    if run is not None:
        _show_changes(journal, plex, run, as_json)
        return
    standing = plex.standing()
    for entry in reversed(journal.runs()):
        on_plex = standing.get(entry.id, (0, 0))
        written, undone = entry.written + on_plex[0], entry.undone + on_plex[1]
        if as_json:
            print_json(
                {
                    "run": entry.id, "command": entry.command, "arguments": entry.arguments, "started": entry.started,
                    "finished": entry.finished, "written": written, "undone": undone,
                }
            )  # fmt: skip
            continue
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.started))
        what = f"undo of run {entry.arguments.get('run')}" if entry.command == "undo" else entry.command
        state = f"{written:,} written" + (f", {undone:,} undone" if undone else "")
        where = ", ".join(shorten_home(str(path)) for path in entry.arguments.get("paths", []))
        note = "" if entry.finished else "  (interrupted)"
        plain(f"{entry.id:>5}  {when}  {what:<14} {state:<24} {printable(where)}{note}")


def _show_changes(journal: Journal, plex: PlexJournal, run: int, as_json: bool) -> None:
    from music_reclass.errors import NothingToDo
    from music_reclass.features.journal import DamagedChange

    if journal.command_of(run) is None:
        raise NothingToDo(f"there is no run {run}; reclass history lists the runs.")
    for edit in plex.of_run(run):
        before, after = ", ".join(edit.before), ", ".join(edit.after)
        if as_json:
            print_json(
                {
                    "item": edit.title,
                    "field": edit.field,
                    "state": edit.state,
                    "before": edit.before,
                    "after": edit.after,
                }
            )
        else:
            plain(f"{edit.state:<9} {printable(edit.title)}  {edit.field}: {printable(before)} -> {printable(after)}")
    for change in journal.changes_of(run, newest_first=False):
        if isinstance(change, DamagedChange):
            complain(f"{printable(change.path)}: {change.why}")
            continue
        then = change.intention
        if as_json:
            print_json(
                {
                    "path": then.path,
                    "state": change.state,
                    "before": then.before,
                    "after": then.after,
                    "note": change.note,
                }
            )
        else:
            before = "(none)" if then.before is None else ", ".join(then.before) or "(empty)"
            after = "(none)" if then.after is None else ", ".join(then.after)
            plain(f"{change.state:<9} {printable(shorten_home(then.path))}  {printable(before)} -> {printable(after)}")
