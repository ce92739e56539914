"""Imports what a Plex library holds, and asks the server to scan changed folders."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from music_reclass.features.plex import ServerTrack, forget_vanished, import_tracks, imported_paths
from music_reclass.plex.paths import PathMap, is_windows, parts_of, path_of
from music_reclass.plex.plan import Bar, listing
from music_reclass.plex.server import TOGETHER, in_batches
from music_reclass.utils.progress import progress_bar

if TYPE_CHECKING:
    from music_reclass.features.database import Database
    from music_reclass.features.plex import KnownServer
    from music_reclass.plex.model import Listed, Section
    from music_reclass.plex.server import Server


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


MOST = 25  # requests; above that, wider folders are asked for


def folders_of(files: Iterable[str], roots: Iterable[str], most: int = MOST) -> list[str]:
    """The folders of `files`, or those above them until there are at most `most`, never above one of `roots`.

    All are paths as the server writes them; files outside every root are left out.
    """
    tops = [parts_of(root) for root in roots]
    windows = any(is_windows(root) for root in roots)
    found: dict[tuple[str, ...], int] = {}  # folder -> length of its root
    for file in files:
        parts = parts_of(file)
        top = max((len(top) for top in tops if parts[: len(top)] == top), default=0)
        if top and len(parts) > top:
            found[parts[:-1]] = top
    while len(found) > most:
        deepest = max(len(folder) - top for folder, top in found.items())
        if deepest == 0:
            break
        found = {(folder[:-1] if len(folder) - top == deepest else folder): top for folder, top in found.items()}
    inside = {folder for folder in found if not any(folder[:n] in found for n in range(1, len(folder)))}
    return sorted(path_of(folder, windows=windows) for folder in inside)


def look_into_folders(server: Server, section: Section, path_map: PathMap, files: Iterable[str]) -> int:
    """Have the server read the folders of these local files anew, and wait for it; how many folders."""
    there = [path for path in map(path_map.server, files) if path is not None]
    folders = folders_of(there, section.locations)
    for folder in folders:
        server.look_into(section, folder)
    if folders:
        server.wait_until_looked(section)
    return len(folders)
