"""How long `reclass relabel` takes for 50,000 tracks with stored votes, in 5,000 albums."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from music_reclass.classification.escalate import Escalation
from music_reclass.classification.relabel import relabel
from music_reclass.classification.voter import Cascade
from music_reclass.domain import Track, TrackTags
from music_reclass.features.database import Database
from music_reclass.features.library import Library
from music_reclass.features.scope import Scope
from music_reclass.models.bundle import embedded
from music_reclass.taxonomy import load

TRACKS = 50_000


def main() -> None:
    """Fill a library, decide it once, then again under another rule."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else TRACKS
    first = embedded()
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "library.sqlite3")
        library, scope = Library(database), Scope(database)
        for start in range(0, count, 1000):
            readings = [
                Track(
                    f"/m/{n}.mp3", 1, 1, n.to_bytes(4, "big"), 9.0, TrackTags(None, album=f"a{n // 10}"), (),
                    generator.normal(size=first.dimension).astype(np.float32),
                )
                for n in range(start, start + 1000)
            ]  # fmt: skip
            scope.add(library.save(readings, first.kinds[0]))
        Escalation(database, scope, Cascade.from_bundles([first], load())).run()
        started, busy = time.perf_counter(), time.process_time()
        report = relabel(database, Cascade.from_bundles([first], load(), max_genres=2))
        print(
            f"{report.from_votes:,} tracks from stored votes in {time.perf_counter() - started:.1f} s, "
            f"{time.process_time() - busy:.1f} s of processor time"
        )
        database.close()


if __name__ == "__main__":
    main()
