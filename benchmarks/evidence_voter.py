"""Tags as evidence: their usual levels, how often the rules are right, and how exact tags of stored embeddings are.

python benchmarks/evidence_voter.py near WEIGHTS GOLDEN.npz
python benchmarks/evidence_voter.py levels WEIGHTS TABLE.npz
python benchmarks/evidence_voter.py rules WEIGHTS TABLE.npz

WEIGHTS is MusiCNN's checkpoint. The table holds embeddings, so all but `near` are about the tags of those embeddings.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from music_reclass.explain.evidence import Evidence, tag_table
from music_reclass.extractors.musicnn import TAGS, head, sigmoid
from music_reclass.extractors.weights.install import read_checkpoint
from music_reclass.models.dataset import Table, TableFile, read_table
from music_reclass.taxonomy import Taxonomy, load
from music_reclass.training import npz as kinds


def tags_of(weights: Path, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """The tags (n, 50) of embeddings (n, 200)."""
    weight, bias = head(read_checkpoint(weights))
    return sigmoid(embeddings @ weight.T + bias)


def near(weights: Path, golden: Path) -> None:
    """How far the tags of a mean embedding are from the mean of the tags, which is what the network gives."""
    stored = np.load(golden)
    off = tags_of(weights, stored["embeddings"]) - stored["tags"]
    print(f"{len(off)} recordings: off by {np.abs(off).mean():.4f} on average, {np.abs(off).max():.4f} at most")
    print(f"mean of the differences {off.mean():+.4f}")
    same = [
        (a.argsort()[::-1][:3] == b.argsort()[::-1][:3]).all()
        for a, b in zip(off + stored["tags"], stored["tags"], strict=True)
    ]
    print(f"the same first three tags in the same order: {sum(same)} of {len(same)}")


def levels(weights: Path, path: Path) -> None:
    """The lines of [levels] in data/evidence.toml."""
    strengths = tags_of(weights, embeddings_of(path, read_table(path)))
    for tag, (middle, upper) in zip(TAGS, np.quantile(strengths, [0.5, 0.9], axis=0).T, strict=True):
        print(f'"{tag}" = [{middle:.3f}, {upper:.3f}]')


def judged(weights: Path, path: Path) -> None:
    """How often the lines shown name a genre that the clip carries, and how often any clip would do."""
    table, taxonomy, known = read_table(path), load(), tag_table()
    strengths = tags_of(weights, embeddings_of(path, table))
    upper = np.quantile(strengths, 0.9, axis=0)
    for name, with_floor in (("every tag above its upper tenth", False), ("faint ones left out", True)):
        shown = np.zeros(3)
        for number, tag in enumerate(TAGS):
            if tag not in known:
                continue
            out = strengths[:, number] >= (known[tag].threshold if with_floor else upper[number])
            carries = (table.labels & supported(known[tag], table.classes, taxonomy)).any(axis=1)
            chance = carries.mean()
            shown += [out.sum(), carries[out].sum(), out.sum() * chance]
            if with_floor and out.any():
                print(f"  {tag:<28} {int(out.sum()):4} clips, right {carries[out].mean():.2f}, chance {chance:.2f}")
        lines, right, chance = shown
        print(f"{name}: {lines / len(table):.1f} lines a clip, right {right / lines:.3f}, chance {chance / lines:.3f}")


def supported(known: Evidence, classes: Sequence[str], taxonomy: Taxonomy) -> NDArray[np.bool_]:
    """Which labels a tag supports, (labels,)."""
    return np.array([known.supports(name, taxonomy) for name in classes])


def embeddings_of(path: Path, table: Table) -> NDArray[np.float32]:
    """The array `musicnn` of a table's file."""
    return kinds.vectors(TableFile.read(path), "musicnn", len(table))


def main() -> None:
    """Run the study named first."""
    study, *paths = sys.argv[1:] or [""]
    files = [Path(path) for path in paths]
    if study == "near" and len(files) == 2:
        near(*files)
    elif study == "levels" and len(files) == 2:
        levels(*files)
    elif study == "rules" and len(files) == 2:
        judged(*files)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
