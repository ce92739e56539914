"""Requests and time of `plex sync` on a large library: `python -m benchmarks.plex [--tracks 50000]`.

The server is the fake of the tests over real sockets. Its answers cost no time, so a clock is moved by what they would
take: a fixed time for a request, and a time for each item that is listed, read or edited. A live server listed 2,504
tracks in 4 s (1.6 ms each); what a multi-item read and an edit take was never recorded, so they are taken as equal, and
a machine four times as fast is shown beside. Edits keep to five a second (`plex_rate`), as they do for users.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from music_reclass.config import Settings
from music_reclass.features.database import Database
from music_reclass.features.journal import Journal
from music_reclass.features.plex import PlexJournal
from music_reclass.plex.library import PlexLibrary
from music_reclass.plex.paths import PathMap
from music_reclass.plex.plan import SyncRequest, plan_sync
from music_reclass.plex.write import plan_restore, restore, settle_open, write
from music_reclass.taxonomy import load
from tests.fakes.plex_server import FakePlex
from tests.plex.bench import LOCAL, SERVER, MovingClock, connected, decide, local, no_bar

REQUEST_SECONDS = 0.01
ITEM_SECONDS = (0.0016, 0.0004)


def main() -> None:
    """Print what a sync of tracks, of albums and tracks, and a restore cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tracks", type=int, default=50_000, help="ten to an album")
    arguments = parser.parse_args()
    print(f"{'what':<28} {'ms an item':>10} {'requests':>9} {'edits':>6} {'s on the clock':>15} {'s here':>7}")
    for each in ITEM_SECONDS:
        for level in ("track", "auto"):
            with tempfile.TemporaryDirectory() as folder:
                _measure(Path(folder), arguments.tracks, level, each)


def _measure(folder: Path, tracks: int, level: str, each: float) -> None:
    dice, taxonomy = random.Random(1), load()
    with FakePlex() as fake:
        for number in range(tracks // 10):
            fake.album(f"Artist {number}", "Album", 10, genres=["Other"])
        fake.read_seconds = fake.edit_seconds = (REQUEST_SECONDS, each)
        database = Database(folder / "library.sqlite3")
        genres = dict.fromkeys(thing.parent for thing in fake.tracks())
        for album in genres:
            genres[album] = dice.choice(taxonomy.roots)
        decide(database, [(local(thing.files[0]), genres[thing.parent]) for thing in fake.tracks()])
        clock, journal = MovingClock(fake), PlexJournal(database)
        server = connected(fake, clock, rate=Settings().plex_rate)

        def show(what: str, before: tuple[float, float, int]) -> tuple[float, float, int]:
            asked = Counter(request.method for request in fake.requests[before[2] :])
            print(
                f"{what:<28} {1000 * each:>10.1f} {asked.total():>9,} {asked['PUT']:>6,} {clock() - before[0]:>15.0f} "
                f"{time.perf_counter() - before[1]:>7.1f}"
            )
            return clock(), time.perf_counter(), len(fake.requests)

        settle_open(server, journal)
        mark = (clock(), time.perf_counter(), 0)
        library = PlexLibrary(server, server.music(), journal, given=PathMap(((SERVER, LOCAL),)), bar=no_bar)
        plan = plan_sync(library, SyncRequest(level), taxonomy)
        run = Journal(database).begin_run("plex sync", {})
        outcome = write(library, plan.edits, run)
        assert outcome.written == len(plan.edits) >= tracks
        assert not outcome.failed
        mark = show(f"sync {'albums and tracks' if level == 'auto' else 'tracks'}", mark)
        rows, _ = plan_restore(server, journal, run)
        assert restore(server, journal, [row.edit for row in rows if row.edit], bar=no_bar).written == outcome.written
        show("restore it", mark)


if __name__ == "__main__":
    main()
