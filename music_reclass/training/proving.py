"""Where a stage may let tracks go: exits that hold on new artists, on bad copies and on collections never seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.training.calibration import hits
from music_reclass.training.exits import GRID, Exit, certify_exit, gain_curve, strictest, upper_bound
from music_reclass.training.thresholds import one_a_group

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]

WATCHED = 20  # artists from which a collection too small for a certificate is looked at all the same


@dataclass(frozen=True, slots=True)
class Seen:
    """What a stage said of rows that neither it nor its calibration saw; both (n,)."""

    confidence: Doubles
    right: Flags

    @classmethod
    def of(cls, probabilities: Doubles, labels: Flags) -> Seen:
        """From calibrated probabilities and label sets, both (n, labels)."""
        return cls(probabilities.max(axis=1), hits(probabilities, labels))


@dataclass(frozen=True, slots=True)
class Trial:
    """One set of rows, and what every stage of the ladder, cheapest first, said of them."""

    name: str
    groups: NDArray[np.int64]  # (n,) artists
    stages: tuple[Seen, ...]

    def lost(self, position: int, last: int) -> Flags:
        """The rows that a ladder ending with stage `last` gets right and loses if they leave at `position`, (n,)."""
        return ~self.stages[position].right & self.stages[last].right

    def share_lost(self, position: int, last: int, threshold: float) -> float:
        """The share of rows that is lost if all above `threshold` leave, every artist counting once."""
        gone = self.lost(position, last) & (self.stages[position].confidence >= threshold)
        return float(np.average(gone, weights=1.0 / np.bincount(self.groups)[self.groups]))


def exit_of(
    position: int, last: int, trials: Sequence[Trial], epsilon: float, delta: float, against: Sequence[str]
) -> Exit:
    """The exit of the stage at `position` in a ladder that ends with stage `last`: the strictest of all `trials`.

    The first trial holds the clean rows of new artists; of it are the gain and the share of exits. For a certificate
    one row an artist counts. A trial of too few artists for one is watched: the share of it that is lost must not be
    above `epsilon` as it stands, which is less than a promise and is stated apart.
    """
    clean, sound = trials[0], [trial for trial in trials if trial is trials[0] or _enough(trial, epsilon, delta)]
    own = strictest({t.name: _certificate(t, position, last, epsilon, delta, against) for t in sound})
    small = [trial for trial in trials if trial not in sound and _artists(trial) >= WATCHED]
    watched = {trial.name: _watched(trial, position, last, epsilon) for trial in small}
    confidence, right = clean.stages[position].confidence, clean.stages[position].right
    gain = gain_curve(confidence, clean.stages[last].right.astype(np.float64) - right)
    own = replace(own, gain=gain, held_on={**own.held_on, **watched})
    if own.threshold is None:
        return own
    threshold = max([own.threshold, *(one["threshold"] for one in watched.values())])
    at = [_at(trial, position, last, threshold) for trial in sound]
    count, lost = max(at, key=lambda pair: upper_bound(pair[1], pair[0], delta))
    return replace(own, threshold=threshold, count=count, lost=lost, exits=float((confidence >= threshold).mean()))


def _artists(trial: Trial) -> int:
    return len(np.unique(trial.groups))


def _enough(trial: Trial, epsilon: float, delta: float) -> bool:
    """Whether a trial without any loss would be certified."""
    return upper_bound(0, _artists(trial), delta) <= epsilon


def _certificate(trial: Trial, position: int, last: int, epsilon: float, delta: float, against: Sequence[str]) -> Exit:
    rows = one_a_group(trial.groups)
    confidence, lost = trial.stages[position].confidence[rows], trial.lost(position, last)[rows]
    return certify_exit(confidence, lost, epsilon, delta, against=against)


def _watched(trial: Trial, position: int, last: int, epsilon: float) -> dict[str, Any]:
    """The lowest threshold from which on no more than `epsilon` is lost as it stands, and what is seen there."""
    found = 1.0
    for threshold in GRID:
        if trial.share_lost(position, last, float(threshold)) > epsilon:
            break
        found = float(threshold)
    above = trial.stages[position].confidence >= found
    return {
        "threshold": found,
        "count": _artists(trial),
        "share lost": round(trial.share_lost(position, last, found), 4),
        "exits": round(float(above.mean()), 4),
        "certified": False,
    }


def _at(trial: Trial, position: int, last: int, threshold: float) -> tuple[int, int]:
    """Independent rows of a trial, and how many of them are lost at `threshold`."""
    rows = one_a_group(trial.groups)
    gone = trial.lost(position, last) & (trial.stages[position].confidence >= threshold)
    return len(rows), int(gone[rows].sum())
