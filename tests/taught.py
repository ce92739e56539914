"""A library with tags as people give them, made of rows of vectors: stored tracks, albums, wrong and coarse tags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from music_reclass.domain import FeatureKind, Track, TrackTags
from music_reclass.features.database import Database
from music_reclass.features.library import Library
from music_reclass.models.bundle import Bundle
from music_reclass.models.dataset import Dataset, Table, columns_of, fma518
from music_reclass.models.mlp import MlpRecipe, mlp_estimator
from music_reclass.taxonomy import Taxonomy
from music_reclass.training import learn
from music_reclass.training.train import StageRecipe, train
from tests.training.making import learnable

QUICK = MlpRecipe(members=("unchanged",), hidden=(16,), epochs=12, batch=32, transposed=0.0)


@dataclass(frozen=True)
class Tagging:
    """How the tags of a library come about: shares of artists and of tracks."""

    one_genre: float = 0.1  # of the genres: whoever plays it has it on every track
    wrong: float = 0.15  # of the tracks: another genre of the library
    parents: float = 0.1  # of the tracks: the genre above, where there is one
    noise: bool = False  # every tag is drawn from all tags of the library: nothing can be learned
    seed: int = 0


def tags_for(
    labels: NDArray[np.bool_], classes: tuple[str, ...], groups: NDArray[np.int64], taxonomy: Taxonomy, how: Tagging
) -> list[str]:
    """One tag a row, from its true label set."""
    generator = np.random.default_rng(how.seed)
    true = np.array([generator.choice(np.flatnonzero(row)) for row in labels])
    loyal = generator.permutation(len(classes))[: max(1, round(how.one_genre * len(classes)))]
    for artist in np.unique(groups):
        rows = np.flatnonzero(groups == artist)
        usual = int(np.bincount(true[rows]).argmax())
        if usual in loyal:
            true[rows] = usual
    given = true.copy()
    swapped = generator.random(len(given)) < how.wrong
    given[swapped] = generator.permutation(true)[swapped]
    if how.noise:
        given = generator.permutation(given)
    names = [classes[place] for place in given]
    coarse = generator.random(len(names)) < how.parents
    return [taxonomy.parent(name) or name if lifted else name for name, lifted in zip(names, coarse, strict=True)]


def fill(
    path: Path,
    vectors: Mapping[FeatureKind, NDArray[np.float32]],
    tags: list[str],
    groups: NDArray[np.int64],
    *,
    per_album: int = 4,
) -> Database:
    """A library database of these rows: the artists are the groups, each with albums of `per_album` tracks."""
    database = Database(path)
    library = Library(database)
    first, *more = vectors
    seen: dict[int, int] = {}
    tracks = []
    for row, (tag, group) in enumerate(zip(tags, groups.tolist(), strict=True)):
        place = seen[group] = seen.get(group, -1) + 1
        album = f"Album {place // per_album + 1}"
        about = TrackTags((tag,) if tag else None, f"Title {row}", f"Artist {group}", "", album)
        name = f"/m/Artist {group}/{album}/{row:05}.flac"
        tracks.append(Track(name, 1000 + row, 1, row.to_bytes(8, "big"), 30.0, about, (), vectors[first][row]))
    ids = library.save(tracks, first)
    for kind in more:
        library.add_vectors(dict(zip(ids, vectors[kind], strict=True)), kind)
    return database


def foreign_bundle(labels: tuple[str, ...], *more: FeatureKind) -> Bundle:
    """A bundle whose rows show other genres than `tests.training.making.learnable` gives them."""
    rows, true = learnable(160, labels, seed=5)
    if more:
        rows = np.concatenate([rows, np.zeros((160, sum(kind.dimension for kind in more)), np.float32)], axis=1)
    sets = np.array([[name == genre for genre in labels] for name in true])
    kinds = (fma518("mid30"), *more)
    table = Table(columns_of(kinds), rows, labels, sets, np.arange(160), np.full(160, ""))
    data = Dataset("foreign", table, kinds[0], np.full(160, ""), tuple(map(str, range(160))), (), tuple(more))
    recipe = StageRecipe("foreign", tuple(kind.name for kind in kinds), (mlp_estimator(0, QUICK),))
    return train(data, recipe).bundle


def quick_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Learning in seconds."""
    monkeypatch.setattr(learn, "_head", lambda data, seed: mlp_estimator(seed, QUICK))
    monkeypatch.setattr(learn, "WIDE_RECIPE", QUICK)
