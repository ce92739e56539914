"""Why a track has its genre: each stage's opinion, the album's, the thresholds, the tag, and what would be written."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from music_reclass.classification.albums import album_of
from music_reclass.classification.policy import REASONS, Thresholds
from music_reclass.classification.reading import FileReader, ReadTask
from music_reclass.domain import Decision, FeatureKind, TrackTags, Vote
from music_reclass.extractors.registry import extractor
from music_reclass.features.decisions import Decisions, TrackState
from music_reclass.features.store import Library
from music_reclass.tagging.plan import Proposal
from music_reclass.tagging.reader import read_tags

if TYPE_CHECKING:
    from music_reclass.classification.voter import Ladder
    from music_reclass.domain import Vector
    from music_reclass.features.database import Database
    from music_reclass.tagging.apply import Plan

TOP = 3


@dataclass(frozen=True, slots=True)
class Account:
    """All that speaks for and against one track's genre."""

    state: TrackState
    proposal: Proposal | None
    thresholds: dict[str, Thresholds]
    company: int  # tracks of its album that voted with it, itself included
    in_library: bool

    def as_json(self) -> dict[str, Any]:
        """The account as one object."""
        decision, error = self.state.decision, self.state.error
        return {
            "path": self.state.path,
            "outcome": None if self.state.outcome is None else self.state.outcome.value,
            "reason": error.reason if error else (decision.reason if decision else ""),
            "genres": list(decision.genres) if decision else [],
            "confidence": round(decision.confidence, 4) if decision else 0.0,
            "votes": {vote.stage: dict(vote.top(len(vote.probabilities))) for vote in decision.votes}
            if decision
            else {},
            "thresholds": {
                name: {"confident": limits.confident, "likely": limits.likely}
                for name, limits in self.thresholds.items()
            },
            "album_tracks": self.company,
            "before": None if self.state.tags.genres is None else list(self.state.tags.genres),
            "relation": self.proposal.relation.value if self.proposal and self.proposal.relation else None,
            "action": self.proposal.action if self.proposal else "none",
            "in_library": self.in_library,
        }

    def lines(self) -> Iterable[tuple[str, str]]:
        """The account for people: (label, text) a line."""
        state, decision = self.state, self.state.decision
        length = "" if state.duration is None else f"  {int(state.duration) // 60}:{int(state.duration) % 60:02}"
        notes = f"  ({', '.join(state.warnings)})" if state.warnings else ""
        yield "file", state.path + length + notes
        yield "tag", _tag(state.tags)
        if state.error is not None:
            yield state.outcome.value if state.outcome else "failed", str(state.error)
        if decision is None:
            return
        for vote in decision.votes:
            yield from self._opinion(vote)
        said = (
            f"{decision.genres[0]} {decision.confidence:.2f}, {decision.outcome.value}" if decision.genres else "unsure"
        )
        yield "decision", f"{said}: {REASONS.get(decision.reason, decision.reason)}"
        if self.proposal is not None:
            verb = f"write {', '.join(self.proposal.genres)}" if self.proposal.writes else "leave the tag alone"
            yield "so", f"{verb} ({REASONS.get(self.proposal.reason, self.proposal.reason)})"

    def _opinion(self, vote: Vote) -> Iterable[tuple[str, str]]:
        best = "  ".join(f"{genre} {_bar(p)} {p:.2f}" for genre, p in vote.top(TOP))
        yield vote.stage, best
        limits = self.thresholds.get(vote.stage)
        if limits is not None:
            confident = "never confident (not certified)"
            if math.isfinite(limits.confident):
                confident = f"confident from {limits.confident:.2f}"
            yield "", f"likely from {limits.likely:.2f}, {confident}"
        elif self.company > 1:
            yield "", f"the opinion of {self.company} tracks of the album together"


def account_for(path: str, database: Database | None, ladder: Ladder, plan: Plan) -> Account:
    """The account of the file at `path`: from the library if it is there unchanged, else by listening now."""
    state = None if database is None else Decisions(database).state_of(path)
    status = os.stat(path)
    current = state is not None and (state.size, state.mtime_ns) == (status.st_size, status.st_mtime_ns)
    if database is not None and state is not None and current:
        state, company = _from_library(state, database, ladder)
    else:
        state, company = _listened(path, status, ladder), 1
    decided = state.decision is not None and state.error is None
    proposal = plan.proposal_for(state, state.decision) if decided and state.decision is not None else None
    return Account(state, proposal, ladder.thresholds, company, current)


def _from_library(state: TrackState, database: Database, ladder: Ladder) -> tuple[TrackState, int]:
    """The track decided anew among its album: the stored decision holds the stages' votes, not the album's."""
    if state.error is not None:
        return state, 1
    fellows = {fellow.id: fellow for fellow in Decisions(database).on_album(state.tags.album)} | {state.id: state}
    album = album_of(state)
    company = {number: fellow for number, fellow in fellows.items() if number == state.id or album_of(fellow) == album}
    if album is None:
        company = {state.id: state}
    decision = ladder.decide(company, Library(database))[state.id]
    return _with(state, decision), len(company)


def _listened(path: str, status: os.stat_result, ladder: Ladder) -> TrackState:
    kind = extractor(ladder.stages[0].kinds[0].name, ladder.stages[0].kinds[0].excerpt).kind
    reading = FileReader(kind, read_tags)(ReadTask(path, status.st_size, status.st_mtime_ns))
    state = TrackState(
        0,
        path,
        reading.size,
        reading.mtime_ns,
        reading.tags,
        reading.duration,
        reading.warnings,
        False,
        None,
        reading.error,
    )
    if reading.vector is None:
        return state
    return _with(state, ladder.decide({0: state}, _One(kind, reading.vector))[0])


@dataclass(frozen=True, slots=True)
class _One:
    """A feature source with the vector of one track, number 0."""

    kind: FeatureKind
    vector: Vector

    def vectors(self, track_ids: Iterable[int], kind: FeatureKind) -> dict[int, Vector]:
        return {0: self.vector} if kind == self.kind and 0 in set(track_ids) else {}


def _with(state: TrackState, decision: Decision) -> TrackState:
    return TrackState(
        state.id, state.path, state.size, state.mtime_ns, state.tags, state.duration, state.warnings, state.missing,
        decision, state.error,
    )  # fmt: skip


def _finite(threshold: float) -> float | None:
    """A threshold for JSON: null means never."""
    return threshold if math.isfinite(threshold) else None


def _tag(tags: TrackTags) -> str:
    genres = "no genre" if tags.genres is None else ", ".join(tags.genres) or "an empty genre"
    who = " - ".join(part for part in (tags.album_artist or tags.artist, tags.album, tags.title) if part)
    return f"{genres}" + (f"   ({who})" if who else "")


def _bar(probability: float) -> str:
    return "█" * max(1, round(probability * 10)) if probability >= 0.05 else "▏"
