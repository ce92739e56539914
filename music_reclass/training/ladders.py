"""Ladders on disk: a folder with one bundle, or with one folder a stage and a list that gives their order."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from music_reclass.errors import BundleError
from music_reclass.training import bundles
from music_reclass.training.bundles import Bundle

FORMAT = 1
LIST = "ladder.json"
_MOST = 8


def save(stages: Sequence[Bundle], folder: Path) -> None:
    """Write the bundles of a ladder, cheapest first, each into its own folder below `folder`; BundleError."""
    if not stages or len({bundle.stage for bundle in stages}) != len(stages):
        raise BundleError("A ladder holds at least one stage, and each of them once.")
    names = [bundle.stage for bundle in stages]
    for name, bundle in zip(names, stages, strict=True):
        bundles.save(bundle, folder / name)
    try:
        draft = folder / f".{LIST}"
        draft.write_text(json.dumps({"format": FORMAT, "stages": names}, indent=1) + "\n", encoding="utf-8")
        os.replace(draft, folder / LIST)
    except OSError as error:
        raise BundleError(
            f"The ladder cannot be written to {folder} ({error.strerror}); name another --out."
        ) from error


def load(folder: Path) -> tuple[Bundle, ...]:
    """The bundles in `folder`, cheapest first: those of its list, or the one that it is; BundleError."""
    if not (folder / LIST).is_file():
        return (bundles.load(folder),)
    try:
        listed = json.loads((folder / LIST).read_text(encoding="utf-8"))
        names = listed["stages"]
        if listed["format"] != FORMAT or not isinstance(names, list) or not 0 < len(names) <= _MOST:
            raise ValueError("format or stages")
        if any(not isinstance(name, str) or Path(name).name != name or name.startswith(".") for name in names):
            raise ValueError("a stage is the name of a folder beside the list")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{folder / LIST} is no list of stages ({error}); train the ladder again.") from error
    return tuple(bundles.load(folder / name) for name in names)
