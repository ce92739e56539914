"""How much tags nearby count is learned: much where they tell, nothing where they are noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from music_reclass.domain import Vote
from music_reclass.features.database import Database
from music_reclass.models.dataset import fma518
from music_reclass.taxonomy import load
from music_reclass.training.learn import draw, read_sample
from music_reclass.training.tag_weights import TagWeights, learn_tag_weights
from tests.taught import fill, foreign_bundle
from tests.training.making import learnable

TAXONOMY = load()
KIND = fma518("mid30")
GENRES = ("Blues", "Jazz", "Pop")


def weights_for(folder: Path, tags: list[str], groups: NDArray[np.int64], strength: float) -> TagWeights:
    """Votes that name the genre of a tag `strength` times as likely as another, and are no better on any artist."""
    rows, _ = learnable(len(tags), GENRES)
    database: Database = fill(folder / "library.sqlite3", {KIND: rows}, tags, groups)
    bundle = foreign_bundle(GENRES)
    data = read_sample(database, draw(database, KIND, TAXONOMY).tracks, [bundle], TAXONOMY)
    generator = np.random.default_rng(0)
    votes = []
    for row in data.table.labels:
        shares = generator.dirichlet(np.ones(3)) * np.where(row, strength, 1.0)
        votes.append(Vote("fma518", dict(zip(data.table.classes, (shares / shares.sum()).tolist(), strict=True))))
    found = learn_tag_weights(database, data, votes, TAXONOMY)
    assert found is not None
    return found


def test_artists_that_keep_to_a_genre_make_their_other_albums_count(tmp_path: Path) -> None:
    groups = np.arange(360) // 12  # three albums an artist
    tags = [GENRES[group % 3] for group in groups]
    found = weights_for(tmp_path, tags, groups, 2.0)
    assert found.prior is not None
    assert found.prior.artist > 0
    assert found.gain.low > 0.1
    assert found.as_json()["album"] == found.prior.album


def test_tags_that_are_noise_count_for_nothing(tmp_path: Path) -> None:
    groups = np.arange(360) // 12
    tags = np.random.default_rng(1).choice(GENRES, 360).tolist()
    found = weights_for(tmp_path, tags, groups, 2.0)
    assert found.prior is None
    assert found.as_json()["artist"] == found.as_json()["album"] == 0.0


def test_where_only_albums_are_of_one_genre_other_albums_count_for_little(tmp_path: Path) -> None:
    groups = np.arange(480) // 16
    albums = np.random.default_rng(2).choice(GENRES, 120)
    tags = [str(albums[row // 4]) for row in range(480)]
    found = weights_for(tmp_path, tags, groups, 2.0)
    assert found.prior is not None
    assert found.prior.album > 2 * found.prior.artist


def test_votes_of_other_labels_and_rows_without_a_known_genre_are_left_out(tmp_path: Path) -> None:
    rows, true = learnable(240, GENRES)
    database = fill(tmp_path / "library.sqlite3", {KIND: rows}, list(true), np.arange(240) // 4)
    data = read_sample(database, draw(database, KIND, TAXONOMY).tracks, [foreign_bundle(GENRES)], TAXONOMY)
    votes = [Vote("fma518", {"Metal": 0.5, "Punk": 0.5})] * 240
    assert learn_tag_weights(database, data, votes, TAXONOMY) is None
