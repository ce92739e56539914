"""Confidence thresholds with a certified precision (Thatcher 1964), or how much data is missing for one."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRID = np.round(np.arange(0.99, 0.0, -0.01), 2)
_FIRST = 0.2  # share of the tracks among which the first test takes place


@dataclass(frozen=True, slots=True)
class ThresholdCertificate:
    """With probability 1 - delta, of the next `count` tracks at and above `threshold` at least `precision` are right.

    `count` independent tracks lay there when it was certified, `errors` of them wrong.
    """

    threshold: float
    precision: float
    delta: float
    count: int
    errors: int


def certify(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], precision: float, delta: float = 0.1
) -> ThresholdCertificate | None:
    """The lowest threshold whose precision can be certified; None where there is none.

    Fixed-sequence testing from strict to loose (Learn then Test, arXiv 2110.01052): each step is an exact test at level
    `delta`, and the first that fails ends it. The test is `broken_next`, of the next sample and not of the unknown true
    precision alone: who checks a promise has another sample, with luck of its own. Up to a delta of 0.2 it is
    the stricter of the two, so what Learn then Test says of the true precision holds as well.

    It starts where a fifth of the tracks lie, and no fewer than twice those that would do without any error: a start
    among a few fails on the first unlucky ones. The tracks must be independent: one an artist.
    """
    risk = 1.0 - precision
    enough = max(_FIRST * len(confidence), 2 * fewest(precision, delta))
    found: ThresholdCertificate | None = None
    for threshold in GRID:
        above = confidence >= threshold
        count, errors = int(above.sum()), int((above & ~right).sum())
        if count < enough:
            continue
        if broken_next(errors, count, risk) > delta:
            break
        found = ThresholdCertificate(float(threshold), precision, delta, count, errors)
    return found


def broken_next(errors: int, count: int, risk: float) -> float:
    """How likely a sample of `count` shows at most `errors` errors and the next `count` more than a share `risk` of
    them, under the share of errors for which that is likeliest.

    Given the errors of both samples, those of the first are hypergeometric; worst are as many as the first may have and
    the fewest that break the second: the conditional prediction limit of Thatcher (1964), which Krishnamoorthy and Peng
    (2011) review.
    """
    total = errors + math.floor(risk * count + 1e-9) + 1
    if total <= 2 * errors:
        return 1.0  # the first sample itself has more than `risk`
    term = math.exp(
        _log_choices(total, errors) + _log_choices(2 * count - total, count - errors) - _log_choices(2 * count, count)
    )
    found = 0.0
    for own in range(errors, -1, -1):  # from the likeliest number of errors down
        found += term
        term *= own * (count - total + own) / ((total - own + 1) * (count - own + 1))
        if term < 1e-12 * found:
            break
    return min(1.0, found)


def fewest(precision: float, delta: float) -> int:
    """How many tracks without an error certify `precision`: each error that the next sample may have, and the one that
    breaks it, would be in the first with probability one half or more."""
    halvings = math.ceil(math.log2(1 / delta))
    return max(1, math.ceil((halvings - 1) / (1 - precision) - 1e-9))


def one_a_group(groups: NDArray[np.int64], seed: int = 0) -> NDArray[np.int64]:
    """Positions of one row of every group, drawn by `seed`: rows of one artist are not independent."""
    order = np.random.default_rng(seed).permutation(len(groups))
    return np.sort(order[np.unique(groups[order], return_index=True)[1]])


def _log_choices(count: int, chosen: int) -> float:
    if not 0 <= chosen <= count:
        return -math.inf
    return math.lgamma(count + 1) - math.lgamma(chosen + 1) - math.lgamma(count - chosen + 1)


DELTA = 0.1
_MOST = 1_000_000  # more labelled tracks than this is no advice


@dataclass(frozen=True, slots=True)
class PrecisionTarget:
    """The precision wanted among `confident` and among `likely` decisions, each held with probability 1 - delta.

    `strict`: what cannot be certified is never decided; otherwise a cautious threshold without a promise is used.
    """

    confident: float = 0.8
    likely: float = 0.65
    delta: float = DELTA
    strict: bool = False

    @classmethod
    def of(cls, precision: float | None) -> PrecisionTarget:
        """What a user's one number asks for: `likely` may err twice as often. None: the defaults."""
        return cls() if precision is None else cls(precision, max(0.5, 1 - 2 * (1 - precision)), strict=True)


@dataclass(frozen=True, slots=True)
class InsufficientData:
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


def certified_threshold(
    confidence: NDArray[np.float64],
    right: NDArray[np.bool_],
    groups: NDArray[np.int64],
    precision: float,
    delta: float = DELTA,
    seed: int = 0,
) -> ThresholdCertificate | InsufficientData:
    """The lowest threshold from which on `precision` is certified for the next sample, or how much is missing.

    The rows must be of artists that neither the model nor its calibration saw. One row an artist counts, drawn by
    `seed`: rows of one artist are not independent.
    """
    rows = one_a_group(groups, seed)
    found = certify(confidence[rows], right[rows], precision, delta)
    if found is not None:
        return found
    return InsufficientData(precision, delta, len(rows), _missing(confidence[rows], right[rows], precision, delta))


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


def as_manifest(own: ThresholdCertificate | InsufficientData) -> dict[str, Any]:
    """What a manifest says of a promise."""
    if isinstance(own, ThresholdCertificate):
        return {"certified": True, **asdict(own)}
    return {"certified": False, **asdict(own), "why": own.sentence()}
