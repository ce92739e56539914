"""The whole chain behind `scan --sync-plex` and `scan --plex`: connect, import or refresh, compare, write, verify."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from music_reclass.errors import NothingToDo
from music_reclass.tagging.plex.importing import files_held, import_library
from music_reclass.tagging.plex.mapping import NO_MAP, PathMap
from music_reclass.tagging.plex.planning import AUTO_LEVEL, Bar, Request, inferred, listing
from music_reclass.tagging.plex.refreshing import look_into_folders
from music_reclass.tagging.plex.server import Server, connect
from music_reclass.tagging.plex.sync import compare, server_in_journal, write_edits
from music_reclass.tagging.plex.writing import Outcome
from music_reclass.utils.progress import progress_bar

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.features.database import Database
    from music_reclass.features.journal import Journal
    from music_reclass.features.plex_journal import KnownServer, PlexJournal
    from music_reclass.tagging.plex.nouns import Section
    from music_reclass.taxonomy import Taxonomy

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
    request = Request(level=AUTO_LEVEL, only=frozenset(written))
    first = compare(server, section, database, plex_journal, request, taxonomy, allow_partial=True, stop=stop, bar=bar)
    path_map = first.found.path_map
    folders = look_into_folders(server, section, path_map, written)
    if folders:  # there may be tracks now that were not there before
        request = Request(level=AUTO_LEVEL, only=frozenset(written), given=path_map)
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
