"""CPU seconds and memory of `similar`, `playlist` and `decide --next` in a large library.

    python benchmarks/similar.py [--tracks 300000]

Builds a database of that many tracks, twelve an album, with random vectors of the 518 features and of EfficientAT's
size, a vote and a decision each; every command runs in a fresh process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from music_reclass.domain import FeatureKind
from music_reclass.features.database import Database
from music_reclass.models.dataset import fma518

BETTER = FeatureKind("efficientat", "1-6842ddaa", 384, "mid30")
CHILD = """
import json, resource, sys
from music_reclass.cli.main import run
code = run(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([code, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]), file=sys.stderr)
"""


def build(path: Path, count: int) -> None:
    """A database of `count` tracks."""
    database = Database(path)
    sql, random, kinds = database.connection, np.random.default_rng(0), (fma518("mid30"), BETTER)
    sql.execute("INSERT INTO bundle (id, name, digest, manifest, seen) VALUES (1, 'b', 'd', '{}', 0)")
    for start in range(0, count, 5000):
        numbers = range(start, min(start + 5000, count))
        with database.transaction():
            sql.executemany(
                "INSERT INTO track (id, path, size, mtime_ns, digest, duration, title, artist, album, seen)"
                " VALUES (?, ?, 1, 1, ?, 200.0, ?, ?, ?, 0)",
                ((n + 1, f"/m/{n // 12}/{n}.flac".encode(), n.to_bytes(8, "big"), f"t{n}", f"a{n // 60}", f"b{n // 12}")
                 for n in numbers),
            )  # fmt: skip
            for kind in kinds:
                rows = random.normal(size=(len(numbers), kind.dimension)).astype("<f4")
                sql.executemany(
                    "INSERT INTO vector (track_id, kind, data) VALUES (?, ?, ?)",
                    ((n + 1, kind.key, row.tobytes()) for n, row in zip(numbers, rows, strict=True)),
                )
            shares = random.uniform(0.3, 0.99, len(numbers)).tolist()
            sql.executemany(
                "INSERT INTO vote (track_id, stage, bundle_id, probabilities) VALUES (?, 'fma518', 1, ?)",
                ((n + 1, json.dumps({"Rock": p, "Jazz": 1 - p})) for n, p in zip(numbers, shares, strict=True)),
            )
            sql.executemany(
                "INSERT INTO decision (track_id, basis, outcome, reason, genres, confidence, stage, decided)"
                " VALUES (?, 'b', 'likely', 'likely', '[\"Rock\"]', ?, 'fma518', 0)",
                ((n + 1, p) for n, p in zip(numbers, shares, strict=True)),
            )
    database.close()


def main() -> None:
    """Print a line for each command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tracks", type=int, default=300_000)
    count = parser.parse_args().tracks
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "library.sqlite3"
        build(path, count)
        print(f"{count:,} tracks, database {path.stat().st_size / 1e9:.2f} GB")
        for words in (
            ["similar", "/m/0/0.flac"], ["playlist", "--like", "/m/0/0.flac"], ["playlist", "--genre", "Rock"],
            ["decide", "--next", "20"], ["decide", "/m/0", "Jazz", "--scope", "artist"],
        ):  # fmt: skip
            child = [sys.executable, "-c", CHILD, *words, "--db", str(path)]
            done = subprocess.run(child, capture_output=True, text=True)
            code, cpu, peak = json.loads(done.stderr.splitlines()[-1])
            print(f"{' '.join(words):<40} exit {code}  {cpu:6.1f} s CPU  {peak:6.0f} MB")


if __name__ == "__main__":
    main()
