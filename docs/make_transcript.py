"""Writes docs/tutorial/transcript.md: what every command of a first hour prints, run on 30 files in a home of its own.

`python docs/make_transcript.py RECLASS DATA HOME`: the program to run, as a new environment has it; the folder with the
recordings (`fma/clips`, `golden`, `weights`); an empty folder that plays the home folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parent / "tutorial" / "transcript.md"
HEAD = """# A first hour, as it prints

Every command below was run on a library of 30 files: ten tracks of the Free Music Archive, four recordings of classical
and folk music and ragtime, copies without tags and in other formats, and files that no library should hold (empty,
silent, cut off, read-only, with a damaged tag, in a format without genres). Written by
`python docs/make_transcript.py`; the words are those of the program, long listings included.
"""
# What the reader is told, and the command.
STEPS = (
    ("Does the installation have what a scan needs?", "reclass doctor"),
    ("Look, without touching anything.", "reclass scan ~/Music --dry-run"),
    ("What is it not sure of, and what could it not use?", "reclass status --unsure"),
    ("", "reclass status --failed"),
    ("Why that genre?", "reclass explain ~/Music/Classics/hungarian_dance.flac"),
    ("Which genres do the files hold?", "reclass genres audit"),
    ("Write what was shown.", "reclass apply ~/Music --yes"),
    ("A second scan opens no file that it knows.", "reclass scan ~/Music --dry-run"),
    ("What was written, and back.", "reclass history 1"),
    ("", "reclass undo --yes"),
    ("", "reclass history"),
    ("A better model (`reclass models download` where there is internet).",
     "reclass models install efficientat ~/Downloads/mn04_as_mAP_432.pt"),
    ("", "reclass scan ~/Music --dry-run"),
    ("How does the library stand?", "reclass report --html ~/library.html"),
)  # fmt: skip


def make_files(music: Path, data: Path) -> None:
    """The 30 files."""
    import numpy as np
    import soundfile
    from mutagen import File

    from music_reclass.extractors.audio.synthesis import encode

    clips = sorted((data / "fma" / "clips").glob("*.mp3"))
    classics = [data / "golden" / f"{name}.flac" for name in
                ("hungarian_dance", "lets_go_fishin", "pistachio_ragtime", "sweet_waltz")]  # fmt: skip
    for folder in ("FMA", "Classics", "Untagged", "Formats", "Odd"):
        (music / folder).mkdir(parents=True)
    for path in clips:
        shutil.copyfile(path, music / "FMA" / path.name)
    for path in classics:
        shutil.copyfile(path, music / "Classics" / path.name)
    for path in clips[3:6]:
        copy = music / "Untagged" / f"Track {path.stem}.mp3"
        shutil.copyfile(path, copy)
        File(copy).delete()
    for number, suffix in enumerate(("m4a", "ogg", "opus", "wav", "wma")):
        samples, rate = soundfile.read(clips[number * 2], dtype="float32", always_2d=True)
        encode(music / "Formats" / f"{clips[number * 2].stem}.{suffix}", samples, rate, metadata={"title": suffix})
    odd = music / "Odd"
    samples, rate = soundfile.read(classics[0], dtype="float32", always_2d=True)
    (odd / "empty.mp3").write_bytes(b"")
    (odd / "letter.mp3").write_text("Dear Sir or Madam, " * 400)
    (odd / "cut off.mp3").write_bytes(clips[8].read_bytes()[:200_000])
    damaged = bytearray(clips[5].read_bytes())
    damaged[14:18] = b"\x7f\x7f\x7f\x7f"  # a frame that is longer than its tag
    (odd / "damaged tag.mp3").write_bytes(damaged)
    soundfile.write(odd / "jingle.wav", samples[:rate], rate)
    soundfile.write(odd / "silence.flac", np.zeros((20 * rate, 2)), rate)
    soundfile.write(odd / "dance.au", samples, rate, format="AU")
    shutil.copyfile(classics[0], odd / "protected.flac")
    (odd / "protected.flac").chmod(0o444)


def main(program: str, data: str, home: str) -> None:
    """Make the files, run the commands, write the page."""
    place = Path(home).resolve()
    make_files(place / "Music", Path(data))
    (place / "Downloads").mkdir()
    shutil.copy(Path(data) / "weights" / "mn04_as_mAP_432.pt", place / "Downloads")
    kept = ("PATH", "LANG", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = {name: os.environ[name] for name in kept if name in os.environ} | {"HOME": str(place)}
    parts = [HEAD]
    for comment, command in STEPS:
        words = [program, *(word.replace("~", str(place), 1) for word in command.split()[1:])]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        printed = (done.stdout + done.stderr).replace(str(place), "~").rstrip()
        code = f"\n(exit code {done.returncode})" if done.returncode else ""
        parts.append(f"{comment}\n\n" * bool(comment) + f"```\n$ {command}\n{printed}{code}\n```\n")
    PAGE.write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
