"""What a backup of a large library takes, and how much memory a worker needs for a file.

python benchmarks/bounds.py backup [TRACKS]       a made library with three vectors a track, backed up and checked
python benchmarks/bounds.py memory KIND/EXCERPT FILE ...   most private memory of this process, file by file

Measured in November 2026 on a busy machine of two cores. Backup: a library of 549 MB (55,000 tracks) in 6.8 s, check
included, 1.4 s of it CPU time. Memory: fma518 took at most 225 MiB for the middle 30 s of files up to three hours long
(24 bits at 192 kHz and eight channels among them), and 2,951 MiB for an hour as a whole (`full`): hence the 4 GiB of
`worker_memory`.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

from music_reclass.classification.reading import prepare_worker
from music_reclass.extractors.audio.load import load
from music_reclass.extractors.registry import extractor
from music_reclass.features.backups import back_up
from music_reclass.features.database import Database


def backup(count: int) -> None:
    """Make a library of `count` tracks, and print how long its backup takes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "library.sqlite3"
        database = Database(path)
        with database.transaction() as sql:
            for number in range(1, count + 1):
                sql.execute(
                    "INSERT INTO track (id, path, size, mtime_ns, seen) VALUES (?, ?, 1, 1, 0)",
                    (number, f"/music/{number}".encode()),
                )
                for kind, size in (("a", 2072), ("b", 3072), ("c", 3072)):
                    sql.execute("INSERT INTO vector VALUES (?, ?, ?)", (number, kind, os.urandom(size)))
        database.fold_log()
        start, used = time.perf_counter(), time.process_time()
        back_up(database)
        seconds, cpu = time.perf_counter() - start, time.process_time() - used
        print(f"{path.stat().st_size / 1e6:,.0f} MB: {seconds:.1f} s, {cpu:.1f} s of CPU")


def memory(kind: str, files: list[str]) -> None:
    """Print the most private memory of this process while each file is read; Linux only."""
    most = 0

    def sample() -> None:
        nonlocal most
        while True:
            line = next(line for line in open("/proc/self/status") if line.startswith("VmData"))  # noqa: SIM115
            most = max(most, int(line.split()[1]) // 1024)
            time.sleep(0.005)

    name, excerpt = kind.split("/")
    prepare_worker()
    out = os.fdopen(os.dup(1), "w")
    threading.Thread(target=sample, daemon=True).start()
    made = extractor(name, excerpt)
    for file in files:
        most = 0
        made.vector(load(Path(file), excerpt, made.rate).samples)
        print(f"{os.path.basename(file):<40} {most:>6,} MiB", file=out, flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "backup":
        backup(int(sys.argv[2]) if len(sys.argv) > 2 else 55_000)
    else:
        memory(sys.argv[2], sys.argv[3:])
