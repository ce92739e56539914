"""Calibration of log-probabilities by temperature scaling and a uniform floor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Hits = NDArray[np.bool_]

_TEMPERATURES = np.exp(np.linspace(np.log(0.3), np.log(4.0), 60))
_FLOORS = np.array([0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.13, 0.16, 0.2])


@dataclass(frozen=True, slots=True)
class Calibration:
    """Scores are divided by `temperature` (arXiv 1706.04599); `floor` is then shared out evenly over all labels.

    Neither changes which label comes first. The floor keeps a network from certainty that its errors belie.
    """

    temperature: float = 1.0
    floor: float = 0.0  # `doubt` in manifests

    def __post_init__(self) -> None:
        if not (0.0 < self.temperature < np.inf and 0.0 <= self.floor < 1.0):
            raise ValueError("a temperature is positive and a uniform floor lies in [0, 1)")

    @classmethod
    def from_manifest(cls, stored: Mapping[str, float]) -> Calibration:
        """What a manifest keeps; ValueError or TypeError if it is damaged."""
        if not set(stored) <= {"temperature", "doubt"}:
            raise ValueError("a calibration has a temperature and a uniform floor")
        return cls(stored.get("temperature", 1.0), stored.get("doubt", 0.0))

    def as_manifest(self) -> dict[str, float]:
        """What a manifest keeps; JSON."""
        return {"temperature": self.temperature, "doubt": self.floor}

    def __call__(self, log_probabilities: Doubles) -> Doubles:
        """Probabilities along the last axis, summing to one."""
        scores = log_probabilities / self.temperature
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        return np.asarray((1 - self.floor) * shares + self.floor / shares.shape[-1], dtype=np.float64)


def hits(probabilities: Doubles, labels: NDArray[np.bool_]) -> Hits:
    """Whether the likeliest label of each row, along the last axis, is in the row's label set."""
    best = probabilities.argmax(axis=-1)[..., None]
    return np.asarray(np.take_along_axis(labels, best, axis=-1)[..., 0], dtype=np.bool_)


def fit(log_probabilities: Doubles, labels: NDArray[np.bool_], weights: Doubles | None = None) -> Calibration:
    """The calibration under which the confidence of the likeliest label best foretells a hit (log-loss).

    Shapes (n, labels), `weights` (n,), all alike where none are given; the rows must be of artists that the network did
    not see. The likelihood of the whole label
    set would calibrate another thing: where two labels are both right, a hit is surer than either label.
    """
    right = hits(log_probabilities, labels)
    best, lowest = Calibration(), np.inf
    for temperature in _TEMPERATURES:
        top = Calibration(float(temperature))(log_probabilities).max(axis=-1)
        for floor in _FLOORS:
            confidence = np.clip((1 - floor) * top + floor / log_probabilities.shape[-1], 1e-9, 1 - 1e-9)
            loss = -np.average(np.where(right, np.log(confidence), np.log1p(-confidence)), weights=weights)
            if loss < lowest:
                best, lowest = Calibration(float(temperature), float(floor)), loss
    return best
