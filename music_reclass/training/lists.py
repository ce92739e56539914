"""Lists of files as data sets: a CSV of paths, and the TSV of MTG-Jamendo."""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

from music_reclass.errors import NothingToDo, UsageError
from music_reclass.models.dataset import SPLITS, TEST, TRAINING, VALIDATION, LabelledFile
from music_reclass.utils.words import counted

LabelledFiles = tuple[list[LabelledFile], tuple[str, ...]]  # and notes for the report
_JAMENDO_SPLITS = {"train": TRAINING, "validation": VALIDATION, "test": TEST}


def paths_csv(file: Path) -> LabelledFiles:
    """A CSV with the columns `path` and `genre`, and if there are any `artist` and `split`.

    Paths are relative to the CSV's folder. A genre field may hold several genres, as a tag may. A file named on
    several lines carries all their genres.
    """
    found: dict[str, LabelledFile] = {}
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            lines = csv.DictReader(opened)
            names = [name.strip().lower() for name in lines.fieldnames or ()]
            if "path" not in names or "genre" not in names:
                raise UsageError(
                    f"{file} needs the columns `path` and `genre` in its first line; it has {', '.join(names)}."
                )
            for line in lines:
                row = dict(zip(names, (value or "" for value in line.values()), strict=False))
                if not row["path"]:
                    continue
                path = os.path.join(os.path.dirname(os.path.abspath(file)), row["path"])
                before = found[path].genres if path in found else ()
                split = row.get("split", "").strip().lower()
                split = _JAMENDO_SPLITS.get(split, split)
                if split not in SPLITS:
                    raise UsageError(f"{file} has the split {split!r}; use {TRAINING}, {VALIDATION} or {TEST}.")
                found[path] = LabelledFile(path, (*before, row["genre"]), row.get("artist", "").strip(), split)
    except FileNotFoundError:
        raise NothingToDo(f"There is no file {file}.") from None
    except OSError as error:
        raise UsageError(f"{file} cannot be read ({error.strerror}).") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{file} is not a CSV in UTF-8: {error}.") from None
    return _existing(list(found.values()), file)


def jamendo(file: Path, audio: Path | None = None) -> LabelledFiles:
    """MTG-Jamendo's `autotagging_genre.tsv`, or one of its `-train` / `-validation` / `-test` parts with the others.

    The audio lies below `audio`, else beside the file; `48/948.low.mp3` is taken where `48/948.mp3` is not there.
    """
    parts = _jamendo_parts(file)
    top = audio or file.parent
    found = []
    for path, split in parts.items():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise NothingToDo(f"{path} cannot be read ({error.strerror}).") from None
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} is not a list in UTF-8: {error}.") from None
        if not lines or not lines[0].startswith("TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH"):
            raise UsageError(f"{path} does not begin as MTG-Jamendo's lists do (TRACK_ID, ARTIST_ID, ALBUM_ID, PATH).")
        for line in lines[1:]:
            fields = line.split("\t")
            genres = tuple(tag.removeprefix("genre---") for tag in fields[5:] if tag.startswith("genre---"))
            if genres:
                found.append(LabelledFile(_audio(top, fields[3]), genres, f"jamendo {fields[1]}", split))
    return _existing(found, top)


def _jamendo_parts(file: Path) -> dict[Path, str]:
    part = re.fullmatch(r"(.*)-(train|validation|test)", file.stem)
    if part is None:
        return {file: ""}
    return {
        path: split
        for word, split in _JAMENDO_SPLITS.items()
        if (path := file.with_name(f"{part[1]}-{word}{file.suffix}")).exists() or path == file
    }


def _audio(top: Path, name: str) -> str:
    full = top / name
    low = full.with_suffix(f".low{full.suffix}")
    return str(low if low.exists() and not full.exists() else full)


def _existing(files: list[LabelledFile], source: Path) -> LabelledFiles:
    there = [file for file in files if os.path.exists(file.path)]
    if not there:
        raise NothingToDo(f"None of the {len(files)} files that {source} names is there.")
    gone = len(files) - len(there)
    notes = (f"{gone:,} of {counted(len(files), 'file')} not there and left out",) if gone else ()
    return there, notes
