"""Why a track has its genre: every stage's vote, exit rule, attribution and evidence, as data."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from music_reclass.classification.albums import STAGE as ALBUM_STAGE
from music_reclass.classification.albums import album_of
from music_reclass.classification.extract import OnDemandFeatures
from music_reclass.classification.reading import read_file
from music_reclass.classification.styles import AUDIOSET, Style, StyleReader, strengths_of, styles_below, tags_in
from music_reclass.classification.tag_prior import STAGE as TAG_STAGE
from music_reclass.domain import Track, Vote
from music_reclass.explain.attribution import Attribution, attribute
from music_reclass.explain.evidence import Evidence, evidence
from music_reclass.extractors.device import Placement
from music_reclass.extractors.registry import WINDOWS
from music_reclass.extractors.weights.store import MissingWeights
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library
from music_reclass.features.results import Scans
from music_reclass.features.user_decisions import UserDecision, UserDecisions
from music_reclass.models.early_exit import exit_rules_of
from music_reclass.utils.files import mtime_ns

if TYPE_CHECKING:
    from music_reclass.classification.voter import Albums, Cascade, Stage
    from music_reclass.domain import FeatureKind, Vector
    from music_reclass.features.database import Database
    from music_reclass.models.early_exit import ExitRule
    from music_reclass.tagging.apply import WritePlan
    from music_reclass.tagging.policy import Proposal

# What came after a stage's vote, in the words of `explain --json`.
ASKED = "asked"  # the next stage voted
EARLY_EXIT = "settled"  # the vote reached the certified threshold: the next stage was not needed
ALBUM_EXIT = "album"  # the album reached it
NOT_EXTRACTED = "unheard"  # the next stage was needed, and has no features of this track
LAST = "last"  # there is no next stage here

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")


@dataclass(frozen=True, slots=True)
class Step:
    """One stage's vote on a track, and what came `after`: ASKED, EARLY_EXIT, ALBUM_EXIT, NOT_EXTRACTED or LAST.

    `exit_rule` decides whether the stage `following` is asked; `from_library` says that it was certified on the user's
    library. `gain`: how much likelier right the final genre was expected to become by asking `following`, None where
    nobody measured it.
    """

    vote: Vote
    after: str
    following: str = ""
    exit_rule: ExitRule | None = None
    gain: float | None = None
    from_library: bool = False

    @property
    def threshold(self) -> float | None:
        """The probability from which the next stage is not needed; None: never."""
        return None if self.exit_rule is None else self.exit_rule.threshold


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that points to one track's genre and against it.

    `album_tracks`: tracks of its album that voted with it, itself included. `windows`: excerpts of it whose mean is the
    vote of the stages that every track is asked at. `extra_votes`: votes of stages that were
    not needed, where they were asked all the same. `seconds` and `usual_seconds`: what extraction for a stage took
    now, and takes a track in the library's scans. `failures`: why features of a stage could not be extracted.
    `user`: what the user decided of it, which is written, whatever the votes and the track's `decision` say.
    """

    track: Track
    cascade: Cascade
    album_tracks: int = 1
    windows: int = 1
    in_library: bool = False
    proposal: Proposal | None = None
    steps: tuple[Step, ...] = ()
    extra_votes: tuple[Vote, ...] = ()
    attribution: Attribution | None = None
    evidence: tuple[Evidence, ...] = ()
    styles: tuple[Style, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    usual_seconds: Mapping[str, float] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    user: UserDecision | None = None

    @property
    def album_vote(self) -> Vote | None:
        """The vote of its album, where it has one."""
        return self._derived(ALBUM_STAGE)

    @property
    def tag_vote(self) -> Vote | None:
        """What tags on the artist's other albums and on the rest of the album say, where that counts."""
        return self._derived(TAG_STAGE)

    def _derived(self, name: str) -> Vote | None:
        votes = self.track.decision.votes if self.track.decision else ()
        return next((vote for vote in votes if vote.stage == name), None)

    @property
    def votes(self) -> tuple[Vote, ...]:
        """The votes of the stages, in their order."""
        return tuple(step.vote for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        """The explanation as one object, with the keys of docs/reference/json.md; null means never or unknown."""
        decision, error = self.track.decision, self.track.error
        tags = self.track.tags.genres
        return {
            "path": self.track.path,
            "outcome": None if self.track.outcome is None else self.track.outcome.value,
            "reason": error.reason if error else (decision.reason if decision else ""),
            "genres": list(decision.genres) if decision else [],
            "confidence": round(decision.confidence, 4) if decision else 0.0,
            "votes": {vote.stage: _shares(vote) for vote in decision.votes} if decision else {},
            "stages": [self._stage_as_json(step) for step in self.steps],
            "agreement": stage_agreement(self.votes),
            "beyond": {vote.stage: _shares(vote) for vote in self.extra_votes},
            "absent": dict(self.cascade.absent),
            "missed": dict(self.failures),
            "evidence": None if self.attribution is None else self.attribution.as_json(),
            "heard": [_evidence_as_json(item) for item in self.evidence],
            "styles": [style.as_json() for style in self.styles],
            "thresholds": {
                name: {"confident": limit(of.confident), "likely": limit(of.likely), "exit": limit(of.exit)}
                for name, of in self.cascade.thresholds.items()
            },
            "prior": None if self.cascade.prior is None else self.cascade.prior.as_json(),
            "album_tracks": self.album_tracks,
            "windows": self.windows,
            "before": None if tags is None else list(tags),
            "relation": self.proposal.relation.value if self.proposal and self.proposal.relation else None,
            "action": self.proposal.action if self.proposal else "none",
            "in_library": self.in_library,
            **({} if self.user is None else {"user": self.user.as_json()}),
        }

    def _stage_as_json(self, step: Step) -> dict[str, Any]:
        rule, stage = step.exit_rule, step.vote.stage
        stated = None
        if rule is not None:
            stated = {
                "threshold": rule.threshold, "epsilon": rule.epsilon, "delta": rule.delta, "count": rule.count,
                "lost": rule.lost, "labels": rule.labels, "own": step.from_library, "why": rule.why,
                "policy": rule.policy,
            }  # fmt: skip
        return {
            "stage": stage,
            "top": [[genre, round(p, 4)] for genre, p in step.vote.top(3)],
            "after": step.after,
            "following": step.following or None,
            "exit": stated,
            "gain": None if step.gain is None else round(step.gain, 4),
            "seconds": None if stage not in self.seconds else round(self.seconds[stage], 3),
            "usual_seconds": None if stage not in self.usual_seconds else round(self.usual_seconds[stage], 3),
        }


def explain(
    path: str,
    cascade: Cascade,
    plan: WritePlan,
    *,
    database: Database | None = None,
    placement: Placement | None = None,
    all_stages: bool = False,
) -> Explanation:
    """Why the file at `path` has its genre: from the library if it is there unchanged, else from features made now.

    Nothing is stored. With `all_stages` every installed stage votes; votes that were not needed do not decide.
    """
    status = os.stat(path)
    track = None if database is None else Decisions(database).track_at(path)
    user = None if database is None or track is None else UserDecisions(database).of(track.digest, track.tags)
    current = track is not None and (track.size, track.mtime_ns) == (status.st_size, mtime_ns(status))
    placement = placement or Placement()
    if database is not None and track is not None and current:
        album = {track.id: track} if track.error is not None else _album_tracks(track, database)
        features = OnDemandFeatures(track.id, Path(path), placement, Library(database), may_extract=all_stages)
    else:
        track, features = _read_now(path, status, cascade, placement)
        album = {track.id: track}
    costs = {} if database is None else Scans(database).costs()
    explanation = Explanation(
        track,
        cascade,
        len(album),
        in_library=current,
        usual_seconds={
            name: cost.seconds_per_track for name, cost in costs.items() if cost.seconds_per_track is not None
        },
        user=user,
    )
    if track.error is not None:
        return explanation
    albums = cascade.albums(album)
    explanation = _with_decision(explanation, cascade.predict(album, features, albums), albums, plan)
    explanation = _with_features(explanation, features, all_stages)
    return replace(explanation, styles=_styles(explanation, features, database))


def _with_decision(
    explanation: Explanation, votes: Mapping[int, Sequence[Vote]], albums: Albums, plan: WritePlan
) -> Explanation:
    """The explanation with the decision, the steps to it and what would be written; `votes` of the whole album."""
    cascade, track = explanation.cascade, explanation.track
    decision = cascade.conclude(votes, albums)[track.id]
    track = replace(track, decision=decision)
    return replace(
        explanation,
        track=track,
        proposal=plan.proposal_for(track, decision if explanation.user is None else explanation.user.over(decision)),
        steps=steps(cascade, votes, albums, track.id),
    )


def _with_features(explanation: Explanation, features: OnDemandFeatures, all_stages: bool) -> Explanation:
    """The explanation with what its features show: attribution, evidence, votes beyond need, and what it cost."""
    stages, decision = explanation.cascade.stages, explanation.track.decision
    assert decision is not None
    voted = {vote.stage for vote in explanation.votes}
    extra_votes: list[Vote] = []
    if all_stages:
        for stage in stages:
            extra_votes += stage.votes([] if stage.name in voted else [explanation.track.id], features).values()
    last = next((stage for stage in reversed(stages) if stage.name in voted), None)
    deciding = next((vote for vote in decision.votes if vote.stage == decision.stage), None)
    return replace(
        explanation,
        windows=1 + sum(_voted(window, stages[0], features) for window in explanation.cascade.further_windows),
        extra_votes=tuple(extra_votes),
        attribution=None if last is None or deciding is None else _attributed(last, features, deciding.genre),
        evidence=evidence(tags_in(_of_the_middle(_with_tags(features, stages[0]))), explanation.cascade.taxonomy),
        seconds={name: sum(values) for name, values in _by_stage(stages, features.seconds).items()},
        failures={name: str(values[0]) for name, values in _by_stage(stages, features.failed).items()},
    )


def _styles(explanation: Explanation, features: OnDemandFeatures, database: Database | None) -> tuple[Style, ...]:
    """The styles below the decided genre, or below the first one of the last vote, that stored or known tags name."""
    decision = explanation.track.decision
    genre = decision.genres[0] if decision and decision.genres else None
    if genre is None and explanation.votes:
        genre = explanation.votes[-1].genre
    if genre is None:
        return ()
    vectors, taxonomy = _with_tags(features, explanation.cascade.stages[0]), explanation.cascade.taxonomy
    if database is not None:
        return StyleReader(database, taxonomy).of(explanation.track, genre, vectors)
    return styles_below(genre, {kind: strengths_of(kind, one) for kind, one in vectors.items()}, taxonomy, None)


def _with_tags(features: OnDemandFeatures, first: Stage) -> Mapping[FeatureKind, Vector]:
    """The known vectors, and those of AudioSet's tags: stored, or made now where EfficientAT is installed."""
    from music_reclass.extractors.registry import extractor

    if any(kind.name in AUDIOSET for kind in features.known):
        return features.known
    try:
        kind = extractor(AUDIOSET[0], first.kinds[0].excerpt).kind
    except MissingWeights:
        return features.known
    apart = OnDemandFeatures(features.number, features.path, features.placement, features.stored)
    apart.vectors([apart.number], kind)
    return {**apart.known, **features.known}


def steps(cascade: Cascade, votes: Mapping[int, Sequence[Vote]], albums: Albums, track_id: int) -> tuple[Step, ...]:
    """The steps of `track_id`; `votes` of its `albums` as `Cascade.predict` gives them."""
    found = []
    cast = {vote.stage: vote for vote in votes.get(track_id, ())}
    for position, stage in enumerate(cascade.stages):
        vote = cast.get(stage.name)
        if vote is None:
            continue
        following = cascade.stages[position + 1] if position + 1 < len(cascade.stages) else None
        if following is None:
            found.append(Step(vote, LAST))
            continue
        if following.name in cast:
            after = ASKED
        elif track_id in cascade.uncertain(votes, position + 1, albums):
            after = NOT_EXTRACTED
        else:
            after = EARLY_EXIT if vote.confidence >= stage.thresholds.exit else ALBUM_EXIT
        from_library = stage.exit_rule is not None and _is_of_library(stage.exit_rule, stage)
        found.append(Step(vote, after, following.name, stage.exit_rule, _gain(stage, vote), from_library))
    return tuple(found)


def stage_agreement(votes: Sequence[Vote]) -> str:
    """How the stages' first genres stand to each other, in words; empty for fewer than two votes."""
    if len(votes) < 2:
        return ""
    *earlier, last = votes
    agreeing = [place for place, vote in enumerate(earlier) if vote.genre == last.genre]
    others = [place for place in range(len(earlier)) if place not in agreeing]
    if not others:
        everyone = "both stages say" if len(votes) == 2 else f"all {_NUMBERS[len(votes)]} stages say"
        return f"{everyone} {last.genre}"
    name = _ORDINALS[len(earlier)]
    overruled = _joined([f"the {_ORDINALS[place]}" for place in others])
    genres = _joined(list(dict.fromkeys(earlier[place].genre for place in others)), "or")
    if not agreeing:
        return f"the {name} overrules {overruled}: {last.genre}, not {genres}"
    same = _joined([f"the {_ORDINALS[place]}" for place in agreeing])
    return f"the {name} says {last.genre} like {same}; {overruled} said {genres}"


def limit(threshold: float) -> float | None:
    """A threshold for JSON: null means never."""
    return threshold if math.isfinite(threshold) else None


def _is_of_library(rule: ExitRule, stage: Stage) -> bool:
    """Whether a rule was certified on the user's library, whatever policy chose its threshold."""
    stated = ((one.against, one.count, one.lost, one.gain) for one in exit_rules_of(stage.manifest))
    return bool(rule.against) and (rule.against, rule.count, rule.lost, rule.gain) not in stated


def _gain(stage: Stage, vote: Vote) -> float | None:
    return stage.expected_gain(vote) if stage.exit_rule is not None and stage.exit_rule.gain else None


def _joined(words: list[str], last: str = "and") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def _album_tracks(track: Track, database: Database) -> dict[int, Track]:
    """The tracks of its album, itself among them: the stored decision holds the stages' votes, not the album's."""
    album = album_of(track.path, track.tags)
    if album is None:
        return {track.id: track}
    others = Decisions(database).on_album(track.tags.album)
    return {other.id: other for other in others if album_of(other.path, other.tags) == album} | {track.id: track}


def _read_now(
    path: str, status: os.stat_result, cascade: Cascade, placement: Placement
) -> tuple[Track, OnDemandFeatures]:
    """The track as the file is now, and a source of its features that holds those of its first reading."""
    kinds = cascade.first_read
    seconds: dict[FeatureKind, float] = {}
    track = read_file((Track(path, status.st_size, mtime_ns(status)), ()), kinds, seconds)
    known = {} if track.vector is None else {kinds[0]: track.vector, **track.more}
    taken = {kind: spent for kind, spent in seconds.items() if kind != kinds[0]}
    return track, OnDemandFeatures(0, Path(path), placement, known=known, seconds=taken)


def _of_the_middle(known: Mapping[FeatureKind, Vector]) -> dict[FeatureKind, Vector]:
    return {kind: vector for kind, vector in known.items() if kind.excerpt not in WINDOWS}


def _voted(window: str, stage: Stage, features: OnDemandFeatures) -> bool:
    return all(replace(kind, excerpt=window) in features.known for kind in stage.kinds)


def _attributed(stage: Stage, features: OnDemandFeatures, genre: str) -> Attribution | None:
    row = np.concatenate([np.asarray(features.known[kind], dtype=np.float32) for kind in stage.kinds])
    return attribute(stage, row, genre)


T = TypeVar("T")


def _by_stage(stages: Iterable[Stage], values: Mapping[FeatureKind, T]) -> dict[str, list[T]]:
    """What is known by feature kind, by the first stage that needs the kind."""
    found: dict[str, list[T]] = {}
    assigned: set[FeatureKind] = set()
    for stage in stages:
        mine = [values[kind] for kind in stage.kinds if kind in values and kind not in assigned]
        if mine:
            found[stage.name] = mine
        assigned.update(stage.kinds)
    return found


def _shares(vote: Vote) -> dict[str, float]:
    return dict(vote.top(len(vote.probabilities)))


def _evidence_as_json(item: Evidence) -> dict[str, Any]:
    return {
        "tag": item.tag, "name": item.name, "strength": round(item.strength, 4), "typical": item.typical,
        "genres": list(item.genres), "reason": item.reason,
    }  # fmt: skip
