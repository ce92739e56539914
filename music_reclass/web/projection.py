"""The map: every track as a point of a plane in which genres lie apart, by linear discriminant analysis."""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.features.database import Database

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from music_reclass.web.snapshot import Snapshot

    Floats = NDArray[np.float64]

GRID = 1023  # steps of a coordinate
_SAMPLE = 20_000  # tracks from which the axes are learned
_LEAST = 3  # genres and tracks of each, below which the plane is that of the principal components
_RIDGE = 1e-2  # share of the total variance added to that within genres
_TAIL = 0.002  # of the points at each end that are drawn at the border
_ROWS = 1000
_LOOKED_AT = 200  # tracks, to tell which kinds there are
_USUAL = 0.9  # share of the most frequent kind's tracks that another one must have


def axes(rows: Floats, labels: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Mean and scale of each column, shapes (d,), and the two directions, shape (d, 2), along which the genres' means
    differ most against the spread within them (Fisher 1936); principal components where there are too few genres."""
    mean, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    whitened = (rows - mean) / scale
    usable = [label for label in np.unique(labels) if label >= 0 and (labels == label).sum() >= _LEAST]
    if len(usable) < _LEAST:
        _, _, directions = np.linalg.svd(whitened - whitened.mean(axis=0), full_matrices=False)
        return mean, scale, directions[:2].T
    size = rows.shape[1]
    within, between = np.zeros((size, size)), np.zeros((size, size))
    chosen = whitened[np.isin(labels, usable)]
    centre = chosen.mean(axis=0)
    for label in usable:
        group = whitened[labels == label]
        weight = min(1.0, 500 / len(group))  # a genre with most of the tracks does not make the plane alone
        offset = group.mean(axis=0) - centre
        within += weight * (group - group.mean(axis=0)).T @ (group - group.mean(axis=0))
        between += weight * len(group) * np.outer(offset, offset)
    within += np.eye(size) * _RIDGE * np.trace(within) / size
    lower = np.linalg.cholesky(within)
    reduced = np.linalg.solve(lower, np.linalg.solve(lower, between).T)
    _, vectors = np.linalg.eigh((reduced + reduced.T) / 2)
    return mean, scale, np.linalg.solve(lower.T, vectors[:, -1:-3:-1])


def on_grid(points: Floats) -> NDArray[np.int64]:
    """Points, shape (n, 2), as steps 0 to GRID of the square that holds all but the outermost of them."""
    if not len(points):
        return np.zeros((0, 2), dtype=np.int64)
    low, high = np.quantile(points, [_TAIL, 1 - _TAIL], axis=0)
    scaled = (points - low) / np.maximum(high - low, 1e-12)
    return np.asarray(np.rint(np.clip(scaled, 0, 1) * GRID), dtype=np.int64)


def stored_map(database: Database, snapshot: Snapshot) -> bytes | None:
    """The map of these tracks as gzipped JSON; None where none is stored."""
    row = database.connection.execute("SELECT basis, data FROM projection WHERE name = 'lda'").fetchone()
    return bytes(row[1]) if row is not None and row[0] == _basis(database, snapshot) else None


def make_map(path: Path, snapshot: Snapshot) -> None:
    """Make the map of these tracks from the vectors of the library at `path`, and store it there."""
    database = Database(path)
    try:
        basis = _basis(database, snapshot)
        data = gzip.compress(json.dumps(_made(database, snapshot)).encode(), 6)
        with database.transaction():
            database.connection.execute(
                "INSERT OR REPLACE INTO projection (name, basis, data, made) VALUES ('lda', ?, ?, ?)",
                (basis, data, time.time()),
            )
    finally:
        database.close()


def _basis(database: Database, snapshot: Snapshot) -> str:
    """What the map of these tracks rests on."""
    return json.dumps([len(snapshot), int(snapshot.ids.max(initial=0)), _kind(database, snapshot)])


def _made(database: Database, snapshot: Snapshot) -> dict[str, Any]:
    """Ids as steps from one to the next, coordinates and genres, each as base64 of little-endian integers."""
    kind = _kind(database, snapshot)
    chosen = np.sort(np.random.default_rng(0).permutation(snapshot.ids)[:_SAMPLE])
    blocks = list(_vectors(database, kind, chosen))
    ids = np.concatenate([block[0] for block in blocks]) if blocks else np.zeros(0, dtype=np.int64)
    if len(ids) < 2 * _LEAST:
        return {"kind": kind, "count": 0, "grid": GRID, "genres": [], "ids": "", "x": "", "y": "", "genre": ""}
    places = snapshot.places(ids)
    decided = np.isin(snapshot.outcomes[places], [1, 2])
    rows = np.concatenate([block[1] for block in blocks]).astype(np.float64)
    mean, scale, directions = axes(rows, np.where(decided, snapshot.genres[places], -1))
    found = [
        (some, (block - mean) / scale @ directions) for some, block in _vectors(database, kind, np.sort(snapshot.ids))
    ]
    ids = np.concatenate([some for some, _ in found])
    points = on_grid(np.concatenate([block for _, block in found]))
    used, numbers = np.unique(snapshot.genres[snapshot.places(ids)], return_inverse=True)
    return {
        "kind": kind, "count": len(ids), "grid": GRID,
        "genres": [snapshot.genre_names.words[one] or "none" for one in used],
        "ids": _packed(np.diff(ids, prepend=0), "<u4"), "x": _packed(points[:, 0], "<u2"),
        "y": _packed(points[:, 1], "<u2"), "genre": _packed(numbers, "<u2"),
    }  # fmt: skip


def _packed(values: NDArray[Any], kind: str) -> str:
    return base64.b64encode(values.astype(kind).tobytes()).decode()


def _kind(database: Database, snapshot: Snapshot) -> str:
    """The kind of vectors with the most numbers of those that most tracks with features have; "" for none."""
    sample = snapshot.ids[:: max(1, len(snapshot) // _LOOKED_AT)].tolist()
    marks = ", ".join("?" * len(sample))
    rows = database.connection.execute(
        f"SELECT kind, count(*), max(length(data)) FROM vector WHERE track_id IN ({marks}) GROUP BY kind",  # noqa: S608
        sample,
    ).fetchall()
    most = max((count for _, count, _ in rows), default=0)
    return max(((size, kind) for kind, count, size in rows if count >= _USUAL * most), default=(0, ""))[1]


def _vectors(
    database: Database, kind: str, ids: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Of ascending `ids` those that have a vector of `kind`, and these, shape (n, d), some thousand at a time."""
    for start in range(0, len(ids), _ROWS):
        some = ids[start : start + _ROWS]
        marks = ", ".join("?" * len(some))
        rows = database.connection.execute(
            f"SELECT track_id, data FROM vector WHERE kind = ? AND track_id IN ({marks}) ORDER BY track_id",  # noqa: S608
            (kind, *some.tolist()),
        ).fetchall()
        if rows:
            vectors = np.frombuffer(b"".join(row[1] for row in rows), dtype="<f4").reshape(len(rows), -1)
            yield np.array([row[0] for row in rows], dtype=np.int64), vectors
