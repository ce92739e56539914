"""Trains and judges the bundles that tell music from other sounds: `python -m tools.content_detector COMMAND`.

`vectors CORPUS --out FILE.npz` extracts the features of the folder that tools.content_audio makes; `evaluate` prints
how the detectors do on makers of sounds, artists and collections that they were not trained on; `train` writes the
bundles. Music is a training table with its degraded versions (docs/explanation/content.md).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from music_reclass.domain import FeatureKind
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models import bundle as bundles
from music_reclass.models.base import Estimator
from music_reclass.models.dataset import Augmentations, Table
from music_reclass.models.linear import linear_estimator
from music_reclass.models.transforms import QuantileScale, audioset_families
from music_reclass.training.npz import kind_here

LABELS = ("music", "speech", "animal", "noise", "silence", "tone")
KINDS = {"content": "fma518", "content-tags": "efficientat-tags"}
STRENGTH = {"content": 0.01, "content-tags": 0.2}  # scikit-learn's C
THRESHOLDS = {"content": 0.85, "content-tags": 0.7}
FOLDS = 8
AUDIOSET = 527  # labels

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


def extract(corpus: Path, out: Path) -> int:
    """Write the vectors of all files below `corpus` with their labels and sources; how many there are."""
    from music_reclass.extractors.audio import load as audio
    from music_reclass.extractors.registry import extractor

    made = {kind: extractor(kind, "mid30") for kind in KINDS.values()}
    paths = sorted(corpus.glob("*/*/*.*"))
    rows: dict[str, list[Floats]] = {kind: [] for kind in made}
    for path in paths:
        for kind, one in made.items():
            rows[kind].append(one.vector(audio.load(path, "mid30", one.rate).samples))
    np.savez_compressed(
        out,
        label=np.array([path.parts[-3] for path in paths]),
        source=np.array([path.parts[-2] for path in paths]),
        name=np.array([path.name for path in paths]),
        **{kind.replace("-", "_"): np.stack(vectors).astype(np.float32) for kind, vectors in rows.items()},
    )
    return len(paths)


class Rows(NamedTuple):
    """Vectors of one kind: music first (with its degraded versions), then other sounds and synthesised songs."""

    table: Table
    augmentations: Augmentations | None
    sources: NDArray[np.str_]  # the collection of music, the maker of another sound
    names: tuple[tuple[str, ...], ...]  # the genres of music; () for other sounds and synthesised songs

    @property
    def is_music(self) -> NDArray[np.bool_]:
        """Which rows are music, (n,)."""
        return self.table.labels[:, 0]

    def chosen(self, which: NDArray[np.bool_]) -> tuple[Table, Augmentations | None]:
        """What a detector learns from where it may see these rows."""
        return self.table.chosen(which), None if self.augmentations is None else self.augmentations.chosen(which)


def read(kind: str, table: Path, views: Path | None, sounds: Path) -> Rows:
    """The rows of `kind`; the files hold arrays of the kind's name with underscores."""
    array = kind.replace("-", "_")
    with np.load(table, allow_pickle=False) as music, np.load(sounds, allow_pickle=False) as other:
        rows = np.concatenate([music[array], other[array]]).astype(np.float32)
        genres = [tuple(music["classes"][row].tolist()) for row in music["labels"]]
        is_label = np.array([[label == name for name in LABELS] for label in other["label"]])
        labels = np.concatenate([np.tile(np.eye(len(LABELS), dtype=bool)[0], (len(genres), 1)), is_label])
        sources = np.concatenate([music["dataset"], other["source"]])
        makers = np.concatenate([music["group"].astype(str), np.char.add("sounds of ", other["source"])])
        _, groups = np.unique(makers, return_inverse=True)
    columns = COLUMNS if kind == "fma518" else tuple(f"{array}_{number:03}" for number in range(rows.shape[1]))
    made = Table(columns, rows, LABELS, labels, groups.astype(np.int64), sources)
    augmentations = None
    if views is not None:
        with np.load(views, allow_pickle=False) as stored:
            degraded = np.full((len(rows), *stored[array].shape[1:]), np.nan, dtype=np.float32)
            degraded[: len(genres)] = stored[array]
            augmentations = Augmentations(tuple(map(str, stored["views"])), degraded).completed(rows)
    return Rows(made, augmentations, sources, (*genres, *[()] * (len(rows) - len(genres))))


def estimator(stage: str, seed: int = 0) -> Estimator:
    """What learns a stage: few parameters, as few makers of sounds are at hand."""
    if stage == "content":
        return linear_estimator(seed, strength=STRENGTH[stage], rarity=0.5, versions=6)
    # Log-odds as they are: scaled to equal shares of rows, small differences between faint tags would count.
    limits = audioset_families(np.array([[0.0] * AUDIOSET, [1.0] * AUDIOSET], dtype=np.float32))
    return linear_estimator(
        seed,
        strength=STRENGTH[stage],
        rarity=0.5,
        versions=6,
        inputs="audioset_families",
        scale=QuantileScale(limits),
    )


def held_out(rows: Rows, stage: str, seed: int = 0) -> tuple[Doubles, Doubles | None]:
    """Probabilities (n, labels) by detectors that knew neither the maker of a sound nor the artist of music, and those
    of the degraded versions (n, versions, labels)."""
    folds = np.random.default_rng(seed).permutation(int(rows.table.groups.max()) + 1)[rows.table.groups] % FOLDS
    return _judged(rows, stage, [folds == fold for fold in range(FOLDS)], seed)


def other_collections(rows: Rows, stage: str, seed: int = 0) -> tuple[Doubles, Doubles | None]:
    """The same of music by detectors that knew no music of its collection; other sounds are judged by the last one."""
    collections = np.unique(rows.sources[rows.is_music])
    return _judged(rows, stage, [rows.sources == name for name in collections], seed)


def _judged(rows: Rows, stage: str, parts: Sequence[NDArray[np.bool_]], seed: int) -> tuple[Doubles, Doubles | None]:
    found = np.full((len(rows.table), len(LABELS)), np.nan)
    augmentations = rows.augmentations
    degraded = None if augmentations is None else np.full((*augmentations.rows.shape[:2], len(LABELS)), np.nan)
    for part in parts:
        model = estimator(stage, seed).fit(*rows.chosen(~part))
        found[part] = np.exp(model.log_probabilities(rows.table.rows[part]))
        if augmentations is not None and degraded is not None:
            flat = augmentations.rows[part].reshape(-1, augmentations.rows.shape[2])
            degraded[part] = np.exp(model.log_probabilities(flat)).reshape(-1, *degraded.shape[1:])
    return found, degraded


def lines(rows: Rows, stage: str, seed: int = 0) -> Iterator[str]:
    """The figures of one detector, as Markdown."""
    found, degraded = held_out(rows, stage, seed)
    elsewhere, elsewhere_degraded = other_collections(rows, stage, seed)
    limit, music = THRESHOLDS[stage], np.array([bool(genres) for genres in rows.names])  # real music
    refused = 1 - found[:, 0] >= limit
    yield f"## Stage `{stage}`, refused from {limit} on\n"
    yield "| sound (makers not trained on) | files | makers | refused | with the right word |"
    yield "|---|---|---|---|---|"
    for number, label in enumerate(LABELS[1:], 1):
        here = rows.table.labels[:, number]
        if not here.any():
            continue
        right = refused & here & (found[:, 1:].argmax(axis=1) + 1 == number)
        makers = len(np.unique(rows.sources[here]))
        yield f"| {label} | {here.sum()} | {makers} | {refused[here].mean():.1%} | {right[here].mean():.1%} |"
    yield "\n| music refused | clips | artists not trained on | collection not trained on |"
    yield "|---|---|---|---|"
    away = 1 - elsewhere[:, 0] >= limit
    yield f"| all | {music.sum()} | {refused[music].mean():.2%} | {away[music].mean():.2%} |"
    for name in np.unique(rows.sources[music]):
        here = rows.sources == name
        yield f"| {name} | {here.sum()} | {refused[here].mean():.2%} | {away[here].mean():.2%} |"
    for genre in sorted({genre for genres in rows.names for genre in genres}):
        here = np.array([genre in genres for genres in rows.names])
        yield f"| {genre} | {here.sum()} | {refused[here].mean():.2%} | {away[here].mean():.2%} |"
    if degraded is not None and elsewhere_degraded is not None and rows.augmentations is not None:
        for number, name in enumerate(rows.augmentations.names):
            known, unknown = (1 - one[music, number, 0] >= limit for one in (degraded, elsewhere_degraded))
            yield f"| degraded: {name} | {music.sum()} | {known.mean():.2%} | {unknown.mean():.2%} |"
    counts = {source: ((rows.sources == source).sum(), (~refused[rows.sources == source]).sum())
              for source in np.unique(rows.sources[~rows.is_music])}  # fmt: skip
    missed = [f"{source} {left} of {count}" for source, (count, left) in counts.items() if left]
    yield f"\nNot refused, by maker: {', '.join(missed) or 'none'}"


def bundle(rows: Rows, stage: str, kind: FeatureKind, seed: int = 0) -> bundles.Bundle:
    """The detector that learned from all rows."""
    model = estimator(stage, seed).fit(rows.table, rows.augmentations)
    makers = {
        label: np.unique(rows.sources[rows.table.labels[:, number]]).tolist() for number, label in enumerate(LABELS)
    }
    manifest = {
        "name": f"{stage}-linear", "version": "1", "stage": stage, "kinds": [asdict(kind)], "labels": LABELS,
        "thresholds": {"confident": THRESHOLDS[stage], "likely": THRESHOLDS[stage]},
        "calibration": {"temperature": 1.0, "doubt": 0.0},
        "licence": "MIT (the numbers of the model; no audio of its sources is part of it)",
        "training": {"rows": len(rows.table), "sources": makers, "table": rows.table.digest, "seed": seed},
    }  # fmt: skip
    return bundles.make(manifest, model)


def main(words: list[str] | None = None) -> int:
    """Run one of the commands; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.content_detector", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    vectors = commands.add_parser("vectors", help="extract the features of a folder of tools.content_audio")
    vectors.add_argument("corpus", type=Path)
    vectors.add_argument("--out", type=Path, required=True, help="the table of sounds (.npz)")
    judged = commands.add_parser("evaluate", help="print how the detectors do on makers and artists they do not know")
    trained = commands.add_parser("train", help="train on everything and write the bundles")
    trained.add_argument("--out", type=Path, required=True, help="folder for the bundles, as music_reclass/data")
    for command in (judged, trained):
        command.add_argument("--table", type=Path, required=True, help="music (.npz): fma518, efficientat_tags")
        command.add_argument("--views", type=Path, help="degraded versions of the same rows (.npz)")
        command.add_argument("--sounds", type=Path, required=True, help="what `vectors` wrote")
        command.add_argument("--stage", choices=sorted(KINDS), help="this one alone")
        command.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(words)
    if chosen.command == "vectors":
        print(f"{extract(chosen.corpus, chosen.out)} rows in {chosen.out}")
        return 0
    for stage in [chosen.stage] if chosen.stage else KINDS:
        rows = read(KINDS[stage], chosen.table, chosen.views, chosen.sounds)
        if chosen.command == "evaluate":
            print("\n".join(lines(rows, stage, chosen.seed)), flush=True)
            continue
        made = bundle(rows, stage, kind_here(KINDS[stage]), chosen.seed)
        bundles.save(made, chosen.out / bundles.CONTENT_FOLDERS[stage])
        print(f"{chosen.out / bundles.CONTENT_FOLDERS[stage]} ({made.digest})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
