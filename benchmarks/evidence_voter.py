"""Tags as evidence: their usual levels, how often the rules are right, and how exact tags of stored embeddings are.

python benchmarks/evidence_voter.py near WEIGHTS GOLDEN.npz
python benchmarks/evidence_voter.py levels SOURCE TABLE.npz
python benchmarks/evidence_voter.py rules SOURCE TABLE.npz

SOURCE is either WEIGHTS, MusiCNN's checkpoint, and tags are those of the table's array `musicnn`, or an .npz with
the tags of EfficientAT for the same rows: `efficientat_tags` (n, 527), or logits, `mn04_logits`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from music_reclass.explain.evidence import Evidence, tag_table
from music_reclass.extractors import efficientat
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


def strengths_of(source: Path, path: Path) -> tuple[Sequence[str], NDArray[np.float32]]:
    """The names of the tags, and their strengths (n, tags) for the rows of the table in `path`."""
    if source.suffix != ".npz":
        return TAGS, tags_of(source, embeddings_of(path, read_table(path)))
    stored = np.load(source)
    if "efficientat_tags" in stored:
        return efficientat.audioset_labels(), stored["efficientat_tags"].astype(np.float32)
    return efficientat.audioset_labels(), efficientat.sigmoid(stored["mn04_logits"].astype(np.float32))


def levels(source: Path, path: Path) -> None:
    """The lines of [levels] in data/evidence.toml: all of MusiCNN's tags, and those of AudioSet's that have a rule."""
    known = tag_table()
    names, strengths = strengths_of(source, path)
    digits = 3 if names is TAGS else 4
    for tag, (middle, upper) in zip(names, np.quantile(strengths, [0.5, 0.9], axis=0).T, strict=True):
        if tag in known or names is TAGS:
            print(f'"{tag}" = [{middle:.{digits}f}, {upper:.{digits}f}]')


def judged(source: Path, path: Path) -> None:
    """How often the lines shown name a genre that the clip carries, and how often any clip would do."""
    table, taxonomy, known = read_table(path), load(), tag_table()
    names, strengths = strengths_of(source, path)
    upper = np.quantile(strengths, 0.9, axis=0)
    for name, with_floor in (("every tag above its upper tenth", False), ("faint ones left out", True)):
        shown = np.zeros(3)
        for number, tag in enumerate(names):
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
