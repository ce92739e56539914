"""From decisions to files: what would be written and why, counted, shown, and written one file after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from music_reclass.containers.structure import opened
from music_reclass.domain import Decision, OnExisting, Outcome, Relation
from music_reclass.errors import FailTrack, TrackError
from music_reclass.tagging.commit import WriteOptions, replace_file
from music_reclass.tagging.policy import CLEANED, KEEP, NATIVE, NONE, SURE, WRITE, Proposal, laid_out, propose
from music_reclass.tagging.read import read_tags, tag_errors
from music_reclass.tagging.rewrite import may_get_style, write_tags
from music_reclass.utils.files import mtime_ns
from music_reclass.utils.progress import Progress, Silent

if TYPE_CHECKING:
    from music_reclass.domain import Track
    from music_reclass.features.journal import Journal
    from music_reclass.features.library import Library
    from music_reclass.taxonomy import Taxonomy

# Of a track, and of whether its genre is written too: the style that is there, False where it is to stay as it is.
Held = Callable[["Track", bool], "tuple[str, ...] | bool | None"]
WriteOne = Callable[["Track", Sequence[str], str], None]  # a track, its genres, and its style; empty: stays as it is

_Key = TypeVar("_Key", str, tuple[str, str])

EXAMPLES = 24  # changes kept to be shown; the plan itself is never held in memory

CONFLICTS = 5
MOST_KINDS = 2000  # kinds of change counted apart: a library holds some hundreds of genres
# Reasons of a refused write that are no failure: the file is of a kind, or in a place, that is left alone.
LEFT_ALONE = ("unsupported", "hard_link")
LASTING = ("unsupported", "tags")  # reasons that last until the file changes: no plan counts such a file


@dataclass(slots=True)
class WriteReport:
    """A plan in numbers, and what became of it."""

    tracks: int = 0
    outcomes: dict[str, int] = field(default_factory=lambda: {outcome.value: 0 for outcome in Outcome})
    reasons: dict[str, int] = field(default_factory=dict)  # of skipped and failed tracks
    sounds: dict[str, int] = field(default_factory=dict)  # what is no music, by what it is instead
    relations: dict[str, int] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)  # files that would change, by relation
    expected_right: float = 0.0  # sum of the probabilities of the decided genres
    writes: int = 0
    styles: int = 0  # of these, the files whose field for the style would change
    examples: list[tuple[Track, Proposal]] = field(default_factory=list)  # the first changes
    kinds: dict[tuple[str, str], int] = field(default_factory=dict)  # (before, after) -> files
    written: int = 0
    write_failures: list[tuple[str, str]] = field(default_factory=list)  # path, why
    refused: dict[str, int] = field(default_factory=dict)  # both of these, by reason
    left: list[tuple[str, str]] = field(default_factory=list)  # not written on purpose: path, why
    unwritable: dict[tuple[str, str], int] = field(default_factory=dict)  # would change: (relation, why not) -> files
    conflicts: list[tuple[Track, Proposal]] = field(default_factory=list)  # the first that are left alone
    run: int | None = None

    def count_unwritable(self, proposal: Proposal, reason: str) -> None:
        """Take in a file that would get a genre and cannot be written."""
        _add(self.unwritable, ("" if proposal.relation is None else proposal.relation.value, reason))

    @property
    def failed(self) -> int:
        """Tracks whose file could not be read."""
        return self.outcomes[Outcome.FAILED.value]

    def count(self, track: Track, proposal: Proposal | None) -> None:
        """Take one track in."""
        self.tracks += 1
        if track.outcome is not None:
            self.outcomes[track.outcome.value] += 1
        if track.outcome in (Outcome.SKIPPED, Outcome.FAILED):
            _add(self.reasons, f"{track.outcome.value}: {_why(track)}")
        if sound := _sound(track):
            _add(self.sounds, sound)
        if proposal is None:
            return
        if proposal.relation is not None:
            _add(self.relations, proposal.relation.value)
            _add(self.changes, proposal.relation.value, int(proposal.action == WRITE))
        if track.decision is not None and track.decision.genres:
            self.expected_right += track.decision.confidence
        if _is_refused(track, proposal):
            self.count_unwritable(proposal, proposal.reason)
        if proposal.relation is Relation.CONFLICT and not proposal.writes and len(self.conflicts) < CONFLICTS:
            self.conflicts.append((track, proposal))
        if proposal.writes:
            self.writes += 1
            self.styles += bool(proposal.style_field)
            kind = (shown(track.tags.genres), proposal.shown)
            if kind in self.kinds or len(self.kinds) < MOST_KINDS:
                _add(self.kinds, kind)
            if len(self.examples) < EXAMPLES:
                self.examples.append((track, proposal))


def _add(counts: dict[_Key, int], key: _Key, more: int = 1) -> None:
    counts[key] = counts.get(key, 0) + more


def _why(track: Track) -> str:
    """The reason for which a track has no genre."""
    return track.error.reason if track.error is not None else track.decision.reason if track.decision else ""


def _is_refused(track: Track, proposal: Proposal | None) -> bool:
    """Whether the track would get a genre, were its file one that can be written."""
    return proposal is not None and proposal.action == NONE and proposal.reason in LASTING and bool(track.unwritable)


def _sound(track: Track) -> str:
    """What a track is that was found to be no music: the likeliest of the other labels; "" for all others."""
    decision = track.decision
    if track.error is not None or decision is None or decision.outcome is not Outcome.SKIPPED:
        return ""
    named = (label for vote in decision.votes if vote.stage == decision.stage for label, _ in vote.top(2))
    return next((label for label in named if label != "music"), "")


@dataclass(frozen=True, slots=True)
class WritePlan:
    """What is to be written under a policy for some tracks; computed anew at each pass, so that memory stays flat."""

    tracks: Callable[[], Iterator[Track]]
    taxonomy: Taxonomy
    on_existing: OnExisting
    profile: str = NATIVE
    finer: Callable[[Track, str], str | None] | None = None  # the style that may be written in the place of a genre
    held: Held | None = None  # then the style is written into its own field instead, as far as this allows it
    min_confidence: str = "likely"
    rule: Callable[[Track], Proposal] | None = None  # what is proposed for a track, in the place of all the rest
    chosen: frozenset[int] = frozenset()  # tracks for which the user chose a genre just now: it replaces any other
    _relations: dict[tuple[str, tuple[str, ...] | None], Relation] = field(default_factory=dict)

    def __iter__(self) -> Iterator[tuple[Track, Proposal | None]]:
        """Each track with its proposal; None for tracks that have no decision."""
        for track in self.tracks():
            if self.rule is not None:
                yield track, self.rule(track)
                continue
            decided = track.decision is not None and track.error is None
            yield track, self.proposal_for(track, track.decision) if decided and track.decision else None

    def proposal_for(self, track: Track, decision: Decision) -> Proposal:
        """What would happen to one track's genre field."""
        if self.held is not None:
            proposal = self._laid_out(track, decision)
            return replace(proposal, style_field=self._beside(track, decision, proposal))
        decision, style = self._with_style(track, decision)
        proposal = self._laid_out(track, decision)
        return replace(proposal, style=style if proposal.writes else "")

    def _beside(self, track: Track, decision: Decision, proposal: Proposal) -> str:
        """The style that may be written beside the genre; "" for none.

        It must lie below the genre that the file will hold; one that is there and that the user gave stays.
        """
        if (
            self.finer is None
            or self.held is None
            or proposal.action == NONE
            or decision.reason == "chosen"
            or track.unwritable in LASTING
        ):
            return ""
        style = self.finer(track, decision.genres[0])
        genres = proposal.genres if proposal.writes else track.tags.genres
        if style is None or self._relation(style, genres) is not Relation.REFINE:
            return ""
        there = self.held(track, proposal.writes)
        return "" if there is False or there == (style,) else style

    def _with_style(self, track: Track, decision: Decision) -> tuple[Decision, str]:
        """The decision with a style in the place of its genre, and that style; "" where there is none.

        A genre that is there and that is finer than the decision, but not this style, stays: it is better knowledge.
        """
        if self.finer is None or decision.outcome not in SURE or not decision.genres or decision.reason == "chosen":
            return decision, ""
        first, *others = decision.genres
        style = self.finer(track, first)
        if style is None:
            return decision, ""
        existing = track.tags.genres
        if self._relation(first, existing) is Relation.AGREE and self._relation(style, existing) is Relation.CONFLICT:
            return decision, ""
        return replace(decision, genres=(style, *(other for other in others if other != style))), style

    def _laid_out(self, track: Track, decision: Decision) -> Proposal:
        relation: Relation | None = None
        if decision.genres:
            relation = self._relation(decision.genres[0], track.tags.genres)
        proposal = propose(
            decision, track.tags.genres, relation,
            on_existing=OnExisting.REPLACE if track.id in self.chosen else self.on_existing,
            taxonomy=self.taxonomy, min_confidence=self.min_confidence,
        )  # fmt: skip
        if proposal.writes and track.unwritable in LASTING:
            return replace(proposal, action=NONE, reason=track.unwritable, genres=())
        if not proposal.writes or self.profile == NATIVE:
            return proposal
        values = laid_out(proposal.genres, self.profile)
        if values == track.tags.genres:
            return replace(proposal, action=KEEP, reason="it is there already", genres=())
        return replace(proposal, genres=values)

    def _relation(self, genre: str, existing: tuple[str, ...] | None) -> Relation:
        """Remembered: a library holds few distinct pairs of genres, and many tracks."""
        pair = (genre, existing)
        if pair not in self._relations:
            self._relations[pair] = self.taxonomy.relation(genre, existing)
        return self._relations[pair]

    def tally(self) -> WriteReport:
        """The plan in numbers, with the first changes as examples."""
        tally = WriteReport()
        for track, proposal in self:
            tally.count(track, proposal)
        return tally

    def write(
        self,
        write_one: WriteOne,
        stop: Callable[[], bool],
        emit: Callable[[Track, Proposal | None, bool, str], None],
        progress: Progress | None = None,
    ) -> WriteReport:
        """Write what is proposed with `write_one` until `stop`; `emit` gets each track: written, or why not."""
        tally, bar = WriteReport(), progress or Silent()
        for track, proposal in self:
            tally.count(track, proposal)
            written, problem = False, ""
            if proposal is not None and proposal.writes and not stop():
                try:
                    write_one(track, proposal.genres, proposal.style_field)
                    written = True
                    tally.written += 1
                except TrackError as error:
                    problem = str(error)
                    tally.refused[error.reason] = tally.refused.get(error.reason, 0) + 1
                    refused = tally.left if error.reason in LEFT_ALONE else tally.write_failures
                    refused.append((track.path, problem))
                bar.advance(1, os.path.basename(track.path)[:40])
            emit(track, proposal, written, problem)
        return tally


def shown(genres: Sequence[str] | None) -> str:
    """A genre field as people read it."""
    return "no genre" if genres is None else ", ".join(genres) or "an empty genre"


def track_writer(journal: Journal, library: Library, run: int, options: WriteOptions) -> WriteOne:
    """What writes one track's genres and style: the file by way of the journal, then the library's row of it."""

    def write_one(track: Track, genres: Sequence[str], style: str) -> None:
        def after_step(name: str) -> None:
            # Before the journal's confirmation: killed in between, the change is open, and settling it does this again.
            if name == "sync folder":
                note_file(library, track.path)

        known = (track.size, track.mtime_ns)
        try:
            replace_file(
                journal, run, Path(track.path),
                write_tags(genres, style, _ours(journal, track.path), clear=not (genres or style)),
                options=options, known=known, after_step=after_step,
            )  # fmt: skip
        except FailTrack as error:
            library.note_unwritable(track.path, error.reason)
            raise

    return write_one


def styles_held(journal: Journal) -> Held:
    """What looks into a track's file for its style: one that the user gave is left alone, as is one that cannot be
    written."""

    def held(track: Track, with_genre: bool) -> tuple[str, ...] | bool | None:
        path = Path(track.path)
        try:
            with tag_errors(path), opened(path) as file:
                return may_get_style(file, path, _ours(journal, track.path), with_genre=with_genre)
        except TrackError:  # a genre that is to be written says why it cannot be
            return False

    return held


def _ours(journal: Journal, path: str) -> Callable[[tuple[str, ...]], bool]:
    """Whether a style in this file was written here."""
    real = os.path.realpath(path)
    return lambda style: journal.wrote_style(real, style)


def note_file(library: Library, path: str) -> None:
    """Store size, time and genres of a file that was written, so that it counts as known."""
    status = os.stat(path)
    library.refresh(path, status.st_size, mtime_ns(status), read_tags(Path(path)).genres)


def as_json(track: Track, proposal: Proposal | None, written: bool, problem: str = "") -> dict[str, Any]:
    """One track as `scan --json` prints it (docs/reference/json.md)."""
    decision, error = track.decision, track.error
    sure = decision is not None and error is None
    action = "none" if proposal is None else proposal.action
    return {
        "path": track.path,
        "outcome": None if track.outcome is None else track.outcome.value,
        "reason": error.reason if error else (decision.reason if decision else "not reached"),
        "genres": list(decision.genres) if sure and decision else [],
        "confidence": round(decision.confidence, 4) if sure and decision else 0.0,
        "stage": decision.stage if sure and decision else "",
        "votes": {vote.stage: dict(vote.probabilities) for vote in decision.votes} if sure and decision else {},
        "before": None if track.tags.genres is None else list(track.tags.genres),
        "relation": None if proposal is None or proposal.relation is None else proposal.relation.value,
        "action": action,
        "written": written,
        **({"after": list(proposal.genres)} if proposal is not None and proposal.reason == CLEANED else {}),
        **({"content": track.content} if track.content else {}),
        **({"style": proposal.style} if proposal is not None and proposal.style else {}),
        **({"style_field": proposal.style_field} if proposal is not None and proposal.style_field else {}),
        **({"detail": error.detail} if error and error.detail else {}),
        **({"problem": problem or track.unwritable} if problem or _is_refused(track, proposal) else {}),
        **({"warnings": list(track.warnings)} if track.warnings else {}),
    }
