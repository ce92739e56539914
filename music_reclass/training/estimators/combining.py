"""Models made of models: several with a weight each, and one that looks at some of the columns only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.extractors.fma import COLUMNS
from music_reclass.training import calibration
from music_reclass.training.models import Model, Restore
from music_reclass.training.networks import log_softmax

Doubles = NDArray[np.float64]

STACK, SELECTED = "stack", "selected"
_STEPS = 10  # the weights of a stack are tenths


@dataclass(frozen=True, slots=True)
class Stack:
    """The weighted sum of the members' log-probabilities."""

    members: tuple[Model, ...]
    weights: tuple[float, ...]

    def log_probabilities(self, rows: NDArray[np.float32]) -> Doubles:
        """Uncalibrated, shape (n, labels)."""
        return combined([member.log_probabilities(rows) for member in self.members], self.weights)

    def description(self) -> dict[str, Any]:
        """What the manifest must say for the stack to come back."""
        members = [member.description() for member in self.members]
        return {"type": STACK, "weights": list(self.weights), "members": members}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All numbers; a member's names follow its number."""
        return {f"{n}/{name}": a for n, member in enumerate(self.members) for name, a in member.arrays().items()}


@dataclass(frozen=True, slots=True)
class Selected:
    """A model that was trained on a part of the 518 columns, for rows that hold all of them."""

    columns: tuple[str, ...]
    model: Model

    def log_probabilities(self, rows: NDArray[np.float32]) -> Doubles:
        """Uncalibrated, shape (n, labels), of rows with all columns."""
        return self.model.log_probabilities(rows[:, _places(self.columns)])

    def description(self) -> dict[str, Any]:
        """What the manifest must say for the model to come back."""
        return {"type": SELECTED, "columns": list(self.columns), "model": self.model.description()}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The model's own."""
        return self.model.arrays()


def combined(scores: Sequence[Doubles], weights: Sequence[float]) -> Doubles:
    """Log-probabilities of a stack from those of its members, each (..., labels)."""
    total = sum(weight * own for weight, own in zip(weights, scores, strict=True))
    return log_softmax(np.asarray(total, dtype=np.float64))


def learned_weights(scores: Sequence[Doubles], labels: NDArray[np.bool_]) -> tuple[float, ...]:
    """Weights in tenths under which the label sets are likeliest; each member counts at its own best temperature.

    `scores` are log-probabilities of rows that the members did not see, (n, labels) each. Few numbers are learned, as
    a stack of weak and strong members loses to the strong one when it has much to learn (facts of a few hundred rows).
    """
    temperatures = [calibration.fit(own, labels).temperature for own in scores]
    tempered = [own / temperature for own, temperature in zip(scores, temperatures, strict=True)]
    best, highest = (1.0,) + (0.0,) * (len(scores) - 1), -np.inf
    for tenths in product(range(_STEPS + 1), repeat=len(scores)):
        if sum(tenths) != _STEPS:
            continue
        weights = tuple(own / _STEPS for own in tenths)
        likely = np.exp(combined(tempered, weights))
        value = float(np.log(np.clip((likely * labels).sum(axis=1), 1e-9, 1.0)).mean())
        if value > highest:
            best, highest = weights, value
    return tuple(weight / temperature for weight, temperature in zip(best, temperatures, strict=True))


def restored_stack(
    models: Mapping[str, Restore],
    description: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    columns: int,
    labels: int,
) -> Model:
    """The stack of a bundle; `models` brings its members back. ValueError or KeyError if something does not fit."""
    weights = tuple(float(weight) for weight in description["weights"])
    described = description["members"]
    if len(weights) != len(described) or not described or not all(0.0 <= weight < 1e3 for weight in weights):
        raise ValueError("a stack needs one weight a member")
    own: list[dict[str, NDArray[Any]]] = [{} for _ in described]
    for name, array in arrays.items():
        number, _, inner = name.partition("/")
        own[int(number)][inner] = array
    members = tuple(models[d["type"]](d, a, columns, labels) for d, a in zip(described, own, strict=True))
    return Stack(members, weights)


def restored_selection(
    models: Mapping[str, Restore],
    description: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    columns: int,
    labels: int,
) -> Model:
    """The narrow model of a bundle. ValueError or KeyError if something does not fit."""
    names = tuple(str(name) for name in description["columns"])
    if columns != len(COLUMNS) or not names or len(set(names)) != len(names):
        raise ValueError("a selection names columns of fma518, each once")
    _places(names)
    inner = description["model"]
    return Selected(names, models[inner["type"]](inner, arrays, len(names), labels))


def _places(names: Sequence[str]) -> NDArray[np.int64]:
    place = {name: number for number, name in enumerate(COLUMNS)}
    return np.array([place[name] for name in names], dtype=np.int64)
