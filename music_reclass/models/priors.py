"""Class priors: how frequent each genre is in a library, given or estimated, and what that makes of probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.domain import Vote
from music_reclass.errors import BundleError, NothingToDo
from music_reclass.utils.words import counted as in_words

Doubles = NDArray[np.float64]

FEWEST = 200
"""Tracks below which nothing is estimated: a handful of votes says little about what is frequent."""

LEAST_SHARE = 0.01
"""What every prior leaves to the training's, so that no genre becomes impossible."""

STAGE = "prior"
"""The name of a prior's vote."""

_NEVER = 1e-4  # the frequency of a label that training never taught
_STRENGTH = 0.1  # of the tracks: as many are added that are distributed as the training was
_ROUNDS, _CLOSE = 1000, 1e-6


@dataclass(frozen=True, slots=True)
class ClassPrior:
    """How frequent genres are in a library: shares that sum to one at most; the rest is as in the training.

    `tracks` are those whose votes it was estimated from, 0 where the user gave it.
    """

    shares: Mapping[str, float]
    tracks: int = 0

    def vote(self, genres: Sequence[str], trained: Mapping[str, float]) -> Vote:
        """By what to multiply the probabilities of `genres`, as shares that sum to one: how much more frequent each is
        here than in the training, where it was `trained`."""
        named = {genre: self.shares[genre] for genre in genres if genre in self.shares}
        total = sum(named.values())
        if total > 1.0:
            named, total = {genre: share / total for genre, share in named.items()}, 1.0
        others = sum(trained[genre] for genre in genres if genre not in named) or 1.0
        factors = {}
        for genre in genres:
            share = named.get(genre, max(0.0, 1.0 - total) * trained[genre] / others)
            factors[genre] = (1.0 - LEAST_SHARE) * share / trained[genre] + LEAST_SHARE
        whole = sum(factors.values())
        return Vote(STAGE, {genre: factor / whole for genre, factor in factors.items()})

    def sentence(self) -> str:
        """For people."""
        first = sorted(self.shares.items(), key=lambda item: -item[1])[:5]
        source = f"estimated from the votes on {self.tracks:,} tracks" if self.tracks else "as set"
        return f"{', '.join(f'{genre} {share:.0%}' for genre, share in first)} ({source})"

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"shares": dict(self.shares), "tracks": self.tracks}


def trained_frequency(manifest: Mapping[str, Any], labels: Sequence[str], genres: Sequence[str]) -> dict[str, float]:
    """How frequent the bundle of a manifest takes each genre to be; equally frequent where it does not say.

    `genres` are its labels as the taxonomy names them; BundleError where what it says makes no sense.
    """
    stated = manifest.get("frequency")
    try:
        each = [1.0 / len(labels)] * len(labels) if stated is None else [float(stated[label]) for label in labels]
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"What the bundle states of its labels' frequency makes no sense ({error}).") from error
    if not all(0.0 <= share <= 1.0 for share in each) or not sum(each):
        raise BundleError("What the bundle states of its labels' frequency makes no sense; train it again.")
    shares = dict.fromkeys(genres, 0.0)
    for genre, share in zip(genres, each, strict=True):
        shares[genre] += max(share, _NEVER) / sum(each)
    return shares


def prior_of_votes(votes: Sequence[Vote], trained: Mapping[str, Mapping[str, float]]) -> ClassPrior:
    """The prior estimated from the votes of a library's tracks, one a track; NothingToDo where these are too few.

    `trained` are the frequencies of each stage; votes for other genres than those of the commonest stage do not count.
    Shares are rounded, so that a few tracks more do not change every decision.
    """
    stages = [vote.stage for vote in votes if vote.stage in trained]
    commonest = max(sorted(set(stages)), key=stages.count, default="")
    genres = list(trained.get(commonest, ()))
    counted = [vote for vote in votes if vote.stage in trained and set(vote.probabilities) == set(genres)]
    if len(counted) < FEWEST:
        raise NothingToDo(
            f"How frequent genres are in a library cannot be estimated from the votes on "
            f"{in_words(len(counted), 'track')}; "
            f"{FEWEST} are the least. Scan more music, or name the shares under [prior] in the configuration."
        )
    frequency = np.array([trained[commonest][genre] for genre in genres])
    # A vote of another stage counts as if that stage had been trained on genres as frequent as the commonest had.
    rows = np.array([[vote.probabilities[genre] for genre in genres] for vote in counted])
    weights = np.array([[frequency[n] / trained[vote.stage][g] for n, g in enumerate(genres)] for vote in counted])
    rows = rows * weights
    found = estimated(rows / rows.sum(axis=1, keepdims=True), frequency)
    return ClassPrior({genre: round(float(share), 2) for genre, share in zip(genres, found, strict=True)}, len(counted))


def estimated(probabilities: Doubles, frequency: Doubles) -> Doubles:
    """The frequencies of k labels in unlabelled rows, (k,), by their calibrated `probabilities`, (n, k).

    EM of Saerens, Latinne and Decaestecker (2002): reweigh the rows by the current frequencies against those of the
    training, (k,), take the mean, repeat. As many rows as _STRENGTH of n are added that are distributed as the training
    was (a Dirichlet prior), which keeps a label that few rows speak for from vanishing.
    """
    trained = frequency / frequency.sum()
    shares, extra = trained, _STRENGTH * len(probabilities)
    for _ in range(_ROUNDS):
        weighed = probabilities * (shares / trained)
        weighed /= weighed.sum(axis=1, keepdims=True)
        before, shares = shares, (weighed.sum(axis=0) + extra * trained) / (len(probabilities) + extra)
        if np.abs(shares - before).max() < _CLOSE:
            break
    return np.asarray(shares, dtype=np.float64)


def reweighed(probabilities: Doubles, shares: Doubles, frequency: Doubles) -> Doubles:
    """Probabilities, (n, k), for a library where labels are as frequent as `shares` say and not as in the training."""
    weighed = probabilities * (shares / frequency)
    return np.asarray(weighed / weighed.sum(axis=1, keepdims=True), dtype=np.float64)
