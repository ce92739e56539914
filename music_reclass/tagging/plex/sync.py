"""`plex sync`: settle what was left open, survey, compare, write what changes; `plex unlock`: give our locks back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from music_reclass.errors import UsageError
from music_reclass.tagging.plex.mapping import PathMap
from music_reclass.tagging.plex.nouns import FieldEdit, ItemEdit, Section
from music_reclass.tagging.plex.planning import LEAST_COVERAGE, Bar, Request, Survey, level_for, rows, survey
from music_reclass.tagging.plex.writing import Outcome, edit_of, new_entries, settle_open, write
from music_reclass.utils.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from music_reclass.features.database import Database
    from music_reclass.features.plex_journal import KnownServer, PlexJournal
    from music_reclass.tagging.plex.diff import Row
    from music_reclass.tagging.plex.server import Server
    from music_reclass.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True)
class Comparison:
    """A survey, the level that will be written, and the rows, which are read from the server as they are taken."""

    found: Survey
    request: Request
    warning: str
    rows: Iterator[Row]


def compare(
    server: Server,
    section: Section,
    database: Database,
    journal: PlexJournal,
    request: Request,
    taxonomy: Taxonomy,
    *,
    allow_partial: bool = False,
    stop: Callable[[], bool] = lambda: False,
    bar: Bar = progress_bar,
) -> Comparison:
    """What would change. UsageError where the path map fits so badly that it must be wrong."""
    known = journal.known_server(server.client.machine)
    level, warning = level_for(server, section, request.level)
    request = replace(request, level=level)
    stored = PathMap(tuple(known.mapping.items())) if known is not None else PathMap()
    found = survey(server, section, database, stored, request, bar)
    if found.coverage < LEAST_COVERAGE and not allow_partial:
        raise UsageError(
            f"only {found.matched:,} of {len(found.listed):,} tracks in {section.title} are files that reclass knows. "
            "Look at `reclass plex map`, name the folders with --map SERVER=LOCAL, scan the rest, "
            "or go on with those by --allow-partial."
        )
    return Comparison(found, request, warning, rows(server, found, journal, known, request, taxonomy, stop, bar))


def server_in_journal(server: Server, journal: PlexJournal) -> KnownServer:
    """The journal's entry of this server, with the edits of killed runs settled."""
    known = journal.server(server.client.machine, server.client.name)
    settle_open(server, journal, known.id)
    return known


def write_edits(
    server: Server,
    section: Section,
    journal: PlexJournal,
    known: KnownServer,
    run_id: int,
    edits: list[ItemEdit],
    stop: Callable[[], bool] = lambda: False,
    bar: Bar = progress_bar,
) -> Outcome:
    """Write the edits of one run into the journal and to the server."""
    with bar("writing", len(edits)) as progress:
        return write(server, section, new_entries(journal, run_id, known.id, section), edits, stop, progress)


def unlocking(server: Server, section: Section, journal: PlexJournal, known: KnownServer) -> list[ItemEdit]:
    """Edits that release every lock that is from us and still stands over what we wrote; tags stay as they are."""
    changes = journal.left_locked(known.id, section.key)
    fields: dict[int, list[FieldEdit]] = {}
    read = server.client.clock()
    items = {item.key: item for item in server.items(sorted({change.rating_key for change in changes}))}
    for change in changes:
        item = items.get(change.rating_key)
        if item is not None and edit_of(change).holds_after(item) and not change.lock_before:
            value = item.value(change.field)
            fields.setdefault(item.key, []).append(FieldEdit(change.field, value, value, True, False))
    return [ItemEdit(items[key], tuple(edits), read=read) for key, edits in fields.items()]
