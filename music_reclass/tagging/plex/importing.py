"""`plex import`: the library learns which files a Plex library holds, so that a scan can be limited to them."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from music_reclass.features.plex_library import ServerTrack, forget_vanished, import_tracks, imported_paths
from music_reclass.tagging.plex.planning import Bar, listing
from music_reclass.tagging.plex.server import TOGETHER, in_batches
from music_reclass.utils.progress import progress_bar

if TYPE_CHECKING:
    from music_reclass.features.database import Database
    from music_reclass.features.plex_journal import KnownServer
    from music_reclass.tagging.plex.mapping import PathMap
    from music_reclass.tagging.plex.nouns import Listed, Section
    from music_reclass.tagging.plex.server import Server


@dataclass(slots=True)
class ImportReport:
    """How many tracks the server holds, and what became of them here."""

    listed: int = 0
    new: int = 0
    known: int = 0
    not_here: int = 0
    gone: int = 0


def import_library(
    server: Server,
    section: Section,
    database: Database,
    known: KnownServer,
    path_map: PathMap,
    stop: Callable[[], bool] = lambda: False,
    bar: Bar = progress_bar,
    *,
    dry_run: bool = False,
) -> ImportReport:
    """Take every track whose file is here into the library, with the genres that the server has for it.

    With `dry_run` nothing is stored, and `new` counts every file that is here.
    """
    tracks = listing(server, section, bar)
    report = ImportReport(listed=len(tracks))
    kept: list[int] = []
    with bar("importing", len(tracks)) as progress:
        for batch in in_batches(tracks, TOGETHER):
            if stop():
                return report
            here = {one.key: (one, path) for one in batch if (path := _local_file(one.files, path_map)) is not None}
            genres = {} if dry_run else {item.key: item.value("genre") for item in server.items(here)}
            found = [
                made
                for key, (one, path) in here.items()
                if (made := _server_track(one, path, section, genres.get(key, ()))) is not None
            ]
            new = len(found) if dry_run else import_tracks(database, known.id, found)
            report.new += new
            report.known += len(found) - new
            report.not_here += len(batch) - len(found)
            kept += [one.rating_key for one in found]
            progress.advance(len(batch))
    if not dry_run:
        report.gone = forget_vanished(database, known.id, section.key, kept)
    return report


def files_held(database: Database, known: KnownServer, section: Section) -> tuple[str, ...]:
    """The files that the Plex library holds, as last imported: what `scan --plex` is limited to."""
    return tuple(imported_paths(database, known.id, section.key))


def _local_file(files: Iterable[str], path_map: PathMap) -> str | None:
    """The first of a track's files that is here, whichever Unicode form its name has on this disk."""
    for path in map(path_map.local, files):
        if path is None:
            continue
        for form in (path, unicodedata.normalize("NFC", path), unicodedata.normalize("NFD", path)):
            if os.path.isfile(form):
                return os.path.realpath(form)
    return None


def _server_track(one: Listed, path: str, section: Section, genres: tuple[str, ...]) -> ServerTrack | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return ServerTrack(
        path, status.st_size, status.st_mtime_ns, one.title, one.artist, one.album_artist, one.album, one.seconds,
        section.key, one.key, genres,
    )  # fmt: skip
