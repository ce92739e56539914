"""What becomes of sounds that are no music: makes 54 files and scans them with what is installed.

    python benchmarks/content.py OUT --recordings FOLDER [--music FOLDER ...]

FOLDER is what the packages of tools.content_audio are unpacked into; espeak-ng and flite must be on PATH. The seeds,
voices and recordings are others than those of the training. Prints what each kind of file became; of --music all should
stay music.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tools import content_audio as sounds

RECORDED = (
    *(("speech", f"ktuberling/sounds/{code}/*.*") for code in ("gl", "el", "en")),
    *(("speech", f"klettres/{code}/**/*.ogg") for code in ("it", "ru", "nl")),
    ("speech", "tuxpaint/stamps/**/*_desc_nl.ogg"),
    ("animal", "tuxpaint/stamps/animals/mar*/**/*.ogg"),
    ("noise", "tuxpaint/stamps/vehicles/**/*.ogg"),
    ("noise", "tuxpaint/stamps/household/**/*.ogg"),
)
VOICES = ("pt", "nl", "fi", "en-us+f5", "ru", "en-gb+m6", "tr", "hu")
AGAIN = ("dtmf", "white", "hum", "rain", "engine", "chirps", "telephone")  # once more with another seed


def files(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Label and samples of each file."""
    for number, (made, _) in enumerate(sounds.SYNTHESISED[:3]):
        for seed in (77, 78):
            for label, source, wave in made(np.random.default_rng([seed, number]), 15 * sounds.RATE):
                if seed == 77 or source in AGAIN:
                    yield label, wave
    for label, pattern in RECORDED:
        entry = sounds.Recordings(label, "check", "", pattern, "", 1)
        for wave in sounds.recorded(entry, folder, np.random.default_rng(5)):
            yield label, wave
    spoken = [["espeak-ng", "-v", voice, "-w", "/dev/stdout", sounds.SENTENCES["en"]] for voice in VOICES]
    for command in (*spoken, ["flite", "-voice", "kal", "-t", sounds.SENTENCES["en"], "-o", "check.wav"]):
        made = Path("check.wav")
        command = [made.name if word == "/dev/stdout" else word for word in command]
        subprocess.run(command, check=True, capture_output=True)
        yield "speech", sounds._resampled(*soundfile.read(made))
        made.unlink()


def main() -> None:
    """Make the files, scan them, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recordings", type=Path, required=True)
    parser.add_argument("--music", type=Path, nargs="*", default=[])
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    for number, (label, wave) in enumerate(files(chosen.recordings)):
        level = 1.0 if label == "silence" else 0.5 / np.abs(wave).max()
        soundfile.write(chosen.out / f"{label}_{number:02}.flac", (wave * level).astype(np.float32), sounds.RATE)
    command = [sys.executable, "-m", "music_reclass", "scan", str(chosen.out), *map(str, chosen.music)]
    command += ["--dry-run", "--json", "--no-album", "--db", str(chosen.out / "library.sqlite3")]
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for line in subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines():
        track = json.loads(line)
        path = Path(track["path"])
        found[path.name.split("_")[0] if path.parent == chosen.out.resolve() else "music"][
            track.get("content") or track["outcome"]
        ] += 1
    for label, became in sorted(found.items()):
        print(f"{label:<8} {sum(became.values()):>3}  " + ", ".join(f"{word} {n}" for word, n in became.most_common()))


if __name__ == "__main__":
    main()
