"""What the embedded cascades say of real clips, and of the same clips as MP3 of 16 kHz mono at 40 kb/s.

    OMP_NUM_THREADS=1 python benchmarks/low_rate.py [--data ../shared/data]

Ten FMA clips, whose genre is known, and five recordings whose genre nobody states; each is decoded once for the
features of all stages. Nothing above 8 kHz is left of the sound in such files.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.bandwidth import DATA, mp3
from music_reclass.classification.extract import OnDemandFeatures
from music_reclass.classification.reading import read_vectors
from music_reclass.classification.voter import Cascade
from music_reclass.cli.main import run
from music_reclass.domain import Decision, Track
from music_reclass.extractors.audio.load import load
from music_reclass.extractors.device import Placement
from music_reclass.models.bundle import embedded
from music_reclass.taxonomy import load as load_taxonomy

WEIGHTS = {"efficientat": "mn04_as_mAP_432.pt", "musicnn": "musicnn_jamendo.pth"}
CASCADES = {"fma518": ("fma518",), "efficientat": ("fma518", "efficientat"), "musicnn": ("fma518", "musicnn")}


def clips(data: Path) -> dict[Path, str]:
    """The clips in the folder `data`, and the genre of each, "" where nobody states it."""
    genres = {}
    for table in ("tracks_small.csv", "tracks_medium.csv"):
        with (data / "fma" / table).open(encoding="utf-8", newline="") as file:
            genres.update({int(row["track_id"]): row["genre_top"] for row in csv.DictReader(file)})
    fma = {path: genres.get(int(path.stem), "") for path in sorted((data / "fma" / "clips").glob("*.mp3"))}
    return {**fma, **dict.fromkeys(sorted((data / "golden").glob("*.flac")), "")}


def decisions(path: Path, cascades: Mapping[str, Cascade]) -> dict[str, Decision]:
    """What each cascade decides about a file that is decoded once."""
    kinds = dict.fromkeys(kind for cascade in cascades.values() for stage in cascade.stages for kind in stage.kinds)
    source = OnDemandFeatures(1, path, Placement(), may_extract=False, known=read_vectors(path, list(kinds)))
    track = Track(str(path), 0, 0)
    return {name: cascade.decide({1: track}, source)[1] for name, cascade in cascades.items()}


def best(decision: Decision) -> str:
    """The likeliest genre, also where it is not likely enough to be decided on."""
    return decision.votes[-1].genre if decision.votes else "nothing"


def summary(name: str, pairs: Sequence[tuple[Decision, Decision]], genres: Sequence[str]) -> str:
    """What becomes of the clips: pairs of decisions, as it is and at the low rate, with the genre or ""."""
    kept = sum(best(original) == best(low) for original, low in pairs)
    known = [(pair, genre) for pair, genre in zip(pairs, genres, strict=True) if genre]
    cells = []
    for version in (0, 1):
        right = sum(best(pair[version]) == genre for pair, genre in known)
        decided = sum(bool(pair[version].genres) for pair in pairs)
        mean = sum(pair[version].confidence for pair in pairs) / len(pairs)
        cells.append(f"{right} of {len(known)} | {decided} of {len(pairs)} | {mean:.2f}")
    return f"| {name} | {kept} of {len(pairs)} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    data = parser.parse_args().data
    if not (data / "fma" / "clips").is_dir():
        print(f"There are no clips in {data}; name the folder that holds fma/clips and golden with --data.")
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["RECLASS_MODELS"] = str(folder / "models")
        for model, file in WEIGHTS.items():
            run(["models", "install", model, str(data / "weights" / file)])
        taxonomy = load_taxonomy()
        cascades = {
            name: Cascade.from_bundles(map(embedded, stages), taxonomy, by_album=False)
            for name, stages in CASCADES.items()
        }
        found: dict[str, list[tuple[Decision, Decision]]] = {name: [] for name in cascades}
        stated = clips(data)
        for path, genre in stated.items():
            low = folder / f"{path.stem}.mp3"
            mp3(low, load(path, "full", 16000).samples)
            original, degraded = decisions(path, cascades), decisions(low, cascades)
            print(f"\n{path.name}   {genre or 'no genre stated'}")
            for name in cascades:
                found[name].append((original[name], degraded[name]))
                as_text = [f"{best(made[name]):<14} {made[name].confidence:4.2f}" for made in (original, degraded)]
                print(f"  {name:<12} {as_text[0]}   low rate: {as_text[1]}")
        print("\n| last stage | same genre | right | decided | confidence | low: right | decided | confidence |")
        print("|---|---|---|---|---|---|---|---|")
        for name, pairs in found.items():
            print(summary(name, pairs, list(stated.values())))


if __name__ == "__main__":
    main()
