"""Tracks that sound alike are found exactly, each recording once, few of one artist, and never what was asked about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from music_reclass.domain import FeatureKind, Track, TrackTags
from music_reclass.errors import NothingToDo
from music_reclass.explain import similar as module
from music_reclass.explain.similar import similar_tracks
from music_reclass.features.database import Database
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library
from music_reclass.models.dataset import fma518

KIND = FeatureKind("efficientat", "1-ab", 6, "mid30")


def library(path: Path, count: int = 60) -> tuple[Database, np.ndarray]:
    """Tracks 1 to `count` with random vectors, three of every artist; 2 holds the same audio as 1."""
    rows = np.random.default_rng(0).normal(size=(count, 6)).astype(np.float32)
    rows[1] = rows[0]
    database = Database(path / "l.sqlite3")
    tracks = [
        Track(f"/m/{n}", 1, 1, bytes([n]), 60.0, TrackTags(artist=f"a{n // 3}"), (), row) for n, row in enumerate(rows)
    ]
    Library(database).save(tracks, KIND)
    database.connection.execute("UPDATE track SET digest = x'00' WHERE id = 2")
    return database, rows


def test_the_order_is_that_of_exact_cosines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 7)
    database, rows = library(tmp_path)
    (seed,) = Decisions(database).tracks([6])
    found = similar_tracks(database, [seed], 10, per_artist=9)
    scaled = np.clip((rows - rows.mean(axis=0)) / rows.std(axis=0), -4, 4)
    scaled /= np.linalg.norm(scaled, axis=1, keepdims=True)
    cosines = scaled @ scaled[5]
    wanted = [n for n in np.argsort(-cosines, kind="stable").tolist() if n not in (1, 5)][:10]
    assert [one.track.path for one in found] == [f"/m/{n}" for n in wanted]
    assert [one.similarity for one in found] == pytest.approx(cosines[wanted].tolist(), abs=1e-3)
    again = similar_tracks(database, [seed], 10, per_artist=9, keep=True)
    assert again == similar_tracks(database, [seed], 10, per_artist=9, keep=True) == found


def test_seeds_copies_missing_files_and_more_of_an_artist_are_left_out(tmp_path: Path) -> None:
    database, _ = library(tmp_path)
    database.connection.execute("UPDATE track SET missing_since = 1 WHERE id > 50")
    seeds = Decisions(database).tracks([1, 9])
    found = similar_tracks(database, seeds, 99, per_artist=1)
    paths = [one.track.path for one in found]
    assert not {"/m/0", "/m/1", "/m/8"} & set(paths)
    assert all(int(path[3:]) < 50 for path in paths)
    assert len({one.track.tags.artist for one in found}) == len(found) == 17
    some = similar_tracks(database, seeds, 99, wanted=lambda track: track.id < 20)
    assert {one.track.id for one in some} <= set(range(20))


def test_what_is_kept_is_read_again_once_the_library_has_changed(tmp_path: Path) -> None:
    database, rows = library(tmp_path)
    (seed,) = Decisions(database).tracks([6])
    similar_tracks(database, [seed], 5, keep=True)
    new = Track("/m/new", 1, 1, b"new", 60.0, TrackTags(artist="new"), (), rows[5])
    Library(Database(tmp_path / "l.sqlite3")).save([new], KIND)  # by another process
    assert similar_tracks(database, [seed], 5, keep=True)[0].track.path == "/m/new"


def test_the_feature_groups_that_are_alike_are_the_reason(tmp_path: Path) -> None:
    database, _ = library(tmp_path, 30)
    kind = fma518("mid30")
    rows = np.random.default_rng(1).normal(size=(30, 518)).astype(np.float32)
    timbre = np.r_[module.FAMILIES["mfcc"]]
    rows[7, timbre] = rows[5, timbre]
    Library(database).add_vectors(dict(enumerate(rows, 1)), kind)
    (seed,) = Decisions(database).tracks([6])
    found = {one.track.id: one.why for one in similar_tracks(database, [seed], 29, per_artist=9)}
    assert found[8][0] == "tone colour"


def test_a_track_without_features_is_named(tmp_path: Path) -> None:
    database, _ = library(tmp_path)
    Library(database).save([Track("/m/bare", 1, 1, b"bare")], KIND)
    with pytest.raises(NothingToDo, match="/m/bare"):
        similar_tracks(database, list(Decisions(database).below(["/m/bare"])), 5)
