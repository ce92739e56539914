"""What a library has taught: a cascade and a tag prior, kept beside the database until they are forgotten."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from music_reclass.errors import BundleError, ReclassError
from music_reclass.models.bundle import Bundle, load_cascade, save_cascade

if TYPE_CHECKING:
    from music_reclass.classification.tag_prior import TagPrior

FORMAT, LIST = 1, "learned.json"
_FOLDER = re.compile(r"[0-9a-f]{16}")
_CURE = "learn again (reclass learn), or go back to the embedded models (reclass learn --forget)"


@dataclass(frozen=True, slots=True)
class Learned:
    """The bundles, cheapest first, () where the embedded ones go on deciding; `prior`: how much tags nearby count.

    `summary` is what `reclass learn` found, as plain values.
    """

    bundles: tuple[Bundle, ...]
    prior: TagPrior | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)


def folder_of(database: Path) -> Path:
    """Where what the library in `database` has taught is kept."""
    return database.with_name(f"{database.stem}.learned")


def stored(database: Path) -> Learned | None:
    """What the library in `database` has taught; None where nothing, BundleError where it cannot be read."""
    folder = folder_of(database)
    try:
        listed = json.loads((folder / LIST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"What this library has taught cannot be read ({error}); {_CURE}.") from error
    try:
        name, prior = listed["folder"], listed["tags"]
        if listed["format"] != FORMAT or not (name == "" or _FOLDER.fullmatch(name)):
            raise ValueError(f"{LIST} is of another format")
        return Learned(
            load_cascade(folder / name) if name else (),
            None if prior is None else _prior(prior),
            dict(listed["summary"]),
        )
    except (BundleError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"What this library has taught does not fit ({error}); {_CURE}.") from error


def _prior(listed: Mapping[str, Any]) -> TagPrior:
    from music_reclass.classification.tag_prior import TagPrior

    return TagPrior.from_json(listed)


def is_stored(database: Path) -> bool:
    """Whether the library in `database` has taught anything."""
    return (folder_of(database) / LIST).exists()


def store(database: Path, learned: Learned) -> None:
    """Keep `learned` in place of what was there. Whatever interrupts it, the one or the other is whole."""
    folder = folder_of(database)
    name = learned.bundles[-1].digest[:16] if learned.bundles else ""
    if name:
        save_cascade(learned.bundles, folder / name)
    stated = {
        "format": FORMAT,
        "folder": name,
        "tags": None if learned.prior is None else learned.prior.as_json(),
        "summary": dict(learned.summary),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".{LIST}"
        with draft.open("w", encoding="utf-8") as file:
            json.dump(stated, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, folder / LIST)
    except OSError as error:
        raise ReclassError(f"What was learned cannot be written to {folder}: {error.strerror}.") from error
    _remove_others(folder, name)


def forget(database: Path) -> bool:
    """Drop what the library has taught; whether there was anything."""
    folder = folder_of(database)
    there = is_stored(database)
    try:
        (folder / LIST).unlink(missing_ok=True)
    except OSError as error:
        raise ReclassError(f"{folder / LIST} cannot be removed: {error.strerror}.") from error
    _remove_others(folder, "")
    with suppress(OSError):  # somebody else keeps something there
        folder.rmdir()
    return there


def _remove_others(folder: Path, name: str) -> None:
    """Remove what earlier calls left: folders that are named as `store` names them, but for `name`."""
    for other in folder.glob("*") if folder.is_dir() else ():
        if other.name != name and _FOLDER.fullmatch(other.name):
            shutil.rmtree(other, ignore_errors=True)
