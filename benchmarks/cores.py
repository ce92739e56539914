"""All cores against one: what a scan gains from more workers, and whether they ever wait for work.

    python benchmarks/cores.py [--clips 48] [--jobs 2] [--rounds 2]

Scans the same MP3 clips in fresh processes with one worker and with several. On a busy machine wall times say little,
so besides wall and CPU seconds it reports the load that the workers offer: the seconds in which they compute or wait
for a core (`/proc/PID/task/*/schedstat`), over those from the start of the first to the end of the last. N workers that
always have work offer a load of N; what is missing they were waiting for a file, the disk, or the others to end.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from scan import ONE_THREAD, clips

from music_reclass.config import usable_cores

INTERVAL = 0.02


class Workers:
    """Looks at the child processes of a scan while it runs."""

    def __init__(self, parent: int) -> None:
        self.parent = parent
        self.busy: dict[int, int] = {}  # nanoseconds by process
        self.seen: list[float] = []
        self.peak: dict[int, int] = {}  # KB of memory by process
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def load(self) -> float:
        """The load that the workers offered, in cores."""
        return sum(self.busy.values()) / 1e9 / (self.seen[-1] - self.seen[0])

    def _look(self) -> None:
        while not self._ended.wait(INTERVAL):
            for pid in self._workers():
                try:
                    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
                    self.busy[pid] = sum(sum(map(int, task.read_text().split()[:2])) for task in tasks)
                    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                except OSError:
                    continue
                self.seen.append(time.perf_counter())
                self.peak[pid] = next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)

    def _workers(self) -> list[int]:
        found = []
        for children in Path(f"/proc/{self.parent}/task").glob("*/children"):
            for pid in map(int, children.read_text().split()):
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                if b"spawn_main" in command:
                    found.append(pid)
        return found


def scan(music: Path, db: Path, jobs: int) -> tuple[float, float, Workers]:
    """Wall and CPU seconds of a scan in a fresh process, and its workers."""
    command = [sys.executable, "-m", "music_reclass", "scan", str(music), "--db", str(db), "--dry-run", "--stages", "1"]
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        [*command, "--jobs", str(jobs)], env={**os.environ, **ONE_THREAD}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    workers = Workers(process.pid)
    process.wait()
    workers.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, spent, workers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--jobs", type=int, default=usable_cores())
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        music = folder / "music"
        music.mkdir()
        clips(music, options.clips)
        for number in range(options.rounds):
            rows = []
            for jobs in (1, options.jobs):
                wall, spent, workers = scan(music, folder / f"{number}-{jobs}.sqlite3", jobs)
                rows.append((wall, spent))
                print(
                    f"{jobs} worker(s)   wall {wall:6.2f} s   CPU {spent:6.2f} s   offered load {workers.load:.2f}"
                    f" cores   most memory of a worker {max(workers.peak.values()) / 1024:.0f} MB",
                    flush=True,
                )
            (one, own), (all_, others) = rows
            print(f"wall {one / all_:.2f}x, CPU seconds {others / own:.2f}x; 1-minute load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
