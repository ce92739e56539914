"""The edit that ends in the same state whatever the server means by "add": all that is wanted, minus all that is not.

Whether a PUT of tags adds to an item's list or replaces it is not documented, nor in which order additions and
removals happen. Naming the whole wanted list *and* removing every other tag gives one result in all four cases.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from music_reclass.errors import ServerError
from music_reclass.tagging.plex.client import Refused
from music_reclass.tagging.plex.nouns import ItemEdit, without
from music_reclass.tagging.plex.server import TOGETHER

if TYPE_CHECKING:
    from music_reclass.tagging.plex.nouns import Section
    from music_reclass.tagging.plex.server import Server

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
