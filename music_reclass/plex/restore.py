"""Restores what a sync wrote, wherever the server still holds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from music_reclass.errors import NothingToDo, UsageError
from music_reclass.features.plex import ABANDONED, UNDONE, WRITTEN, PlexChange
from music_reclass.plex.model import FieldEdit, Item, ItemEdit
from music_reclass.plex.plan import Bar
from music_reclass.plex.write import CHANGED, GONE, Outcome, edit_of, restore_log, write
from music_reclass.utils.progress import progress_bar

if TYPE_CHECKING:
    from music_reclass.features.plex import PlexJournal
    from music_reclass.plex.server import Server

COMMANDS = ("plex sync", "plex unlock", "plex selftest")
"""The commands whose runs are taken back here and not from files."""

OTHER = "another item has its number now"


@dataclass(slots=True)
class RestorePlan:
    """What taking back a run comes to: edits to send, entries already as before, and items left alone with why."""

    edits: list[ItemEdit] = field(default_factory=list)
    ids: dict[int, dict[str, int]] = field(default_factory=dict)  # journal ids by item and field
    settled: list[tuple[int, str, str]] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)


def plan_restore(server: Server, journal: PlexJournal, run_id: int, *, force: bool = False) -> RestorePlan:
    """Compare what a run wrote with what the server holds now. NothingToDo if nothing of it is left to take back.

    With `force` the former value comes back even where somebody has set another since.
    """
    _check_server(server, journal, run_id)
    changes = [change for change in journal.of_run(run_id) if change.state == WRITTEN]
    if not changes:
        raise NothingToDo(f"nothing of run {run_id} is on the Plex server any more.")
    plan = RestorePlan()
    by_item: dict[int, list[PlexChange]] = {}
    for change in changes:
        by_item.setdefault(change.rating_key, []).append(change)
    read = server.client.clock()
    items = {item.key: item for item in server.items(by_item)}
    for key, group in by_item.items():
        _take(plan, items.get(key), group, read, force)
    return plan


def _check_server(server: Server, journal: PlexJournal, run_id: int) -> None:
    made_on = journal.machine_of_run(run_id)
    if made_on is None:
        raise NothingToDo(f"run {run_id} wrote nothing to a Plex server; reclass history lists the runs.")
    if made_on[0] != server.client.machine:
        raise UsageError(f"run {run_id} wrote to the server {made_on[1]!r}, and this is {server.client.name!r}.")


def _take(plan: RestorePlan, item: Item | None, group: Sequence[PlexChange], read: float, force: bool) -> None:
    label = group[0].title
    if item is None:
        plan.left.append((label, GONE))
        plan.settled += [(change.id, ABANDONED, GONE) for change in group]
        return
    if not _is_the_same(item, group[0]):
        plan.left.append((label, OTHER))
        return
    back = []
    for change in group:
        edit = edit_of(change)
        if edit.holds_before(item):
            plan.settled.append((change.id, UNDONE, ""))
        elif force or edit.holds_after(item):
            now = item.value(change.field)
            back.append(FieldEdit(change.field, now, edit.before, change.field in item.locked, edit.lock_before))
            plan.ids.setdefault(item.key, {})[change.field] = change.id
        else:
            plan.left.append((label, f"{change.field} {CHANGED}"))
    if back:
        plan.edits.append(ItemEdit(item, tuple(back), read=read))


def _is_the_same(item: Item, change: PlexChange) -> bool:
    """Whether the number still means the item that we edited: a rebuilt server counts anew.

    Tracks that Plex does not know by a guid of its own are called local://NUMBER, so their file must agree too.
    """
    if item.guid != change.guid:
        return False
    return not change.file or not change.guid.startswith("local:") or change.file in item.files


def restore_planned(
    server: Server,
    journal: PlexJournal,
    run_id: int,
    plan: RestorePlan,
    stop: Callable[[], bool] = lambda: False,
    bar: Bar = progress_bar,
) -> Outcome:
    """Send what `plan_return` found, verify it, and mark the entries of the run."""
    journal.settle(plan.settled)
    edit_log = restore_log(journal, lambda edit: tuple(plan.ids[edit.item.key][one.field] for one in edit.fields))
    total = Outcome()
    sections = {change.rating_key: change.section for change in journal.of_run(run_id)}
    by_key = {section.key: section for section in server.sections()}
    with bar("restoring", len(plan.edits)) as progress:
        for number in sorted(set(sections.values())):
            edits = [edit for edit in plan.edits if sections[edit.item.key] == number]
            if number not in by_key:
                total.failed += [(edit.item.label, "the library is gone from the server") for edit in edits]
                continue
            part = write(server, by_key[number], edit_log, edits, stop, progress)
            total.written += part.written
            total.failed += part.failed
            total.changed += part.changed
            total.stopped |= part.stopped
    return total


def restore(
    server: Server,
    journal: PlexJournal,
    run_id: int,
    *,
    dry_run: bool = False,
    force: bool = False,
    stop: Callable[[], bool] = lambda: False,
    bar: Bar = progress_bar,
) -> tuple[RestorePlan, Outcome]:
    """Take one run back, as `reclass undo` does for a run of one of COMMANDS; with `dry_run` only compare."""
    plan = plan_restore(server, journal, run_id, force=force)
    return plan, Outcome() if dry_run else restore_planned(server, journal, run_id, plan, stop, bar)
