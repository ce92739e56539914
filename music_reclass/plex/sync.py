"""The sync workflow: settle open edits, compare, write; the same after a scan; release of our locks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from music_reclass.errors import NothingToDo, UsageError
from music_reclass.plex.library import files_held, import_library, look_into_folders
from music_reclass.plex.model import FieldEdit, ItemEdit, Section
from music_reclass.plex.paths import NO_MAP, PathMap
from music_reclass.plex.plan import (
    AUTO_LEVEL,
    LEAST_COVERAGE,
    Bar,
    Survey,
    SyncRequest,
    inferred,
    level_for,
    listing,
    rows,
    survey,
)
from music_reclass.plex.server import Server, connect
from music_reclass.plex.write import Outcome, edit_of, new_edit_log, settle_open, write
from music_reclass.utils.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from music_reclass.config import Settings
    from music_reclass.features.database import Database
    from music_reclass.features.journal import Journal
    from music_reclass.features.plex import KnownServer, PlexJournal
    from music_reclass.plex.diff import Row
    from music_reclass.taxonomy import Taxonomy


@dataclass(frozen=True, slots=True)
class Comparison:
    """A survey, the level that will be written, and the rows, which are read from the server as they are taken."""

    found: Survey
    request: SyncRequest
    warning: str
    rows: Iterator[Row]


def compare(
    server: Server,
    section: Section,
    database: Database,
    journal: PlexJournal,
    request: SyncRequest,
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
        return write(server, section, new_edit_log(journal, run_id, known.id, section), edits, stop, progress)


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


COMMAND = "plex sync"


@dataclass(frozen=True, slots=True)
class Synced:
    """What a sync after a scan did; `run` None where there was nothing to write."""

    run: int | None
    folders: int
    outcome: Outcome
    warning: str = ""


def files_of_library(
    settings: Settings,
    library: str,
    database: Database,
    journal: PlexJournal,
    given: PathMap = NO_MAP,
    extra: Sequence[str] = (),
    stop: Callable[[], bool] = lambda: False,
    bar: Bar = progress_bar,
) -> tuple[str, ...]:
    """The files here that a Plex library holds, imported just now: the roots of `scan --plex LIBRARY`.

    `extra` are files here that may help to find out which folder is which. NothingToDo if none is here.
    """
    server = connect(settings)
    section = server.music(library or settings.plex_library)
    known = server_in_journal(server, journal)
    path_map = map_for(server, section, journal, known, given, extra, bar)
    import_library(server, section, database, known, path_map, stop, bar)
    files = files_held(database, known, section)
    if not files:
        raise NothingToDo(
            f"no track of the Plex library {section.title} is a file here; look at `reclass plex map`, "
            "or name the folders with --map SERVER=LOCAL."
        )
    return files


def map_for(
    server: Server,
    section: Section,
    journal: PlexJournal,
    known: KnownServer,
    given: PathMap,
    local_files: Sequence[str],
    bar: Bar = progress_bar,
    *,
    storing: bool = True,
) -> PathMap:
    """The path map to use: what is given, then what is stored, else what a sample suggests; stored for next time."""
    path_map = given.over(PathMap(tuple(known.mapping.items())))
    if not path_map.pairs:
        path_map = inferred(section, listing(server, section, bar), local_files).path_map
    if storing and path_map.pairs and path_map.as_dict() != dict(known.mapping):
        journal.remember_mapping(known.id, path_map.as_dict())
    return path_map


def sync_written(
    settings: Settings,
    library: str,
    database: Database,
    journal: Journal,
    plex_journal: PlexJournal,
    taxonomy: Taxonomy,
    written: Sequence[str],
    stop: Callable[[], bool] = lambda: False,
    bar: Bar = progress_bar,
) -> Synced:
    """After `scan` wrote the files `written`: the server looks into their folders, then gets their genres.

    The refresh comes first and the edit locks its field, so that what the server reads from the files later does
    not replace it.
    """
    server = connect(settings)
    section = server.music(library or settings.plex_library)
    known = server_in_journal(server, plex_journal)
    request = SyncRequest(level=AUTO_LEVEL, only=frozenset(written))
    first = compare(server, section, database, plex_journal, request, taxonomy, allow_partial=True, stop=stop, bar=bar)
    path_map = first.found.path_map
    folders = look_into_folders(server, section, path_map, written)
    if folders:  # there may be tracks now that were not there before
        request = SyncRequest(level=AUTO_LEVEL, only=frozenset(written), given=path_map)
        first = compare(
            server, section, database, plex_journal, request, taxonomy, allow_partial=True, stop=stop, bar=bar
        )
    edits = [row.edit for row in first.rows if row.edit is not None]
    if path_map.pairs:
        plex_journal.remember_mapping(known.id, path_map.as_dict())
    if not edits:
        return Synced(None, folders, Outcome(), first.warning)
    run = journal.begin_run(COMMAND, {"library": section.title, "files": len(written)})
    outcome = write_edits(server, section, plex_journal, known, run, edits, stop, bar)
    journal.finish_run(run, {"written": outcome.written, "failed": len(outcome.failed)})
    return Synced(run, folders, outcome, first.warning)
