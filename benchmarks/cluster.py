"""What Ray costs: CPU seconds, seconds and memory of one command with and without `--ray local`, in fresh processes.

    python benchmarks/cluster.py [--copies 3] [--music FOLDER]

Scans the demo's eleven tunes (times `--copies`) with one worker, locally and on a Ray of this machine, and asks such a
Ray what it is (`cluster check`): the cost of starting it, of one actor, and of ending it. CPU seconds are those of all
processes together, memory is the most that they had of their own.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from music_reclass.cluster.dispatch import IN_FLIGHT
from music_reclass.extractors.audio.synthesis import make_library

PR_SET_CHILD_SUBREAPER = 36
CHILD = "import sys; from music_reclass.cli.main import run; sys.exit(run(sys.argv[1:]))"


def descendants(root: int) -> list[int]:
    """The processes below `root`."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parent = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry))
    found, waiting = [], [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def own_memory(process: int) -> int:
    """Bytes that no other process has: private pages."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private"))


def seconds_of(process: int) -> float:
    """CPU seconds of one process so far."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(words: list[str]) -> tuple[float, float, float]:
    """CPU seconds, seconds and MB of one command with all processes below it, looked at ten times a second."""
    most = 0
    spent: dict[int, float] = {}
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.1):
            below = descendants(os.getpid())
            most = max(most, sum(map(own_memory, below)))
            for process in below:
                spent[process] = max(spent.get(process, 0.0), seconds_of(process))

    start = time.perf_counter()
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        subprocess.run([sys.executable, "-c", CHILD, *words], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
    finally:
        done.set()
        thread.join()
    return sum(spent.values()), seconds, most / 1e6


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--copies", type=int, default=3)
    parser.add_argument("--music", type=Path, help="scan this folder, locally alone, once with the first stage only")
    arguments = parser.parse_args()
    copies = arguments.copies
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # what Ray lets go of stays below this process
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.music is not None:
            count = sum(path.is_file() for path in arguments.music.rglob("*"))
            scan = ["scan", "-n", "-q", "-j", "1", "--stages", "1", "--db", str(folder / "db"), str(arguments.music)]
            cpu, _, memory = measured(scan)
            print(f"{count} files: {cpu:.1f} s of CPU, {cpu / count:.3f} s each; {memory:.0f} MB")
            return
        for copy in range(copies):
            make_library(folder / "Music" / str(copy))
        scan = ["scan", "--dry-run", "--quiet", "--rescan", "--jobs", "1", str(folder / "Music")]
        runs = {
            "scan": [*scan, "--db", str(folder / "local.sqlite3")],
            "scan --ray local": [*scan, "--ray", "local", "--db", str(folder / "ray.sqlite3")],
            "cluster check --ray local": ["cluster", "check", "--ray", "local", "--jobs", "1"],
        }
        print(f"{11 * copies} tunes, one worker, at most {IN_FLIGHT} batches in flight; load {os.getloadavg()[0]:.1f}")
        for title, words in runs.items():
            cpu, seconds, memory = measured(words)
            print(f"{title:<28} {cpu:6.1f} s of CPU {seconds:6.1f} s {memory:7.0f} MB")


if __name__ == "__main__":
    main()
