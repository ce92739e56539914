"""From votes to a decision, and whether a track exits the cascade early: pure arithmetic with thresholds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from music_reclass.domain import Decision, Outcome, Vote
from music_reclass.errors import BundleError
from music_reclass.taxonomy import Taxonomy

REASONS: dict[str, str] = {
    "sure": "the stage is sure",
    "likely": "the stage finds it likely",
    "album": "the tracks of the album agree on it",
    "doubt": "no genre is likely enough",
    "album_doubt": "the tracks of the album together leave no genre likely enough",
    "weak_genre": "likely, but this genre says so little that it is decided only when the stage is sure",
    "dropped": "the taxonomy drops this genre and everything above it",
    "no_vote": "no stage could vote",
}
"""Every reason code a decision can have, as libraries store it, with the sentence for people."""

SECOND_GENRE_SHARE = 0.5
"""A further genre needs at least this share of the first genre's probability."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The probabilities from which a stage is `confident`, finds a genre `likely`, and lets a track exit; inf: never.

    Never is what a bundle says by leaving a threshold out: its guarantee could not be certified. `exit` alone says
    whether a later stage is asked; the other two name the outcome, whoever is asked.
    """

    confident: float = math.inf
    likely: float = math.inf
    exit: float = math.inf

    def __post_init__(self) -> None:
        if not (0.0 < self.likely <= self.confident and self.exit > 0.0):  # false for NaN too
            raise BundleError(
                f"The thresholds likely = {self.likely}, confident = {self.confident} and exit = {self.exit} make no "
                "sense; 0 < likely <= confident and 0 < exit must hold, so train or install the bundle again."
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, float | None], exit_threshold: float | None = None) -> Thresholds:
        """From a bundle's `thresholds`: keys `confident` and `likely`, a missing or null one means never.

        Without `likely`, only confident decisions are taken. `exit_threshold` is that of the exit rule, None: none.
        """
        confident = values.get("confident")
        likely = values.get("likely")
        high = math.inf if confident is None else float(confident)
        return cls(
            high, high if likely is None else float(likely), math.inf if exit_threshold is None else exit_threshold
        )

    def outcome(self, confidence: float) -> Outcome:
        """What a calibrated probability amounts to."""
        if confidence >= self.confident:
            return Outcome.CONFIDENT
        return Outcome.LIKELY if confidence >= self.likely else Outcome.UNSURE


def is_sure(votes: Sequence[Vote], thresholds: Mapping[str, Thresholds]) -> bool:
    """Whether the last vote is confident, so that the album cannot change it."""
    if not votes:
        return False
    return thresholds[votes[-1].stage].outcome(votes[-1].confidence) is Outcome.CONFIDENT


def may_exit(votes: Sequence[Vote], thresholds: Mapping[str, Thresholds], album: Vote | None = None) -> bool:
    """Whether no further stage needs to be asked: the last vote reaches its stage's certified exit, or the `album`
    does and the track itself puts the same genre first."""
    if not votes:
        return False
    last, threshold = votes[-1], thresholds[votes[-1].stage].exit
    if last.confidence >= threshold:
        return True
    return album is not None and album.confidence >= threshold and album.genre == last.genre


def decide(
    votes: Sequence[Vote],
    thresholds: Mapping[str, Thresholds],
    taxonomy: Taxonomy,
    album: Vote | None = None,
    *,
    max_genres: int = 1,
) -> Decision:
    """What the votes of one track amount to; `votes` in the order of the cascade, genres of `taxonomy` as labels.

    The last vote counts, because a later stage has the features of the earlier ones too. A track that is not sure by
    itself takes the opinion of its `album`, upwards and downwards (docs/explanation/decisions.md has the numbers).
    """
    if not votes:
        return Decision(Outcome.UNSURE, "no_vote")
    last = votes[-1]
    limits = thresholds[last.stage]
    by_album = album is not None and not is_sure(votes, thresholds)
    opinion = album if album is not None and by_album else last
    outcome = limits.outcome(opinion.confidence)
    reason = _reason(outcome, by_album)
    if outcome is not Outcome.UNSURE:
        if opinion.genre in taxonomy.weak and outcome is not Outcome.CONFIDENT:
            outcome, reason = Outcome.UNSURE, "weak_genre"
        elif taxonomy.written(opinion.genre) is None:
            outcome, reason = Outcome.UNSURE, "dropped"
    genres = () if outcome is Outcome.UNSURE else _genres(opinion, taxonomy, max_genres)
    kept = (*votes, album) if album is not None else tuple(votes)
    return Decision(outcome, reason, genres, opinion.confidence, opinion.stage, kept)


def _reason(outcome: Outcome, by_album: bool) -> str:
    if outcome is Outcome.UNSURE:
        return "album_doubt" if by_album else "doubt"
    if by_album:
        return "album"
    return "sure" if outcome is Outcome.CONFIDENT else "likely"


def _genres(opinion: Vote, taxonomy: Taxonomy, count: int) -> tuple[str, ...]:
    """Display names, the likeliest first; a further one is nearly as likely, not weak, and on another branch."""
    chosen: list[str] = []
    for genre, probability in opinion.top(len(opinion.probabilities)):
        if len(chosen) >= max(count, 1) or probability < SECOND_GENRE_SHARE * opinion.confidence:
            break
        related = any(taxonomy.is_descendant(genre, other) or taxonomy.is_descendant(other, genre) for other in chosen)
        if chosen and (related or genre in taxonomy.weak or taxonomy.written(genre) is None):
            continue
        chosen.append(genre)
    names = (taxonomy.written(genre) for genre in chosen)
    return tuple(dict.fromkeys(name for name in names if name is not None))
