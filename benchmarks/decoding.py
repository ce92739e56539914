"""What decoding the excerpt costs, by format, decoder and way of finding it: CPU milliseconds of one track.

    OMP_NUM_THREADS=1 python benchmarks/decoding.py [--seconds 240] [--rounds 5]

One synthesised song in each format. `seek`: the middle 30 seconds by seeking; `all`: the same out of everything
decoded from the first byte on; `scan`: what a scan does, with opening, sniffing and 44.1 kHz mono float32 at the end.
The least of the rounds; a dash: the decoder does not take the format.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

from music_reclass.containers.sniff import sniff
from music_reclass.extractors.audio import pyav, sndfile
from music_reclass.extractors.audio.load import load
from music_reclass.extractors.audio.synthesis import encode, song

FORMATS = {
    "MP3": ("a.mp3", "mp3"), "AAC (m4a)": ("b.m4a", "aac"), "Opus": ("c.opus", "opus"), "FLAC": ("d.flac", "flac"),
    "Ogg Vorbis": ("e.ogg", "vorbis"), "WAV": ("f.wav", "pcm"), "ALAC (m4a)": ("g.m4a", "alac"),
    "AIFF": ("h.aiff", "aiff"), "WMA": ("i.wma", "wma"),
}  # fmt: skip
SECONDS = 30.0


def least(task: Callable[[], Any], rounds: int) -> float:
    """CPU milliseconds of the quickest of `rounds` calls."""
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        task()
        spent.append(time.process_time() - start)
    return 1e3 * min(spent)


def decoders(file: BinaryIO, demuxer: str) -> dict[str, Callable[[], Any]]:
    """The ways to decode the excerpt of an open file, by name; each gives something false where it does not take it."""

    def all_by_pyav() -> Any:
        return pyav._readable(file, demuxer, SECONDS, None, place=0.5)

    return {
        "soundfile seek": lambda: sndfile.decode(file, SECONDS),
        "soundfile all": lambda: sndfile.decode(file, 1e9),
        "PyAV seek": lambda: pyav._excerpt(file, demuxer, SECONDS, None, place=0.5),
        "PyAV all": all_by_pyav,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    tune = song(seed=1, seconds=options.seconds)
    names = ["soundfile seek", "soundfile all", "PyAV seek", "PyAV all"]
    print("| format |", " | ".join(names), "| scan | decoder |\n|---|" + "---|" * (len(names) + 2))
    with tempfile.TemporaryDirectory() as folder, sndfile.quiet():
        for title, (name, codec) in FORMATS.items():
            path = Path(folder) / name
            encode(path, tune, codec=codec)
            load(path)  # imports, page cache
            cells = []
            with closing(path.open("rb")) as file:
                layout = sniff(file)
                for task in decoders(file, layout.demuxer).values():
                    cells.append(f"{least(task, options.rounds):.0f}" if task() else "-")
            scan = least(lambda path=path: load(path), options.rounds)
            print(f"| {title} |", " | ".join(cells), f"| {scan:.0f} | {load(path).decoder} |", flush=True)


if __name__ == "__main__":
    main()
