"""Folders of audio as data sets: one folder a genre, GTZAN with its fault-filtered split, FMA audio."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from music_reclass.errors import NothingToDo, UsageError
from music_reclass.models.dataset import TEST, TRAINING, VALIDATION, LabelledFile
from music_reclass.training.fma import labelled_tracks
from music_reclass.training.lists import LabelledFiles
from music_reclass.utils.files import walk
from music_reclass.utils.words import counted

# jongpillee/music_dataset_split: 443 + 197 + 290 files without the repeats and damage that Sturm found (1306.1461)
_GTZAN_LISTS = {TRAINING: "train_filtered.txt", VALIDATION: "valid_filtered.txt", TEST: "test_filtered.txt"}
GTZAN_GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")


def folder_per_genre(folder: Path) -> LabelledFiles:
    """Every audio file below `folder`, with the name of the first folder under it as genre."""
    files = []
    for found in walk([str(_there(folder))]):
        parts = Path(os.path.relpath(found.path, os.path.realpath(folder))).parts
        if len(parts) > 1:
            files.append(LabelledFile(found.path, (parts[0],)))
    if not files:
        raise NothingToDo(
            f"No audio file lies in a folder below {folder}; each folder there is to be named as a genre."
        )
    return files, ()


def gtzan(folder: Path) -> LabelledFiles:
    """GTZAN: `genres/blues/blues.00000.wav` or the ten folders themselves.

    With the fault-filtered lists beside or in the folder, they give the split, which no artist crosses, and files
    that they leave out are left out. Without them a note says why the figures cannot be trusted.
    """
    top = _there(folder)
    top = top / "genres" if (top / "genres").is_dir() else top
    missing = [genre for genre in GTZAN_GENRES if not (top / genre).is_dir()]
    if missing:
        raise UsageError(f"{top} has no folder {missing[0]}; GTZAN consists of {', '.join(GTZAN_GENRES)}.")
    files = [
        LabelledFile(found.path, (Path(found.path).parent.name,))
        for found in walk([str(top / g) for g in GTZAN_GENRES])
    ]
    lists = _gtzan_lists(folder, top)
    if not lists:
        note = (
            "GTZAN names no artists and repeats recordings; without its fault-filtered lists "
            f"({', '.join(_GTZAN_LISTS.values())}) in the folder, figures are too good"
        )
        return files, (note,)
    chosen = [
        LabelledFile(file.path, file.genres, "", lists[_stem(file.path)]) for file in files if _stem(file.path) in lists
    ]
    if not chosen:
        raise UsageError(f"None of the files in the fault-filtered lists lies below {top}.")
    note = (
        f"{len(chosen)} of {len(files)} files are in the fault-filtered lists; no artist is on two sides of that split"
    )
    return chosen, (note,)


def fma_audio(folder: Path, subset: str = "large") -> LabelledFiles:
    """FMA audio (`fma_small/000/000002.mp3`) with the genres, splits and artists of tracks.csv.

    tracks.csv is looked for in the folder, beside it, and in `fma_metadata` beside it.
    """
    top = _there(folder)
    places = [place / "tracks.csv" for place in (top, top.parent, top.parent / "fma_metadata", top / "fma_metadata")]
    tables = [path for path in places if path.exists()]
    if not tables:
        flat = sorted(top.parent.glob("tracks*.csv")) + sorted(top.glob("tracks*.csv"))
        if not flat:
            raise UsageError(f"There is no tracks.csv in {top} or beside it; it comes with fma_metadata.zip.")
        tables = flat
    tracks = labelled_tracks(tables, subset)
    files, unknown = [], 0
    for found in walk([str(top)]):
        stem = Path(found.path).stem
        track = tracks.get(int(stem)) if stem.isdecimal() else None
        if track is None:
            unknown += 1
            continue
        files.append(replace(track, path=found.path))
    if not files:
        raise NothingToDo(f"No audio file below {top} has the number of a track with a top genre.")
    notes = (f"{counted(unknown, 'file')} without a top genre in tracks.csv left out",) if unknown else ()
    return files, notes


def _there(folder: Path) -> Path:
    if not folder.is_dir():
        raise NothingToDo(f"There is no folder {folder}.")
    return folder


def _gtzan_lists(folder: Path, top: Path) -> dict[str, str]:
    """The split of each stem in the fault-filtered lists; {} unless all three are in one place."""
    for place in (folder, top, top.parent):
        lists = {split: place / name for split, name in _GTZAN_LISTS.items()}
        if all(path.exists() for path in lists.values()):
            found: dict[str, str] = {}
            for split, path in lists.items():
                lines = path.read_text(encoding="utf-8", errors="replace").split()
                found.update({_stem(line): split for line in lines})
            return found
    return {}


def _stem(path: str) -> str:
    return os.path.basename(path).rsplit(".", 1)[0]
