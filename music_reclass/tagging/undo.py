"""Undoes a run: the very bytes where a file is as it was left, else genre and style; settles interrupted runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from music_reclass.containers.edits import GENRE, STYLE, is_patch
from music_reclass.containers.structure import file_failure, opened
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
from music_reclass.tagging.rewrite import Rewrite, current_genres, current_style, restore_bytes, restore_field
from music_reclass.utils.files import mtime_ns
from music_reclass.utils.progress import Progress, Silent

CONFIRMED = "confirmed"  # the file had been replaced
ABANDONED = "abandoned"  # the file had not been touched
UNSETTLED = "unsettled"  # looked at again the next time

UNDO = "undo"  # the command of the runs that undo others
RESTORED = "restored"  # every byte is back
FIELD = "field"  # edited since: the genre field alone is back
ALREADY = "already"  # it was as before
LEFT = "left"  # edited since, its genre too: left alone
FAILED = "failed"  # could not be read or written


@dataclass(frozen=True, slots=True)
class FileResult:
    """What became of one file; `detail` is a sentence where there is something to say."""

    path: str
    outcome: str
    detail: str = ""


# --- interrupted runs --------------------------------------------------------------------------------------


def recover(journal: Journal) -> list[FileResult]:
    """Confirm or abandon every open change and remove its copy. Safe to run at any time, and to be killed in."""
    results = []
    for change in journal.open_changes():
        if isinstance(change, DamagedChange):
            results.append(FileResult(change.path, UNSETTLED, change.why))
            continue
        path = change.intention.path
        try:
            results.append(FileResult(path, _settle(journal, change)))
        except (FailTrack, OSError) as error:
            results.append(FileResult(path, UNSETTLED, str(error)))
    return results


def _settle(journal: Journal, change: Change) -> str:
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
        mtime = mtime_ns(path.stat()) if path.exists() else None
        journal.confirm(change.id, mtime, "settled after an interruption")
        return CONFIRMED
    journal.abandon(change.id, "interrupted before the file was touched")
    return ABANDONED


def _was_replaced(change: Change, path: Path, copy_is_there: bool) -> bool:
    """Whether the copy took the file's place; it is no longer beside it then."""
    if copy_is_there:
        return False
    if not path.exists():
        return True  # moved or deleted since: undo will look for it
    return digest_at(path) != change.intention.sha_before


def _is_ours(temporary: Path, path: Path) -> bool:
    """Whether a name from the journal is that of a copy made here: nothing else is ever deleted."""
    name = temporary.name
    return temporary.parent == path.parent and name.startswith(TEMPORARY_PREFIX) and name.endswith(TEMPORARY_SUFFIX)


# --- undo --------------------------------------------------------------------------------------------------

Find = Callable[[bytes], Iterable[str]]
Replace = Callable[[Path, Rewrite], int | None]


@dataclass(slots=True)
class UndoReport:
    """What became of a run. `problems` names each file that is not as it was before the run."""

    run: int
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys((RESTORED, FIELD, ALREADY, LEFT, FAILED), 0))
    problems: list[FileResult] = field(default_factory=list)


def undo(
    journal: Journal,
    run: int,
    *,
    dry_run: bool = False,
    force: bool = False,
    options: WriteOptions = WriteOptions(),  # noqa: B008 (frozen)
    find: Find | None = None,
    paths: Collection[str] | None = None,
    emit: Callable[[FileResult], None] = lambda result: None,
    stop: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
    note: Callable[[str], None] = lambda path: None,
    after_step: AfterStep = lambda step: None,
) -> UndoReport:
    """Undo what run `run` wrote, newest first, one file after the other; safe to repeat and to be killed in.

    `force` brings the old genre back even where somebody has set another since. `find` gives paths that may hold
    the audio of a payload digest, for files that have moved. With `paths`, as they were written, the changes of all
    other files stand. `note` gets each file that was changed, before the journal says so. A dry run changes nothing.
    NothingToDo where there is no such run, UsageError for one that was itself an undo.
    """
    command = journal.command_of(run)
    if command is None:
        raise NothingToDo(f"There is no run {run}; reclass history lists the runs.")
    if command == UNDO:
        raise UsageError(f"Run {run} undid another one, and cannot itself be undone; run the scan again.")
    report, bar = UndoReport(run), progress or Silent()
    if not dry_run:
        recover(journal)
    undoing: int | None = None

    def replace(path: Path, rewrite: Rewrite) -> int | None:
        assert undoing is not None
        steps = _steps(path, note, after_step)
        return replace_file(journal, undoing, path, rewrite, options=options, after_step=steps)

    for change in journal.changes_of(run, paths=paths):
        if stop():
            break
        if isinstance(change, DamagedChange):
            result = FileResult(change.path, FAILED, change.why)
        elif change.state != WRITTEN:
            continue
        else:
            if undoing is None and not dry_run:
                undoing = journal.begin_run(UNDO, {"run": run, "force": force})
            try:
                path = _place(journal, change, find)
                result = _undo_change(journal, change, path, None if dry_run else replace, force=force)
            except (TrackError, OSError) as error:
                result = _failed(change.intention.path, error)
        report.counts[result.outcome] += 1
        if result.outcome in (FIELD, LEFT, FAILED):
            report.problems.append(result)
        emit(result)
        bar.advance(1, Path(result.path).name[:40])
    if undoing is not None:
        journal.finish_run(undoing, dict(report.counts))
    return report


def _failed(path: str, error: TrackError | OSError) -> FileResult:
    """A file that could not be read or written, or of which its disk does not even say whether it is there."""
    why = error if isinstance(error, TrackError) else file_failure(error, Path(path))
    return FileResult(path, FAILED, str(why))


def _steps(path: Path, note: Callable[[str], None], after_step: AfterStep) -> AfterStep:
    """`after_step`, and `note` of the file before the journal's confirmation.

    Killed in between, the change is open, and settling it does this again.
    """

    def step(name: str) -> None:
        if name == "sync folder":
            note(str(path))
        after_step(name)

    return step


def _place(journal: Journal, change: Change, find: Find | None) -> Path:
    """Where the file is now. A file elsewhere is it only if it is byte for byte what the change left, and not one that
    has a change to its name: another copy of the same sound is another file."""
    path = Path(change.intention.path)
    if path.exists() or find is None:
        return path
    for found in find(change.intention.payload):
        with suppress(FailTrack):
            if not journal.stands_written(found) and digest_at(Path(found)) == change.sha_after:
                return Path(found)
    return path


def _undo_change(journal: Journal, change: Change, path: Path, replace: Replace | None, *, force: bool) -> FileResult:
    """Undo one change; `replace` None in a dry run, which changes nothing."""
    restored = FileResult(str(path), RESTORED)
    if replace is not None and _looks_as_left(change, path):
        try:
            replace(path, restore_bytes(change))
            return restored
        except FailTrack as error:
            # Another content of the same size and time is looked at below; a file that is being changed is left alone.
            if error.reason != "changed" or not _looks_as_left(change, path):
                raise
    sha = digest_at(path)
    if sha == change.intention.sha_before:
        return _already(journal, change, path, "it was as before already", dry_run=replace is None)
    if sha != change.sha_after or not is_patch(change.patch):
        return _undo_field(journal, change, path, replace, force=force)
    if replace is not None:
        replace(path, restore_bytes(change))
    return restored


def _looks_as_left(change: Change, path: Path) -> bool:
    """Whether size and time are those that the change left; its digest is compared while the file is copied."""
    if not is_patch(change.patch) or not change.sha_after:
        return False
    try:
        status = os.stat(path)
    except OSError:
        return False
    return (status.st_size, mtime_ns(status)) == (change.size_after, change.mtime_after)


def _already(journal: Journal, change: Change, path: Path, detail: str, *, dry_run: bool) -> FileResult:
    if not dry_run:
        journal.mark_undone(change.id, detail)
    return FileResult(str(path), ALREADY, detail)


def _undo_field(journal: Journal, change: Change, path: Path, replace: Replace | None, *, force: bool) -> FileResult:
    """Restore the genre and the style of a file that was edited since, as far as they are what was written."""
    ours, theirs = _fields(change, path)
    names = " and ".join(ours)
    if not ours and not theirs:
        named = " and ".join(_written(change))
        return _already(journal, change, path, f"its {named} was as before already", dry_run=replace is None)
    changed = "; ".join(f"its {name} was changed since (now {now})" for name, now in theirs.items())
    if not ours and not force:
        return FileResult(str(path), LEFT, f"{changed}; --force brings the old one back")
    if force:
        ours, changed = [*ours, *theirs], ""
        names = " and ".join(ours)
    if replace is not None and replace(path, restore_field(change, ours)) is None:
        raise FailTrack("tags", f"{path.name}: its old {names} cannot be put back into the tag that is there now.")
    detail = f"only its {names} is as before: the file was edited since"
    return FileResult(str(path), FIELD, f"{detail}; {changed}" if changed else detail)


def _written(change: Change) -> list[str]:
    """The fields that a change wrote."""
    style = change.intention.style
    return [GENRE] * (style is None or not style.alone) + [STYLE] * (style is not None)


def _fields(change: Change, path: Path) -> tuple[list[str], dict[str, str]]:
    """Of the fields that a change wrote and that are not as before: those that still hold it, and what is in others."""
    then, ours, theirs = change.intention, list[str](), dict[str, str]()
    with tag_errors(path), opened(path) as file:
        for field in _written(change):
            now, raw = current_genres(file, path) if field == GENRE else current_style(file, path)
            style = then.style if field == STYLE else None
            before, after = (style.raw_before, style.after) if style else (then.raw_before, then.after)
            if raw == before:
                continue
            if now == after:
                ours.append(field)
            else:
                theirs[field] = "none" if now is None else ", ".join(now) or "an empty one"
    return ours, theirs
