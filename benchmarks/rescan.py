"""Rescan of a large unchanged library: wall and CPU seconds, files opened (none), memory against a tenth of the size.

    python benchmarks/rescan.py [--files 50000]

Builds a tree of one-byte files and a library database that knows them all, then runs `reclass scan --dry-run --json` on
the tree in a fresh process that counts every open() below the tree (sys.addaudithook).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from music_reclass.domain import Track, TrackTags
from music_reclass.features.database import Database
from music_reclass.features.library import Library
from music_reclass.models.bundle import embedded

CHILD = """
import json, resource, sys, time
tree, db = sys.argv[1], sys.argv[2]
opened = []
def watch(event, arguments):
    if event == "open" and str(arguments[0]).startswith(tree):
        opened.append(arguments[0])
sys.addaudithook(watch)
start = time.perf_counter()
from music_reclass.cli.main import run
code = run(["scan", tree, "--db", db, "--dry-run", "--json", "--stages", "1"])
print(json.dumps({"seconds": time.perf_counter() - start, "opened": len(opened), "code": code,
                  "cpu": time.process_time(),
                  "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}), file=sys.stderr)
"""


def build(folder: Path, count: int) -> tuple[Path, Path]:
    """A tree of `count` files, twelve an album, and the database that knows them; (tree, database)."""
    tree, db = folder / f"music{count}", folder / f"library{count}.sqlite3"
    kind = embedded().kinds[0]
    library = Library(Database(db))
    random = np.random.default_rng(0)
    batch = []
    for number in range(count):
        album = tree / f"artist{number // 120:05}" / f"album{number // 12:06}"
        if number % 12 == 0:
            album.mkdir(parents=True)
        path = album / f"track{number % 12:02}.mp3"
        path.write_bytes(b"x")
        status = path.stat()
        tags = TrackTags(genres=("Other",), artist=f"artist{number // 120}", album=f"album{number // 12}")
        vector = random.standard_normal(kind.dimension).astype(np.float32)
        batch.append(
            Track(os.path.realpath(path), 1, status.st_mtime_ns, number.to_bytes(20, "big"), 200.0, tags, (), vector)
        )
        if len(batch) == 1000:
            library.save(batch, kind)
            batch = []
    library.save(batch, kind)
    library.database.close()
    return Path(os.path.realpath(tree)), db


def scan(tree: Path, db: Path) -> dict[str, float]:
    """One scan in a fresh process; what its child reports on the last line of stderr."""
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(tree), str(db)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True
    )
    result: dict[str, float] = json.loads(child.stderr.decode().strip().splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=50_000)
    count = parser.parse_args().files
    with tempfile.TemporaryDirectory() as folder:
        for size in (count // 10, count):
            tree, db = build(Path(folder), size)
            first, second = scan(tree, db), scan(tree, db)
            print(
                f"{size:>7,} files   first (decides all): {first['seconds']:6.2f} s   unchanged: "
                f"{second['seconds']:6.2f} s ({second['cpu']:.2f} of CPU)   files opened: {second['opened']:.0f}   "
                f"peak memory {first['peak_mb']:.0f} / {second['peak_mb']:.0f} MB"
            )


if __name__ == "__main__":
    main()
