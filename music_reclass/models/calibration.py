"""Calibration by temperature scaling and a uniform floor; expected calibration error (ECE)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Hits = NDArray[np.bool_]

_TEMPERATURES = np.exp(np.linspace(np.log(0.3), np.log(4.0), 60))
_DOUBTS = np.array([0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.13, 0.16, 0.2])


@dataclass(frozen=True, slots=True)
class Calibration:
    """Scores are divided by `temperature` (arXiv 1706.04599); `doubt` is then shared out evenly over all labels.

    Neither changes which label comes first. The doubt keeps a network from certainty that its own errors belie.
    """

    temperature: float = 1.0
    doubt: float = 0.0

    def __post_init__(self) -> None:
        if not (0.0 < self.temperature < np.inf and 0.0 <= self.doubt < 1.0):
            raise ValueError("a temperature is positive and a doubt lies in [0, 1)")

    def __call__(self, log_probabilities: Doubles) -> Doubles:
        """Probabilities along the last axis, summing to one."""
        scores = log_probabilities / self.temperature
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        return np.asarray((1 - self.doubt) * shares + self.doubt / shares.shape[-1], dtype=np.float64)


def hits(probabilities: Doubles, labels: NDArray[np.bool_]) -> Hits:
    """Whether the likeliest label of each row, along the last axis, is in the row's label set."""
    best = probabilities.argmax(axis=-1)[..., None]
    return np.asarray(np.take_along_axis(labels, best, axis=-1)[..., 0], dtype=np.bool_)


def fit(log_probabilities: Doubles, labels: NDArray[np.bool_]) -> Calibration:
    """The calibration under which the confidence of the likeliest label best foretells a hit (log-loss).

    Shapes (n, labels); the rows must be of artists that the network did not see. The likelihood of the whole label
    set would calibrate another thing: where two labels are both right, a hit is surer than either label.
    """
    right = hits(log_probabilities, labels)
    best, lowest = Calibration(), np.inf
    for temperature in _TEMPERATURES:
        top = Calibration(float(temperature))(log_probabilities).max(axis=-1)
        for doubt in _DOUBTS:
            confidence = np.clip((1 - doubt) * top + doubt / log_probabilities.shape[-1], 1e-9, 1 - 1e-9)
            loss = -np.where(right, np.log(confidence), np.log1p(-confidence)).mean()
            if loss < lowest:
                best, lowest = Calibration(float(temperature), float(doubt)), loss
    return best


def expected_calibration_error(confidence: Doubles, right: Hits, bins: int = 10) -> float:
    """The gap between confidence and share of hits, averaged over `bins` equal steps of confidence by their rows."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(float(confidence[place == k].sum()) - int(right[place == k].sum())) for k in np.unique(place)]
    return float(sum(gaps) / len(confidence))
