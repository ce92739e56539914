"""`undo` restores the files of a run to the byte; `history` lists the runs that wrote."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from music_reclass.cli.options import Choice, choice_flags, json_flag, setting_flags
from music_reclass.cli.output import cell, complain, confirm, emit, print_json, printable, say, shorten_home

if TYPE_CHECKING:
    from music_reclass.cli.session import Session
    from music_reclass.config import Settings
    from music_reclass.features.journal import Journal
    from music_reclass.features.plex import PlexJournal
    from music_reclass.tagging.undo import FileResult, UndoReport

RESULTS = {
    "restored": "as before, to the byte",
    "already": "as before already",
    "field": "edited since: only the genre is as before",
    "left": "edited since, genre too: left alone",
    "failed": "not restored",
}
_SHOWN = 20  # files that are not as before


@click.command()
@click.argument("what", nargs=-1, metavar="[RUN] [PATHS]...")
@click.option("--only", multiple=True, metavar="GLOB", help="Only files whose name or path matches; may be repeated.")
@click.option("--force", is_flag=True, help="Bring the old genre back even where somebody has set another since.")
@choice_flags
@setting_flags("wait")
def undo(what: tuple[str, ...], only: tuple[str, ...], force: bool, choice: Choice, settings: Settings) -> int:
    """Undo RUN, by default the newest run that wrote something: every file gets its very bytes back.

    With PATHS, only files there; without RUN the newest change of each of them. What a run wrote to a Plex server is
    restored there, whole.
    """
    from music_reclass.cli.session import writing
    from music_reclass.errors import NothingToDo, UsageError
    from music_reclass.report.text import counted

    given = int(what[0]) if what and what[0].isdecimal() and not os.path.lexists(what[0]) else None
    words = what[0 if given is None else 1 :]
    folders = [os.path.realpath(path) for path in words]
    _require_known(settings, words)
    number, is_on_plex = (0, False) if folders and given is None else _run_to_undo(settings, given)
    if is_on_plex:
        from music_reclass.cli.plex import restore_run

        if folders or only:
            raise UsageError(f"Run {number} wrote to a Plex server, and such a run is undone whole.")
        return restore_run(settings, number, force, choice)
    with writing(settings, "undo", must_exist=True) as work:
        chosen = _chosen(work.journal, number, folders, only)
        files = sum(map(len, chosen.values()))
        if not files and (folders or only):
            raise NothingToDo("Nothing that reclass wrote stands there.")
        question = f"Undo run {number}" if number else "Undo the newest change"
        if not choice.dry_run and not confirm(f"{question} ({counted(files, 'file')})?", choice, default=True):
            return 0
        code = 0
        for run, paths in sorted(chosen.items(), reverse=True) or [(number, set())]:
            wanted = paths if folders or only else None
            report = _undo(work, run, choice, force=force, wanted=wanted)
            if not choice.as_json:
                _show(report, choice.dry_run)
            code = 1 if report.counts["failed"] or report.counts["left"] else code
        if work.stop:
            complain("Stopped as you asked; the same command goes on from here.")
            return 130
        return code


def _require_known(settings: Settings, words: Sequence[str]) -> None:
    """Refuse a word that is no file or folder and names nothing that was written: UsageError for what may be meant as a
    run, NothingToDo for a path."""
    from music_reclass.cli.session import reading
    from music_reclass.errors import NothingToDo, UsageError
    from music_reclass.features.journal import Journal

    unknown = [word for word in words if not os.path.lexists(word)]
    if unknown and settings.database.exists():  # files that are gone or were moved are known by their old paths
        with reading(settings) as library:
            unknown = [word for word in unknown if not Journal(library).standing(None, [os.path.realpath(word)])]
    for word in map(printable, unknown):
        if os.sep in word:
            raise NothingToDo(f"{word} does not exist, and nothing that reclass wrote there still stands.")
        raise UsageError(
            f"{word} is neither the number of a run nor a file or folder; reclass history lists the runs, and "
            "reclass undo without a word undoes the newest."
        )


def _chosen(journal: Journal, run: int, folders: list[str], only: tuple[str, ...]) -> dict[int, set[str]]:
    """The files to undo by run: those of `run`, or for 0 each in its newest run; below `folders` and as `only` says."""
    from fnmatch import fnmatch

    chosen: dict[int, set[str]] = {}
    met: set[str] = set()
    for number, path in journal.standing(run or None, folders):
        named = not only or any(fnmatch(os.path.basename(path), glob) or fnmatch(path, glob) for glob in only)
        if named and path not in met:
            met.add(path)
            chosen.setdefault(number, set()).add(path)
    return chosen


def _run_to_undo(settings: Settings, run: int | None) -> tuple[int, bool]:
    """The run to undo, and whether it wrote to a Plex server rather than to files."""
    from music_reclass.cli.session import reading
    from music_reclass.errors import NothingToDo
    from music_reclass.features.journal import Journal
    from music_reclass.features.plex import PlexJournal
    from music_reclass.plex.write import COMMANDS

    with reading(settings) as library:
        journal = Journal(library)
        newest = max(journal.last_undoable_run() or 0, PlexJournal(library).last_standing_run() or 0)
        number = run if run is not None else newest
        if number == 0:
            raise NothingToDo("There is nothing to undo: no run has written anything that still stands.")
        command = journal.command_of(number)
        if command is None:
            raise NothingToDo(f"There is no run {number}; reclass history lists the runs.")
        return number, command in COMMANDS


def _undo(work: Session, run: int, choice: Choice, *, force: bool, wanted: set[str] | None) -> UndoReport:
    """Undo a run, or the files `wanted` of it."""
    from music_reclass.errors import TrackError
    from music_reclass.features.library import Library
    from music_reclass.tagging.apply import note_file
    from music_reclass.tagging.commit import WriteOptions
    from music_reclass.tagging.undo import undo as undo_run
    from music_reclass.utils.progress import progress_bar

    library = Library(work.database)

    def note(path: str) -> None:
        with suppress(TrackError, OSError):  # moved or unreadable by now: the next scan looks at it
            note_file(library, path)

    def tell(undone: FileResult) -> None:
        if choice.as_json:
            print_json({"path": undone.path, "result": undone.outcome, "detail": undone.detail})
        if not choice.dry_run and undone.outcome in ("restored", "field"):
            work.written.setdefault(run, []).append(undone.path)

    options = WriteOptions(work.settings.preserve_mtime, work.settings.detach_hard_links)
    count = len(work.journal.standing(run)) if wanted is None else len(wanted)
    with progress_bar("undoing", count) as bar:
        return undo_run(
            work.journal, run, dry_run=choice.dry_run, force=force, options=options, find=library.paths_of_audio,
            paths=wanted, emit=tell, note=note, stop=lambda: bool(work.stop), progress=bar,
        )  # fmt: skip


def _show(report: UndoReport, dry_run: bool) -> None:
    say("undo", f"run {report.run}" + (" (dry run: nothing was changed)" if dry_run else ""))
    for outcome, count in report.counts.items():
        if count:
            say("", f"{count:,} {RESULTS[outcome]}")
    if not any(report.counts.values()):
        say("", "nothing of it stands written")
    for problem in report.problems[:_SHOWN]:
        say("", f"{printable(shorten_home(problem.path))}: {printable(problem.detail)}")
    if len(report.problems) > _SHOWN:
        say("", f"and {len(report.problems) - _SHOWN:,} more (--dry-run --json lists all)")


@click.command()
@click.argument("run", type=int, required=False)
@setting_flags()
@json_flag
def history(run: int | None, as_json: bool, settings: Settings) -> None:
    """The runs that wrote, newest last; with RUN the files of that run, genres before and after."""
    from music_reclass.cli.session import reading
    from music_reclass.features.journal import Journal
    from music_reclass.features.plex import PlexJournal

    with reading(settings) as library:
        journal, plex = Journal(library), PlexJournal(library)
        if run is None:
            _show_runs(journal, plex, as_json)
        else:
            _show_changes(journal, plex, run, as_json)


def _show_runs(journal: Journal, plex: PlexJournal, as_json: bool) -> None:
    standing = plex.standing()
    for entry in reversed(journal.runs()):
        on_plex = standing.get(entry.id, (0, 0))
        written, undone = entry.written + on_plex[0], entry.undone + on_plex[1]
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.started))
        what = f"undo of run {entry.arguments.get('run')}" if entry.command == "undo" else entry.command
        state = f"{written:,} written" + (f", {undone:,} undone" if undone else "")
        where = ", ".join(shorten_home(str(path)) for path in entry.arguments.get("paths", []))
        note = "" if entry.finished else "  (interrupted)"
        shown = {
            "run": entry.id, "command": entry.command, "arguments": entry.arguments, "started": entry.started,
            "finished": entry.finished, "written": written, "undone": undone,
        }  # fmt: skip
        emit(shown, f"{entry.id:>5}  {when}  {what:<14} {state:<24} {printable(where)}{note}", as_json)


def _show_changes(journal: Journal, plex: PlexJournal, run: int, as_json: bool) -> None:
    from music_reclass.errors import NothingToDo
    from music_reclass.features.journal import DamagedChange

    if journal.command_of(run) is None:
        raise NothingToDo(f"There is no run {run}; reclass history lists the runs.")
    for row in plex.of_run(run):
        edit = row.edit
        before, after = _short(edit.before), _short(edit.after)
        shown = {
            "item": row.title, "field": edit.field, "state": row.state, "before": edit.before, "after": edit.after,
        }  # fmt: skip
        emit(shown, f"{row.state:<9} {printable(row.title)}  {edit.field}: {before} -> {after}", as_json)
    for change in journal.changes_of(run, newest_first=False):
        if isinstance(change, DamagedChange):
            complain(f"{printable(change.path)}: {change.why}")
            continue
        then = change.intention
        before = "no genre" if then.before is None else _short(then.before) or "an empty genre"
        after = "no genre" if then.after is None else _short(then.after)
        entry: dict[str, object] = {
            "path": then.path, "state": change.state, "before": then.before, "after": then.after, "note": change.note,
        }  # fmt: skip
        what = f"{before} -> {after}"
        if (style := then.style) is not None:
            entry["style"] = {"before": style.before, "after": style.after}
            values = [_short(one or ()) or "none" for one in (style.before, style.after)]
            what = ("" if style.alone else f"{what}  ") + "style: " + " -> ".join(values)
        emit(entry, f"{change.state:<9} {printable(shorten_home(then.path))}  {what}", as_json)


def _short(values: Sequence[str]) -> str:
    """Genres on one line, cut where they are long; --json has them whole."""
    return cell(", ".join(values), 60, padded=False)
