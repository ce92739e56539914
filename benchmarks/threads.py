"""What the threads of a network on the processor are worth: MERT-95M with one thread and with those that reclass takes.

    python benchmarks/threads.py [TRACKS]

The command `reclass features --kind mert` itself, in turns, with OMP_NUM_THREADS=1, without it, and with threads that
spin while they wait, on synthesised tracks of 40 s; random weights in the exact architecture (values do not change the
work). Wall and processor seconds of the command and its workers, less those of a run over one track: loading is not
counted. In brackets: in times of one thread.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from networks import installed

from music_reclass.config import usable_cores
from music_reclass.extractors.audio.synthesis import encode, song


def spent(files: list[Path], **variables: str) -> tuple[float, float]:
    """Wall and processor seconds of the command over these files."""
    names = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY")
    environment = {name: value for name, value in os.environ.items() if name not in names} | variables
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "music_reclass", "features", "--kind", "mert", "--device", "cpu", *map(str, files)]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RECLASS_MODELS"] = str(Path(folder) / "models")
        installed(Path(folder), names=("mert",))
        files = [Path(folder) / f"{number}.flac" for number in range(count + 1)]
        for number, file in enumerate(files):
            encode(file, song(seed=number, seconds=40))
        print(f"{usable_cores()} cores, {count} tracks, load {os.getloadavg()[0]:.1f}")
        each: dict[str, tuple[float, float]] = {}
        ways = {
            "one thread": {"OMP_NUM_THREADS": "1"},
            "as reclass chooses": {},
            "the same, spinning": {"OMP_WAIT_POLICY": "active"},
        }
        for name, variables in ways.items():
            alone, whole = spent(files[:1], **variables), spent(files, **variables)
            wall, processor = each[name] = (whole[0] - alone[0]) / count, (whole[1] - alone[1]) / count
            one = each["one thread"]
            print(
                f"{name:<19} wall {wall:5.2f} s a track ({wall / one[0]:.2f}), processor {processor:5.2f} s "
                f"({processor / one[1]:.2f}); load {os.getloadavg()[0]:.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
