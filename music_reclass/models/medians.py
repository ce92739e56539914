"""What is typical: the median of every column of the rows that a model was trained on, as its own scales keep it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.linear import TagLinearModel
from music_reclass.models.stacking import Selected
from music_reclass.models.transforms import INPUTS, QuantileScale

Floats = NDArray[np.float32]

_FIRST = 4096  # numbers from here on tell columns apart, also as float32


def typical(model: object, columns: int) -> Floats | None:
    """The median row, shape (columns,), by the scales inside `model`; None where they do not tell.

    Trees keep no scale, so a model of trees alone has none. Of twelve pitch classes a key-free scale knows the sorted
    values only; they are given in that order, which such a network does not tell from any other.
    """
    row = np.full(columns, np.nan, dtype=np.float32)
    blind = np.zeros(columns, dtype=bool)  # columns that a part without a scale looks at
    for part in sorted(_parts(model, np.arange(columns)), key=lambda part: part.raw):  # the better medians last
        if part.medians is None:
            blind[part.places] = True
        else:
            row[part.places] = np.where(np.isnan(part.medians), row[part.places], part.medians)
    missing = np.isnan(row)
    if missing.all() or (missing & blind).any():
        return None
    row[missing] = 0.0  # nothing looks at these
    return row


@dataclass(frozen=True, slots=True)
class _Part:
    """What one scale knows of the columns `places`: their medians, NaN for some; None where there is no scale."""

    places: NDArray[np.int64]
    medians: Floats | None
    raw: bool = False  # of the columns as they are, not of something made of them


def _parts(model: Any, places: NDArray[np.int64]) -> Iterator[_Part]:
    """Every scale inside `model`, which sees the columns `places`."""
    if isinstance(model, Selected):
        order = {name: number for number, name in enumerate(COLUMNS)}
        yield from _parts(model.model, places[[order[name] for name in model.columns]])
        return
    if isinstance(model, TagLinearModel):
        seen = np.concatenate([places[start:stop] for start, stop in model.runs])
        for part in _parts(model.model, seen):  # its scale is of logits
            logits = part.medians
            yield replace(part, medians=None if logits is None else (1 / (1 + np.exp(-logits))).astype(np.float32))
        return
    inner = list(_models_within(model))
    for own in inner:
        yield from _parts(own, places)
    if inner:
        return
    scales = getattr(model, "scales", None)
    single = getattr(model, "scale", None)
    if isinstance(single, QuantileScale):
        scales = {str(getattr(model, "inputs", "unchanged")): single}
    if not isinstance(scales, Mapping):
        yield _Part(places, None)
        return
    for name, scale in scales.items():
        yield _Part(places, _medians(name, scale, len(places)), name == "unchanged")


def _models_within(model: Any) -> Iterator[Any]:
    if not is_dataclass(model):
        return
    for field in fields(model):
        value = getattr(model, field.name)
        for item in value if isinstance(value, tuple) else (value,):
            if callable(getattr(item, "log_probabilities", None)):
                yield item


def _medians(inputs: str, scale: QuantileScale, columns: int) -> Floats:
    """Raw medians, shape (columns,), NaN where the input does not show a column.

    A row that holds its own column numbers is sent through the input: what comes out whole was copied or sorted, and
    says from where. Magnitudes of Fourier series stay below the first number or fall between two.
    """
    middle = np.median(scale.knots, axis=0).astype(np.float32)
    numbers = _FIRST + np.arange(columns, dtype=np.float32)
    traced = INPUTS[inputs](numbers[None])[0]
    whole = (traced >= _FIRST) & (traced == np.floor(traced))
    medians = np.full(columns, np.nan, dtype=np.float32)
    medians[traced[whole].astype(np.int64) - _FIRST] = middle[whole]
    return medians
