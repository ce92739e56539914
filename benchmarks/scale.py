"""CPU seconds and memory of everyday commands against the size of the library, and how they grow with it.

    python benchmarks/scale.py [--sizes 30000 100000]

Builds libraries of one-byte files, twelve an album, with features near those of synthesised tunes, and as many changes
in the journal as there are tracks: two tracks of three have the genre that a run wrote, the third another since. Each
command runs in a fresh process on a copy of the library as the first scan left it. The slope is that of the logarithms,
from the smallest library to the largest; 1 is linear. A command that touches one album should cost the same in any
library.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from music_reclass.domain import Track, TrackTags
from music_reclass.extractors.audio.synthesis import song
from music_reclass.extractors.registry import extractor
from music_reclass.features.database import Database
from music_reclass.features.library import Library
from music_reclass.models.bundle import embedded

GENRES = ("Rock", "Jazz", "Electronic", "Classical", "Folk", "Hip-Hop")
CHILD = """
import json, re, resource, sys
from music_reclass.cli.main import run
code = run(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
status = open("/proc/self/status").read()
peak = int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) / 1024  # ru_maxrss would be the parent's
print(json.dumps({"code": code, "cpu": sum(one.ru_utime + one.ru_stime for one in used),
                  "peak_mb": peak}), file=sys.stderr)
"""


def build(folder: Path, count: int) -> tuple[Path, Path]:
    """A tree of `count` files and the database that knows them and has written their genres; (tree, database)."""
    tree, db = Path(os.path.realpath(folder)) / f"music{count}", folder / f"library{count}.sqlite3"
    kind = embedded().kinds[0]
    database = Database(db)
    library = Library(database)
    random = np.random.default_rng(0)
    tunes = [extractor(kind.name, kind.excerpt).vector(song(seed=seed, seconds=30).mean(axis=1)) for seed in range(12)]
    for start in range(0, count, 1200):
        numbers = range(start, min(start + 1200, count))
        library.save([_track(tree, number, _near(tunes[number // 12 % 12], random)) for number in numbers], kind)
    sql = database.connection
    with database.transaction():
        sql.execute("INSERT INTO run (command, arguments, version, started) VALUES ('scan', '{}', '0', 0)")
        sql.execute(
            """INSERT INTO change (run_id, path, format, before, after, raw_before, state, payload, sha_before,
                   sha_after, size_after, mtime_before, mtime_after, patch, planned, changed)
               SELECT 1, path, 'mp3', NULL, CASE WHEN id % 3 THEN genres ELSE '["Other"]' END, '[]', 'written', digest,
                   digest, digest, 1, mtime_ns, mtime_ns, zeroblob(300), 0, 0 FROM track"""
        )
    database.close()
    return tree, db


def _near(vector: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    return (vector * random.normal(1.0, 0.02, len(vector))).astype(np.float32)


def _track(tree: Path, number: int, vector: NDArray[np.float32]) -> Track:
    artist, album = number // 120, number // 12
    path = tree / f"artist{artist:05}" / f"album{album:06}" / f"track{number % 12:02}.mp3"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    tags = TrackTags(genres=(GENRES[artist % len(GENRES)],), artist=f"artist{artist}", album=f"album{album}")
    status = path.stat()
    return Track(str(path), 1, status.st_mtime_ns, number.to_bytes(20, "big"), 200.0, tags, (), vector)


def measured(db: Path, *words: str) -> dict[str, float]:
    """What one command costs in a fresh process, on a copy of the library."""
    copy = db.with_suffix(".copy")
    shutil.copyfile(db, copy)
    copy.with_name(f"{copy.name}.fresh.backup").touch()  # the daily backup is not due
    start = time.perf_counter()
    child = subprocess.run(
        [sys.executable, "-c", CHILD, *words, "--db", str(copy)], stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True,
    )  # fmt: skip
    result: dict[str, float] = json.loads(child.stderr.decode().strip().splitlines()[-1])
    for left in db.parent.glob(f"{copy.name}*"):
        left.unlink()
    return {**result, "seconds": time.perf_counter() - start}


def commands(tree: Path, folder: Path) -> dict[str, list[str]]:
    """The commands by what they are called in the table."""
    copy = folder / f"{tree.name}.backup"
    copy.unlink(missing_ok=True)
    album = str(tree / "artist00003" / "album000030")
    return {
        "scan, unchanged": ["scan", str(tree), "--dry-run", "--json", "--stages", "1"],
        "scan of one album": ["scan", album, "--dry-run", "--json", "--stages", "1"],
        "apply --dry-run of one album": ["apply", album, "--dry-run", "--json"],
        "undo --dry-run of one album": ["undo", album, "--dry-run", "--json"],
        "status": ["status", "--json"],
        "relabel": ["relabel", "--json"],
        "export": ["export", "--format", "jsonl", "--out", str(folder / "out.jsonl")],
        "report": ["report", "--force", "--html", str(folder / "report.html")],
        "history": ["history", "--json"],
        "genres audit": ["genres", "audit", "--json"],
        "explain": ["explain", album + "/track00.mp3", "--json"],
        "status --unsure": ["status", "--unsure", "--json"],
        "decide --next": ["decide", "--next", "100", "--json"],
        "edit, the first question": ["edit", str(tree), "--dry-run"],
        "db info": ["db", "info", "--json"],
        "db check": ["db", "check", "--json"],
        "db backup": ["db", "backup", str(copy)],
        "db vacuum": ["db", "vacuum", "--json"],
        "db relocate": ["db", "relocate", str(tree), str(folder / "elsewhere"), "--unseen", "--yes", "--json"],
        "audit": ["audit", "--json"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[30_000, 100_000])
    parser.add_argument("--folder", type=Path, help="Keep the libraries here (default: a temporary folder)")
    parser.add_argument("--only", nargs="+", default=[], help="Measure the commands whose name begins so")
    parser.add_argument("--audit-up-to", type=int, default=30_000, help="The largest library that is audited")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        table: dict[str, list[dict[str, float]]] = {}
        for size in options.sizes:
            tree, db = folder.resolve() / f"music{size}", folder / f"library{size}.sqlite3"
            if not db.exists():
                tree, db = build(folder, size)
                first = subprocess.run(
                    [sys.executable, "-c", CHILD, "scan", str(tree), "-n", "--json", "--stages", "1", "--db", str(db)],
                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True,
                )  # fmt: skip
                print(
                    f"{size:,} tracks: the first scan decides all: {first.stderr.decode().splitlines()[-1]}", flush=True
                )
            for name, words in commands(tree.resolve(), folder.resolve()).items():
                if not name.startswith(tuple(options.only or [""])) or (name == "audit" and size > options.audit_up_to):
                    continue
                cost = measured(db, *words)
                table.setdefault(name, []).append(cost)
                print(
                    f"{size:>8,}  {name:<30} {cost['cpu']:7.2f} s  {cost['peak_mb']:5.0f} MB  code {cost['code']}",
                    flush=True,
                )
    for name, costs in table.items():
        shown = "  ".join(f"{cost['cpu']:7.2f} s {cost['peak_mb']:5.0f} MB" for cost in costs)
        growth = (
            math.log(costs[-1]["cpu"] / costs[0]["cpu"]) / math.log(options.sizes[-1] / options.sizes[0])
            if len(costs) == len(options.sizes) > 1
            else 0.0
        )
        print(f"{name:<30} {shown}   slope {growth:.2f}")


if __name__ == "__main__":
    main()
