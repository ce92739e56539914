"""Undoes a run: the very bytes where the file is as we left it, else the genre alone; recovery of interrupted runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from music_reclass.containers.edits import is_patch
from music_reclass.containers.structure import opened
from music_reclass.errors import FailTrack, NothingToDo, TrackError, UsageError
from music_reclass.features.journal import STAGED, WRITTEN, Change, DamagedChange, Journal
from music_reclass.tagging.commit import (
    TEMPORARY_PREFIX,
    TEMPORARY_SUFFIX,
    AfterStep,
    WriteOptions,
    digest_at,
    replace_file,
    sync_folder,
)
from music_reclass.tagging.read import tag_errors
from music_reclass.tagging.rewrite import bring_back_bytes, bring_back_field, current_genres
from music_reclass.utils.progress import Progress, Silent


@dataclass(slots=True)
class Recovery:
    """What became of the changes that were open."""

    confirmed: list[str] = field(default_factory=list)  # the file had been replaced
    abandoned: list[str] = field(default_factory=list)  # the file had not been touched
    unsettled: list[tuple[str, str]] = field(default_factory=list)  # (path, why): looked at again the next time


def recover(journal: Journal) -> Recovery:
    """Confirm or abandon every open change and remove its copy. Safe to run at any time, and to be killed in."""
    report = Recovery()
    for change in journal.open_changes():
        if isinstance(change, DamagedChange):
            report.unsettled.append((change.path, change.why))
            continue
        try:
            _settle(journal, change, report)
        except (FailTrack, OSError) as error:
            report.unsettled.append((change.intention.path, str(error)))
    return report


def _settle(journal: Journal, change: Change, report: Recovery) -> None:
    intention = change.intention
    path, temporary = Path(intention.path), Path(intention.temporary)
    if not path.parent.is_dir():
        raise FailTrack("vanished", "its folder is not there; is a disk not mounted?")
    copy_is_there = _is_ours(temporary, path) and os.path.lexists(temporary)
    replaced = change.state == STAGED and _was_replaced(change, path, copy_is_there)
    if copy_is_there:
        temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    if replaced:
        mtime = path.stat().st_mtime_ns if path.exists() else None
        journal.confirm(change.id, mtime, "settled after an interruption")
        report.confirmed.append(intention.path)
    else:
        journal.abandon(change.id, "interrupted before the file was touched")
        report.abandoned.append(intention.path)


def _was_replaced(change: Change, path: Path, copy_is_there: bool) -> bool:
    """Whether the copy took the file's place; it is no longer beside it then."""
    if copy_is_there:
        return False
    if not path.exists():
        return True  # moved or deleted since: undo will look for it
    return digest_at(path) != change.intention.sha_before


def _is_ours(temporary: Path, path: Path) -> bool:
    """Whether a name from the journal is one that we give: nothing else is ever deleted."""
    name = temporary.name
    return temporary.parent == path.parent and name.startswith(TEMPORARY_PREFIX) and name.endswith(TEMPORARY_SUFFIX)


UNDO = "undo"  # the command of the runs that take others back
RESTORED = "restored"  # every byte is back
FIELD = "field"  # edited since: the genre field alone is back
ALREADY = "already"  # it was as before
LEFT = "left"  # edited since, its genre too: left alone
FAILED = "failed"  # could not be read or written

Find = Callable[[bytes], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Undone:
    """What became of one file; `detail` is a sentence where there is something to say."""

    path: str
    outcome: str
    detail: str = ""


@dataclass(slots=True)
class UndoReport:
    """What became of a run. `problems` names each file that is not as it was before the run."""

    run: int
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys((RESTORED, FIELD, ALREADY, LEFT, FAILED), 0))
    problems: list[Undone] = field(default_factory=list)


def undo(
    journal: Journal,
    run: int,
    *,
    dry_run: bool = False,
    force: bool = False,
    options: WriteOptions = WriteOptions(),  # noqa: B008 (frozen)
    find: Find | None = None,
    emit: Callable[[Undone], None] = lambda undone: None,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
    after_step: AfterStep | None = None,
) -> UndoReport:
    """Take back what run `run` wrote, newest first, one file after the other; safe to repeat and to be killed in.

    `force` brings the old genre back even where somebody has set another since. `find` gives paths that may hold
    the audio of a payload digest, for files that have moved. A dry run looks and changes nothing.
    NothingToDo where there is no such run, UsageError for one that was itself an undo.
    """
    command = journal.command_of(run)
    if command is None:
        raise NothingToDo(f"there is no run {run}; reclass history lists the runs.")
    if command == UNDO:
        raise UsageError(f"run {run} took another one back, and is not itself taken back; run the scan again.")
    report, bar = UndoReport(run), progress or Silent()
    if not dry_run:
        recover(journal)
    undoing: int | None = None
    for change in journal.changes_of(run):
        if stop():
            break
        if isinstance(change, DamagedChange):
            result = Undone(change.path, FAILED, change.why)
        elif change.state != WRITTEN:
            continue
        else:
            if undoing is None and not dry_run:
                undoing = journal.begin_run(UNDO, {"run": run, "force": force})
            task = _Task(journal, undoing, force, options, find, after_step)
            try:
                result = task.take_back(change)
            except TrackError as error:
                result = Undone(change.intention.path, FAILED, str(error))
        report.counts[result.outcome] += 1
        if result.outcome in (FIELD, LEFT, FAILED):
            report.problems.append(result)
        emit(result)
        bar.advance(1, Path(result.path).name[:40])
    if undoing is not None:
        journal.finish_run(undoing, dict(report.counts))
    return report


@dataclass(frozen=True, slots=True)
class _Task:
    """How one run is being taken back; `run` is None in a dry run."""

    journal: Journal
    run: int | None
    force: bool
    options: WriteOptions
    find: Find | None
    after_step: AfterStep | None

    def take_back(self, change: Change) -> Undone:
        path = self._place(change)
        sha = digest_at(path)
        if sha == change.intention.sha_before:
            return self._mark(change, path, "it was as before already")
        if sha == change.sha_after and is_patch(change.patch):
            return self._bytes(change, path)
        return self._field(change, path)

    def _place(self, change: Change) -> Path:
        """Where the file is now. A file elsewhere is it only if it is byte for byte what we left, and not one that
        has a change of its own: another copy of the same sound is another file."""
        path = Path(change.intention.path)
        if path.exists() or self.find is None:
            return path
        for found in self.find(change.intention.payload):
            with suppress(FailTrack):
                if not self.journal.stands_written(found) and digest_at(Path(found)) == change.sha_after:
                    return Path(found)
        return path

    def _mark(self, change: Change, path: Path, detail: str) -> Undone:
        if self.run is not None:
            self.journal.mark_undone(change.id, detail)
        return Undone(str(path), ALREADY, detail)

    def _bytes(self, change: Change, path: Path) -> Undone:
        if self.run is not None:
            replace_file(
                self.journal, self.run, path, bring_back_bytes(change), options=self.options, after_step=self.after_step
            )
        return Undone(str(path), RESTORED)

    def _field(self, change: Change, path: Path) -> Undone:
        with tag_errors(path), opened(path) as file:
            genres, raw = current_genres(file, path)
        then = change.intention
        if raw == then.raw_before:
            return self._mark(change, path, "its genre was as before already")
        if genres != then.after and not self.force:
            shown = "none" if genres is None else ", ".join(genres) or "an empty one"
            return Undone(
                str(path), LEFT, f"its genre was changed since (now {shown}); --force brings the old one back"
            )
        if self.run is not None:
            written = replace_file(
                self.journal, self.run, path, bring_back_field(change), options=self.options, after_step=self.after_step
            )
            if written is None:
                raise FailTrack(
                    "tags", f"{path.name}: its old genre cannot be put back into the tag that is there now."
                )
        return Undone(str(path), FIELD, "only its genre is as before: the file was edited since")
