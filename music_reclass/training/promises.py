"""A precision asked for, and what can honestly be said of it: a certified threshold, or how far away one is."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.training.thresholds import GRID, Certificate, broken_next, certify, fewest, one_a_group

DELTA = 0.1
_MOST = 1_000_000  # more labelled tracks than this is no advice


@dataclass(frozen=True, slots=True)
class Aim:
    """The precision wanted among `confident` and among `likely` decisions, each held with probability 1 - delta.

    `strict`: what cannot be certified is never decided; otherwise a cautious threshold without a promise is used.
    """

    confident: float = 0.8
    likely: float = 0.65
    delta: float = DELTA
    strict: bool = False

    @classmethod
    def of(cls, precision: float | None) -> Aim:
        """What a user's one number asks for: `likely` may err twice as often. None: the defaults."""
        return cls() if precision is None else cls(precision, max(0.5, 1 - 2 * (1 - precision)), strict=True)


@dataclass(frozen=True, slots=True)
class Shortfall:
    """No threshold could be certified. `more`: independent artists that are missing, if the errors stay as they are;
    None where no number would do, because even the surest predictions err too often."""

    precision: float
    delta: float
    count: int
    more: int | None

    def sentence(self) -> str:
        """For people."""
        if self.more is None:
            return f"not certified at {self.precision:.0%}: even the surest predictions err too often for it"
        return (
            f"not certified at {self.precision:.0%}: about {self.more:,} more labelled tracks, each of another artist, "
            f"are needed besides the {self.count:,} at hand"
        )


def promised(
    confidence: NDArray[np.float64],
    right: NDArray[np.bool_],
    groups: NDArray[np.int64],
    precision: float,
    delta: float = DELTA,
    seed: int = 0,
) -> Certificate | Shortfall:
    """The lowest threshold from which on `precision` is certified for the next sample, or how much is missing.

    The rows must be of artists that neither the model nor its calibration saw. One row an artist counts, drawn by
    `seed`: rows of one artist are not independent.
    """
    rows = one_a_group(groups, seed)
    found = certify(confidence[rows], right[rows], precision, delta)
    if found is not None:
        return found
    return Shortfall(precision, delta, len(rows), _missing(confidence[rows], right[rows], precision, delta))


def _missing(confidence: NDArray[np.float64], right: NDArray[np.bool_], precision: float, delta: float) -> int | None:
    """The fewest artists to add, over all thresholds, if shares and errors above it stay as they are."""
    count, best = len(confidence), math.inf
    for threshold in GRID:
        above = confidence >= threshold
        seen, errors = int(above.sum()), int((above & ~right).sum())
        # Few rows without an error do not show that there are none: twenty more at three quarters of what is allowed.
        rate = (errors + 20 * 0.75 * (1 - precision)) / (seen + 20)
        if seen >= 10 and rate < 1 - precision:
            needed = _enough(rate, precision, delta)
            best = min(best, needed * count / seen)
    return None if best > _MOST else max(1, math.ceil(best) - count)


def _enough(rate: float, precision: float, delta: float) -> float:
    """How many tracks certify `precision` when errors come at `rate`; doubling, then halving the step."""

    def certifies(count: int) -> bool:
        return broken_next(math.ceil(rate * count), count, 1 - precision) <= delta

    high = max(2, 2 * fewest(precision, delta))
    while not certifies(high):
        high *= 2
        if high > _MOST:
            return math.inf
    low = high // 2
    while high - low > max(1, high // 50):
        middle = (low + high) // 2
        low, high = (low, middle) if certifies(middle) else (middle, high)
    return high


def stated(own: Certificate | Shortfall) -> dict[str, Any]:
    """What a manifest says of a promise."""
    if isinstance(own, Certificate):
        return {"certified": True, **asdict(own)}
    return {"certified": False, **asdict(own), "why": own.sentence()}
