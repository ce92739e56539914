"""A small feature table in which genres can be told apart, made by code."""

from pathlib import Path
from typing import Any

import numpy as np

from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.base import Estimator
from music_reclass.models.mlp import MlpRecipe
from music_reclass.training.train import StageRecipe

CLASSES = ("Blues", "Jazz", "Pop", "Rock")
SMALL = MlpRecipe(members=("key_free", "unchanged"), hidden=(16,), epochs=6)


def stage(*estimators: Estimator, name: str = "fma-mlp", kinds: tuple[str, ...] = ("fma518",)) -> StageRecipe:
    """A stage of these estimators."""
    return StageRecipe(name, kinds, estimators)


def arrays(count: int = 120, seed: int = 0, apart: float = 2.0) -> dict[str, Any]:
    """Three rows an artist, an artist keeps to one genre; Pop and Rock always come together."""
    generator = np.random.default_rng(seed)
    group = np.repeat(np.arange((count + 2) // 3), 3)[:count] * 7 + 100
    genre = generator.integers(0, 3, group.max() + 1)[group]
    centres = np.random.default_rng(99).normal(size=(3, len(COLUMNS)))
    labels = np.zeros((count, 4), dtype=bool)
    labels[np.arange(count), genre] = True
    labels[genre == 2, 3] = True
    noise = generator.normal(size=(count, len(COLUMNS)))
    return {
        "fma518": (apart * centres[genre] + noise * 3).astype(np.float32),
        "columns": np.array(COLUMNS),
        "labels": labels,
        "classes": np.array(CLASSES),
        "group": group,
        "dataset": np.where(group % 2 == 0, "one", "two"),
    }


def views_of(table: dict[str, Any]) -> dict[str, Any]:
    """Two augmentations of every row."""
    rows = table["fma518"]
    return {
        "fma518": np.stack([rows * 0.9, rows + 0.5], axis=1),
        "columns": table["columns"],
        "views": np.array(["quiet", "bright"]),
    }


def written(folder: Path, name: str, content: dict[str, Any]) -> Path:
    """The path of the npz file that holds `content`."""
    path = folder / name
    np.savez(path, **content)
    return path


def with_later_kinds(count: int = 120, seed: int = 0, apart: float = 1.0, **widths: int) -> dict[str, Any]:
    """The same table with vectors of later kinds (name and width each), in which genres show more clearly."""
    table = arrays(count, seed, apart=apart)
    genre = np.where(table["labels"][:, 2], 2, table["labels"][:, :3].argmax(axis=1))
    for number, (name, width) in enumerate(sorted(widths.items())):
        centres = np.random.default_rng(7 + number).normal(size=(3, width))
        noise = np.random.default_rng(1000 * seed + number).normal(size=(count, width))
        table[name] = (1.5 * centres[genre] + noise).astype(np.float32)
    return table
