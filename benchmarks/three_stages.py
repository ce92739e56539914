"""Three stages at full size: fma518, MERT-95M and OpenJMLA in one scan, interrupted between and within the stages.

    python benchmarks/three_stages.py [--clips 12] [--device auto] [--threads 2]

The weights are random, in the exact names and shapes of the published checkpoints (211 and 150 tensors), written
as torch files and installed with `reclass models install --trust`; linear heads are fitted on what they hear.
Then the ladder scans the clips of ../shared/data (synthesised tunes where they are absent) in fresh processes: once
undisturbed, and once with SIGINT within the second stage, between the stages, and SIGKILL within the third, each
time gone on with by the same command. Reports what every run listened to, and whether vectors and decisions agree.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
Stored = dict[tuple[str, bytes], NDArray[np.float32]]


def checkpoints(folder: Path) -> tuple[Path, Path]:
    """Random MERT-v1-95M in a folder as it is published (old weight-norm names), and random OpenJMLA in its file."""
    torch = importlib.import_module("torch")
    transformers = importlib.import_module("transformers")
    from music_reclass.extractors import mert as mert_checkpoint
    from music_reclass.extractors.jmla import transformer

    torch.manual_seed(0)
    config = mert_checkpoint.CONFIG_95M
    tensors = transformers.HubertModel(transformers.HubertConfig(**config)).state_dict()
    old = {new: old for old, new in mert_checkpoint._OLD_NAMES.items()}
    mert = folder / "MERT-v1-95M"
    mert.mkdir()
    torch.save({old.get(name, name): tensor for name, tensor in tensors.items()}, mert / "pytorch_model.bin")
    (mert / "config.json").write_text(json.dumps({**config, "model_type": "mert_model"}))
    (mert / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True, "sampling_rate": 24000}))
    encoder = transformer()
    state = {name: tensor + 0.02 * torch.randn_like(tensor) for name, tensor in encoder.state_dict().items()}
    torch.save({"state_dict": state, "author": "MMSelfSup"}, folder / "epoch_20.pth")
    print(f"checkpoints  MERT {len(tensors)} tensors, OpenJMLA {len(state)} tensors")
    return mert, folder / "epoch_20.pth"


def clips(folder: Path, count: int) -> list[str]:
    """Real clips, FLAC and MP3 in turn, else synthesised ones of 30 s."""
    from music_reclass.extractors.audio.synthesis import encode, song

    folder.mkdir()
    real = [*sorted((DATA / "golden").glob("*.flac")), *sorted((DATA / "fma" / "clips").glob("*.mp3"))][:count]
    for path in real:
        shutil.copyfile(path, folder / path.name)
    for number in range(len(real), count):
        encode(folder / f"{number}.mp3", song(seed=number, seconds=30))
    return sorted(str(path.resolve()) for path in folder.iterdir())


def heads(folder: Path, paths: list[str], device: str) -> None:
    """A ladder in folder/ladder whose heads are fitted on the vectors of the clips."""
    from music_reclass.config import Settings
    from music_reclass.extractors.registry import extractor
    from music_reclass.features.database import Database
    from music_reclass.features.library import Library
    from music_reclass.models.bundle import save_cascade
    from music_reclass.training.extraction import Extraction, extract_files, extract_tracks
    from music_reclass.utils.progress import StopRequest
    from tests.heads import ladder_of_heads

    database, settings, stop = Database(folder / "training.sqlite3"), Settings(device=device), StopRequest()
    kinds = [extractor(name, "mid30").kind for name in ("fma518", "mert", "jmla")]
    extract_files(database, paths, kinds[:1], Extraction(settings, stop))
    tracks = sorted(Library(database).paths(range(len(paths) + 1)))
    for kind in kinds[1:]:
        start = time.perf_counter()
        extract_tracks(database, tracks, [kind], Extraction(settings, stop))
        print(f"trained on   {len(tracks)} vectors {kind.key} in {time.perf_counter() - start:.1f} s")
    save_cascade(ladder_of_heads(Library(database), tracks, kinds), folder / "ladder")


def vectors(db: Path) -> Stored:
    """What is stored of the later stages, by kind and path."""
    if not db.exists():
        return {}
    try:
        with sqlite3.connect(f"file:{db}?mode=ro", uri=True) as sql:
            rows = sql.execute(
                "SELECT v.kind, t.path, v.data FROM vector v JOIN track t ON t.id = v.track_id"
                " WHERE v.kind NOT LIKE 'fma518/%'"
            ).fetchall()
    except sqlite3.OperationalError:  # the scan has not made its tables yet
        return {}
    return {(kind.split("/")[0], path): np.frombuffer(data, "<f4") for kind, path, data in rows}


def compared(some: Stored, others: Stored) -> str:
    """Whether two runs have vectors of the same tracks, and how alike these are."""
    if some.keys() != others.keys():
        return f"not of the same tracks: {sorted(some.keys() ^ others.keys())}"
    cosines = [float(v @ others[k] / np.linalg.norm(v) / np.linalg.norm(others[k])) for k, v in some.items()]
    equal = sum(np.array_equal(v, others[k]) for k, v in some.items())
    return f"of the same tracks, {equal} of {len(some)} equal to the bit, lowest cosine {min(cosines):.6f}"


def decisions(db: Path) -> list[tuple[Any, ...]]:
    """Path, outcome, reason, genres, stage of every track."""
    with sqlite3.connect(db) as sql:
        query = (
            "SELECT t.path, d.outcome, d.reason, d.genres, d.stage FROM decision d JOIN track t ON t.id = d.track_id"
        )
        return sorted(sql.execute(query).fetchall())


def scan(
    folder: Path, db: Path, device: str, due: Callable[[Stored], bool] | None = None, number: int = signal.SIGINT
) -> None:
    """Scan in a fresh process, which gets the signal once `due` is true of what it has stored; prints what it said."""
    words = ["scan", str(folder / "music"), "--dry-run", "--bundle", str(folder / "ladder"), "--device", device]
    command = [sys.executable, "-m", "music_reclass", *words, "--db", str(db)]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while due is not None and process.poll() is None:
        if due(vectors(db)):
            process.send_signal(number)
            break
        time.sleep(0.05)
    out, err = process.communicate()
    said = [line for line in out.splitlines() if line.startswith(("listened", "left", "read"))]
    print(f"  exit code {process.returncode} after {time.perf_counter() - start:.1f} s; " + "; ".join(said))
    if err.strip():
        print("  " + err.strip().splitlines()[-1])


def main() -> None:
    """Run it all and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["RECLASS_MODELS"] = str(folder / "models")
        for model, path in zip(("mert", "jmla"), checkpoints(folder), strict=True):
            install = [sys.executable, "-m", "music_reclass", "models", "install", model, str(path), "--trust"]
            print(subprocess.run(install, check=True, capture_output=True, text=True).stdout.strip().splitlines()[-1])
        heads(folder, clips(folder / "music", arguments.clips), arguments.device)

        def count(stored: Stored, kind: str) -> int:
            return sum(name == kind for name, _ in stored)

        whole, parts = folder / "whole.sqlite3", folder / "parts.sqlite3"
        print("undisturbed")
        scan(folder, whole, arguments.device)
        final = vectors(whole)
        second = count(final, "mert")
        print("SIGINT within the second stage")
        scan(folder, parts, arguments.device, lambda stored: count(stored, "mert") >= 2)
        print("SIGINT between the stages")
        scan(folder, parts, arguments.device, lambda stored: count(stored, "mert") == second)
        print("SIGKILL within the third stage")
        scan(folder, parts, arguments.device, lambda stored: count(stored, "jmla") >= 1, signal.SIGKILL)
        print("gone on with")
        scan(folder, parts, arguments.device)
        print(f"vectors      {second} MERT, {count(final, 'jmla')} OpenJMLA; {compared(vectors(parts), final)}")
        print(f"decisions    {len(decisions(whole))}; equal: {decisions(parts) == decisions(whole)}")
        print("once more, with nothing left to do")
        scan(folder, parts, arguments.device)


if __name__ == "__main__":
    main()
