"""How long `reclass train fma-mlp --on fma` takes on 17,000 rows: a fresh process, from features.csv to the bundle.

python benchmarks/fma_training.py TABLE.npz [--threads 2]

The real table has 895 clips; each is written nineteen times with noise of half a standard deviation a column, in the
form of the published metadata (three header rows, an official split by artist). The figures mean nothing, the time
does: as in the published folder, the csv is read once (the first run) and kept as numbers for the next (the second).
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.training import npz

ROWS = 17_000
SPLITS = ("training",) * 8 + ("validation", "test")


def write(folder: Path, table_path: Path) -> None:
    """features.csv and tracks.csv, as fma_metadata.zip unpacks."""
    table = npz.read(table_path).table
    generator = np.random.default_rng(0)
    source = np.arange(ROWS) % len(table)
    spread = table.rows.std(axis=0)
    parts = [column.rsplit("_", 2) for column in COLUMNS]
    with (folder / "features.csv").open("w", encoding="utf-8") as file:
        for place, name in enumerate(("feature", "statistics", "number")):
            file.write(",".join([name, *(part[place] for part in parts)]) + "\n")
        file.write("track_id" + "," * len(COLUMNS) + "\n")
        for number, row in enumerate(source, 2):
            values = table.rows[row] + 0.5 * spread * generator.normal(size=len(COLUMNS))
            file.write(f"{number}," + ",".join(f"{value:.10e}" for value in values) + "\n")
    with (folder / "tracks.csv").open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["", "artist", "set", "set", "track"])
        lines.writerow(["", "id", "split", "subset", "genre_top"])
        lines.writerow(["track_id", "", "", "", ""])
        for number, row in enumerate(source, 2):
            genre = table.classes[int(generator.choice(np.flatnonzero(table.labels[row])))]
            artist = int(table.groups[row])
            lines.writerow([number, artist, SPLITS[artist % len(SPLITS)], "medium", genre])


def main() -> None:
    """Write the folder, train twice, print the seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--threads", default="2")
    options = parser.parse_args()
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), options.threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write(folder, options.table)
        size = (folder / "features.csv").stat().st_size / 1e6
        print(f"{ROWS:,} rows, features.csv of {size:.0f} MB, load {os.getloadavg()[0]:.1f}", flush=True)
        for number in (1, 2):
            command = [
                sys.executable, "-m", "music_reclass", "train", "fma-mlp", "--on", "fma", "--data", str(folder),
                "--out", str(folder / f"bundle{number}"), "--seed", "0",
            ]  # fmt: skip
            started, before = time.perf_counter(), os.times()
            home = {"XDG_CACHE_HOME": str(folder), "XDG_DATA_HOME": str(folder)}
            done = subprocess.run(
                command, env={**os.environ, **threads, **home}, capture_output=True, text=True, check=False
            )
            if done.returncode:
                sys.exit(done.stderr)
            seconds, after = time.perf_counter() - started, os.times()
            busy = after.children_user + after.children_system - before.children_user - before.children_system
            print(f"run {number}: {seconds:.1f} s, {seconds / 60:.2f} of a minute; {busy:.1f} s of processor time")
            print("  " + "\n  ".join(done.stdout.strip().splitlines()[:4]), flush=True)


if __name__ == "__main__":
    main()
