"""The whole main job, in fresh processes: `reclass scan` on MP3 clips against mdeff/fma's calls under librosa.

    python benchmarks/scan.py [--clips 24] [--jobs 1]

Both sides decode the same MP3 files from cold processes and compute 518 features of each; ours also digests the audio,
reads the tags, classifies and stores. Reports the ratio of wall times, that of CPU seconds, which other work on the
machine changes less, and the share of ours that is decoding. The clips are all different: a scan does not decode the
same audio twice.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from music_reclass.extractors.audio.synthesis import encode, song

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "fma" / "clips"
REFERENCE = """
import sys, warnings
warnings.filterwarnings("ignore")
sys.path.insert(0, sys.argv[1])
from features import reference
import librosa
for path in sys.argv[2:]:
    samples, rate = librosa.load(path, sr=None, mono=True)
    reference(samples, rate)
"""
SHARES = """
import sys, time
from pathlib import Path
from music_reclass.extractors.audio import load as audio
from music_reclass.extractors.registry import extractor
from music_reclass.extractors.audio.sndfile import quiet_decoders
from music_reclass.containers.sniff import payload_digest
fma = extractor("fma518", "mid30")
quiet_decoders()
spent = dict.fromkeys(("digest", "decode", "features"), 0.0)
for path in map(Path, sys.argv[1:]):
    marks = [time.perf_counter()]
    payload_digest(path); marks.append(time.perf_counter())
    clip = audio.load(path, "mid30", fma.rate); marks.append(time.perf_counter())
    fma.vector(clip.samples); marks.append(time.perf_counter())
    for name, a, b in zip(spent, marks, marks[1:]):
        spent[name] += b - a
total = sum(spent.values())
print("   ".join(f"{name} {100 * seconds / total:.0f} %" for name, seconds in spent.items()))
"""


def clips(folder: Path, count: int) -> list[Path]:
    """`count` MP3 clips of 30 s: the FMA clips where they are at hand, synthesised tunes for the rest."""
    real = sorted(SHARED.glob("*.mp3"))
    paths = []
    for number in range(count):
        path = folder / f"clip{number:02}.mp3"
        if number < len(real):
            shutil.copyfile(real[number], path)
        else:
            encode(path, song(seed=number, seconds=30))
        paths.append(path)
    return paths


ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def timed(command: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of a command with one BLAS thread a process, those of its children included."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command, check=True, env={**os.environ, **ONE_THREAD}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        music = folder / "music"
        music.mkdir()
        paths = [str(path) for path in clips(music, options.clips)]
        reference = [sys.executable, "-c", REFERENCE, str(Path(__file__).parent), *paths]
        timed(reference[:5])  # fills numba's cache, which would cost the reference 14 s more
        rows = []
        for number in range(options.rounds):
            db = folder / f"library{number}.sqlite3"
            ours = [
                sys.executable,
                "-m",
                "music_reclass",
                "scan",
                str(music),
                "--db",
                str(db),
                "--dry-run",
                "--stages",
                "1",
            ]
            rows.append((timed(reference), timed([*ours, "--jobs", str(options.jobs)])))
            for place, kind in enumerate(("wall", "CPU")):
                theirs, own = rows[-1][0][place], rows[-1][1][place]
                print(f"{kind:<4} reference {theirs:6.2f} s   reclass scan {own:6.2f} s   {theirs / own:.2f}x")
        for place, kind in enumerate(("wall", "CPU")):
            ratios = sorted(theirs[place] / own[place] for theirs, own in rows)
            middle = ratios[len(ratios) // 2]
            print(f"median {middle:.2f}x ({kind}) on {options.clips} clips, {options.jobs} worker process(es)")
        sys.stdout.flush()
        subprocess.run([sys.executable, "-c", SHARES, *paths], check=True, env={**os.environ, **ONE_THREAD})


if __name__ == "__main__":
    main()
