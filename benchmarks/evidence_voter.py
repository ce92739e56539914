"""What tags say and what they are worth: levels, rules, tags of stored embeddings, and the tag member of a stack.

python benchmarks/evidence_voter.py near WEIGHTS GOLDEN.npz
python benchmarks/evidence_voter.py levels WEIGHTS TABLE.npz
python benchmarks/evidence_voter.py rules WEIGHTS TABLE.npz
python benchmarks/evidence_voter.py voter WEIGHTS TABLE.npz [VIEWS.npz]
python benchmarks/evidence_voter.py beside WEIGHTS TABLE.npz [VIEWS.npz]

WEIGHTS is MusiCNN's checkpoint. The table holds embeddings, so all but `near` are about the tags of those embeddings.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from music_reclass.explain.evidence import Evidence, Rule, rules
from music_reclass.extractors.musicnn import TAGS, head, sigmoid
from music_reclass.extractors.weights.install import read_checkpoint
from music_reclass.models import dataset as tables
from music_reclass.models.base import Estimator
from music_reclass.models.calibration import hits
from music_reclass.models.crossval import folds_of, out_of_fold
from music_reclass.models.dataset import Table
from music_reclass.models.linear import Linear, TagLinear
from music_reclass.models.mlp import MlpEnsemble
from music_reclass.models.stacking import combined, learned_weights
from music_reclass.models.xgb import Xgb
from music_reclass.taxonomy import Taxonomy, load
from music_reclass.training import npz as kinds

Doubles = NDArray[np.float64]
SEEDS = 3


def tags_of(weights: Path, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """The tags (n, 50) of embeddings (n, 200)."""
    weight, bias = head(read_checkpoint(weights))
    return sigmoid(embeddings @ weight.T + bias)


def near(weights: Path, golden: Path) -> None:
    """How far the tags of a mean embedding are from the mean of the tags, which is what is heard."""
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
    heard = tags_of(weights, embeddings_of(path, tables.read_table(path)))
    for tag, (middle, upper) in zip(TAGS, np.quantile(heard, [0.5, 0.9], axis=0).T, strict=True):
        print(f'"{tag}" = [{middle:.3f}, {upper:.3f}]')


def judged(weights: Path, path: Path) -> None:
    """How often the lines shown name a genre that the clip carries, and how often any clip would do."""
    table, taxonomy, book = tables.read_table(path), load(), rules()
    heard = tags_of(weights, embeddings_of(path, table))
    for name, floor in (("every tag above its upper tenth", 0.0), ("faint ones left out", book.bars["least"])):
        shown = np.zeros(3)
        for number, tag in enumerate(TAGS):
            rule = book.by_tag.get(tag)
            if rule is None:
                continue
            out = heard[:, number] >= max(book.levels[tag][1], floor)
            carries = (table.labels & spoken_for(rule, table.classes, taxonomy)).any(axis=1)
            chance = carries.mean()
            shown += [out.sum(), carries[out].sum(), out.sum() * chance]
            if floor and out.any():
                print(f"  {tag:<28} {int(out.sum()):4} clips, right {carries[out].mean():.2f}, chance {chance:.2f}")
        lines, right, chance = shown
        print(f"{name}: {lines / len(table):.1f} lines a clip, right {right / lines:.3f}, chance {chance / lines:.3f}")


def spoken_for(rule: Rule, classes: Sequence[str], taxonomy: Taxonomy) -> NDArray[np.bool_]:
    """Which labels a rule speaks for, (labels,)."""
    line = Evidence("", 1.0, rule.genres, rule.reason, rule.name, rule.sort, 0.0, None)
    return np.array([line.speaks_for(name, taxonomy) for name in classes])


def voter(weights: Path, path: Path, augmentations: Path | None) -> None:
    """The second stage's stack with and without the tag member, on artists that none of the members saw."""
    first = tables.read_table(path)
    _, table = kinds.read_kinds(path, first, ("fma518", "musicnn"))
    bad = None if augmentations is None else kinds.beside(tables.read_augmentations(augmentations, first), table)
    tagged = tagged_of(weights, path, table)
    for seed in range(SEEDS):
        folds = folds_of(table, seed)
        tags = out_of_fold(tagged, None, TagLinear(seed=seed).fit, folds)[:, 0]
        members: list[Estimator] = [MlpEnsemble(seed=seed), Xgb(seed=seed), Linear(seed=seed)]
        scores = []
        for member in members:
            scores.append(out_of_fold(table, bad, member.fit, folds)[:, 0])
            print(f"seed {seed}: {member.name} alone {figures(scores[-1], table)}", flush=True)
        print(f"seed {seed}: tags alone {figures(tags, table)}", flush=True)
        report(f"seed {seed}: stack", scores, tags, table, folds)
        report(f"seed {seed}: nets", scores[:1], tags, table, folds)


def beside(weights: Path, path: Path, augmentations: Path | None) -> None:
    """The tag member beside networks that know the 518 features only: what it is worth where it brings news."""
    table = tables.read_table(path)
    bad = None if augmentations is None else tables.read_augmentations(augmentations, table)
    tagged = tagged_of(weights, path, table)
    for seed in range(SEEDS):
        folds = folds_of(table, seed)
        tags = out_of_fold(tagged, None, TagLinear(seed=seed).fit, folds)[:, 0]
        nets = out_of_fold(table, bad, MlpEnsemble(seed=seed).fit, folds)[:, 0]
        report(f"seed {seed}: nets of fma518", [nets], tags, table, folds)


def tagged_of(weights: Path, path: Path, table: Table) -> Table:
    """The table with the tags in place of its columns."""
    names = tuple(f"musicnn-tags_{number:03}" for number in range(len(TAGS)))
    return replace(table, columns=names, rows=tags_of(weights, embeddings_of(path, table)))


def report(name: str, scores: list[Doubles], tags: Doubles, table: Table, folds: NDArray[np.int64]) -> None:
    """Figures of `scores` stacked without and with `tags`, weights learned on the other folds."""
    without, _ = stacked(scores, table, folds)
    together, weight = stacked([*scores, tags], table, folds)
    gained = hits(together, table.labels).astype(int) - hits(without, table.labels).astype(int)
    low, high = interval(gained, table.groups)
    print(f"{name} without tags {figures(without, table)}; with {figures(together, table)}; their weight {weight:.2f}")
    print(
        f"{name}: right with minus without {gained.mean():+.4f} (90 % of artist bootstraps {low:+.4f} to {high:+.4f})"
    )


def stacked(scores: list[Doubles], table: Table, folds: NDArray[np.int64]) -> tuple[Doubles, float]:
    """Log-probabilities, each fold's by weights learned on the others; and the last member's mean share of weight."""
    made, share = np.zeros_like(scores[0]), []
    for fold in np.unique(folds):
        out = folds == fold
        weights = learned_weights([own[~out] for own in scores], table.labels[~out])
        made[out] = combined([own[out] for own in scores], weights)
        share.append(weights[-1] / sum(weights))
    return made, float(np.mean(share))


def figures(scores: Doubles, table: Table) -> str:
    """Share of right first labels, and the mean -log of the probability of the label set."""
    likely = np.clip((np.exp(scores) * table.labels).sum(axis=1), 1e-9, 1.0)
    return f"right {hits(scores, table.labels).mean():.4f}, log-loss {-np.log(likely).mean():.4f}"


def interval(values: NDArray[np.int64], groups: NDArray[np.int64]) -> tuple[float, float]:
    """The middle 90 % of the mean over 2000 draws of whole artists."""
    artists = np.unique(groups, return_inverse=True)[1]
    sums, counts = np.bincount(artists, values), np.bincount(artists)
    drawn = np.random.default_rng(0).integers(0, len(counts), (2000, len(counts)))
    low, high = np.quantile(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [0.05, 0.95])
    return float(low), float(high)


def embeddings_of(path: Path, table: Table) -> NDArray[np.float32]:
    """The array `musicnn` of a table's file."""
    return kinds.vectors(path, "musicnn", len(table))


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
    elif study in ("voter", "beside") and len(files) in (2, 3):
        run = voter if study == "voter" else beside
        run(files[0], files[1], files[2] if len(files) == 3 else None)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
