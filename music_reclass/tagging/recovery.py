"""Settles what an interrupted run left half done, by looking at the files themselves."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from music_reclass.errors import FailTrack
from music_reclass.features.journal import STAGED, Change, DamagedChange, Journal
from music_reclass.tagging.commit import TEMPORARY_PREFIX, TEMPORARY_SUFFIX, digest_at, sync_folder


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
