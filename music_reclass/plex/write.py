"""Writes edits in batches, each logged, sent, read back and verified; restores runs from the edit log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from music_reclass.errors import NothingToDo, ServerError, UsageError
from music_reclass.features.plex import ABANDONED, UNDONE, WRITTEN, PlexChange
from music_reclass.plex.http import TOGETHER, TOO_MUCH, Refused, in_batches
from music_reclass.plex.library import PlexLibrary
from music_reclass.plex.model import ALBUM, ARTIST, TRACK, ItemEdit, joined, same_tags, tag_key, without
from music_reclass.plex.plan import LEAVE, RESTORE, Row
from music_reclass.utils.progress import Bar, Progress, progress_bar

if TYPE_CHECKING:
    from music_reclass.features.plex import PlexJournal
    from music_reclass.plex.http import Server
    from music_reclass.plex.model import Item, Section

# What may concern one item, or the length of the request, and so is asked again in halves.
DIVISIBLE = TOO_MUCH | {409}
HOPELESS = 3  # batches refused to the last item, with none accepted: then it is not the items

Failure = tuple[ItemEdit, str]


def parameters(edits: Sequence[ItemEdit]) -> dict[str, str | int]:
    """The query of one PUT for items that shall all hold the same: it ends there whatever the server means by "add".

    Only tags that are known to be there are removed.
    """
    query: dict[str, str | int] = {}
    for position, one in enumerate(edits[0].fields):
        if not same_tags(one.before, one.after):
            for number, tag in enumerate(one.after):
                query[f"{one.field}[{number}].tag.tag"] = tag
            present = [tag for edit in edits for tag in edit.fields[position].before]
            unwanted = without(present, one.after)
            if unwanted:
                # The server splits at the comma and then unquotes each; the whole value is quoted once more to travel.
                query[f"{one.field}[].tag.tag-"] = ",".join(map(quote, unwanted))
        query[f"{one.field}.locked"] = int(one.lock_after)
    return query


def grouped(edits: Iterable[ItemEdit]) -> Iterator[Sequence[ItemEdit]]:
    """Batches of items that shall hold the same, at most TOGETHER in each."""
    groups: dict[object, list[ItemEdit]] = {}
    for edit in edits:
        wanted = tuple((one.field, one.after, one.lock_after, same_tags(one.before, one.after)) for one in edit.fields)
        groups.setdefault((edit.item.level, wanted), []).append(edit)
    for group in groups.values():
        yield from in_batches(group, TOGETHER)


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
        for part in in_batches(batch, self._limit):
            failures += self._halving(part)
        self._accepted += len(batch) - len(failures)
        self._hopeless += len(failures) == len(batch)
        if self._hopeless >= HOPELESS and not self._accepted:
            raise ServerError(f"The Plex server refuses every edit ({failures[0][1]}); nothing was changed.")
        return failures

    def _halving(self, batch: Sequence[ItemEdit]) -> list[Failure]:
        try:
            self._server.edit(self._section, batch[0].item.level, [one.item.key for one in batch], parameters(batch))
            return []
        except Refused as refusal:
            status = refusal.status
        if status not in DIVISIBLE:
            raise ServerError(f"The Plex server answers {status} to an edit; this is no server that reclass knows.")
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
Seen = dict[int, "Item | None"]  # by key what the server holds; None for what is gone


@dataclass(slots=True)
class Outcome:
    """What became of the edits: `failed` and `changed` hold the item's name and why."""

    written: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    changed: list[tuple[str, str]] = field(default_factory=list)
    stopped: bool = False


def write(
    library: PlexLibrary, edits: Sequence[ItemEdit], run_id: int = 0, *, outcome: Outcome | None = None
) -> Outcome:
    """Send the edits in batches and verify each; when asked to stop, what was sent is still verified and settled.

    New edits go into the edit log as those of run `run_id`; edits that restore settle the rows that they undo. One
    request reads back what was sent and looks whether what comes next is still as it was planned. `outcome`: that of
    edits in other libraries, to be added to.
    """
    with library.bar("writing" if run_id else "restoring", len(edits)) as progress:
        work = _Work(library, run_id, progress, outcome or Outcome())
        for level in dict.fromkeys(edit.item.level for edit in edits):
            for batches in rounds(edit for edit in edits if edit.item.level == level):
                work.send(batches)
            work.verify(work.read([]))
    return work.outcome


def rounds(edits: Iterable[ItemEdit]) -> Iterator[list[Sequence[ItemEdit]]]:
    """The batches of `grouped`, several together as long as they hold no more than TOGETHER items."""
    together: list[Sequence[ItemEdit]] = []
    for batch in grouped(edits):
        if together and sum(map(len, together)) + len(batch) > TOGETHER:
            yield together
            together = []
        together.append(batch)
    if together:
        yield together


class _Work:
    def __init__(self, library: PlexLibrary, run_id: int, progress: Progress, outcome: Outcome) -> None:
        self.outcome = outcome
        self._library, self._server, self._run_id = library, library.server, run_id
        self._sender = Sender(library.server, library.section)
        self._progress = progress
        self._sent: list[tuple[ItemEdit, Ids]] = []  # and not yet verified
        self._locks_seen = False

    def send(self, batches: Sequence[Sequence[ItemEdit]]) -> None:
        """Verify what was sent before, then log and send what is as it was planned; nothing once asked to stop."""
        if self._library.stop():
            self.outcome.stopped = True
            return
        seen = self.read([edit for batch in batches for edit in batch if self._is_stale(edit.item)])
        self.verify(seen)
        for batch in batches:
            if self._library.stop():
                self.outcome.stopped = True
                return
            self._send(self._still_so(batch, seen))

    def read(self, edits: Iterable[ItemEdit]) -> Seen:
        """What the server holds now of the items of `edits` and of what is not verified yet."""
        keys = dict.fromkeys(edit.item.key for edit in (*(edit for edit, _ in self._sent), *edits))
        return {**dict.fromkeys(keys), **self._server.items(keys)}

    def verify(self, seen: Seen) -> None:
        """Settle what was sent by what the server holds."""
        sent, self._sent = self._sent, []
        self._check_locks([edit for edit, _ in sent], seen)
        self._settle([(ids, *self._verdict(edit, seen[edit.item.key])) for edit, ids in sent])
        self._progress.advance(len(sent))

    def _is_stale(self, item: Item) -> bool:
        return self._server.client.clock() - item.read > FRESH_SECONDS

    def _still_so(self, batch: Sequence[ItemEdit], seen: Seen) -> list[ItemEdit]:
        """The edits whose item is as it was when it was planned."""
        known = [seen.get(edit.item.key, edit.item) for edit in batch]
        if any(item is not None and self._is_stale(item) for item in known):  # the requests before took long
            again = self._server.items(edit.item.key for edit in batch)
            known = [again.get(edit.item.key) for edit in batch]
        left = []
        for edit, now in zip(batch, known, strict=True):
            if now is not None and edit.is_open(now):
                left.append(edit)
            else:
                self.outcome.changed.append((edit.item.label, GONE if now is None else CHANGED))
                self._progress.advance()
        return left

    def _send(self, batch: list[ItemEdit]) -> None:
        if not batch:
            return
        logged = list(zip(batch, log_edits(self._library, batch, self._run_id), strict=True))
        failures = {id(edit): why for edit, why in self._sender.send(batch)}
        refused = [(edit, ids) for edit, ids in logged if id(edit) in failures]
        self.outcome.failed += [(edit.item.label, failures[id(edit)]) for edit, _ in refused]
        self._settle([(ids, _failed(edit), failures[id(edit)]) for edit, ids in refused])
        self._progress.advance(len(refused))
        self._sent += [(edit, ids) for edit, ids in logged if id(edit) not in failures]

    def _verdict(self, edit: ItemEdit, item: Item | None) -> tuple[str, str]:
        """State and note of one edit by what the server holds now; asked once more if it is not what we sent."""
        if item is not None and not edit.is_done(item) and not _has_foreign(edit, item):
            left = tuple(item.edit(one.field, one.after, lock=one.lock_after) for one in edit.fields)
            self._sender.send([replace(edit, item=item, fields=left)])
            item = self._server.items([item.key]).get(item.key)
        if item is not None and edit.is_done(item):
            self.outcome.written += 1
            return UNDONE if edit.undoes else WRITTEN, ""
        if item is None:
            why, state = GONE, ABANDONED
        elif edit.is_open(item):
            why, state = UNVERIFIED, _failed(edit)
        else:  # neither one nor the other: `restore` will find that and leave it alone
            why, state = CHANGED if _has_foreign(edit, item) else UNVERIFIED, WRITTEN
        self.outcome.failed.append((edit.item.label, why))
        return state, why

    def _check_locks(self, edits: Sequence[ItemEdit], seen: Seen) -> None:
        """Stop at once if the server hides locks where we look for them: then we cannot see those of users either."""
        locking = (edit for edit in edits if any(one.lock_after for one in edit.fields))
        items = [item for edit in locking if (item := seen[edit.item.key]) is not None]
        if self._locks_seen or not items:
            return
        self._locks_seen = any(item.locked for item in items)
        if not self._locks_seen:
            alone = self._server.items([items[0].key]).get(items[0].key)
            if alone is not None and alone.locked:
                raise ServerError(
                    "This Plex server shows locks only item by item, so locks that users set cannot be respected; "
                    "nothing more is written. Please report this with the output of `reclass plex selftest`."
                )

    def _settle(self, verdicts: Sequence[tuple[Ids, str, str]]) -> None:
        if verdicts:
            self._library.journal.settle([(one, state, note) for ids, state, note in verdicts for one in ids])


def log_edits(library: PlexLibrary, edits: Sequence[ItemEdit], run_id: int) -> list[Ids]:
    """Write edits into the log before anything is sent; for each the rows of its fields."""
    changes = [
        PlexChange(
            run_id, library.known.id, library.section.key, edit.item.level, edit.item.key, edit.item.guid,
            next(iter(edit.item.files), ""), edit.item.label, one,
        )
        for edit in edits if not edit.undoes
        for one in edit.fields
    ]  # fmt: skip
    ids = iter(library.journal.plan(changes))
    return [edit.undoes or tuple(next(ids) for _ in edit.fields) for edit in edits]


def _failed(edit: ItemEdit) -> str:
    """The state of the log's rows where an edit did not come about."""
    return WRITTEN if edit.undoes else ABANDONED


def _has_foreign(edit: ItemEdit, item: Item) -> bool:
    """Whether a field holds a tag that is neither from before nor from us: somebody else was quicker."""
    return any(without(item.value(one.field), (*one.before, *one.after)) for one in edit.fields)


def settle_open(server: Server, journal: PlexJournal) -> int:
    """Remember the server, and find out what became of edits over which an earlier run was killed; how many."""
    known = journal.server(server.client.machine, server.client.name)
    changes = journal.open_changes(known.id)
    if not changes:
        return 0
    items = server.items(sorted({change.rating_key for change in changes}))
    verdicts = []
    for change in changes:
        item = items.get(change.rating_key)
        if item is None:
            verdicts.append((change.id, ABANDONED, GONE))
        elif item.is_after(change.edit):
            verdicts.append((change.id, WRITTEN, ""))
        elif item.is_before(change.edit):
            verdicts.append((change.id, ABANDONED, "interrupted"))
        else:
            verdicts.append((change.id, WRITTEN, CHANGED))
    journal.settle(verdicts)
    return len(changes)


def unlocking(library: PlexLibrary) -> list[ItemEdit]:
    """Edits that release every lock that is from us and still stands over what we wrote; tags stay as they are."""
    locked = library.journal.locks_we_left(library.known.id, library.section.key)
    found = []
    for key, item in library.server.items(sorted(locked)).items():
        fields = tuple(
            item.edit(one.field, item.value(one.field), lock=False)
            for one in locked[key]
            if item.is_after(one) and not one.lock_before
        )
        found += [ItemEdit(item, fields)] if fields else []
    return found


COMMANDS = ("plex sync", "plex unlock", "plex selftest")
"""The commands whose runs are restored on the server and not in files."""

LIBRARY_GONE = "the library is gone from the server"


def plan_restore(
    server: Server, journal: PlexJournal, run_id: int, *, force: bool = False
) -> tuple[list[Row], list[tuple[int, str, str]]]:
    """A row for every item that goes back or is left alone; and how to settle what is as before already or gone: (row
    id, state, note), for `PlexJournal.settle` once the restore is wanted.

    Nothing is written: an item that is gone today may be there again when a question was answered with no. NothingToDo
    if nothing of the run is left to restore. With `force` the former value comes back even where somebody has set
    another since, and to whatever item has the number where ours is not found.
    """
    made_on = journal.machine_of_run(run_id)
    if made_on is None:
        raise NothingToDo(f"Run {run_id} wrote nothing to a Plex server; reclass history lists the runs.")
    if made_on[0] != server.client.machine:
        raise UsageError(f"Run {run_id} wrote to the server {made_on[1]!r}, and this is {server.client.name!r}.")
    by_item: dict[int, list[PlexChange]] = {}
    for change in journal.of_run(run_id):
        if change.state == WRITTEN:
            by_item.setdefault(change.rating_key, []).append(change)
    if not by_item:
        raise NothingToDo(f"Nothing of run {run_id} is on the Plex server any more.")
    sections = server.sections()
    holders = server.items(by_item)
    firsts = [changes[0] for changes in by_item.values()]
    found = {one.rating_key: holders[one.rating_key] for one in firsts if is_same(holders.get(one.rating_key), one)}
    found |= _found_elsewhere(server, sections, [one for one in firsts if one.rating_key not in found])
    rows: list[Row] = []
    settled: list[tuple[int, str, str]] = []
    for key, changes in by_item.items():
        item = found.get(key, holders.get(key) if force else None)
        if item is None and key in holders:
            other = (*holders[key].files, holders[key].label)[0]
            why = f"not found, and its number now means {other} (--force restores that)"
            rows.append(_left(changes[0], why))
        elif item is None:
            rows.append(_left(changes[0], GONE))
            settled += [(change.id, ABANDONED, GONE) for change in changes]
        elif (item.section or changes[0].section) not in {section.key for section in sections}:
            rows.append(_left(changes[0], LIBRARY_GONE))
        else:
            item = replace(item, section=item.section or changes[0].section)
            settled += [(change.id, UNDONE, "") for change in changes if item.is_before(change.edit)]
            rows += _rows_back(item, [change for change in changes if not item.is_before(change.edit)], force)
    return rows, settled


def is_same(item: Item | None, change: PlexChange) -> bool:
    """Whether an item is the one that we edited: a track by its file, an album or artist by its names, any by its guid.

    Plex changes the guid of what it matches anew, and counts anew in a library that was rebuilt: then local://NUMBER,
    the guid of what it does not know, may mean another item.
    """
    if item is None or item.level != change.level:
        return False
    if item.guid == change.guid and not item.guid.startswith("local:"):
        return True
    if change.level == TRACK and change.file:
        return change.file in item.files
    return tag_key(item.label) == tag_key(change.title)


def _found_elsewhere(server: Server, sections: Sequence[Section], lost: Sequence[PlexChange]) -> dict[int, Item]:
    """By their former number the items that have another one now; names count where only one album or artist has them.

    All tracks of the music libraries are listed for it, once.
    """
    if not lost:
        return {}
    places: dict[tuple[str, str], set[int]] = {}
    with progress_bar("listing", None) as progress:
        for one in (one for section in sections if section.is_music for one in server.tracks(section)):
            progress.advance()
            for level, name, key in (
                (ALBUM, joined(one.album_artist, one.album), one.album_key),
                (ARTIST, one.album_artist, one.artist_key),
            ):
                places.setdefault((level, tag_key(name)), set()).add(key)
            for file in one.files:
                places.setdefault((TRACK, file), set()).add(one.key)
    moved = {}
    for change in lost:
        keys = places.get((change.level, change.file if change.level == TRACK else tag_key(change.title)), set())
        if len(keys) == 1:
            moved[change.rating_key] = next(iter(keys))
    items = server.items(dict.fromkeys(moved.values()))
    return {number: items[key] for number, key in moved.items() if key in items}


def _left(change: PlexChange, why: str) -> Row:
    return Row(LEAVE, why, change.level, change.rating_key, change.title)


def _rows_back(item: Item, changes: Sequence[PlexChange], force: bool) -> Iterator[Row]:
    """The row of what goes back on one item, and one for each field that somebody has set since."""
    back = [change for change in changes if force or item.is_after(change.edit)]
    if back:
        fields = tuple(item.edit(one.edit.field, one.edit.before, lock=one.edit.lock_before) for one in back)
        edit = ItemEdit(item, fields, tuple(change.id for change in back))
        yield Row(RESTORE, "", item.level, item.key, item.label, edit=edit)
    yield from (_left(change, f"{change.edit.field} {CHANGED}") for change in changes if change not in back)


def restore(
    server: Server,
    journal: PlexJournal,
    edits: Sequence[ItemEdit],
    *,
    stop: Callable[[], bool] = lambda: False,
    bar: Bar = progress_bar,
) -> Outcome:
    """Write the edits of `plan_restore`: what shall be there is what the log has from before."""
    outcome = Outcome()
    for section in server.sections():
        if part := [edit for edit in edits if edit.item.section == section.key]:
            write(PlexLibrary(server, section, journal, stop=stop, bar=bar), part, outcome=outcome)
    return outcome
