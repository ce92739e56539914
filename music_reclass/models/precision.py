"""Confidence thresholds with a certified precision (Thatcher 1964), or how much data is missing for one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.models.early_exit import GRID, one_a_group
from music_reclass.utils.words import counted

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]

DELTA = 0.1
PLAIN = {"confident": 0.85, "likely": 0.6}  # thresholds where nothing is certified and nobody asked for a guarantee
_FIRST = 0.2  # share of the tracks among which the first test takes place
_MOST = 1_000_000  # more labelled tracks than this is no advice


@dataclass(frozen=True, slots=True)
class PrecisionTarget:
    """The precision wanted among `confident` and among `likely` decisions, each held with probability 1 - delta.

    `strict`: what cannot be certified is never decided; otherwise a cautious threshold without a guarantee is used.
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
class Certificate:
    """A threshold of confidence and what is certified about it.

    With probability 1 - delta, of the next `count` tracks at and above `threshold` at least `precision` are right:
    `count` independent tracks lay there when it was certified, `errors` of them wrong. Or nothing is certified, and
    `why` says so; then `count` are all tracks at hand, `more` the artists that are missing if the errors stay as they
    are (None where no number would do), and a `threshold` is a cautious guess, or None: nothing is decided.
    """

    precision: float
    delta: float
    count: int
    threshold: float | None = None
    errors: int = 0
    more: int | None = None
    why: str = ""

    @property
    def certified(self) -> bool:
        """Whether the guarantee holds."""
        return not self.why

    def moved(self, threshold: float, why: str) -> Certificate:
        """The same at another threshold, for which it guarantees nothing."""
        reason = self.why or f"not certified at {self.precision:.0%}: {why}"
        return self if threshold == self.threshold else replace(self, threshold=threshold, why=reason)

    def sentence(self) -> str:
        """For people."""
        if self.certified and self.threshold is not None:
            return (
                f"from {self.threshold:.2f}: at least {self.precision:.0%} right, with probability "
                f"{1 - self.delta:.0%} ({counted(self.errors, 'error')} in {counted(self.count, 'artist')})"
            )
        return f"never: {self.why}" if self.threshold is None else f"from {self.threshold:.2f}, {self.why}"

    def as_manifest(self) -> dict[str, Any]:
        """What a manifest keeps; JSON. The threshold of one that is not certified stands under `thresholds` alone."""
        if self.certified:
            stated = {"threshold": self.threshold, "precision": self.precision, "delta": self.delta}
            return {"certified": True, **stated, "count": self.count, "errors": self.errors}
        stated = {"precision": self.precision, "delta": self.delta, "count": self.count}
        return {"certified": False, **stated, "more": self.more, "why": self.why}

    @classmethod
    def from_manifest(cls, stored: Mapping[str, Any], threshold: float | None) -> Certificate:
        """What a manifest keeps, beside the `threshold` that is used; they hold for each other or for nothing."""
        if not stored["certified"]:
            return cls(
                stored["precision"], stored["delta"], stored["count"], threshold, 0, stored["more"], stored["why"]
            )
        found = cls(stored["precision"], stored["delta"], stored["count"], float(stored["threshold"]), stored["errors"])
        if threshold is None:
            return replace(found, threshold=None, why=f"not certified at {found.precision:.0%}: it has no threshold")
        return found.moved(threshold, f"the threshold in use is not the {found.threshold:.2f} that was certified")


def certify(confidence: Doubles, right: Flags, precision: float, delta: float = DELTA) -> Certificate | None:
    """The lowest threshold whose precision can be certified; None where there is none.

    Fixed-sequence testing from strict to loose (Learn then Test, arXiv 2110.01052): each step is an exact test at level
    `delta`, and the first that fails ends it. The test is `broken_next`, of the next sample and not of the unknown true
    precision alone: who checks a guarantee has another sample, with luck of its own. Up to a delta of 0.2 it is
    the stricter of the two, so what Learn then Test says of the true precision holds as well.

    It starts where a fifth of the tracks lie, and no fewer than twice those that would do without any error: a start
    among a few fails on the first unlucky ones. The tracks must be independent: one an artist.
    """
    risk = 1.0 - precision
    enough = max(_FIRST * len(confidence), 2 * fewest(precision, delta))
    found: Certificate | None = None
    for threshold in GRID:
        above = confidence >= threshold
        count, errors = int(above.sum()), int((above & ~right).sum())
        if count < enough:
            continue
        if broken_next(errors, count, risk) > delta:
            break
        found = Certificate(precision, delta, count, float(threshold), errors)
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
    for first in range(errors, -1, -1):  # from the likeliest number of errors down
        found += term
        term *= first * (count - total + first) / ((total - first + 1) * (count - first + 1))
        if term < 1e-12 * found:
            break
    return min(1.0, found)


def fewest(precision: float, delta: float) -> int:
    """How many tracks without an error certify `precision`: each error that the next sample may have, and the one that
    breaks it, would be in the first with probability one half or more."""
    halvings = math.ceil(math.log2(1 / delta))
    return max(1, math.ceil((halvings - 1) / (1 - precision) - 1e-9))


def _log_choices(count: int, chosen: int) -> float:
    if not 0 <= chosen <= count:
        return -math.inf
    return math.lgamma(count + 1) - math.lgamma(chosen + 1) - math.lgamma(count - chosen + 1)


def certified_threshold(
    confidence: Doubles,
    right: Flags,
    groups: NDArray[np.int64],
    precision: float,
    *,
    delta: float = DELTA,
    seed: int = 0,
) -> Certificate:
    """The lowest threshold from which on `precision` is certified for the next sample, or how much is missing.

    The rows must be of artists that neither the model nor its calibration saw. One row an artist counts, drawn by
    `seed`: rows of one artist are not independent.
    """
    rows = one_a_group(groups, seed)
    found = certify(confidence[rows], right[rows], precision, delta)
    if found is not None:
        return found
    more = _missing(confidence[rows], right[rows], precision, delta)
    if more is None:
        why = f"not certified at {precision:.0%}: even the surest predictions err too often for it"
    else:
        why = (
            f"not certified at {precision:.0%}: about {more:,} more labelled tracks, each of another artist, "
            f"are needed besides the {len(rows):,} at hand"
        )
    return Certificate(precision, delta, len(rows), more=more, why=why)


def certified_thresholds(
    versions: Sequence[tuple[Doubles, Flags]], groups: NDArray[np.int64], target: PrecisionTarget
) -> dict[str, Certificate]:
    """The certificates of `confident` and `likely`, each with the threshold that it holds for.

    `versions` are confidence and hits, (n,) each, of the clean rows and of each augmentation: the guarantee holds on
    all alike, so the strictest counts. `likely` is never above `confident`; where it has to be lowered for that, its
    certificate is void.
    """
    found: dict[str, Certificate] = {}
    for word, precision in (("confident", target.confident), ("likely", target.likely)):
        each = [certified_threshold(*version, groups, precision, delta=target.delta) for version in versions]
        chosen = next((one for one in each if not one.certified), None)
        if chosen is None:
            chosen = max(each, key=lambda one: one.threshold or 0.0)
        elif not target.strict:
            chosen = replace(chosen, threshold=PLAIN[word])
        found[word] = chosen
    upper, lower = found["confident"].threshold, found["likely"].threshold
    if upper is not None and lower is not None and upper < lower:
        found["likely"] = found["likely"].moved(upper, f"lowered from {lower:.2f} to the threshold of `confident`")
    return found


def _missing(confidence: Doubles, right: Flags, precision: float, delta: float) -> int | None:
    """The fewest artists to add, over all thresholds, if shares and errors above it stay as they are."""
    count, best = len(confidence), math.inf
    for threshold in GRID:
        above = confidence >= threshold
        tried, errors = int(above.sum()), int((above & ~right).sum())
        # Few rows without an error do not show that there are none: twenty more at three quarters of what is allowed.
        rate = (errors + 20 * 0.75 * (1 - precision)) / (tried + 20)
        if tried >= 10 and rate < 1 - precision:
            needed = _needed(rate, precision, delta)
            best = min(best, needed * count / tried)
    return None if best > _MOST else max(1, math.ceil(best) - count)


def _needed(rate: float, precision: float, delta: float) -> float:
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
