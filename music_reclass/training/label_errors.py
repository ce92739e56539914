"""Which tags are most likely wrong: what models that never saw a track's artist say, against the tag that it carries.

Labels are taken as a mixture of right ones and swapped ones, in the manner of confident learning (Northcutt et al.,
arXiv 1911.00068), but with one noise rate fitted by likelihood, which gives every track a probability of being wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from music_reclass.training.estimators.combining import combined, learned_weights
from music_reclass.training.estimators.contract import Estimator
from music_reclass.training.tables import Table
from music_reclass.training.validation import Say, folds_of, out_of_fold

Doubles = NDArray[np.float64]
Labels = NDArray[np.bool_]

_TEMPERATURES = np.exp(np.linspace(np.log(0.4), np.log(4.0), 25))
_RATES = np.concatenate([[0.001, 0.0025, 0.005], np.arange(0.01, 0.51, 0.01)])


@dataclass(frozen=True, slots=True)
class Doubt:
    """How much is wrong with the labels of a table. `wrong` is each row's probability of a wrong label, (n,)."""

    wrong: Doubles
    suggested: NDArray[np.int64]  # (n,): the likeliest label that the row does not carry
    chance: Doubles  # (n,): its probability
    rate: float  # share of wrong labels in the whole table
    log_probabilities: Doubles  # (n, labels), out of fold

    def suspects(self, least: float = 0.5) -> NDArray[np.int64]:
        """Rows that are wrong with probability `least` or more, the surest first."""
        order = np.argsort(-self.wrong, kind="stable")
        return order[self.wrong[order] >= least]

    def expected_precision(self, rows: NDArray[np.int64]) -> float:
        """The share of `rows` that is wrong, by their own probabilities; NaN for none."""
        return float(self.wrong[rows].mean()) if len(rows) else float("nan")


def doubted(table: Table, estimators: Sequence[Estimator], seed: int = 0, say: Say | None = None) -> Doubt:
    """Every row judged by estimators that learned from other artists only, weighted by how well they foretell tags."""
    folds = folds_of(table, seed)
    each = []
    for estimator in estimators:
        each.append(out_of_fold(table, None, estimator.fit, folds)[:, 0])
        if say is not None:
            share = float(table.labels[np.arange(len(table)), each[-1].argmax(axis=1)].mean())
            say(f"{estimator.name}: agrees with {share:.0%} of the tags of artists it never saw")
    if len(each) == 1:
        return judged(each[0], table.labels)
    blend = np.zeros_like(each[0])
    for fold in np.unique(folds):
        outside = folds == fold
        weights = learned_weights([own[~outside] for own in each], table.labels[~outside])
        blend[outside] = combined([own[outside] for own in each], weights)
    return judged(blend, table.labels)


def judged(log_probabilities: Doubles, labels: Labels) -> Doubt:
    """The doubt about `labels`, given out-of-fold log-probabilities of the same shape.

    With a noise rate r and swapped labels as frequent as labels are, a row carries its set with likelihood
    (1 - r) t + r f, t being the probability that the model gives the set and f its frequency. Temperature and rate
    are those under which the labels are likeliest; the second part's share is the probability of a wrong label.
    """
    frequency = labels.mean(axis=0) + 1e-6
    swapped = np.clip((labels * (frequency / frequency.sum())).sum(axis=1), 1e-6, 1.0)
    best, lowest = (1.0, 0.01), np.inf
    for temperature in _TEMPERATURES:
        said = _set_probability(log_probabilities / temperature, labels)
        for rate in _RATES:
            loss = -float(np.log((1 - rate) * said + rate * swapped).mean())
            if loss < lowest:
                best, lowest = (float(temperature), float(rate)), loss
    temperature, rate = best
    shares = _softmax(log_probabilities / temperature)
    said = np.clip((shares * labels).sum(axis=1), 1e-12, 1.0)
    others = np.where(labels, -1.0, shares)
    suggested = others.argmax(axis=1)
    wrong = rate * swapped * (1 - said) / ((1 - rate) * said + rate * swapped)  # a swap may hit what is right
    return Doubt(
        wrong=wrong,
        suggested=suggested,
        chance=shares[np.arange(len(labels)), suggested],
        rate=float(wrong.mean()),
        log_probabilities=log_probabilities,
    )


def _softmax(scores: Doubles) -> Doubles:
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), dtype=np.float64)


def _set_probability(scores: Doubles, labels: Labels) -> Doubles:
    return np.asarray(np.clip((_softmax(scores) * labels).sum(axis=1), 1e-12, 1.0), dtype=np.float64)


def disagreement(log_probabilities: Doubles, labels: Labels) -> Doubles:
    """The plain rival: how little of the probability a model leaves to a row's own labels, (n,)."""
    return 1.0 - _set_probability(log_probabilities, labels)


def average_precision(scores: Doubles, wrong: Labels) -> float:
    """The area under precision by recall of the ranking by `scores`, highest first."""
    order = np.argsort(-scores, kind="stable")
    found = wrong[order]
    precision = np.cumsum(found) / np.arange(1, len(found) + 1)
    return float(precision[found].mean()) if found.any() else float("nan")
