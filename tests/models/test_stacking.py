"""The weights of a stack: as likely as the best of all tenths, and quickly found for many members."""

from __future__ import annotations

import time
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from music_reclass.models import calibration
from music_reclass.models.stacking import combined, learned_weights

Doubles = NDArray[np.float64]


def members(count: int, rows: int = 300, seed: int = 0) -> tuple[list[Doubles], NDArray[np.bool_]]:
    """Log-probabilities of `count` models of eight labels, each with errors of its own and some in common."""
    generator = np.random.default_rng(seed)
    labels = np.eye(8, dtype=bool)[generator.integers(0, 8, rows)]
    shared = generator.normal(size=(rows, 8))
    each = []
    for place in range(count):
        raw = labels * (1.0 + 0.3 * place) + 0.7 * shared + generator.normal(size=(rows, 8))
        each.append(raw - np.log(np.exp(raw).sum(axis=1, keepdims=True)))
    return each, labels


def likelihood(scores: list[Doubles], weights: tuple[float, ...], labels: NDArray[np.bool_]) -> float:
    likely = np.exp(combined(scores, weights))
    return float(np.log((likely * labels).sum(axis=1)).mean())


def walked(scores: list[Doubles], labels: NDArray[np.bool_]) -> float:
    """The best likelihood over all weights in tenths, by trying each."""
    temperatures = [calibration.fit(score, labels).temperature for score in scores]
    found = []
    for tenths in product(range(11), repeat=len(scores)):
        if sum(tenths) == 10:
            weights = tuple(number / 10 / t for number, t in zip(tenths, temperatures, strict=True))
            found.append(likelihood(scores, weights, labels))
    return max(found)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_no_weights_in_tenths_are_likelier_than_those_that_were_learned(count: int, seed: int) -> None:
    scores, labels = members(count, seed=seed)
    assert likelihood(scores, learned_weights(scores, labels), labels) >= walked(scores, labels) - 1e-12


def test_six_members_are_weighed_in_seconds_and_better_than_the_best_alone() -> None:
    scores, labels = members(6)
    begun = time.process_time()
    weights = learned_weights(scores, labels)
    assert time.process_time() - begun < 5.0  # a walk over 11 ** 6 tuples takes longer than that to count them
    alone = max(likelihood(scores, (0.0,) * n + (w,) + (0.0,) * (5 - n), labels) for n, w in enumerate(weights) if w)
    assert likelihood(scores, weights, labels) > alone


def test_the_weight_goes_to_the_member_that_knows() -> None:
    (good,), labels = members(1)
    guess = np.log(np.random.default_rng(0).dirichlet(np.ones(8), len(labels)))
    weights = learned_weights([guess, good], labels)
    assert weights[1] > 10 * weights[0]
