"""Audits early exits: a random sample of exited tracks is run through the whole cascade."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.classification.agreement import tag_agreement
from music_reclass.classification.albums import album_of
from music_reclass.classification.extract import extract_missing
from music_reclass.classification.relabel import translated
from music_reclass.errors import NothingToDo
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library
from music_reclass.features.statistics import Candidates
from music_reclass.models.early_exit import lower_bound, upper_bound

if TYPE_CHECKING:
    from music_reclass.classification.extract import ExtractionRunner
    from music_reclass.classification.voter import Cascade
    from music_reclass.domain import Vote
    from music_reclass.features.database import Database
    from music_reclass.utils.progress import Bar

SHARE = 0.02
TAGGED = 30
"""Tracks with an own tag from which the loss itself is judged; with fewer the disagreement, which bounds it."""

_LEVEL = 0.025  # on either side of an interval


@dataclass(frozen=True, slots=True)
class EarlyExit:
    """A track that left the ladder early: where, whether by its own vote or by its album's, and as what."""

    track: int
    stage: str
    how: str  # own | album
    genre: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """A sample of early exits. `early` is how many there are in the library, as the sample tells it."""

    leavers: tuple[EarlyExit, ...]
    tracks: int  # with a vote, in the whole library
    early: float
    looked_at: int  # tracks drawn, those among them that did not leave by themselves included
    share: float
    seed: int


@dataclass(frozen=True, slots=True)
class Row:
    """Audited tracks that left at one stage in one way. Of the `tagged` ones `lost` were wrong there and right at the
    end, `won` the other way round."""

    stage: str
    how: str
    heard: int
    other: int  # of another genre at the end
    low: float  # bounds of the share of others, 95 %, exact
    high: float
    tagged: int
    lost: int
    won: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """One stage against its promise: the share of all tracks that leave there and are lost (or, where too few carry
    a tag or the promise is one of agreement, get another genre), with bounds at 95 %."""

    stage: str
    measure: str  # loss | disagreement
    promised_by_tags: bool
    epsilon: float
    rate: float
    low: float
    high: float

    @property
    def alarm(self) -> bool:
        """Whether more is lost than promised, as far as the sample tells."""
        return self.rate > self.epsilon

    @property
    def sure(self) -> bool:
        """Whether the interval leaves the promise out: chance does not explain it."""
        return self.low > self.epsilon

    def sentence(self) -> str:
        """For people."""
        what = "lose their right genre by leaving here" if self.measure == "loss" else "would get another genre"
        between = f"95 % interval {self.low:.1%} to {self.high:.1%}"
        told = f"{self.rate:.1%} of all tracks {what} ({between}); promised: at most {self.epsilon:.1%}"
        if self.measure == "disagreement" and self.promised_by_tags:
            told += " lost, which is less than another genre"
        if self.sure:
            return f"{told}. The interval lies above the promise: it does not hold here"
        if self.alarm:
            return f"{told}. The interval includes the promise: a larger --share tells more"
        return told + (". It holds" if self.high <= self.epsilon else ". The sample is too small to confirm it")


@dataclass(frozen=True, slots=True)
class ExitAudit:
    """What an audit found."""

    tracks: int
    early: int
    share: float
    seed: int
    drawn: int
    heard: int
    rows: tuple[Row, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    stopped: bool = False
    examples: tuple[tuple[int, str, str], ...] = field(default=())  # track id, genre it left with, genre at the end

    @property
    def alarm(self) -> bool:
        """Whether a promise seems broken."""
        return any(own.alarm for own in self.judgements)

    def as_json(self) -> dict[str, Any]:
        """The audit as plain values, without the ids of tracks."""
        plain = asdict(self)
        del plain["examples"]
        plain["judgements"] = [
            {**asdict(own), "alarm": own.alarm, "sure": own.sure, "sentence": own.sentence()} for own in self.judgements
        ]
        return {**plain, "alarm": self.alarm}


def draw(database: Database, cascade: Cascade, share: float = SHARE, most: int | None = None, seed: int = 0) -> Drawn:
    """A random `share` of the tracks that left `ladder` early, drawn by `seed`, at most `most` of them.

    NothingToDo where none did.
    """
    candidates = Candidates(database)
    early = candidates.exited_before(len(cascade.stages), cascade.basis)
    count = math.ceil(share * len(early))
    count = min(count, most) if most is not None else count
    chosen = np.random.default_rng(seed).permutation(len(early))[:count]
    looked_at = [early[number] for number in chosen]
    leavers = tuple(_leavers(database, cascade, looked_at))
    if not leavers:
        raise NothingToDo(
            f"none of the {len(looked_at)} tracks looked at left the ladder early by its own will, so there is nothing "
            "to audit: tracks leave where a stage has a certificate (reclass models list -v, reclass calibrate), and "
            "after a scan with the stages at hand."
        )
    return Drawn(
        leavers, candidates.count_voted(), len(early) * len(leavers) / len(looked_at), len(looked_at), share, seed
    )


def _leavers(database: Database, cascade: Cascade, tracks: Sequence[int]) -> Iterator[EarlyExit]:
    """Those of `tracks` that no further stage needs to be asked about, each judged among its album."""
    decisions = Decisions(database)
    digests = {stage.name: stage.digest for stage in cascade.stages}
    for state in decisions.tracks(tracks):
        company = {state.id: state}
        album = album_of(state.path, state.tags)
        if cascade.by_album and album is not None:
            others = decisions.on_album(state.tags.album)
            company = {other.id: other for other in others if album_of(other.path, other.tags) == album}
        votes = {
            i: translated(own, cascade.taxonomy) for i, own in decisions.votes_cast_by(digests, list(company)).items()
        }
        own = votes.get(state.id)
        if own is None or state.id in cascade.unfinished(votes, cascade.albums(company)):
            continue
        by_itself = own[-1].confidence >= cascade.thresholds[own[-1].stage].exit
        yield EarlyExit(state.id, own[-1].stage, "own" if by_itself else "album", own[-1].genre)


def audited(
    database: Database, cascade: Cascade, drawn: Drawn, runner: ExtractionRunner, stop: Callable[[], bool], bar: Bar
) -> ExitAudit:
    """Let every stage hear the sample, and compare what the last one says with what each track left as."""
    tracks = [own.track for own in drawn.leavers]
    last = cascade.stages[-1]
    extract_missing(database, [last], tracks, runner, stop=stop, bar=bar)
    final = last.votes(tracks, Library(database))
    heard = [own for own in drawn.leavers if own.track in final]
    tags = Candidates(database).user_genres(own.track for own in heard)
    rows = tuple(_rows(heard, final, tags, cascade))
    others = ((own.track, own.genre, final[own.track].genre) for own in heard)
    return ExitAudit(
        tracks=drawn.tracks,
        early=round(drawn.early),
        share=drawn.share,
        seed=drawn.seed,
        drawn=len(tracks),
        heard=len(heard),
        rows=rows,
        judgements=tuple(_judgements(rows, drawn, cascade)),
        stopped=stop(),
        examples=tuple(own for own in others if own[1] != own[2]),
    )


def _rows(
    heard: Sequence[EarlyExit], final: Mapping[int, Vote], tags: Mapping[int, tuple[str, ...]], cascade: Cascade
) -> Iterator[Row]:
    judge = tag_agreement(cascade)
    for stage in cascade.stages[:-1]:
        for how in ("own", "album"):
            group = [own for own in heard if (own.stage, own.how) == (stage.name, how)]
            if not group:
                continue
            other = sum(final[own.track].genre != own.genre for own in group)
            verdicts = [
                (judge.agrees(own.genre, tags[own.track]), judge.agrees(final[own.track].genre, tags[own.track]))
                for own in group
                if own.track in tags
            ]
            known = [(early, late) for early, late in verdicts if early is not None]
            yield Row(
                stage=stage.name,
                how=how,
                heard=len(group),
                other=other,
                low=lower_bound(other, len(group), _LEVEL),
                high=upper_bound(other, len(group), _LEVEL),
                tagged=len(known),
                lost=sum(not early and bool(late) for early, late in known),
                won=sum(bool(early) and not late for early, late in known),
            )


def _judgements(rows: Sequence[Row], drawn: Drawn, cascade: Cascade) -> Iterator[Judgement]:
    """Each stage whose exits were audited and that holds a certificate, against what that promises."""
    for stage in cascade.stages[:-1]:
        own = [row for row in rows if row.stage == stage.name]
        if not own or stage.exit_rule is None:
            continue
        by_tags = stage.exit_rule.labels and sum(row.tagged for row in own) >= TAGGED
        count = sum(row.tagged if by_tags else row.heard for row in own)
        bad = sum(row.lost if by_tags else row.other for row in own)
        left_here = sum(leaver.stage == stage.name for leaver in drawn.leavers) / len(drawn.leavers)
        part = min(1.0, left_here * drawn.early / max(1, drawn.tracks))  # of all tracks, that leave at this stage
        yield Judgement(
            stage=stage.name,
            measure="loss" if by_tags else "disagreement",
            promised_by_tags=stage.exit_rule.labels,
            epsilon=stage.exit_rule.epsilon,
            rate=part * bad / count,
            low=part * lower_bound(bad, count, _LEVEL),
            high=part * upper_bound(bad, count, _LEVEL),
        )
