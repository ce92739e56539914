"""Which estimators a stage keeps and with what weight: learned on rows that none of them saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from music_reclass.training.calibration import Calibration, hits
from music_reclass.training.estimators.combining import combined, learned_weights
from music_reclass.training.estimators.contract import Estimator
from music_reclass.training.held_out import Doubles, Scores
from music_reclass.training.validation import cross_calibrated, pooled_calibration


@dataclass(frozen=True, slots=True)
class Members:
    """Who is kept, everyone's weight (0 for those who are not), and the numbers that say why."""

    kept: tuple[Estimator, ...]
    weights: tuple[float, ...]
    notes: tuple[str, ...]


def members(scores: Scores, labels: NDArray[np.bool_], estimators: Sequence[Estimator]) -> Members:
    """The stack with learned weights if it is right more often on new artists than the best alone, else that one.

    `labels` belong to the rows of `scores`.
    """
    if len(estimators) == 1:
        return Members((estimators[0],), (1.0,), ())
    judged = scores.judging
    alone = [float(hits(own[judged, 0], labels[judged]).mean()) for own in scores.each]
    stacked = np.zeros_like(scores.each[0][:, 0])
    for outside, inside in scores.turns:
        weights = learned_weights([own[inside, 0] for own in scores.each], labels[inside])
        stacked[outside] = combined([own[outside, 0] for own in scores.each], weights)
    together = float(hits(stacked[judged], labels[judged]).mean())
    best = int(np.argmax(alone))
    shown = ", ".join(f"{e.name} {value:.4f}" for e, value in zip(estimators, alone, strict=True))
    if together <= alone[best]:
        note = f"the stack is left out: {together:.4f} right on new artists, alone: {shown}"
        return Members((estimators[best],), tuple(float(number == best) for number in range(len(alone))), (note,))
    inside = scores.learning
    weights = learned_weights([own[inside, 0] for own in scores.each], labels[inside])
    kept = tuple(estimator for estimator, weight in zip(estimators, weights, strict=True) if weight > 0)
    dropped = [estimator.name for estimator, weight in zip(estimators, weights, strict=True) if not weight > 0]
    notes = [f"the stack is {together:.4f} right on new artists, alone: {shown}"]
    if dropped:
        notes.append(f"left out of the stack: {', '.join(dropped)}; new artists are likeliest without")
    return Members(kept, weights, tuple(notes))


def stacked(scores: Scores, weights: Sequence[float], labels: NDArray[np.bool_]) -> Doubles:
    """The log-probabilities of what is kept. Under folds, the stack's weights come from the other folds."""
    if sum(weight > 0 for weight in weights) == 1:
        return scores.each[int(np.argmax(weights))]
    if not scores.folds:
        return combined(scores.each, weights)
    own = np.zeros_like(scores.each[0])
    for outside, inside in scores.turns:
        learned = learned_weights([one[inside, 0] for one in scores.each], labels[inside])
        own[outside] = combined([one[outside] for one in scores.each], learned)
    return own


def calibrated(own: Doubles, labels: NDArray[np.bool_], scores: Scores) -> tuple[Calibration, Doubles]:
    """The calibration that is shipped, and honest probabilities (n, versions, labels) of log-probabilities `own`."""
    learning = scores.learning
    calibration = pooled_calibration(own[learning], labels[learning])
    return calibration, cross_calibrated(own, labels, scores.part) if scores.folds else calibration(own)
