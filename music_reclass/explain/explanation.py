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
from music_reclass.classification.extract import OnDemandFeatures, read_file
from music_reclass.domain import Track, Vote
from music_reclass.explain.attribution import Attribution, attribute
from music_reclass.explain.evidence import Evidence, evidence, tags_in
from music_reclass.extractors.device import Placement
from music_reclass.extractors.registry import extractor
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library
from music_reclass.features.results import Scans
from music_reclass.models.early_exit import exit_rules_of

if TYPE_CHECKING:
    from music_reclass.classification.voter import Albums, Cascade, Stage
    from music_reclass.domain import FeatureKind
    from music_reclass.features.database import Database
    from music_reclass.models.early_exit import ExitRule
    from music_reclass.tagging.apply import WritePlan
    from music_reclass.tagging.policy import Proposal

ASKED = "asked"  # the next stage was asked
SETTLED = "settled"  # the vote reached the certified exit: the next stage was not needed
ALBUM = "album"  # the album reached it
NOT_EXTRACTED = "unheard"  # (the word in --json) the next stage was to be asked, and has no vector of this track
LAST = "last"  # there is no next stage here

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


@dataclass(frozen=True, slots=True)
class Step:
    """What one stage said of a track, and what came `after`: ASKED, SETTLED, ALBUM, NOT_EXTRACTED or LAST.

    `certificate` is that of the exit behind this stage, if there is one, and `on_library` says that it was made on the
    user's library; `gain` is how much likelier right the final genre was expected to become by asking `following`,
    None where nobody measured it.
    """

    vote: Vote
    after: str
    following: str = ""
    certificate: ExitRule | None = None
    gain: float | None = None
    on_library: bool = False

    @property
    def threshold(self) -> float | None:
        """The probability from which the next stage is not needed; None: never."""
        return None if self.certificate is None else self.certificate.threshold


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
            after = SETTLED if vote.confidence >= stage.thresholds.exit else ALBUM
        on_library = stage.exit_rule is not None and stage.exit_rule not in exit_rules_of(stage.manifest)
        found.append(Step(vote, after, following.name, stage.exit_rule, _gain(stage, vote), on_library))
    return tuple(found)


def stage_agreement(votes: Sequence[Vote]) -> str:
    """How the stages' first genres stand to each other, in words; empty for fewer than two votes."""
    if len(votes) < 2:
        return ""
    *earlier, last = votes
    agreeing = [place for place, vote in enumerate(earlier) if vote.genre == last.genre]
    others = [place for place in range(len(earlier)) if place not in agreeing]
    if not others:
        everyone = "both stages say" if len(votes) == 2 else f"all {_count(len(votes))} stages say"
        return f"{everyone} {last.genre}"
    name = _ORDINALS[len(earlier)]
    overruled = _joined([f"the {_ORDINALS[place]}" for place in others])
    genres = _joined(list(dict.fromkeys(earlier[place].genre for place in others)), "or")
    if not agreeing:
        return f"the {name} overrules {overruled}: {last.genre}, not {genres}"
    side = _joined([f"the {_ORDINALS[place]}" for place in agreeing])
    return f"the {name} says {last.genre} like {side}; {overruled} said {genres}"


def limit(threshold: float) -> float | None:
    """A threshold for JSON: null means never."""
    return threshold if math.isfinite(threshold) else None


def _gain(stage: Stage, vote: Vote) -> float | None:
    return stage.expected_gain(vote) if stage.exit_rule is not None and stage.exit_rule.gain else None


def _count(number: int) -> str:
    return ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")[number]


def _joined(words: list[str], last: str = "and") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


T = TypeVar("T")
TOP = 3


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that speaks for and against one track's genre.

    `album_tracks`: tracks of its album that voted with it, itself included. `beyond`: what stages say that were not
    needed, where they were asked all the same. `took` and `usual`: seconds that extraction for a stage took now, and
    takes a track in the library's scans. `missed`: why features could not be extracted for a stage.
    """

    state: Track
    cascade: Cascade
    album_tracks: int = 1
    in_library: bool = False
    proposal: Proposal | None = None
    steps: tuple[Step, ...] = ()
    beyond: tuple[Vote, ...] = ()
    attribution: Attribution | None = None
    evidence: tuple[Evidence, ...] = ()
    took: Mapping[str, float] = field(default_factory=dict)
    usual: Mapping[str, float] = field(default_factory=dict)
    missed: Mapping[str, str] = field(default_factory=dict)

    @property
    def album(self) -> Vote | None:
        """The opinion of its album, where it has one."""
        votes = self.state.decision.votes if self.state.decision else ()
        return next((vote for vote in votes if vote.stage == ALBUM_STAGE), None)

    @property
    def votes(self) -> tuple[Vote, ...]:
        """The votes of the stages, in their order."""
        return tuple(step.vote for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        """The explanation as one object; every number is finite, null means never or unknown."""
        decision, error = self.state.decision, self.state.error
        tags = self.state.tags.genres
        return {
            "path": self.state.path,
            "outcome": None if self.state.outcome is None else self.state.outcome.value,
            "reason": error.reason if error else (decision.reason if decision else ""),
            "genres": list(decision.genres) if decision else [],
            "confidence": round(decision.confidence, 4) if decision else 0.0,
            "votes": {vote.stage: _shares(vote) for vote in decision.votes} if decision else {},
            "stages": [self._stage_as_json(step) for step in self.steps],
            "agreement": stage_agreement(self.votes),
            "beyond": {vote.stage: _shares(vote) for vote in self.beyond},
            "absent": dict(self.cascade.absent),
            "missed": dict(self.missed),
            # the words of --json: "evidence" is the attribution, "heard" the evidence
            "evidence": None if self.attribution is None else self.attribution.as_json(),
            "heard": [_evidence_as_json(one) for one in self.evidence],
            "thresholds": {
                name: {"confident": limit(found.confident), "likely": limit(found.likely), "exit": limit(found.exit)}
                for name, found in self.cascade.thresholds.items()
            },
            "album_tracks": self.album_tracks,
            "before": None if tags is None else list(tags),
            "relation": self.proposal.relation.value if self.proposal and self.proposal.relation else None,
            "action": self.proposal.action if self.proposal else "none",
            "in_library": self.in_library,
        }

    def _stage_as_json(self, step: Step) -> dict[str, Any]:
        rule, stage = step.certificate, step.vote.stage
        certificate = None
        if rule is not None:
            certificate = {
                "threshold": rule.threshold, "epsilon": rule.epsilon, "delta": rule.delta, "count": rule.count,
                "lost": rule.lost, "labels": rule.labels, "own": step.on_library, "why": rule.why,
            }  # fmt: skip
        return {
            "stage": stage,
            "top": [[genre, round(p, 4)] for genre, p in step.vote.top(TOP)],
            "after": step.after,
            "following": step.following or None,
            "exit": certificate,
            "gain": None if step.gain is None else round(step.gain, 4),
            "seconds": None if stage not in self.took else round(self.took[stage], 3),
            "usual_seconds": None if stage not in self.usual else round(self.usual[stage], 3),
        }


def explain(
    path: str,
    database: Database | None,
    cascade: Cascade,
    plan: WritePlan,
    *,
    placement: Placement | None = None,
    all_stages: bool = False,
) -> Explanation:
    """The explanation of the file at `path`: from the library if it is there unchanged, else extracted now.

    Nothing is stored. With `all_stages` every installed stage votes; what was not needed stays out of the decision.
    """
    status = os.stat(path)
    state = None if database is None else Decisions(database).track_at(path)
    current = state is not None and (state.size, state.mtime_ns) == (status.st_size, status.st_mtime_ns)
    placement = placement or Placement()
    if database is not None and state is not None and current:
        company = {state.id: state} if state.error is not None else _on_album(state, database)
        features = OnDemandFeatures(state.id, Path(path), placement, Library(database), may_extract=all_stages)
    else:
        state, features = _read_now(path, status, cascade.stages[0], placement)
        company = {state.id: state}
    usual = {} if database is None else Scans(database).costs()
    explanation = Explanation(
        state,
        cascade,
        len(company),
        in_library=current,
        usual={name: cost.seconds_per_track for name, cost in usual.items() if cost.seconds_per_track is not None},
    )
    if state.error is not None:
        return explanation
    return _concluded(explanation, company, features, plan, all_stages=all_stages)


def _concluded(
    explanation: Explanation,
    company: Mapping[int, Track],
    features: OnDemandFeatures,
    plan: WritePlan,
    *,
    all_stages: bool,
) -> Explanation:
    """The explanation with the votes, what followed from them, and what they rest on."""
    cascade, number = explanation.cascade, explanation.state.id
    albums = cascade.albums(company)
    votes = cascade.predict(company, features, albums)
    decision = cascade.conclude(votes, albums)[number]
    state = replace(explanation.state, decision=decision)
    asked = {vote.stage for vote in votes[number]}
    beyond: list[Vote] = []
    if all_stages:
        for stage in cascade.stages:
            beyond += stage.votes([] if stage.name in asked else [number], features).values()
    by_name = {stage.name: stage for stage in cascade.stages}
    last = by_name[votes[number][-1].stage] if votes[number] else None
    opinion = next((vote for vote in decision.votes if vote.stage == decision.stage), None)
    return replace(
        explanation,
        state=state,
        proposal=plan.proposal_for(state, decision),
        steps=steps(cascade, votes, albums, number),
        beyond=tuple(beyond),
        attribution=None if last is None or opinion is None else _attributed(last, features, opinion.genre),
        evidence=evidence(tags_in(features.known), cascade.taxonomy),
        took={name: sum(seconds) for name, seconds in _by_stage(cascade.stages, features.seconds).items()},
        missed={name: str(errors[0]) for name, errors in _by_stage(cascade.stages, features.failed).items()},
    )


def _on_album(state: Track, database: Database) -> dict[int, Track]:
    """The tracks of its album, itself among them: the stored decision holds the stages' votes, not the album's."""
    album = album_of(state.path, state.tags)
    if album is None:
        return {state.id: state}
    found = {track.id: track for track in Decisions(database).on_album(state.tags.album)} | {state.id: state}
    return {
        number: track
        for number, track in found.items()
        if number == state.id or album_of(track.path, track.tags) == album
    }


def _read_now(path: str, status: os.stat_result, stage: Stage, placement: Placement) -> tuple[Track, OnDemandFeatures]:
    """What the file says about itself, and a feature source that holds its vector for the first stage."""
    kind = extractor(stage.kinds[0].name, stage.kinds[0].excerpt).kind
    track = read_file((Track(path, status.st_size, status.st_mtime_ns), ()), kind)
    known = {} if track.vector is None else {kind: track.vector}
    return track, OnDemandFeatures(0, Path(path), placement, known=known)


def _attributed(stage: Stage, features: OnDemandFeatures, genre: str) -> Attribution | None:
    row = np.concatenate([np.asarray(features.known[kind], dtype=np.float32) for kind in stage.kinds])
    return attribute(stage, row, genre)


def _by_stage(stages: Iterable[Stage], values: Mapping[FeatureKind, T]) -> dict[str, list[T]]:
    """What is known by kind, by the stage that brings the kind into the cascade."""
    found: dict[str, list[T]] = {}
    met: set[FeatureKind] = set()
    for stage in stages:
        new = [values[kind] for kind in stage.kinds if kind in values and kind not in met]
        if new:
            found[stage.name] = new
        met.update(stage.kinds)
    return found


def _shares(vote: Vote) -> dict[str, float]:
    return dict(vote.top(len(vote.probabilities)))


def _evidence_as_json(one: Evidence) -> dict[str, Any]:
    return {
        "tag": one.tag, "name": one.name, "strength": round(one.strength, 4), "typical": one.typical,
        "genres": list(one.genres), "reason": one.reason,
    }  # fmt: skip
