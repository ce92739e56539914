"""The end of every command that writes tags: count, show, ask, write, say how to undo it, and run after_write."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from music_reclass.cli.output import cell, complain, confirm, plain, print_json, printable, shorten_home, styled

if TYPE_CHECKING:
    from subprocess import Popen

    from music_reclass.cli.options import Choice
    from music_reclass.cli.session import Session
    from music_reclass.domain import Track
    from music_reclass.tagging.apply import WritePlan, WriteReport
    from music_reclass.tagging.policy import Proposal


KINDS_SHOWN = 15
REFUSED_SHOWN = 10
AFTER_WRITE_SECONDS = 600.0  # what a command after_write may take
MOST_FOLDERS = 60_000  # bytes of RECLASS_FOLDERS; Linux takes 131,072 in one variable


def plan_for(work: Session, tracks: Callable[[], Iterator[Track]], *, decided: bool = True) -> WritePlan:
    """The changes that the settings allow for some tracks; styles only for tracks that the cascade has `decided`."""
    from music_reclass.domain import OnExisting
    from music_reclass.tagging.apply import WritePlan, styles_held

    on_existing, profile = OnExisting(work.settings.on_existing), work.settings.profile
    finer = held = None
    if decided and work.settings.styles != "off":
        from music_reclass.classification.styles import StyleReader

        finer = StyleReader(work.database, work.taxonomy).finer
        held = styles_held(work.journal) if work.settings.styles == "style" else None
    return WritePlan(tracks, work.taxonomy, on_existing, profile, finer, held, work.settings.min_confidence)


def conclude(
    work: Session,
    plan: WritePlan,
    choice: Choice,
    *,
    command: str,
    arguments: dict[str, object],
    after: Callable[[list[str]], int] | None = None,
    failures: int | None = 0,
    show_all: bool = False,
    show: Callable[[WriteReport], None] | None = None,
) -> int:
    """Count, show, ask, write as one run of `command`; the exit code. `after` gets the files written, and has an exit
    code as well. `failures`: how many tracks failed, as far as that matters for the exit code; None: all of the plan.
    `show_all`: the plan is listed to its end; `show` shows it in another way."""
    from music_reclass.tagging.apply import as_json

    tally = plan.tally()
    if show is not None and not choice.as_json:
        show(tally)
    elif not choice.as_json:
        _show_plan(plan, tally, show_all)
    is_writing = not work.stop and tally.writes > 0 and confirm(_question(tally), choice)
    written: list[str] = []
    if is_writing:
        run = work.journal.begin_run(command, arguments)
        tally = write(work, plan, run, tally.writes, each=_print_object if choice.as_json else _keep_quiet)
        written = work.written[run]
    elif choice.as_json:
        for track, proposal in plan:
            print_json(as_json(track, proposal, False))
    if not choice.as_json:
        _show_end(tally, is_writing, choice.dry_run, _later(work, command, arguments))
    if work.stop:
        complain("Stopped as you asked; what was finished is kept: the same command goes on from here.")
        return 130
    code = after(written) if after is not None and written else 0
    return 1 if tally.write_failures or (tally.failed if failures is None else failures) else code


def _question(tally: WriteReport) -> str:
    from music_reclass.report.text import counted

    what = counted(tally.writes, "genre") if not tally.styles else f"to {counted(tally.writes, 'file')}"
    return f"Write {what}?"


Each = Callable[["Track", "Proposal | None", bool, str], None]  # a track of a plan; written, or why not


def _print_object(track: Track, proposal: Proposal | None, written: bool, problem: str) -> None:
    from music_reclass.tagging.apply import as_json

    print_json(as_json(track, proposal, written, problem))


def _keep_quiet(track: Track, proposal: Proposal | None, written: bool, problem: str) -> None:
    pass


def write(work: Session, plan: WritePlan, run: int, count: int, *, each: Each) -> WriteReport:
    """Write the `count` changes of the plan as `run`, whose files are in `work.written` then; `each` gets every
    track."""
    from music_reclass.features.library import Library
    from music_reclass.tagging.apply import track_writer
    from music_reclass.tagging.commit import WriteOptions
    from music_reclass.utils.progress import progress_bar

    paths: list[str] = []
    work.written[run] = paths

    def note(track: Track, proposal: Proposal | None, written: bool, problem: str) -> None:
        each(track, proposal, written, problem)
        if written:
            paths.append(track.path)

    options = WriteOptions(work.settings.preserve_mtime, work.settings.detach_hard_links)
    write_one = track_writer(work.journal, Library(work.database), run, options)
    with progress_bar("writing", count) as bar:
        tally = plan.write(write_one, lambda: bool(work.stop), note, bar)
    tally.run = run
    work.journal.finish_run(run, {"written": tally.written, "failed": len(tally.write_failures)})
    return tally


def _show_plan(plan: WritePlan, tally: WriteReport, show_all: bool) -> None:
    """The result in numbers, the files that would change by folder, and the first whose tag says something else."""
    from music_reclass.report.text import counted, plan_lines

    if not tally.tracks:
        return
    plain()
    for line in plan_lines(tally):
        plain(printable(line))
    if show_all:
        _list((track, proposal) for track, proposal in plan if proposal is not None and proposal.writes)
    else:
        _list(tally.examples)
        if tally.writes > len(tally.examples):
            rest = counted(tally.writes - len(tally.examples), "more file")
            plain(f"\n  and {rest} (the same command with -v lists all); all of them by kind of change:")
            for (before, after), count in sorted(tally.kinds.items(), key=lambda item: -item[1])[:KINDS_SHOWN]:
                plain(f"    {count:>8,}  {cell(before, 32)} -> {printable(after)}")
            if len(tally.kinds) > KINDS_SHOWN:
                plain(f"              and {counted(len(tally.kinds) - KINDS_SHOWN, 'more kind')} of change")
    if tally.conflicts:
        left = tally.relations["conflict"] - tally.changes.get("conflict", 0) - len(tally.conflicts)
        plain("\nThe tag says something else, and is left alone:")
        _list(tally.conflicts)
        if left > 0:
            plain(f"\n  and {left:,} more; by album: reclass report")


def _list(changes: Iterable[tuple[Track, Proposal]]) -> None:
    """Files by folder, each with its genre, the one that was found, and how sure that is."""
    album = None
    for track, proposal in changes:
        folder, name = os.path.split(track.path)
        if folder != album:
            album = folder
            plain(f"\n  {printable(shorten_home(album))}/")
        plain(f"    {cell(name, 40)} {_arrow(track, proposal)}")


def show_conflicts(plan: WritePlan) -> None:
    """Every track whose genre is another one than what was found, and what would become of it."""
    from music_reclass.domain import Relation

    plain("\nThe tag says something else:")
    found, folder_before = 0, None
    for track, proposal in plan:
        if proposal is None or proposal.relation is not Relation.CONFLICT or track.decision is None:
            continue
        found += 1
        folder, name = os.path.split(track.path)
        if folder != folder_before:
            folder_before = folder
            plain(f"\n  {printable(shorten_home(folder))}/")
        becomes = "would be replaced" if proposal.writes else "left alone"
        line = f"    {cell(name, 40)} {_arrow(track, replace(proposal, genres=track.decision.genres))}"
        plain(f"{line}  {becomes}")
    plain("" if found else "  none\n")


def _arrow(track: Track, proposal: Proposal) -> str:
    from music_reclass.report.text import percent
    from music_reclass.tagging.apply import shown

    decided = track.decision.genres if track.decision else ()
    after = proposal.shown or ", ".join(decided)
    certainty = percent(track.decision.confidence) if track.decision else ""
    if (proposal.style or proposal.style_field) and track.decision:
        certainty = f"({track.decision.genres[0]} {certainty})"
    width = 32 if proposal.style_field else 16
    return f"{cell(shown(track.tags.genres), 20)} -> {styled(cell(after, width), 'bold')} {certainty:>7}"


def _later(work: Session, command: str, arguments: dict[str, object]) -> str:
    """The command that writes a plan that was only shown: `apply` where the settings alone say what is written."""
    from music_reclass.config import load

    paths, usual = arguments.get("paths"), load({}, None)
    plain_run = command in ("scan", "apply") and set(arguments) <= {"paths", "rescan"}
    if not plain_run or not isinstance(paths, list) or replace(work.settings, db=usual.db) != usual:
        return "the same command with --yes"
    database = [] if work.settings.db == usual.db else ["--db", str(work.settings.db)]
    words = ["reclass", "apply", *map(str, paths), *database]
    return " ".join(shorten_home(word) if shlex.quote(word) == word else shlex.quote(word) for word in words)


def _show_end(tally: WriteReport, wrote: bool, dry_run: bool, later: str) -> None:
    from music_reclass.report.text import counted, not_written, refusals

    plain()
    if wrote:
        undo = f", each checked afterwards. To undo this: reclass undo {tally.run}" if tally.written else "."
        plain(f"Written: {counted(tally.written, 'file')}{undo}")
        refused = tally.write_failures + tally.left
        if refused:
            plain(f"Not written: {counted(len(refused), 'file')} ({refusals(tally.refused)}).", problem=True)
        for path, why in refused[:REFUSED_SHOWN]:
            reason, _, detail = why.partition(": ")
            plain(f"  {printable(shorten_home(path))}: {printable(detail or not_written(reason))}", problem=True)
        if len(refused) > REFUSED_SHOWN:
            plain(f"  and {len(refused) - REFUSED_SHOWN:,} more; all of them: reclass status --failed", problem=True)
    elif not tally.writes:
        kept = any(tally.relations.get(name, 0) for name in ("junk", "refine", "conflict"))
        plain("Nothing to write." + (" Which genres may be replaced says --on-existing." if kept else ""))
    else:
        these = "this one" if tally.writes == 1 else f"these {tally.writes:,}"
        plain(f"Nothing was written{' (dry run)' * dry_run}. To write {these}: {printable(later)}")


def run_after_write(line: str, command: str, written: Mapping[int, Sequence[str]]) -> str:
    """Run the command `line` of the setting after_write and wait for it; what is wrong with it in a sentence, or "".

    `written`: the files of each run. No shell takes the line apart, so that nothing in it has a meaning but quotes;
    what the command prints goes to stderr, where no JSON is. It is ended after AFTER_WRITE_SECONDS, and by Ctrl-C.
    """
    import subprocess

    words = [os.path.expanduser(word) if word.startswith("~/") else word for word in shlex.split(line)]
    if not words:
        return ""
    sys.stdout.flush()
    name = f"The command after_write ({words[0]})"
    # It may run reclass in turn: the library is free again, and nothing runs after what that writes.
    variables = {"RECLASS_COMMAND": command, "RECLASS_AFTER_WRITE": "", **_about(written)}
    try:
        process = subprocess.Popen(
            words, env={**os.environ, **variables}, stdin=subprocess.DEVNULL, stdout=2,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        return f"{name} cannot be started ({error.strerror}); the tags are written."
    try:
        code = process.wait(AFTER_WRITE_SECONDS)
    except subprocess.TimeoutExpired:
        _end(process)
        return f"{name} was ended after {AFTER_WRITE_SECONDS / 60:.0f} minutes; the tags are written."
    except KeyboardInterrupt:
        _end(process)
        complain(printable(f"{name} was ended; the tags are written."))
        raise
    ended = f"with {code}" if code >= 0 else f"by the signal {-code}"
    return f"{name} ended {ended}; the tags are written." if code else ""


def _about(written: Mapping[int, Sequence[str]]) -> dict[str, str]:
    """What a command after_write learns: the runs, how many files, and their folders, one a line."""
    paths = [path for files in written.values() for path in files]
    folders = sorted({os.path.dirname(path) for path in paths})
    if len(os.fsencode("\n".join(folders))) > MOST_FOLDERS:
        folders = [os.path.commonpath(folders)]
    return {
        "RECLASS_RUN": ",".join(str(run) for run, files in written.items() if files),
        "RECLASS_WRITTEN": str(len(paths)),
        "RECLASS_FOLDERS": "\n".join(folders),
    }


def _end(process: Popen[bytes]) -> None:
    """End a command and all that it started."""
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGTERM)
    from subprocess import TimeoutExpired

    try:
        process.wait(5.0)
    except TimeoutExpired:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
