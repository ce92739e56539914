"""`tags`: what a tagger heard, as a member of a stack: linear on the logits of its tags, blind to all other columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.errors import UsageError
from music_reclass.training.estimators import linear
from music_reclass.training.estimators.contract import Floats
from music_reclass.training.models import Model
from music_reclass.training.tables import Table, Views

TYPE = "tags"
KINDS = ("musicnn-tags", "ast-tags", "distilhubert-genre")  # those whose numbers are strengths of tags, in [0, 1]
_LEAST = 1e-6  # keeps the logit of a strength of 0 or 1 finite

Runs = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class TagModel:
    """A linear model of the columns in `runs` (from, to) of wider rows, each as its logit."""

    runs: Runs
    model: Model

    def log_probabilities(self, rows: Floats) -> NDArray[np.float64]:
        """Uncalibrated, shape (n, labels), of rows with all columns."""
        return self.model.log_probabilities(_logits(rows, self.runs))

    def description(self) -> dict[str, Any]:
        """What the manifest must say for the model to come back."""
        return {"type": TYPE, "runs": [list(run) for run in self.runs], "model": self.model.description()}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The linear model's own."""
        return self.model.arrays()


@dataclass(frozen=True, slots=True)
class Tags:
    """The recipe: as `linear`, with less held back, as a tagger's numbers are few."""

    seed: int = 0
    strength: float = 0.1
    rarity: float = 0.25
    versions: int = 2
    name: str = TYPE

    def fit(self, table: Table, views: Views | None) -> TagModel:
        """Fitted on the tag columns; UsageError where the table has none."""
        runs = runs_of(table.columns)
        if not runs:
            raise UsageError(
                "the table holds no tags for the member `tags`; add an array of one of the kinds "
                f"{', '.join(KINDS)} (reclass features --kind {KINDS[0]})."
            )
        names = tuple(name for start, stop in runs for name in table.columns[start:stop])
        narrow = replace(table, columns=names, rows=_logits(table.rows, runs))
        bad = None if views is None else Views(views.names, _logits(views.rows, runs))
        inner = linear.Linear(self.seed, self.strength, self.rarity, self.versions)
        return TagModel(runs, inner.fit(narrow, bad))


def runs_of(columns: tuple[str, ...]) -> Runs:
    """Where the columns of KINDS stand among `columns`: (from, to) of each unbroken run of one kind."""
    found: list[tuple[int, int]] = []
    last = ""
    for place, name in enumerate(columns):
        kind = name.rpartition("_")[0]
        if kind in KINDS:
            found = [*found[:-1], (found[-1][0], place + 1)] if kind == last else [*found, (place, place + 1)]
        last = kind
    return tuple(found)


def _logits(rows: Floats, runs: Runs) -> Floats:
    tags = np.concatenate([rows[..., start:stop] for start, stop in runs], axis=-1)
    shares = np.clip(tags.astype(np.float64), _LEAST, 1 - _LEAST)
    return np.asarray(np.log(shares / (1 - shares)), dtype=np.float32)


def restored(description: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], columns: int, labels: int) -> Model:
    """The model of a bundle; ValueError or KeyError unless its columns exist, in order, and its arrays fit."""
    runs = tuple((int(start), int(stop)) for start, stop in description["runs"])
    edges = [edge for run in runs for edge in run]
    if not runs or any(start >= stop for start, stop in runs) or edges != sorted(edges) or edges[0] < 0:
        raise ValueError("the runs of tag columns are not in order")
    if edges[-1] > columns:
        raise ValueError("a run of tag columns lies beyond the row")
    inner = description["model"]
    if inner["type"] != linear.TYPE or inner["input"] != "unchanged":
        raise ValueError("tags are weighed by a linear model of the tags as they are")
    width = sum(stop - start for start, stop in runs)
    return TagModel(runs, linear.restored(inner, arrays, width, labels))
