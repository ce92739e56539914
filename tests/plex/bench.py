"""What most Plex tests need: a library with decisions, a client without waiting, and sync in one call."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from music_reclass.config import Secret
from music_reclass.features.database import Database
from music_reclass.features.journal import Journal
from music_reclass.features.plex import PlexJournal
from music_reclass.plex.http import Client, Server
from music_reclass.plex.library import PlexLibrary
from music_reclass.plex.paths import NO_MAP, PathMap
from music_reclass.plex.plan import Row, SyncRequest, plan_sync
from music_reclass.plex.write import Outcome, plan_restore, restore, settle_open, write
from music_reclass.taxonomy import Taxonomy, load
from music_reclass.utils.progress import Silent
from tests.fakes.plex_server import TOKEN, FakePlex

LOCAL = "/home/me/Music"
SERVER = "/data/music"


@contextmanager
def no_bar(title: str, total: int | None) -> Any:
    """Progress for nobody."""
    yield Silent()


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class MovingClock(Clock):
    """Time that also passes while a server answers."""

    def __init__(self, fake: FakePlex) -> None:
        super().__init__()
        self._fake = fake

    def __call__(self) -> float:
        return self.now + self._fake.spent


def connected(fake: FakePlex, clock: Clock | None = None, token: str = TOKEN, url: str = "", **options: Any) -> Server:
    """The real client on real sockets, with time that does not pass."""
    clock = clock or Clock()
    return Server(Client(url or fake.url, Secret(token), sleep=clock.sleep, clock=clock, **options))


def local(server_path: str) -> str:
    """Where a file of the fake server lies "here"."""
    return server_path.replace(SERVER, LOCAL, 1)


def decide(database: Database, decisions: Iterable[tuple[str, Any]], outcome: str = "confident") -> None:
    """Store files (path here) with decided genres: a name, a list of names, or None for undecided."""
    with database.transaction() as sql:
        for path, genres in decisions:
            names = [genres] if isinstance(genres, str) else genres
            folder, name = os.path.split(path)
            cursor = sql.execute(
                "INSERT INTO track (path, size, mtime_ns, duration, title, artist, album, seen)"
                " VALUES (?, 1, 1, 180.0, ?, ?, ?, 0)",
                (
                    os.fsencode(path), os.path.splitext(name)[0][3:],
                    os.path.basename(os.path.dirname(folder)), os.path.basename(folder),
                ),
            )  # fmt: skip
            if names is not None:
                sql.execute(
                    "INSERT INTO decision (track_id, basis, outcome, reason, genres, confidence, stage, decided)"
                    " VALUES (?, 'b', ?, 'sure', ?, 0.9, 'fma518', 0)",
                    (cursor.lastrowid, outcome, json.dumps(names)),
                )


@dataclass
class Bench:
    """A library beside a fake server."""

    fake: FakePlex
    database: Database
    clock: Clock = field(default_factory=Clock)
    taxonomy: Taxonomy = field(default_factory=load)

    @classmethod
    def at(cls, folder: Path, fake: FakePlex) -> Bench:
        return cls(fake, Database(folder / "library.sqlite3"))

    @property
    def journal(self) -> PlexJournal:
        return PlexJournal(self.database)

    def decide_all(self, genre: Any, outcome: str = "confident") -> None:
        """The same decision for every track of the server."""
        decide(self.database, [(local(thing.files[0]), genre) for thing in self.fake.tracks()], outcome)

    def target(self, *, settle: bool = True, **options: Any) -> PlexLibrary:
        """The music library of the server, as a command opens it."""
        server = connected(self.fake, self.clock)
        section = server.music()
        if settle:
            settle_open(server, self.journal)
        return PlexLibrary(server, section, self.journal, bar=no_bar, **options)

    def rows(self, level: str = "track", given: PathMap = NO_MAP, **request: Any) -> list[Row]:
        """The rows of one level, or with "auto" those of albums and tracks."""
        return list(
            plan_sync(self.target(settle=False, given=given), SyncRequest(level, **request), self.taxonomy).rows
        )

    def sync(
        self, stop: Any = lambda: False, level: str = "track", given: PathMap = NO_MAP, **request: Any
    ) -> tuple[int, Outcome]:
        target = self.target(stop=stop, given=given)
        plan = plan_sync(target, SyncRequest(level, **request), self.taxonomy)
        run = Journal(self.database).begin_run("plex sync", {"at": time.time()})
        return run, write(target, plan.edits, run)

    def restore(
        self, run: int, *, dry_run: bool = False, force: bool = False, **options: Any
    ) -> tuple[list[Row], Outcome]:
        """The rows of items that were left alone, and what became of the others."""
        server = connected(self.fake, self.clock)
        settle_open(server, self.journal)
        rows, settled = plan_restore(server, self.journal, run, force=force)
        edits = [row.edit for row in rows if row.edit is not None]
        if not dry_run:
            self.journal.settle(settled)
        outcome = Outcome() if dry_run else restore(server, self.journal, edits, bar=no_bar, **options)
        return [row for row in rows if row.edit is None], outcome

    def states(self, run: int) -> list[str]:
        return [change.state for change in self.journal.of_run(run)]
