"""Audits early exits: a random sample of exited tracks is run through the whole cascade."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.classification.agreement import tag_agreement
from music_reclass.classification.albums import album_of
from music_reclass.classification.extract import extract_missing
from music_reclass.classification.relabel import translated
from music_reclass.errors import NothingToDo
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library
from music_reclass.features.user_decisions import UserDecisions
from music_reclass.models.early_exit import lower_bound, upper_bound
from music_reclass.models.exit_policy import CERTIFIED
from music_reclass.utils.progress import progress_bar
from music_reclass.utils.words import counted

if TYPE_CHECKING:
    from music_reclass.classification.extract import ExtractionRunner
    from music_reclass.classification.voter import Cascade
    from music_reclass.domain import Vote
    from music_reclass.features.database import Database
    from music_reclass.utils.progress import Bar

SHARE = 0.02
FEWEST = 30
"""Audited tracks from which on an alarm may be raised: among fewer one track more or less changes the answer."""

TAGGED = 30
"""Tracks with a tag of the user from which the loss itself is judged; with fewer the disagreement, which bounds it."""

_LEVEL = 0.025  # on either side of an interval


@dataclass(frozen=True, slots=True)
class ExitSample:
    """A random sample of early exits: the vote that each track exited with, by track id."""

    exits: Mapping[int, Vote]
    tracks: int  # with a vote, in the whole library
    early: float  # how many exits there are in the library, estimated from the sample
    looked_at: int  # tracks drawn, those among them that did not exit included
    share: float
    seed: int


@dataclass(frozen=True, slots=True)
class ExitGroup:
    """Audited tracks that exited at one stage, by their vote or by their album's.

    Of the `tagged` ones `lost` were wrong there and right at the end, `won` the other way round.
    """

    stage: str
    by_album: bool
    audited: int
    different: int  # of another genre at the end
    low: float  # bounds of the share of these, 95 %, exact
    high: float
    tagged: int
    lost: int
    won: int

    def as_json(self) -> dict[str, Any]:
        """The group as plain values."""
        return {
            "stage": self.stage, "how": "album" if self.by_album else "own", "heard": self.audited,
            "other": self.different, "low": self.low, "high": self.high, "tagged": self.tagged, "lost": self.lost,
            "won": self.won,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class ExitCheck:
    """One stage against its guarantee: the share of all tracks that exit there and are lost (or, where too few carry
    a tag or the guarantee is one of agreement, get another genre), with bounds at 95 %."""

    stage: str
    measure: str  # loss | disagreement
    guaranteed_by_tags: bool
    epsilon: float
    rate: float
    low: float
    high: float
    audited: int = FEWEST

    @property
    def alarm(self) -> bool:
        """Whether more is lost than guaranteed, as far as the sample tells; few tracks raise none."""
        return self.rate > self.epsilon and self.audited >= FEWEST

    @property
    def significant(self) -> bool:
        """Whether the interval excludes the guarantee: chance does not explain it."""
        return self.low > self.epsilon and self.audited >= FEWEST

    def sentence(self) -> str:
        """For people."""
        what = "lose their right genre by exiting here" if self.measure == "loss" else "would get another genre"
        interval = f"95 % interval {self.low:.1%} to {self.high:.1%}"
        text = f"{self.rate:.1%} of all tracks {what} ({interval}); guaranteed: at most {self.epsilon:.1%}"
        if self.measure == "disagreement" and self.guaranteed_by_tags:
            text += " lost, which is less than another genre"
        if self.significant:
            return f"{text}. The interval lies above the guarantee: it does not hold here"
        if self.alarm:
            return f"{text}. The interval includes the guarantee: a larger --share says more"
        if self.audited < FEWEST:
            few = f"{counted(self.audited, 'track')} audited, and from {FEWEST} on an audit says something"
            return f"{text}. {few}: a larger --share draws more"
        return text + (". It holds" if self.high <= self.epsilon else ". The sample is too small to confirm it")

    def as_json(self) -> dict[str, Any]:
        """The check as plain values."""
        return {
            "stage": self.stage, "measure": self.measure, "promised_by_tags": self.guaranteed_by_tags,
            "epsilon": self.epsilon, "rate": self.rate, "low": self.low, "high": self.high,
            "alarm": self.alarm, "sure": self.significant, "sentence": self.sentence(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class ExitAudit:
    """What an audit of `sample` found; `audited` of its tracks could be run through the whole cascade."""

    sample: ExitSample
    audited: int
    groups: tuple[ExitGroup, ...] = ()
    checks: tuple[ExitCheck, ...] = ()
    stopped: bool = False

    @property
    def alarm(self) -> bool:
        """Whether a guarantee seems broken."""
        return any(check.alarm for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """The audit as plain values, without the ids of tracks; the names are those of stored audits."""
        return {
            "tracks": self.sample.tracks, "early": round(self.sample.early), "share": self.sample.share,
            "seed": self.sample.seed, "drawn": len(self.sample.exits), "heard": self.audited,
            "rows": [group.as_json() for group in self.groups],
            "judgements": [check.as_json() for check in self.checks],
            "stopped": self.stopped, "alarm": self.alarm,
        }  # fmt: skip


def draw(
    database: Database, cascade: Cascade, *, share: float = SHARE, most: int | None = None, seed: int = 0
) -> ExitSample:
    """A random `share` of the tracks that exited `cascade` early, drawn by `seed`, at most `most` of them.

    NothingToDo where none did. Nothing is written.
    """
    decisions = Decisions(database)
    early = decisions.exited_before(len(cascade.stages), cascade.basis)
    count = math.ceil(share * len(early))
    count = min(count, most) if most is not None else count
    chosen = np.random.default_rng(seed).permutation(len(early))[:count]
    drawn = [early[number] for number in chosen]
    exits = dict(_exits(database, cascade, drawn))
    if not exits:
        raise NothingToDo(
            f"None of the {len(drawn)} tracks looked at exited the cascade early, so there is nothing to audit: tracks "
            "exit where a stage has a certificate (reclass models list -v, reclass calibrate), and after a scan with "
            "the stages at hand."
        )
    return ExitSample(exits, decisions.count_voted(), len(early) * len(exits) / len(drawn), len(drawn), share, seed)


def _exits(database: Database, cascade: Cascade, tracks: Sequence[int]) -> Iterator[tuple[int, Vote]]:
    """Those of `tracks` that no further stage needs to be asked about, each judged among its album."""
    decisions = Decisions(database)
    digests = {stage.name: stage.digest for stage in cascade.voters}
    for state in decisions.tracks(tracks):
        members = {state.id: state}
        album = album_of(state.path, state.tags)
        if cascade.by_album and album is not None:
            others = decisions.on_album(state.tags.album)
            members = {other.id: other for other in others if album_of(other.path, other.tags) == album}
        stored = decisions.votes_cast_by(digests, list(members))
        votes = {i: translated(cast, cascade.taxonomy) for i, cast in stored.items()}
        if state.id in votes and state.id not in cascade.unfinished(votes, cascade.albums(members)):
            yield state.id, votes[state.id][-1]


def audit(
    database: Database,
    cascade: Cascade,
    sample: ExitSample,
    runner: ExtractionRunner,
    *,
    stop: Callable[[], bool] = lambda: False,
    bar: Bar = progress_bar,
) -> ExitAudit:
    """Run the sample through every stage, and compare the last one's genre with the one each track exited with."""
    last = cascade.stages[-1]
    extract_missing(database, [last], list(sample.exits), runner, stop=stop, bar=bar)
    final = last.votes(sample.exits, Library(database))
    tags = Library(database).user_genres(track for track in sample.exits if track in final)
    decided = UserDecisions(database).genres_by_track()
    tags |= {track: decided[track] for track in final if track in decided}
    groups = tuple(_groups(sample, final, tags, cascade))
    checks = tuple(_checks(groups, sample, cascade))
    return ExitAudit(sample, len(final), groups, checks, stopped=stop())


def _groups(
    sample: ExitSample, final: Mapping[int, Vote], tags: Mapping[int, tuple[str, ...]], cascade: Cascade
) -> Iterator[ExitGroup]:
    agrees = tag_agreement(cascade).agrees
    audited = {track: vote for track, vote in sample.exits.items() if track in final}
    for stage in cascade.stages[:-1]:
        threshold = stage.thresholds.exit
        at_stage = {track: vote for track, vote in audited.items() if vote.stage == stage.name}
        for by_album in (False, True):
            group = {i: vote for i, vote in at_stage.items() if (vote.confidence < threshold) == by_album}
            if not group:
                continue
            different = sum(final[track].genre != vote.genre for track, vote in group.items())
            judged = [
                (agrees(vote.genre, tags[track]), agrees(final[track].genre, tags[track]))
                for track, vote in group.items()
                if track in tags
            ]
            known = [(early, late) for early, late in judged if early is not None]
            yield ExitGroup(
                stage=stage.name,
                by_album=by_album,
                audited=len(group),
                different=different,
                low=lower_bound(different, len(group), _LEVEL),
                high=upper_bound(different, len(group), _LEVEL),
                tagged=len(known),
                lost=sum(not early and bool(late) for early, late in known),
                won=sum(bool(early) and not late for early, late in known),
            )


def _checks(groups: Sequence[ExitGroup], sample: ExitSample, cascade: Cascade) -> Iterator[ExitCheck]:
    """Each stage whose exits were audited and that holds a certificate, against what that guarantees."""
    for stage in cascade.stages[:-1]:
        at_stage = [group for group in groups if group.stage == stage.name]
        if not at_stage or stage.exit_rule is None or stage.exit_rule.policy != CERTIFIED:
            continue
        by_tags = stage.exit_rule.labels and sum(group.tagged for group in at_stage) >= TAGGED
        count = sum(group.tagged if by_tags else group.audited for group in at_stage)
        bad = sum(group.lost if by_tags else group.different for group in at_stage)
        exited = sum(vote.stage == stage.name for vote in sample.exits.values()) / len(sample.exits)
        part = min(1.0, exited * sample.early / max(1, sample.tracks))  # of all tracks, that exit at this stage
        yield ExitCheck(
            stage=stage.name,
            measure="loss" if by_tags else "disagreement",
            guaranteed_by_tags=stage.exit_rule.labels,
            epsilon=stage.exit_rule.epsilon,
            rate=part * bad / count,
            low=part * lower_bound(bad, count, _LEVEL),
            high=part * upper_bound(bad, count, _LEVEL),
            audited=count,
        )
