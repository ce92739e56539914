"""The map keeps genres apart, and is stored."""

from __future__ import annotations

import base64
import gzip
import json
import time

import numpy as np
import pytest

from music_reclass.web.projection import GRID, axes, make_map, on_grid, stored_map
from music_reclass.web.work import Work


def test_the_plane_separates_genres_that_a_plain_projection_would_mix() -> None:
    random = np.random.default_rng(1)
    labels = np.repeat(np.arange(4), 60)
    rows = random.normal(size=(240, 12)) * np.r_[np.full(8, 30.0), np.ones(4)]  # the first eight columns say nothing
    rows[:, 8] += 6 * (labels % 2)
    rows[:, 9] += 6 * (labels // 2)
    mean, scale, directions = axes(rows, labels)
    points = (rows - mean) / scale @ directions
    centres = np.array([points[labels == label].mean(axis=0) for label in range(4)])
    nearest = np.argmin(((points[:, None] - centres) ** 2).sum(axis=2), axis=1)
    assert (nearest == labels).mean() > 0.95


@pytest.mark.parametrize("labels", [np.full(30, -1), np.zeros(30, dtype=np.int64)])
def test_without_genres_the_plane_is_that_of_the_greatest_spread(labels: np.ndarray) -> None:
    rows = np.random.default_rng(2).normal(size=(30, 5))
    rows[:, 1] = rows[:, 0] * 3
    directions = axes(rows, labels)[2]
    assert directions.shape == (5, 2)
    assert np.abs(directions[:2, 0]).min() > np.abs(directions[2:, 0]).max()


def test_points_lie_on_the_grid_and_a_stray_one_does_not_squeeze_the_others() -> None:
    points = np.random.default_rng(3).normal(size=(2000, 2))
    points[0] = 1e9
    found = on_grid(points)
    assert found.min() == 0
    assert found.max() == GRID
    assert found.std(axis=0).min() > GRID / 10
    assert len(on_grid(np.zeros((0, 2)))) == 0
    assert on_grid(np.ones((5, 2))).min() >= 0


def test_the_map_of_a_library_has_every_track_with_features(work: Work) -> None:
    assert stored_map(work.database, work.current.get()) is None
    make_map(work.settings.database, work.current.get())
    data = stored_map(work.database, work.current.get())
    assert data is not None
    found = json.loads(gzip.decompress(data))
    steps = np.frombuffer(base64.b64decode(found["ids"]), dtype="<u4")
    have = {row[0] for row in work.database.connection.execute("SELECT DISTINCT track_id FROM vector")}
    assert set(np.cumsum(steps).tolist()) == have & set(work.current.get().ids.tolist())
    for name in ("x", "y", "genre"):
        assert len(base64.b64decode(found[name])) == 2 * found["count"]


def test_the_map_is_made_once_in_the_background(work: Work) -> None:
    assert work.map() is None
    for _ in range(500):
        data = work.map()
        if data is not None:
            break
        time.sleep(0.02)
    assert data is not None
    assert work.map() == data
