"""One music library of a server beside the library here: tracks, path map, import, refresh of folders."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from music_reclass.domain import Track, TrackTags
from music_reclass.errors import ServerError
from music_reclass.features.plex import KnownServer, PlexJournal, forget_vanished, import_tracks, local_tracks
from music_reclass.plex.http import NO_OWNER, TOGETHER, in_batches
from music_reclass.plex.model import tag_key
from music_reclass.plex.paths import NO_MAP, PathMap, infer, is_windows, parts_of, path_of, spread
from music_reclass.utils.files import mtime_ns
from music_reclass.utils.progress import Bar, Progress, progress_bar

if TYPE_CHECKING:
    from music_reclass.plex.http import Server
    from music_reclass.plex.model import Listed, Section

SAMPLES = 200
MOST_FOLDERS = 25  # requests; above that, wider folders are asked for
LONGEST_QUEUE, LONGEST_SCAN = 20.0, 600.0  # seconds
QUIET = 3  # seconds without a scan after one, before the next folder's can be taken for not queued


@dataclass(slots=True)
class ImportReport:
    """How many tracks the server holds, what became of them here, and the `files` here, by path."""

    listed: int = 0
    new: int = 0
    known: int = 0
    not_here: int = 0
    gone: int = 0
    files: list[str] = field(default_factory=list)


class PlexLibrary:
    """A music library of a server and the log of our edits. Its tracks are listed once, however often they are used."""

    def __init__(
        self,
        server: Server,
        section: Section,
        journal: PlexJournal,
        *,
        given: PathMap = NO_MAP,
        local_files: Sequence[str] = (),
        stop: Callable[[], bool] = lambda: False,
        bar: Bar = progress_bar,
    ) -> None:
        """`given`: pairs of folders that go before those that are stored; `local_files`: files here, to infer them."""
        self.server, self.section, self.journal = server, section, journal
        self.stop, self.bar = stop, bar
        self._given, self._local_files = given, local_files
        client = server.client
        self.known = journal.known_server(client.machine) or KnownServer(0, client.machine, client.name, {})
        self._tracks: tuple[Listed, ...] | None = None
        self._path_map = NO_MAP

    def tracks(self) -> tuple[Listed, ...]:
        """All tracks, each once; ServerError where the token is of a user who sees no files."""
        if self._tracks is None:
            found: dict[int, Listed] = {}
            with self.bar("listing", None) as progress:
                for one in self.server.tracks(self.section):
                    found[one.key] = one
                    progress.advance()
            self._tracks = tuple(found.values())
            _require_files(self._tracks)
        return self._tracks

    @property
    def path_map(self) -> PathMap:
        """The path map to use: what is given, then what is stored, else what a sample of the tracks suggests."""
        if not self._path_map.pairs:  # a library that is empty now may hold tracks after a scan
            known = self._given.over(PathMap(tuple(self.known.mapping.items())))
            self._path_map = known if known.pairs else self.infer_map()
        return self._path_map

    def infer_map(self) -> PathMap:
        """The path map that a sample of the tracks suggests, from the files known here and the local files.

        A server on this machine needs no files known here.
        """
        tracks = self.server.sample(self.section, SAMPLES) if self._tracks is None else self._tracks
        _require_files(tracks)
        samples = spread([path for one in tracks for path in one.files], SAMPLES)
        here = [path for path in samples if os.path.exists(path)]
        known = (track.path for track in local_tracks(self.journal.database))
        return infer(samples, self.section.locations, (*here, *known, *self._local_files))

    def store_map(self, path_map: PathMap | None = None) -> None:
        """Store a path map, that in use where none is given, for the next time."""
        pairs = dict((path_map or self.path_map).pairs)
        if pairs and pairs != dict(self.known.mapping):
            known = self.journal.server(self.known.machine, self.known.name)
            self.journal.remember_mapping(known.id, pairs)
            self.known = replace(known, mapping=pairs)

    def import_tracks(self, *, dry_run: bool = False) -> ImportReport:
        """Take every track whose file is here into the library, with the genres that the server has for it.

        With `dry_run` nothing is stored, and `new` counts every file that is here.
        """
        tracks, path_map = self.tracks(), self.path_map
        database, section = self.journal.database, self.section.key
        report = ImportReport(listed=len(tracks))
        kept: dict[int, str] = {}
        with self.bar("importing", len(tracks)) as progress:
            for batch in in_batches(tracks, TOGETHER):
                if self.stop():
                    return report
                found = {one.key: track for one in batch if (track := _local_track(one, path_map)) is not None}
                new = len(found)
                if not dry_run:
                    for key, item in self.server.items(found).items():
                        tags = replace(found[key].tags, genres=item.value("genre"))
                        found[key] = replace(found[key], tags=tags)
                    new = import_tracks(database, self.known.id, section, found.items())
                report.new += new
                report.known += len(found) - new
                report.not_here += len(batch) - len(found)
                kept |= {key: track.path for key, track in found.items()}
                progress.advance(len(batch))
        report.files = sorted(set(kept.values()))
        if not dry_run:
            report.gone = forget_vanished(database, self.known.id, section, kept)
        return report

    def refresh(self, files: Iterable[str]) -> int:
        """Have the server scan the folders of these local files, and wait for it; how many folders.

        What was listed before counts no more, nor does a map that was inferred from it.
        """
        folders = folders_of((self.path_map.server(path) or path for path in files), self.section.locations)
        for folder in folders:
            self.server.look_into(self.section, folder)
        if folders:
            with self.bar("Plex scans", None) as progress:
                wait_for_scan(self.server, self.section, progress, self.stop)
        self._tracks, self._path_map = None, NO_MAP
        return len(folders)

    def unknown(self, files: Iterable[str]) -> list[str]:
        """Those of the local `files` that are among the server's tracks under no Unicode form and case."""
        listed = {self.path_map.local(path) or path for one in self.tracks() for path in one.files}
        known = set(map(tag_key, listed))
        return [path for path in files if tag_key(path) not in known]


def wait_for_scan(
    server: Server, section: Section, progress: Progress, stop: Callable[[], bool] = lambda: False
) -> bool:
    """Wait until a scan that was asked for has begun and ended; False at a stop, or where it takes ten minutes.

    The server only queues it: it may begin later, or be over before we look, and then its time has changed. What
    has not begun within 20 s, while no other library is scanned, is not waited for. `section` is as it was before.
    """
    started = idle_since = server.client.clock()
    has_begun, quiet = False, 0
    while quiet < QUIET and server.client.clock() - started < LONGEST_SCAN and not stop():
        server.client.sleep(1.0)
        now = next((one for one in server.sections() if one.key == section.key), section)
        scanned = {str(section.key)} if now.refreshing else server.scanned_now()
        is_busy = bool(scanned & {str(section.key), ""})  # in its first second an activity names no library
        has_begun = has_begun or is_busy or now.scanned != section.scanned
        progress.advance(note="seconds; it is being scanned" if has_begun else "seconds; it is queued")
        quiet = quiet + 1 if has_begun and not is_busy else 0
        if scanned:
            idle_since = server.client.clock()
        if not has_begun and server.client.clock() - idle_since >= LONGEST_QUEUE:
            return True
    return quiet >= QUIET


def _require_files(tracks: Sequence[Listed]) -> None:
    """ServerError where no track has a file path: to shared and managed users the server names none."""
    if tracks and not any(one.files for one in tracks):
        raise ServerError(NO_OWNER)


def _local_track(one: Listed, path_map: PathMap) -> Track | None:
    """The first of a track's files that is here, whichever Unicode form its name has on this disk, with the tags that
    the listing shows; None where there is none."""
    for path in filter(None, map(path_map.local, one.files)):
        for form in (path, unicodedata.normalize("NFC", path), unicodedata.normalize("NFD", path)):
            with suppress(OSError, ValueError):
                found = os.stat(form)
                if stat.S_ISREG(found.st_mode):
                    tags = TrackTags((), one.title, one.artist, one.album_artist, one.album)
                    real = os.path.realpath(form)
                    return Track(real, found.st_size, mtime_ns(found), duration=one.seconds, tags=tags)
    return None


def folders_of(files: Iterable[str], roots: Iterable[str], most: int = MOST_FOLDERS) -> list[str]:
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
