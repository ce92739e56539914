"""The whole main job, in fresh processes: `reclass scan` on MP3s against mdeff/fma's calls under librosa and the limit.

    python benchmarks/scan.py [--clips 24 | --tracks 100] [--jobs 1 2] [--rounds 3]

All sides take the middle 30 seconds of the same MP3 files, from cold processes with one thread each. The reference
computes 518 features by librosa. The limit is what no program on this machine could do without: the fastest decoding
of the excerpt that there is (libsndfile to floats, with seeking), and one pass of NumPy's FFT over its frames. Ours
does all that a scan does: it also digests the audio, reads the tags, classifies and stores.

`--clips`: files of 30 seconds. `--tracks`: files of four minutes, each eight of the clips in another order. Reports
CPU seconds, which other work on the machine changes less than wall time, their ratios, and the shares of a worker.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from music_reclass.extractors.audio.synthesis import encode, song

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "fma" / "clips"
REFERENCE = """
import sys, warnings
warnings.filterwarnings("ignore")
sys.path.insert(0, sys.argv[1])
from features import reference
import librosa, soundfile
for path in sys.argv[2:]:
    length = soundfile.info(path).duration
    samples, rate = librosa.load(path, sr=None, mono=True, offset=max(0.0, length / 2 - 15), duration=30.0)
    reference(samples, rate)
"""
LIMIT = """
import sys
import numpy as np, soundfile
window = np.hanning(2049)[:-1]
for path in sys.argv[1:]:
    with soundfile.SoundFile(path) as file:
        wanted = min(file.frames, 30 * file.samplerate)
        if file.frames > wanted:
            file.seek((file.frames - wanted) // 2)
        samples = file.read(wanted, dtype="float32", always_2d=True)[:, 0]
    frames = np.lib.stride_tricks.sliding_window_view(samples, 2048)[::512]
    for start in range(0, len(frames), 32):
        np.fft.rfft(frames[start : start + 32] * window)
"""
SHARES = """
import sys, time
from pathlib import Path
from music_reclass.extractors.audio import load as audio
from music_reclass.extractors.registry import extractor
from music_reclass.extractors.audio.sndfile import quiet_decoders
from music_reclass.containers.sniff import payload_digest
from music_reclass.tagging.read import read_tags
fma = extractor("fma518", "mid30")
quiet_decoders()
spent = dict.fromkeys(("digest", "tags", "decode", "features"), 0.0)
for path in map(Path, sys.argv[1:]):
    marks = [time.process_time()]
    payload_digest(path); marks.append(time.process_time())
    read_tags(path); marks.append(time.process_time())
    clip = audio.load(path, "mid30", fma.rate); marks.append(time.process_time())
    fma.vector(clip.samples); marks.append(time.process_time())
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


def tracks(folder: Path, count: int, parts: int = 8) -> list[Path]:
    """`count` MP3s of `parts` clips each, no two in the same order; packets are copied, not encoded again."""
    (folder / "clips").mkdir()
    sources, order = clips(folder / "clips", 12), random.Random(0)
    (folder / "music").mkdir()
    paths = []
    for number in range(count):
        paths.append(folder / "music" / f"track{number:03}.mp3")
        _join(order.sample(sources, parts), paths[-1])
    return paths


def _join(sources: list[Path], path: Path) -> None:
    import av

    with av.open(str(path), "w", format="mp3") as output:
        stream: Any = None
        at = 0
        for source in sources:
            with av.open(str(source)) as opened:
                stream = stream or output.add_stream_from_template(opened.streams.audio[0])
                for packet in opened.demux(opened.streams.audio[0]):
                    if packet.dts is not None:
                        packet.stream = stream
                        packet.pts = packet.dts = at
                        at += packet.duration
                        output.mux(packet)


ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def timed(command: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of a command with one BLAS thread a process, those of its children included."""
    # installed packages are compiled; ours may not be, where this variable keeps Python from storing what it compiles
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command, check=True, env=environment | ONE_THREAD, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--tracks", type=int, default=0, help="files of four minutes in the place of clips")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if options.tracks:
            paths = [str(path) for path in tracks(folder, options.tracks)]
        else:
            (folder / "music").mkdir()
            paths = [str(path) for path in clips(folder / "music", options.clips)]
        reference = [sys.executable, "-c", REFERENCE, str(Path(__file__).parent), *paths]
        timed(reference[:5])  # fills numba's cache, which would cost the reference 14 s more
        spent: dict[str, list[tuple[float, float]]] = {}
        for number in range(options.rounds):
            spent.setdefault("reference", []).append(timed(reference))
            spent.setdefault("limit", []).append(timed([sys.executable, "-c", LIMIT, *paths]))
            for jobs in options.jobs:
                db = folder / f"library{number}-{jobs}.sqlite3"
                words = ["--db", str(db), "--dry-run", "--stages", "1", "--jobs", str(jobs)]
                command = [sys.executable, "-m", "music_reclass", "scan", str(folder / "music"), *words]
                spent.setdefault(f"scan --jobs {jobs}", []).append(timed(command))
            print("   ".join(f"{name} {rows[-1][1]:.2f} s" for name, rows in spent.items()), flush=True)
        for place, kind in ((1, "CPU"), (0, "wall")):
            middle = {name: statistics.median(row[place] for row in rows) for name, rows in spent.items()}
            for name in list(middle)[2:]:
                print(
                    f"{name}, {len(paths)} files, {kind} seconds, medians: {middle[name]:.2f}; "
                    f"{middle['reference'] / middle[name]:.2f}x the reference, "
                    f"{middle['limit'] / middle[name]:.2f} of the limit"
                )
        sys.stdout.flush()
        subprocess.run([sys.executable, "-c", SHARES, *paths[:24]], check=True, env={**os.environ, **ONE_THREAD})


if __name__ == "__main__":
    main()
