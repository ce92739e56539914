"""The FMA metadata folder (features.csv, tracks.csv) as a data set; parsed once, cached as npz."""

from __future__ import annotations

import csv
import hashlib
import json
import zipfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from music_reclass.errors import NothingToDo, UsageError
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.dataset import SPLITS, LabelledFile, Raw, fma518
from music_reclass.utils.words import counted

SUBSETS = ("small", "medium", "large", "full")  # nested: each holds those before it
_CACHE_FORMAT = 2


def read(folder: Path, subset: str = "large", cache: Path | None = None) -> Raw:
    """The rows of `folder` that belong to `subset` (or a smaller one) and have a top genre.

    The published features describe whole tracks: their kind is `fma518/1/full`. A features file with some of the 518
    columns is taken as it is. `cache` is a folder for the numbers read, keyed by size and time of the files.
    """
    features, tracks_files = _files(folder)
    tracks = labelled_tracks(tracks_files, subset)
    if not tracks:
        raise NothingToDo(f"{folder} holds no track of the subset {subset} with a top genre.")
    columns, numbers, rows = _cached(features, cache)
    wanted = np.array([number in tracks for number in numbers.tolist()])
    found = [tracks[number] for number in numbers[wanted].tolist()]
    absent = len(tracks) - len(found)
    notes = [f"{counted(absent, 'track')} of tracks.csv without features left out"] if absent else []
    if len(columns) < len(COLUMNS):
        notes.append(f"{len(columns)} of the {len(COLUMNS)} columns are there")
    return Raw(
        name="fma",
        rows=rows[wanted],
        genres=[track.genres for track in found],
        groups=[track.artist for track in found],
        names=[str(number) for number in numbers[wanted].tolist()],
        kind=fma518("full"),
        split=[track.split for track in found],
        columns=columns,
        artists=any(track.artist for track in found),
        notes=tuple(notes),
    )


def _files(folder: Path) -> tuple[Path, list[Path]]:
    if not folder.is_dir():
        raise NothingToDo(f"There is no folder {folder}; fma_metadata.zip unpacks into one.")
    features = [folder / "features.csv"] if (folder / "features.csv").exists() else sorted(folder.glob("features*.csv"))
    tracks = [folder / "tracks.csv"] if (folder / "tracks.csv").exists() else sorted(folder.glob("tracks*.csv"))
    if len(features) != 1 or not tracks:
        raise UsageError(f"{folder} must hold features.csv and tracks.csv, as fma_metadata.zip unpacks.")
    return features[0], tracks


def labelled_tracks(files: list[Path], subset: str) -> dict[int, LabelledFile]:
    """The tracks of `subset` (or a smaller one) with a top genre, by number; of several files the first that names a
    track counts. The path of each is its number."""
    if subset not in SUBSETS:
        raise UsageError(f"FMA has no subset {subset!r}; choose one of {', '.join(SUBSETS)}.")
    found: dict[int, tuple[str, LabelledFile]] = {}
    for path in files:
        try:
            for track_subset, track in _tracks(path):
                found.setdefault(int(track.path), (track_subset, track))
        except (UnicodeDecodeError, csv.Error) as error:
            raise UsageError(f"{path} is not a CSV in UTF-8: {error}.") from None
    larger = SUBSETS[SUBSETS.index(subset) + 1 :]
    return {number: track for number, (track_subset, track) in found.items() if track_subset not in larger}


def _tracks(path: Path) -> Iterator[tuple[str, LabelledFile]]:
    """Tracks with a top genre, each with its subset. The published file has two header rows (`track,genre_top`, ...)
    and a line `track_id`; flat copies have one."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        first = next(lines, [])
        if "track_id" in first:
            names = {name: number for number, name in enumerate(first)}
            rest: Iterator[list[str]] = iter(lines)
        else:
            second = next(lines, [])
            pairs = {pair: number for number, pair in enumerate(zip(first, second, strict=False))}
            wanted = {
                "genre_top": ("track", "genre_top"), "split": ("set", "split"), "subset": ("set", "subset"),
                "artist_id": ("artist", "id"),
            }  # fmt: skip
            names = {name: pairs[pair] for name, pair in wanted.items() if pair in pairs} | {"track_id": 0}
            third = next(lines, None)
            rest = iter(lines) if third is None or third[:1] == ["track_id"] else chain([third], lines)
        if "genre_top" not in names:
            return
        for line in rest:
            row = {name: line[at] if at < len(line) else "" for name, at in names.items()}
            if row["genre_top"] and row["track_id"].isdecimal():
                split = row.get("split", "")
                artist = row.get("artist_id", "")
                artist = f"fma artist {artist}" if artist else ""
                genres, split = (row["genre_top"],), split if split in SPLITS else ""
                yield row.get("subset", ""), LabelledFile(row["track_id"], genres, artist, split)


def _cached(features: Path, cache: Path | None) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.float32]]:
    if cache is None:
        return _features(features)
    status = features.stat()
    key = json.dumps([_CACHE_FORMAT, str(features.resolve()), status.st_size, status.st_mtime_ns])
    kept = cache / f"fma-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    try:
        with np.load(kept, allow_pickle=False) as stored:
            return tuple(map(str, stored["columns"])), stored["numbers"], stored["rows"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        columns, numbers, rows = _features(features)  # not there yet, or damaged: read again
    try:
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_suffix(".part.npz")
        np.savez(unfinished, columns=np.array(columns), numbers=numbers, rows=rows)
        unfinished.replace(kept)
    except OSError:
        pass  # a cache that cannot be written costs time only
    return columns, numbers, rows


def _features(path: Path) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.float32]]:
    """Column names, track numbers and rows of a features.csv; lines with empty fields are left out."""
    numbers: list[int] = []
    rows: list[NDArray[np.float32]] = []
    with path.open(encoding="utf-8", newline="") as file:
        names = _column_names(path, [file.readline().rstrip("\r\n").split(",") for _ in range(3)])
        place = {name: number for number, name in enumerate(names)}
        unknown = [name for name in names if name not in COLUMNS]
        if unknown or len(place) != len(names):
            raise UsageError(f"{path} has columns that are none of the 518 ({', '.join(unknown[:3]) or 'some twice'}).")
        columns = tuple(name for name in COLUMNS if name in place)
        order = np.array([place[name] for name in columns])
        for line in file:
            if ",," in line or line.startswith("track_id") or not line.strip() or line.rstrip().endswith(","):
                continue
            fields = line.split(",")
            if len(fields) != len(names) + 1:
                raise UsageError(f"{path} has a line of {len(fields)} fields where {len(names) + 1} belong.")
            try:
                values = np.array(fields, dtype=np.float64)
                numbers.append(int(values[0]))
            except (ValueError, OverflowError) as error:
                raise UsageError(f"{path} has a line that holds no numbers ({error}).") from None
            rows.append(values[1:][order].astype(np.float32))
    if not rows:
        raise UsageError(f"{path} holds no complete row.")
    return columns, np.array(numbers, dtype=np.int64), np.stack(rows)


def _column_names(path: Path, header: list[list[str]]) -> list[str]:
    family, statistic, number = (row[1:] for row in header)
    if not family or len({len(family), len(statistic), len(number)}) != 1 or header[2][0] != "number":
        raise UsageError(
            f"{path} does not begin with the three header rows of features.csv (feature, statistics, number)."
        )
    return [f"{f}_{s}_{n}" for f, s, n in zip(family, statistic, number, strict=True)]
