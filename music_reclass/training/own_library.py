"""Learning from the library itself: its tags as noisy labels, the doubtful ones left out, the embedded model beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from music_reclass.taxonomy import Taxonomy
from music_reclass.training.bundles import Bundle
from music_reclass.training.calibration import hits
from music_reclass.training.datasets.shape import Dataset
from music_reclass.training.estimators.contract import Estimator
from music_reclass.training.estimators.linear import Linear
from music_reclass.training.estimators.translating import Base
from music_reclass.training.estimators.wide import Wide
from music_reclass.training.judging import in_words_of
from music_reclass.training.label_errors import Doubt, doubted
from music_reclass.training.validation import Say

_TAGGED = 100  # tagged tracks from which two models can be told apart
_LINEAR_UP_TO = 4000  # rows; above, the wide network learns as quickly and better


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A library without the tags that are most likely wrong, and the doubt that took them out."""

    data: Dataset
    doubt: Doubt
    dropped: int
    note: str


def base_of(bundle: Bundle, taxonomy: Taxonomy) -> Base:
    """The bundle as an estimator beside others."""
    return Base(bundle.model, bundle.calibration, bundle.labels, taxonomy)


def judges(data: Dataset, bundle: Bundle, taxonomy: Taxonomy, seed: int = 0) -> list[Estimator]:
    """Who judges the tags: a model of the library's own, and `bundle` if it reads the same vectors."""
    own: Estimator = Linear(seed=seed) if len(data) <= _LINEAR_UP_TO else Wide(seed=seed)
    return [own, base_of(bundle, taxonomy)] if bundle.kinds == (data.kind,) else [own]


def doubts_of(data: Dataset, bundle: Bundle, taxonomy: Taxonomy, seed: int = 0, say: Say | None = None) -> Doubt:
    """How likely each tag of the library is wrong."""
    return doubted(data.table, judges(data, bundle, taxonomy, seed), seed, say)


def cleaned(data: Dataset, doubt: Doubt) -> Cleaned:
    """The library without its suspects; no genre loses more than half of its tracks."""
    suspect = np.zeros(len(data), dtype=np.bool_)
    for row in doubt.suspects():
        own = data.table.labels[row]
        left = (data.table.labels & ~suspect[:, None]).sum(axis=0)[own]
        if (2 * (left - 1) >= data.table.labels.sum(axis=0)[own]).all():
            suspect[row] = True
    kept = data.chosen(~suspect)
    note = (
        f"{int(suspect.sum())} of {len(data)} tags are most likely wrong and taught nothing "
        f"(reclass audit lists them); about {doubt.rate:.0%} of all tags seem wrong"
    )
    table = replace(kept.table, notes=(*kept.table.notes, note))
    return Cleaned(replace(kept, table=table), doubt, int(suspect.sum()), note)


def grouped_by_album(paths: Sequence[str], rows: Sequence[int]) -> list[list[int]]:
    """`rows` by the folder of their path, in the order in which folders first appear."""
    folders: dict[str, list[int]] = {}
    for row in rows:
        folders.setdefault(paths[row].rpartition("/")[0], []).append(row)
    return list(folders.values())


def adaptation_helps(
    plain: Bundle, adapted: Bundle, data: Dataset, taxonomy: Taxonomy, seed: int = 0
) -> tuple[bool, str]:
    """Whether `adapted` is better than `plain` on the library's own tags, and the sentence with the numbers.

    Better means: in at least 95 % of 1,000 resamplings of artists more tags are foretold. The tags taught neither.
    """
    labels = in_words_of(plain.labels, data, taxonomy)
    known = np.flatnonzero(labels.any(axis=1))
    if len(known) < _TAGGED:
        return False, f"not adapted: {len(known)} tagged tracks cannot tell whether it helps, {_TAGGED} could"
    rows, labels = data.table.rows[known], labels[known]
    before, after = (hits(bundle.predict_proba(rows), labels).astype(float) for bundle in (plain, adapted))
    place = np.unique(data.table.groups[known], return_inverse=True)[1].reshape(-1)
    gain = np.bincount(place, after - before)
    generator = np.random.default_rng(seed)
    drawn = gain[generator.integers(0, len(gain), (1000, len(gain)))].sum(axis=1)
    share = float((drawn > 0).mean())
    numbers = f"foretells {after.mean():.3f} of your tags, {before.mean():.3f} without"
    if share >= 0.95:
        return True, f"adapted to your library: {numbers}"
    return False, f"not adapted: it {numbers}, better in {share:.0%} of resamplings"
