"""Thresholds that come with a certificate: from which confidence on at most so many decisions are wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GRID = np.round(np.arange(0.99, 0.0, -0.01), 2)
_FIRST = 0.2  # share of the tracks among which the first test takes place


@dataclass(frozen=True, slots=True)
class Certificate:
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
) -> Certificate | None:
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
    found: Certificate | None = None
    for threshold in GRID:
        above = confidence >= threshold
        count, errors = int(above.sum()), int((above & ~right).sum())
        if count < enough:
            continue
        if broken_next(errors, count, risk) > delta:
            break
        found = Certificate(float(threshold), precision, delta, count, errors)
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
