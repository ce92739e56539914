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
    """With probability 1 - delta the precision at and above `threshold` is at least `precision`.

    `count` independent tracks lay there, `errors` of them wrong.
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

    Fixed-sequence testing from strict to loose (Learn then Test, arXiv 2110.01052): each step is an exact binomial
    test at level `delta`, and the first that fails ends it. It starts where a fifth of the tracks lie, and no fewer
    than twice those that would do without any error: a start among a few fails on the first unlucky ones. The tracks
    must be independent: one an artist.
    """
    risk = 1.0 - precision
    enough = max(_FIRST * len(confidence), 2 * math.ceil(math.log(delta) / math.log(precision)))
    found: Certificate | None = None
    for threshold in GRID:
        above = confidence >= threshold
        count, errors = int(above.sum()), int((above & ~right).sum())
        if count < enough:
            continue
        if binomial_tail(errors, count, risk) > delta:
            break
        found = Certificate(float(threshold), precision, delta, count, errors)
    return found


def binomial_tail(errors: int, count: int, risk: float) -> float:
    """The probability of at most `errors` errors among `count` where each is wrong with probability `risk`."""
    logs = [
        math.lgamma(count + 1)
        - math.lgamma(k + 1)
        - math.lgamma(count - k + 1)
        + k * math.log(risk)
        + (count - k) * math.log1p(-risk)
        for k in range(errors + 1)
    ]
    return min(1.0, sum(math.exp(value) for value in logs))


def one_a_group(groups: NDArray[np.int64], seed: int = 0) -> NDArray[np.int64]:
    """Positions of one row of every group, drawn by `seed`: rows of one artist are not independent."""
    order = np.random.default_rng(seed).permutation(len(groups))
    return np.sort(order[np.unique(groups[order], return_index=True)[1]])
