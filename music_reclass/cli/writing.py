"""The end of every command that writes tags: count, show, ask, write, and say how to undo it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from music_reclass.cli.output import complain, confirm, plain, print_json, printable, say, shorten_home, styled

if TYPE_CHECKING:
    from music_reclass.cli.options import Choice
    from music_reclass.cli.session import Session
    from music_reclass.domain import Track
    from music_reclass.tagging.apply import WritePlan, WriteReport
    from music_reclass.tagging.policy import Proposal


KINDS_SHOWN = 15
REFUSED_SHOWN = 10


def plan_for(work: Session, tracks: Callable[[], Iterator[Track]], *, decided: bool = True) -> WritePlan:
    """The changes that the settings allow for some tracks; styles only for tracks that the cascade has `decided`."""
    from music_reclass.domain import OnExisting
    from music_reclass.tagging.apply import WritePlan

    on_existing, profile = OnExisting(work.settings.on_existing), work.settings.profile
    finer = None
    if decided and work.settings.styles != "off":
        from music_reclass.classification.styles import StyleReader

        finer = StyleReader(work.database, work.taxonomy).finer
    return WritePlan(tracks, work.taxonomy, on_existing, profile, finer, work.settings.min_confidence)


def conclude(
    work: Session,
    plan: WritePlan,
    choice: Choice,
    *,
    command: str,
    arguments: dict[str, object],
    after: Callable[[list[str]], int] | None = None,
) -> int:
    """Count, show, ask, write as one run of `command`; the exit code. `after` gets the files written, and has an exit
    code as well."""
    from music_reclass.tagging.apply import as_json

    tally = plan.tally()
    if not choice.as_json:
        _show_plan(tally)
    is_writing = not work.stop and tally.writes > 0 and confirm(_question(tally.writes), choice)
    written: list[str] = []
    if is_writing:
        run = work.journal.begin_run(command, arguments)
        tally, written = _write(work, plan, run, tally.writes, as_objects=choice.as_json)
    elif choice.as_json:
        for track, proposal in plan:
            print_json(as_json(track, proposal, False))
    if not choice.as_json:
        _show_end(tally, is_writing, choice.dry_run, command)
    if work.stop:
        complain("Stopped as you asked; what was finished is kept: the same command goes on from here.")
        return 130
    code = after(written) if after is not None and written else 0
    return 1 if tally.failed or tally.write_failures else code


def _question(count: int) -> str:
    return f"Write {count:,} genre{'s' if count != 1 else ''}?"


def _write(work: Session, plan: WritePlan, run: int, count: int, *, as_objects: bool) -> tuple[WriteReport, list[str]]:
    """Write the plan as `run`; the report, and the files written."""
    from music_reclass.features.library import Library
    from music_reclass.tagging.apply import as_json, track_writer
    from music_reclass.tagging.commit import WriteOptions
    from music_reclass.utils.progress import progress_bar

    paths: list[str] = []

    def note(track: Track, proposal: Proposal | None, written: bool, problem: str) -> None:
        if as_objects:
            print_json(as_json(track, proposal, written, problem))
        if written:
            paths.append(track.path)

    options = WriteOptions(work.settings.preserve_mtime, work.settings.detach_hard_links)
    write_one = track_writer(work.journal, Library(work.database), run, options)
    with progress_bar("writing", count) as bar:
        tally = plan.write(write_one, lambda: bool(work.stop), note, bar)
    tally.run = run
    work.journal.finish_run(run, {"written": tally.written, "failed": len(tally.write_failures)})
    return tally, paths


def _show_plan(tally: WriteReport) -> None:
    from music_reclass.report.text import counted, plan_lines

    for label, text in plan_lines(tally):
        say(label, printable(text))
    if tally.examples:
        plain("\nwhat is to be written, and how sure it is:")
    album = None
    for track, proposal in tally.examples:
        folder, name = os.path.split(track.path)
        if folder != album:
            album = folder
            plain(f"\n  {printable(shorten_home(album))}")
        plain(f"    {printable(name)[:44]:<44} {_arrow(track, proposal)}")
    if tally.writes > len(tally.examples):
        plain(f"\n  and {tally.writes - len(tally.examples):,} more (--dry-run --json lists all); in all:")
        for (before, after), count in sorted(tally.kinds.items(), key=lambda item: -item[1])[:KINDS_SHOWN]:
            plain(f"    {count:>8,}  {printable(before)[:32]:<32} -> {printable(after)}")
        if len(tally.kinds) > KINDS_SHOWN:
            plain(f"              and {counted(len(tally.kinds) - KINDS_SHOWN, 'more kind')} of change")


def show_conflicts(plan: WritePlan) -> None:
    """Every track whose genre is another one than what was found, and what would become of it."""
    from music_reclass.domain import Relation

    plain("\nthe tag says another genre:")
    found, folder_before = 0, None
    for track, proposal in plan:
        if proposal is None or proposal.relation is not Relation.CONFLICT or track.decision is None:
            continue
        found += 1
        folder, name = os.path.split(track.path)
        if folder != folder_before:
            folder_before = folder
            plain(f"\n  {printable(shorten_home(folder))}")
        becomes = "would be replaced" if proposal.writes else "left alone"
        line = f"    {printable(name)[:44]:<44} {_arrow(track, replace(proposal, genres=track.decision.genres))}"
        plain(f"{line}  {becomes}")
    plain("" if found else "  none\n")


def _arrow(track: Track, proposal: Proposal) -> str:
    from music_reclass.report.text import percent
    from music_reclass.tagging.apply import shown

    after = styled(", ".join(proposal.genres), "bold")
    certainty = f"  {percent(track.decision.confidence)}" if track.decision else ""
    if proposal.style and track.decision:
        certainty = f"  ({track.decision.genres[0]} {percent(track.decision.confidence)})"
    return f"{printable(shown(track.tags.genres))[:24]:<24} -> {after}{certainty}"


def _show_end(tally: WriteReport, wrote: bool, dry_run: bool, command: str) -> None:
    from music_reclass.report.text import counted

    plain()
    files = counted(tally.writes, "file")
    if wrote:
        undo = f", each checked after writing; to undo: reclass undo {tally.run}" if tally.written else ""
        say("written", f"{counted(tally.written, 'file')}{undo}")
        refused = tally.write_failures + tally.left
        for path, why in refused[:REFUSED_SHOWN]:
            say("not", f"{printable(shorten_home(path))}: {printable(why)}")
        if len(refused) > REFUSED_SHOWN:
            say("", f"and {len(refused) - REFUSED_SHOWN:,} more")
    elif not tally.writes:
        say("written", "nothing: there is nothing to write (--on-existing says which genres may be replaced)")
    elif dry_run:
        say("written", f"nothing, as this is a dry run; to write {files}: the same command without --dry-run")
    else:
        later = ", or later reclass apply" if command == "scan" else ""
        say("written", f"nothing yet; to write {files}: the same command with --yes{later}")
