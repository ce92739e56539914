"""From votes to a decision, and whether a track exits the cascade early: pure arithmetic with thresholds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from music_reclass.domain import CONTENT, MUSIC, SPEECH, Decision, Outcome, Vote
from music_reclass.errors import BundleError
from music_reclass.models.early_exit import LEAST
from music_reclass.taxonomy import Taxonomy

REASONS: dict[str, str] = {
    "sure": "the stage is sure",
    "likely": "the stage finds it likely",
    "album": "the tracks of the album agree on it",
    "tags": "tags on the artist's other albums or on the rest of the album make it likely",
    "doubt": "no genre is likely enough",
    "album_doubt": "the tracks of the album together leave no genre likely enough",
    "prior": "likely enough, as this genre is frequent in the library",
    "tie": "two genres that the training music does not tell apart are nearly equally likely",
    "weak_genre": "likely, but this genre says so little that it is decided only when the stage is sure",
    "dropped": "the taxonomy drops this genre and everything above it",
    "no_vote": "no stage could vote",
    "chosen": "you chose it",
    "left": "you said to leave it alone",
    "not_music": "it is no music",
    "perhaps_not_music": "it is not surely music",
    "speech": "it is speech, and --speech asks for a genre of it",
}
"""Every reason code a decision can have, as libraries store it, with the sentence for people."""

SECOND_GENRE_SHARE = 0.5
"""A further genre needs at least this share of the first genre's probability."""

TIE = 2.0
"""A first genre with less than this many times the probability of one that training confused it with is a tie."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The probabilities from which a stage is `confident`, finds a genre `likely`, and lets a track exit; inf: never.

    Never is what a bundle says by leaving a threshold out. `confident` is certified or infinite; `sure`, which needs no
    certificate, is from where on a track keeps its vote against its album's and a weak genre is decided. `exit` alone
    says whether a later stage is asked. `confusable` are pairs of genres that training did not tell apart.
    """

    confident: float = math.inf
    likely: float = math.inf
    exit: float = math.inf
    sure: float | None = None  # None: as `confident`
    confusable: frozenset[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        if not (0.0 < self.likely <= min(self.confident, self.keeps) and self.exit > 0.0):  # false for NaN too
            raise BundleError(
                f"The thresholds likely = {self.likely}, confident = {self.confident} and exit = {self.exit} make no "
                "sense; 0 < likely <= confident and 0 < exit must hold, so train or install the bundle again."
            )

    @property
    def keeps(self) -> float:
        """From which probability on a track keeps its vote against its album's."""
        return self.confident if self.sure is None else self.sure

    @classmethod
    def from_manifest(
        cls,
        manifest: Mapping[str, Any],
        exit_threshold: float | None = None,
        genres: Mapping[str, str] | None = None,
    ) -> Thresholds:
        """What a bundle states: `thresholds`, with the `certificates` that were met, and `confusable` labels.

        No threshold lies below LEAST; a missing one means never, and without `likely` only sure decisions are taken.
        `exit_threshold` is that of the exit rule, None: none; `genres` are the labels as the taxonomy names them.
        """
        try:
            stated, met = manifest.get("thresholds", {}), manifest.get("certificates", {}).get("confident", {})
            high, low = stated.get("confident"), stated.get("likely")
            certified = bool(met.get("certified")) and met.get("threshold", high) == high
            pairs = ({(genres or {}).get(label, label) for label in pair} for pair in manifest.get("confusable", ()))
            confusable = frozenset(frozenset(pair) for pair in pairs if len(pair) == 2)
        except (AttributeError, TypeError) as error:
            raise BundleError(f"What the bundle states of its thresholds makes no sense ({error}).") from error
        sure = math.inf if high is None else max(float(high), LEAST)
        return cls(
            confident=sure if certified else math.inf,
            likely=sure if low is None else max(float(low), LEAST),
            exit=math.inf if exit_threshold is None else exit_threshold,
            sure=sure,
            confusable=confusable,
        )

    def outcome(self, confidence: float) -> Outcome:
        """What a calibrated probability amounts to."""
        if confidence >= self.confident:
            return Outcome.CONFIDENT
        return Outcome.LIKELY if confidence >= self.likely else Outcome.UNSURE


def is_sure(votes: Sequence[Vote], thresholds: Mapping[str, Thresholds]) -> bool:
    """Whether the last vote is so sure that the album cannot change it."""
    return bool(votes) and votes[-1].confidence >= thresholds[votes[-1].stage].keeps


def may_exit(votes: Sequence[Vote], thresholds: Mapping[str, Thresholds], album: Vote | None = None) -> bool:
    """Whether no further stage needs to be asked: the last vote reaches its stage's exit threshold, or the `album`
    does and the track itself puts the same genre first. Never on a tie, which a later stage may break."""
    if not votes:
        return False
    last, limits = votes[-1], thresholds[votes[-1].stage]
    if last.confidence >= limits.exit:
        return tied(last, limits) is None
    agrees = album is not None and album.confidence >= limits.exit and album.genre == last.genre
    return agrees and album is not None and tied(album, limits) is None


def tied(vote: Vote, limits: Thresholds) -> tuple[str, str] | None:
    """The first two genres of a vote where training did not tell them apart and they are nearly equally likely."""
    if not limits.confusable:
        return None
    (first, most), *others = vote.top(2)
    if not others or most >= TIE * others[0][1] or frozenset((first, others[0][0])) not in limits.confusable:
        return None
    return first, others[0][0]


def genre_votes(votes: Sequence[Vote]) -> tuple[Vote, ...]:
    """The votes for genres, without those that tell music from other sounds."""
    return tuple(vote for vote in votes if vote.stage not in CONTENT)


def not_music(votes: Sequence[Vote], thresholds: Mapping[str, Thresholds]) -> Vote | None:
    """The vote by which a track is no music; None where it is music, or no stage of CONTENT voted. The last one counts,
    as it has looked closer."""
    cast = [vote for vote in votes if vote.stage in CONTENT and vote.stage in thresholds]
    if not cast:
        return None
    _, confidence = cast[-1].instead_of_music
    return None if thresholds[cast[-1].stage].outcome(confidence) is Outcome.UNSURE else cast[-1]


def perhaps_not_music(votes: Sequence[Vote], thresholds: Mapping[str, Thresholds]) -> bool:
    """Whether music is less likely than what a stage of CONTENT would have to find something else to refuse the track:
    neither is sure then. Such a track gets no genre either."""
    cast = [vote for vote in votes if vote.stage in CONTENT and vote.stage in thresholds]
    return bool(cast) and cast[-1].probabilities.get(MUSIC, 1.0) < min(thresholds[cast[-1].stage].likely, 1.0)


def decide(
    votes: Sequence[Vote],
    thresholds: Mapping[str, Thresholds],
    taxonomy: Taxonomy,
    album: Vote | None = None,
    *,
    prior: Vote | None = None,
    tags: Vote | None = None,
    max_genres: int = 1,
    speech_genre: str = "",
) -> Decision:
    """What the votes of one track amount to; `votes` in the order of the cascade, genres of `taxonomy` as labels.

    The last vote counts, because a later stage has the features of the earlier ones too. A track that is not sure by
    itself takes the opinion of its `album`, upwards and downwards (docs/explanation/decisions.md has the numbers). What
    the `tags` nearby say is a prior, as is how frequent genres are (`prior`): they count once, whether the track or its
    album is asked.
    What is no music gets no genre; speech gets `speech_genre` if there is one.
    """
    refusal = not_music(votes, thresholds)
    if refusal is not None:
        return _refused(refusal, tuple(votes), taxonomy.written(speech_genre) if speech_genre else None)
    cast = genre_votes(votes)
    if not cast:
        return Decision(Outcome.UNSURE, "no_vote", votes=tuple(votes))
    last = cast[-1]
    limits, perhaps = thresholds[last.stage], perhaps_not_music(votes, thresholds)
    if perhaps:
        limits = replace(limits, confident=math.inf, likely=math.inf, sure=math.inf)
    by_album = album is not None and not is_sure(cast, thresholds)
    heeded = album if album is not None and by_album else last
    kept = (*votes, *(vote for vote in (tags, album) if vote is not None))
    frequent = heeded if prior is None else with_prior(heeded, prior)
    opinion = frequent if tags is None else with_prior(frequent, tags)
    outcome = _outcome(opinion, heeded, limits)
    reason = _reason(outcome, by_album)
    if outcome is not Outcome.UNSURE and (opinion.genre != heeded.genre or heeded.confidence < limits.likely):
        by_tags = opinion.genre != frequent.genre or frequent.confidence < limits.likely
        reason = "tags" if by_tags else "prior"
    tie = tied(opinion, limits)
    if tie is not None:
        parent = _parent_of(tie, opinion, limits, taxonomy)
        if parent is not None:
            return Decision(Outcome.LIKELY, "tie", parent[:1], parent[1], opinion.stage, kept)
        outcome, reason = Outcome.UNSURE, reason if outcome is Outcome.UNSURE else "tie"
    if outcome is not Outcome.UNSURE:
        if opinion.genre in taxonomy.weak and opinion.confidence < limits.keeps:
            outcome, reason = Outcome.UNSURE, "weak_genre"
        elif taxonomy.written(opinion.genre) is None:
            outcome, reason = Outcome.UNSURE, "dropped"
    genres = () if outcome is Outcome.UNSURE else _genres(opinion, taxonomy, max_genres)
    reason = "perhaps_not_music" if perhaps else reason
    return Decision(outcome, reason, genres, opinion.confidence, opinion.stage, kept)


def with_prior(opinion: Vote, prior: Vote) -> Vote:
    """The opinion times the prior, label by label; one that the prior does not know is neither raised nor lowered."""
    neutral = 1.0 / len(prior.probabilities)
    shares = {name: share * prior.probabilities.get(name, neutral) for name, share in opinion.probabilities.items()}
    total = math.fsum(shares.values())
    return Vote(opinion.stage, {name: share / total for name, share in shares.items()}) if total > 0 else opinion


def _outcome(opinion: Vote, heeded: Vote, limits: Thresholds) -> Outcome:
    """What the opinion amounts to. It is confident only where what was `heeded` is so without a prior: that is what was
    certified."""
    outcome = limits.outcome(opinion.confidence)
    certified = opinion.genre == heeded.genre and heeded.confidence >= limits.confident
    return Outcome.LIKELY if outcome is Outcome.CONFIDENT and not certified else outcome


def _parent_of(tie: tuple[str, str], opinion: Vote, limits: Thresholds, taxonomy: Taxonomy) -> tuple[str, float] | None:
    """The nearest genre that holds both, as it is written, and how likely they are together; None if too unlikely."""
    first, second = tie
    below = (second, *taxonomy.ancestors(second))
    common = next((name for name in (first, *taxonomy.ancestors(first)) if name in below), None)
    together = min(1.0, sum(opinion.probabilities[name] for name in tie))
    if common is None or together < (limits.keeps if common in taxonomy.weak else limits.likely):
        return None
    written = taxonomy.written(common)
    return None if written is None else (written, together)


def _refused(vote: Vote, votes: tuple[Vote, ...], speech_genre: str | None) -> Decision:
    sound, confidence = vote.instead_of_music
    if sound == SPEECH and speech_genre is not None:
        return Decision(Outcome.CONFIDENT, "speech", (speech_genre,), confidence, vote.stage, votes)
    return Decision(Outcome.SKIPPED, "not_music", (), confidence, vote.stage, votes)


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
