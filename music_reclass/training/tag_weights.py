"""Learns how much tags nearby tell about a track: two weights of log-odds, or none where such tags tell nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.classification.tag_prior import TagIndex, TagPrior
from music_reclass.domain import Track
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library
from music_reclass.models.base import log_softmax
from music_reclass.models.calibration import hits
from music_reclass.models.crossval import grouped_folds
from music_reclass.models.metrics import Interval, mean_over_groups
from music_reclass.training.evaluate import labels_as

if TYPE_CHECKING:
    from music_reclass.domain import Vote
    from music_reclass.features.database import Database
    from music_reclass.models.dataset import Dataset
    from music_reclass.taxonomy import Taxonomy

_STEPS = np.linspace(0.0, 1.0, 11)
_FOLDS = 5

Doubles = NDArray[np.float64]
Labels = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TagWeights:
    """The prior, None where tags nearby tell nothing beyond chance, and what it gains on artists whose tags did not
    teach it: the share of tracks that are right (with the tags nearby less without), and nats a track."""

    prior: TagPrior | None
    before: Interval
    gain: Interval
    information: Interval

    def as_json(self) -> dict[str, Any]:
        """Plain values; the weights are 0 where the prior is off."""
        figures = {"before": self.before, "gain": self.gain, "information": self.information}
        return {
            "artist": 0.0 if self.prior is None else self.prior.artist,
            "album": 0.0 if self.prior is None else self.prior.album,
            **{
                name: {"value": round(one.value, 4), "low": round(one.low, 4), "high": round(one.high, 4)}
                for name, one in figures.items()
            },
        }


def learn_tag_weights(
    database: Database, judged: Dataset, votes: Sequence[Vote], taxonomy: Taxonomy, *, seed: int = 0
) -> TagWeights | None:
    """How much tags nearby tell of the rows `judged`, beside `votes` that did not see their artists; None where no row
    has a genre that the votes know.

    A row is judged by its artist's other albums and the other tracks of its album, never by its own tag.
    """
    labels = tuple(votes[0].probabilities)
    truth = labels_as(labels, judged, taxonomy)
    usable = truth.any(axis=1) & np.array([tuple(vote.probabilities) == labels for vote in votes])
    if not usable.any():
        return None
    tracks = list(Library(database).all_tagged_by_user())
    index = TagIndex(tracks, labels, taxonomy)
    frequency = index.frequency
    by_path, decisions = {track.path: track for track in tracks}, Decisions(database)
    rows = (by_path.get(name) or decisions.track_at(name) or Track(name) for name in judged.names)
    nearby = [index.log_odds(track, frequency) for track in rows]
    artist, album = (np.stack(one)[usable] for one in zip(*nearby, strict=True))
    chances = [[vote.probabilities[name] for name in labels] for vote in votes]
    scores = np.log(np.clip(np.array(chances)[usable], 1e-6, 1.0))
    truth, groups = truth[usable], judged.table.groups[usable]
    folds = grouped_folds(groups, truth, min(_FOLDS, len(np.unique(groups))), seed)
    found = scores.copy()
    for fold in np.unique(folds):
        out, rest = folds == fold, folds != fold
        weights = _likeliest(scores[rest], artist[rest], album[rest], truth=truth[rest])
        found[out] = _combined(scores[out], artist[out], album[out], weights)
    before, after = hits(scores, truth).astype(np.float64), hits(found, truth).astype(np.float64)
    information = mean_over_groups(_log_likelihoods(found, truth) - _log_likelihoods(scores, truth), groups)
    gain = mean_over_groups(after - before, groups)
    prior = None
    if information.low > 0 and gain.value >= 0:
        weights = _likeliest(scores, artist, album, truth=truth)
        prior = TagPrior(labels, tuple(frequency.tolist()), *weights)
    return TagWeights(prior, mean_over_groups(before, groups), gain, information)


def _likeliest(scores: Doubles, artist: Doubles, album: Doubles, *, truth: Labels) -> tuple[float, float]:
    """The weights, in tenths up to 1, under which the label sets `truth` are likeliest."""
    pairs = [(float(first), float(second)) for first in _STEPS for second in _STEPS]
    likelihoods = [_log_likelihoods(_combined(scores, artist, album, pair), truth).mean() for pair in pairs]
    best = pairs[int(np.argmax(likelihoods))]
    return round(best[0], 1), round(best[1], 1)


def _combined(scores: Doubles, artist: Doubles, album: Doubles, weights: tuple[float, float]) -> Doubles:
    return log_softmax(scores + weights[0] * artist + weights[1] * album)


def _log_likelihoods(log_probabilities: Doubles, truth: Labels) -> Doubles:
    """Of the label sets, (n,)."""
    shares = np.exp(log_softmax(log_probabilities))
    return np.asarray(np.log(np.clip((shares * truth).sum(axis=1), 1e-9, 1.0)), dtype=np.float64)
