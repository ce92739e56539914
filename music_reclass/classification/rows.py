"""The ladder over rows of vectors that are all at hand: who answers for each row, and which left early."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from music_reclass.classification.policy import Thresholds
from music_reclass.training import exits
from music_reclass.training.bundles import Bundle


@dataclass(frozen=True, slots=True)
class RowVote:
    """The last vote for one row, in the labels of the bundle that cast it."""

    stage: str
    labels: tuple[str, ...]
    probabilities: NDArray[np.float64]  # (labels,), calibrated
    exited: bool  # whether a later stage would have been asked if the row had not reached a certified exit

    @property
    def genre(self) -> str:
        """The likeliest label."""
        return self.labels[int(self.probabilities.argmax())]

    @property
    def confidence(self) -> float:
        """Its probability."""
        return float(self.probabilities.max())


def climbed(stages: Sequence[Bundle], rows_of: Callable[[Bundle], NDArray[np.float32]], count: int) -> list[RowVote]:
    """The last vote for each of `count` rows; `rows_of` gives all rows as a bundle wants them, (count, dimension).

    Stages are asked in their order, and each about those rows only that have not reached the exit of one before it,
    by the certificates that the bundles hold for just this ladder. Rows have no albums.
    """
    found: list[RowVote | None] = [None] * count
    inside = np.arange(count)
    for place, bundle in enumerate(stages):
        later = [other.digest for other in stages[place + 1 :]]
        own = exits.fitting(exits.of_manifest(bundle.manifest), later) if later else None
        leave = Thresholds.from_mapping(bundle.thresholds, None if own is None else own.threshold).exit
        if not len(inside):
            break
        probabilities = bundle.predict_proba(rows_of(bundle)[inside])
        gone = (probabilities.max(axis=1) >= leave) if later else np.zeros(len(inside), dtype=np.bool_)
        for row, shares, left in zip(inside.tolist(), probabilities, gone.tolist(), strict=True):
            found[row] = RowVote(bundle.stage, bundle.labels, shares, left)
        inside = inside[~gone]
    return [vote for vote in found if vote is not None]
