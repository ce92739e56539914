"""What a class prior is worth: on libraries of one genre, mixed ones, and ones as the training.

    python benchmarks/priors.py --scores FOLDER [--draws 20]

Libraries are drawn from the out-of-fold probabilities that `benchmarks/cascade.py policies` keeps in FOLDER: 600
tracks, 80 % of them with one genre alone in their label set (each genre with at least 25 such rows in turn), or as the
table is. The prior is none, estimated from the drawn votes (EM), or the shares that the library was drawn with.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from music_reclass.models.calibration import hits
from music_reclass.models.metrics import expected_calibration_error
from music_reclass.models.priors import estimated, reweighed

Doubles = NDArray[np.float64]
COUNT, SHARE, LEAST = 600, 0.8, 25


def drawn(labels: NDArray[np.bool_], genre: int | None, generator: np.random.Generator) -> NDArray[np.int64]:
    """Rows of a library: COUNT of all, or SHARE of them of one genre alone and the rest of the others."""
    everything = np.arange(len(labels))
    if genre is None:
        return generator.choice(everything, COUNT)
    alone = everything[labels[:, genre] & (labels.sum(axis=1) == 1)]
    others = everything[~labels[:, genre]]
    many = round(SHARE * COUNT)
    return np.concatenate([generator.choice(alone, many), generator.choice(others, COUNT - many)])


def figures(probabilities: Doubles, labels: NDArray[np.bool_], likely: float) -> tuple[float, float, float, float]:
    """Share right, calibration error, share of rows decided at `likely`, and the share of those that is right."""
    right, confidence = hits(probabilities, labels), probabilities.max(axis=1)
    above = confidence >= likely
    precise = float(right[above].mean()) if above.any() else float("nan")
    return float(right.mean()), expected_calibration_error(confidence, right), float(above.mean()), precise


def main() -> None:
    """Print one table a stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--likely", type=float, default=0.54)
    options = parser.parse_args()
    for path in sorted(options.scores.glob("oof_*.npz")):
        stored = np.load(path)
        probabilities, labels = stored["probabilities"][:, 0], stored["labels"]
        frequency = probabilities.mean(axis=0)
        alone = labels[labels.sum(axis=1) == 1].sum(axis=0)
        genres = [number for number in range(labels.shape[1]) if alone[number] >= LEAST]
        print(f"\n{path.stem.removeprefix('oof_').replace('_', ' + ')}\n")
        print("| library | prior | right | ECE | decided | right among them |\n|---|---|---|---|---|---|")
        rows: dict[str, dict[str, list[tuple[float, ...]]]] = {}
        for genre in [None, *genres]:
            name = "as the table" if genre is None else f"80 % {stored['classes'][genre]}"
            for draw in range(options.draws):
                chosen = drawn(labels, genre, np.random.default_rng(draw))
                p, right = probabilities[chosen], labels[chosen]
                shares = (right / right.sum(axis=1, keepdims=True)).mean(axis=0)
                known = 0.99 * shares + 0.01 * frequency
                found = rows.setdefault(name, {})
                found.setdefault("none", []).append(figures(p, right, options.likely))
                found.setdefault("estimated", []).append(
                    figures(reweighed(p, estimated(p, frequency), frequency), right, options.likely)
                )
                found.setdefault("known", []).append(figures(reweighed(p, known, frequency), right, options.likely))
        one = [value for name, value in rows.items() if name != "as the table"]
        mean = {prior: [row for value in one for row in value[prior]] for prior in ("none", "estimated", "known")}
        for name, value in {**rows, f"80 % one genre, mean of {len(one)}": mean}.items():
            for prior, each in value.items():
                print(
                    f"| {name} | {prior} | {' | '.join(f'{one:.3f}' for one in np.nanmean(np.array(each), axis=0))} |"
                )


if __name__ == "__main__":
    main()
