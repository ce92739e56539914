"""The ladder over rows of vectors that are all at hand: who answers for each row, and which left early."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from music_reclass.classification.policy import Thresholds
from music_reclass.errors import UsageError
from music_reclass.taxonomy import Taxonomy
from music_reclass.training import exits, judging
from music_reclass.training.bundles import Bundle
from music_reclass.training.datasets.shape import Dataset
from music_reclass.training.figures import Evaluation, evaluated


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


def judged(stages: Sequence[Bundle], data: Dataset, taxonomy: Taxonomy, part: str = "", seed: int = 0) -> Evaluation:
    """What a ladder, or a single stage of several kinds, is worth on `data`, or on its official `part`.

    `data` must hold the kinds of all stages. UsageError where the stages do not speak of the same genres.
    """
    if len(stages) == 1 and len(stages[0].kinds) == 1:
        return judging.judged(stages[0], data, taxonomy, part, seed)
    if len({bundle.labels for bundle in stages}) > 1:
        raise UsageError("the stages of this ladder know different genres; judge them one by one.")
    if part:
        data = data.chosen(np.asarray(data.split == part, dtype=np.bool_))
        if not len(data):
            raise UsageError(f"{data.name} has no rows in the part {part!r}.")
    labels = judging.in_words_of(stages[0].labels, data, taxonomy)
    known = np.asarray(labels.any(axis=1), dtype=np.bool_)
    if not known.any():
        raise UsageError(f"{data.name} has no row with a genre that the ladder knows.")
    warnings = [*judging.doubts(stages[-1], data), *data.table.notes]
    if not known.all():
        warnings.append(f"{int((~known).sum())} of {len(data)} rows carry no genre that the ladder knows; left out")
    own = data.chosen(known)

    def rows_of(bundle: Bundle) -> NDArray[np.float32]:
        return own.of([kind.name for kind in bundle.kinds]).table.rows

    votes = climbed(stages, rows_of, len(own))
    counts = Counter(vote.stage for vote in votes)
    asked = ", ".join(f"{bundle.stage} {counts[bundle.stage] / len(own):.0%}" for bundle in stages)
    name = f"{stages[0].name} {stages[0].version}" if len(stages) == 1 else f"a ladder (decided by {asked})"
    return evaluated(
        np.stack([vote.probabilities for vote in votes]),
        labels[known],
        stages[0].labels,
        own.table.groups,
        f"{name} on {data.name}{f' ({part})' if part else ''}",
        tuple(warnings),
        dict(stages[0].thresholds) if len(stages) == 1 else {},
        seed,
    )
