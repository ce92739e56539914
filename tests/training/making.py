"""Small data sets in the forms in which people have them, and rows that can be learned."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from music_reclass.extractors.fma518 import COLUMNS


def learnable(count: int, genres: Sequence[str], seed: int = 0) -> tuple[NDArray[np.float32], list[str]]:
    """Rows whose genre shows in a few columns, and the genre of each."""
    generator = np.random.default_rng(seed)
    own = [genres[number % len(genres)] for number in range(count)]
    rows = generator.normal(size=(count, len(COLUMNS))).astype(np.float32)
    for row, genre in zip(rows, own, strict=True):
        place = genres.index(genre)
        row[10 * place : 10 * place + 10] += 2.0
        row[252 + 10 * place : 262 + 10 * place] += 2.0
    return rows, own


def write_features(
    path: Path, numbers: Sequence[int], rows: NDArray[np.float32], columns: Sequence[str] = COLUMNS
) -> None:
    """A features.csv with its three header rows and the line of the index."""
    parts = [name.rsplit("_", 2) for name in columns]
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        for title, at in (("feature", 0), ("statistics", 1), ("number", 2)):
            lines.writerow([title, *(part[at] for part in parts)])
        lines.writerow(["track_id", *("" for _ in columns)])
        for number, row in zip(numbers, rows, strict=True):
            lines.writerow([number, *(repr(float(value)) for value in row)])


def write_tracks(path: Path, rows: Sequence[tuple[int, str, str, str, str]]) -> None:
    """A tracks.csv as published, of (track, artist, split, subset, top genre); only some of its columns."""
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["", "album", "artist", "set", "set", "track"])
        lines.writerow(["", "id", "id", "split", "subset", "genre_top"])
        lines.writerow(["track_id", "", "", "", "", ""])
        for number, artist, split, subset, genre in rows:
            lines.writerow([number, 1, artist, split, subset, genre])


def touch(*paths: Path) -> None:
    """Empty files, with their folders."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
