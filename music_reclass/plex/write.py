"""Writes edits in batches: logged, sent, read back and verified; converges whatever the server means by `add`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from music_reclass.errors import ServerError
from music_reclass.features.plex import ABANDONED, UNDONE, WRITTEN, PlexChange
from music_reclass.plex.http import Refused
from music_reclass.plex.model import FieldEdit, Item, ItemEdit, without
from music_reclass.plex.server import TOGETHER
from music_reclass.utils.progress import Progress, Silent

if TYPE_CHECKING:
    from music_reclass.features.plex import PlexJournal
    from music_reclass.plex.model import Section
    from music_reclass.plex.server import Server

# What may concern one item, or the length of the request, and so is asked again in halves.
DIVISIBLE = frozenset({400, 404, 409, 413, 414, 431})
HOPELESS = 3  # batches refused to the last item, with none accepted: then it is not the items

Failure = tuple[ItemEdit, str]


def parameters(edits: Sequence[ItemEdit]) -> dict[str, str | int]:
    """The query of one PUT for items that shall all hold the same; only tags that are known to be there are removed."""
    query: dict[str, str | int] = {}
    for position, one in enumerate(edits[0].fields):
        if one.changes_tags:
            for number, tag in enumerate(one.after):
                query[f"{one.field}[{number}].tag.tag"] = tag
            present = [tag for edit in edits for tag in edit.fields[position].before]
            unwanted = without(present, one.after)
            if unwanted:
                # The server splits at the comma and then unquotes each; the whole value is quoted once more to travel.
                query[f"{one.field}[].tag.tag-"] = ",".join(map(quote, unwanted))
        query[f"{one.field}.locked"] = int(one.lock_after)
    return query


def grouped(edits: Iterable[ItemEdit], size: int = TOGETHER) -> Iterator[list[ItemEdit]]:
    """Batches of items that shall hold the same, at most `size` in each."""
    groups: dict[object, list[ItemEdit]] = {}
    for edit in edits:
        wanted = tuple((one.field, one.after, one.lock_after, one.changes_tags) for one in edit.fields)
        groups.setdefault((edit.item.level, wanted), []).append(edit)
    for group in groups.values():
        for start in range(0, len(group), size):
            yield group[start : start + size]


class Sender:
    """Sends batches, in halves where the server refuses them; remembers how much it takes at once."""

    def __init__(self, server: Server, section: Section) -> None:
        self._server, self._section = server, section
        self._limit = TOGETHER
        self._accepted = 0
        self._hopeless = 0

    def send(self, batch: Sequence[ItemEdit]) -> list[Failure]:
        """Send the edits of a batch; those that the server refuses, each with the reason."""
        failures: list[Failure] = []
        for start in range(0, len(batch), self._limit):
            failures += self._halving(batch[start : start + self._limit])
        self._accepted += len(batch) - len(failures)
        self._hopeless += len(failures) == len(batch)
        if self._hopeless >= HOPELESS and not self._accepted:
            raise ServerError(f"the Plex server refuses every edit ({failures[0][1]}); nothing was changed.")
        return failures

    def _halving(self, batch: Sequence[ItemEdit]) -> list[Failure]:
        try:
            self._server.edit(self._section, batch[0].item.level, [one.item.key for one in batch], parameters(batch))
            return []
        except Refused as refusal:
            status = refusal.status
        if status not in DIVISIBLE:
            raise ServerError(f"the Plex server answers {status} to an edit; this is no server that reclass knows.")
        if len(batch) == 1:
            return [(batch[0], f"the server answers {status}")]
        half = (len(batch) + 1) // 2
        failures = self._halving(batch[:half]) + self._halving(batch[half:])
        if not failures:  # nothing was wrong with the items, so it was the length
            self._limit = min(self._limit, half)
        return failures


FRESH_SECONDS = 60.0  # what was read longer ago is read again before it is overwritten
CHANGED, GONE, UNVERIFIED = "changed meanwhile", "gone from the server", "not as asked after two attempts"

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EditLog:
    """How edits are booked: `begin` gives the journal ids of each edit's fields before anything is sent."""

    journal: PlexJournal
    begin: Callable[[Sequence[ItemEdit]], list[Ids]]
    done: str
    failed: str


def new_edit_log(journal: PlexJournal, run_id: int, server_id: int, section: Section) -> EditLog:
    """The ledger of a run that makes new edits."""

    def begin(edits: Sequence[ItemEdit]) -> list[Ids]:
        changes = [
            PlexChange(
                run_id, server_id, section.key, edit.item.level, edit.item.key, edit.item.guid,
                edit.item.files[0] if edit.item.files else "", edit.item.label, one.field, one.before, one.after,
                one.lock_before, one.lock_after,
            )
            for edit in edits
            for one in edit.fields
        ]  # fmt: skip
        ids = iter(journal.plan(changes))
        return [tuple(next(ids) for _ in edit.fields) for edit in edits]

    return EditLog(journal, begin, WRITTEN, ABANDONED)


def restore_log(journal: PlexJournal, ids_of: Callable[[ItemEdit], Ids]) -> EditLog:
    """The ledger of a run that takes earlier edits back: it settles their own entries."""
    return EditLog(journal, lambda edits: [ids_of(edit) for edit in edits], UNDONE, WRITTEN)


@dataclass(slots=True)
class Outcome:
    """What became of the edits: `failed` and `changed` hold the item's name and why."""

    written: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    changed: list[tuple[str, str]] = field(default_factory=list)
    stopped: bool = False


def write(
    server: Server,
    section: Section,
    edit_log: EditLog,
    edits: Iterable[ItemEdit],
    stop: Callable[[], bool] = lambda: False,
    progress: Progress | None = None,
) -> Outcome:
    """Send the edits in batches and verify each; when `stop` says so, what was sent is still verified and settled."""
    work = _Work(server, edit_log, Sender(server, section), progress or Silent())
    for batch in grouped(edits):
        if stop():
            work.outcome.stopped = True
            break
        work.send(batch)
    work.verify(0)
    return work.outcome


class _Work:
    def __init__(self, server: Server, edit_log: EditLog, sender: Sender, progress: Progress) -> None:
        self.outcome = Outcome()
        self._server, self._edit_log, self._sender, self._progress = server, edit_log, sender, progress
        self._sent: list[tuple[ItemEdit, Ids]] = []
        self._locks_seen = False

    def send(self, batch: list[ItemEdit]) -> None:
        """Write down and send what is still as it was planned."""
        batch = self._still_so(batch)
        if not batch:
            return
        booked = list(zip(batch, self._edit_log.begin(batch), strict=True))
        failures = {id(edit): why for edit, why in self._sender.send(batch)}
        refused = [(edit, ids) for edit, ids in booked if id(edit) in failures]
        for edit, _ in refused:
            self.outcome.failed.append((edit.item.label, failures[id(edit)]))
        self._settle([(ids, self._edit_log.failed, failures[id(edit)]) for edit, ids in refused])
        self._progress.advance(len(refused))
        self._sent += [(edit, ids) for edit, ids in booked if id(edit) not in failures]
        self.verify(TOGETHER)

    def _still_so(self, batch: list[ItemEdit]) -> list[ItemEdit]:
        """The edits whose item is as it was when it was read; read again if that is some time ago."""
        if self._server.client.clock() - min(edit.read for edit in batch) <= FRESH_SECONDS:
            return batch
        items = {item.key: item for item in self._server.items(edit.item.key for edit in batch)}
        left = []
        for edit in batch:
            now = items.get(edit.item.key)
            if now is not None and edit.is_undone(now):
                left.append(edit)
            else:
                self.outcome.changed.append((edit.item.label, GONE if now is None else CHANGED))
                self._progress.advance()
        return left

    def verify(self, least: int) -> None:
        """Read back what was sent, as soon as there are `least` items of it; all of it for 0."""
        while self._sent and len(self._sent) >= least:
            some, self._sent = self._sent[:TOGETHER], self._sent[TOGETHER:]
            items = {item.key: item for item in self._server.items(edit.item.key for edit, _ in some)}
            self._check_locks([edit for edit, _ in some], items)
            self._settle([(ids, *self._verdict(edit, items.get(edit.item.key))) for edit, ids in some])
            self._progress.advance(len(some))

    def _verdict(self, edit: ItemEdit, item: Item | None) -> tuple[str, str]:
        """State and note of one edit by what the server holds now; asked once more if it is not what we sent."""
        if item is not None and not edit.is_done(item) and not _has_foreign(edit, item):
            self._sender.send([_remaining(edit, item)])
            item = next(self._server.items([item.key]), None)
        if item is not None and edit.is_done(item):
            self.outcome.written += 1
            return self._edit_log.done, ""
        if item is None:
            why, state = GONE, ABANDONED
        elif edit.is_undone(item):
            why, state = UNVERIFIED, self._edit_log.failed
        else:  # neither one nor the other: `restore` will find that and leave it alone
            why, state = CHANGED if _has_foreign(edit, item) else UNVERIFIED, WRITTEN
        self.outcome.failed.append((edit.item.label, why))
        return state, why

    def _check_locks(self, edits: Sequence[ItemEdit], items: dict[int, Item]) -> None:
        """Stop at once if the server hides locks where we look for them: then we cannot see those of users either."""
        wanted = [edit for edit in edits if any(one.lock_after for one in edit.fields) and edit.item.key in items]
        if self._locks_seen or not wanted:
            return
        self._locks_seen = any(items[edit.item.key].locked for edit in wanted)
        if not self._locks_seen:
            alone = next(self._server.items([wanted[0].item.key]), None)
            if alone is not None and alone.locked:
                raise ServerError(
                    "this Plex server shows locks only item by item, so locks that users set cannot be respected; "
                    "nothing more is written. Please report this with the output of: reclass plex selftest"
                )

    def _settle(self, verdicts: Sequence[tuple[Ids, str, str]]) -> None:
        if verdicts:
            self._edit_log.journal.settle([(one, state, note) for ids, state, note in verdicts for one in ids])


def _has_foreign(edit: ItemEdit, item: Item) -> bool:
    """Whether a field holds a tag that is neither from before nor from us: somebody else was quicker."""
    return any(without(item.value(one.field), (*one.before, *one.after)) for one in edit.fields)


def _remaining(edit: ItemEdit, item: Item) -> ItemEdit:
    """What is left to do for an item that came out otherwise than asked; foreign tags are not touched."""
    fields = tuple(
        FieldEdit(one.field, item.value(one.field), one.after, one.field in item.locked, one.lock_after)
        for one in edit.fields
    )
    return replace(edit, item=item, fields=fields)


def settle_open(server: Server, journal: PlexJournal, server_id: int) -> int:
    """Find out what became of edits over which an earlier run was killed, and book it; how many there were."""
    changes = journal.open_changes(server_id)
    if not changes:
        return 0
    items = {item.key: item for item in server.items(sorted({change.rating_key for change in changes}))}
    verdicts = []
    for change in changes:
        item, one = items.get(change.rating_key), edit_of(change)
        if item is None:
            verdicts.append((change.id, ABANDONED, GONE))
        elif one.holds_after(item):
            verdicts.append((change.id, WRITTEN, ""))
        elif one.holds_before(item):
            verdicts.append((change.id, ABANDONED, "interrupted"))
        else:
            verdicts.append((change.id, WRITTEN, CHANGED))
    journal.settle(verdicts)
    return len(changes)


def edit_of(change: PlexChange) -> FieldEdit:
    """The edit that a journal entry tells of."""
    return FieldEdit(change.field, change.before, change.after, change.lock_before, change.lock_after)
