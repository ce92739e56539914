"""All stages over a whole run: decides by stored votes, extracts what uncertain tracks lack, decides again; budgets."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from music_reclass.classification.policy import genre_votes
from music_reclass.errors import DatabaseError, ReclassError
from music_reclass.extractors.registry import WINDOWS
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import PASSING, Library
from music_reclass.features.results import Scans, ScanStats, StageStats
from music_reclass.utils.progress import Bar, Progress, Silent, StopRequest, progress_bar

if TYPE_CHECKING:
    from music_reclass.classification.extract import ExtractionRunner
    from music_reclass.classification.reading import TrackPath
    from music_reclass.classification.voter import Albums, Cascade, Stage, Votes
    from music_reclass.config import Settings
    from music_reclass.domain import FeatureKind
    from music_reclass.errors import TrackError
    from music_reclass.features.database import Database
    from music_reclass.features.scope import Scope

PAGE = 5000  # tracks taken out of the queue at once


@dataclass(slots=True)
class Budget:
    """What the later stages of one run may spend together; None: no limit. The clock runs while they extract."""

    seconds: float | None = None
    tracks: int | None = None

    @classmethod
    def of(cls, settings: Settings) -> Budget:
        """What --max-time and --max-tracks say."""
        return cls(settings.max_seconds, settings.max_tracks or None)

    @property
    def room(self) -> int:
        """How many tracks may be begun now, at most a page of them."""
        if self.seconds is not None and self.seconds <= 0:
            return 0
        return PAGE if self.tracks is None else max(0, min(PAGE, self.tracks))

    def spend(self, seconds: float, tracks: int) -> None:
        """Take off what was spent."""
        if self.seconds is not None:
            self.seconds -= seconds
        if self.tracks is not None:
            self.tracks -= tracks


def seconds_to_come(
    cascade: Cascade, position: int, count: int, measured: Mapping[str, StageStats], *, budget: Budget
) -> float | None:
    """The seconds that the stages behind the one at `position` will take of `count` tracks that are extracted for it:
    by the share that went on to them, and by their cost, as earlier scans measured both; None where none did."""
    at_reading = set(cascade.first_read)
    seconds = 0.0
    before = measured.get(cascade.stages[position].name)
    for stage in cascade.stages[position + 1 :]:
        if at_reading.issuperset(stage.kinds):
            continue
        cost = measured.get(stage.name)
        if before is None or not before.extracted or cost is None:
            return None
        seconds += count * cost.seconds / before.extracted
    return seconds if budget.seconds is None else min(seconds, budget.seconds)


class Escalation:
    """One run of a cascade over the undecided tracks of a scope.

    Without a `runner` the stored vectors must do. `stats` takes the counts.
    """

    def __init__(
        self,
        database: Database,
        scope: Scope,
        cascade: Cascade,
        runner: ExtractionRunner | None = None,
        *,
        bar: Bar = progress_bar,
        stats: ScanStats | None = None,
    ) -> None:
        self._scope, self._cascade, self._runner, self._bar = scope, cascade, runner, bar
        self._decisions = Decisions(database)
        self._library = Library(database)
        self._bundles = {s.name: self._decisions.register_bundle(s.name, s.digest, s.manifest) for s in cascade.voters}
        # Tracks that a stage is not asked about again in this run: the extraction failed, or all its vectors are there
        # and it gave no vote.
        self._failed: dict[FeatureKind, set[int]] = {kind: set() for stage in cascade.stages for kind in stage.kinds}
        self._no_vote: dict[str, set[int]] = {stage.name: set() for stage in cascade.stages}
        self._passing: set[int] = set()  # failed for a reason that may be over at the next scan
        self._ended: set[str] = set()  # stages that no track can be extracted for in this run
        self._measured = Scans(database).costs()
        self._provisional = False  # decided without excerpts that the next scan will extract
        self.stats = ScanStats() if stats is None else stats

    def run(self, budget: Budget | None = None, stop: StopRequest | None = None) -> ScanStats:
        """Decide all tracks, and extract for later stages in between until `stop` or the end of the budget.

        Decisions are saved before the first extraction and again after each stage, so whatever ends the run leaves
        every track decided by the vectors at hand. An uncertain track that was not reached, or that failed for a
        passing reason, is taken up by the next scan. A stage that cannot go on (a card is lost, a package does not
        load) ends, and the run goes on without it.
        """
        budget = budget or Budget()
        stop = StopRequest() if stop is None else stop  # one that is not requested yet is false
        self.stats.decided = self._scope.collect_undecided(self._cascade.basis, self._cascade.stages[0].kinds[0])
        self._extract_windows(stop)
        self._decide_all()
        done = 0
        while waiting := self._scope.waiting():
            ahead = [position for position in waiting if position > done]
            if not ahead or stop or self._runner is None or not budget.room:
                for position, count in waiting.items():
                    self.stats.stage(self._cascade.stages[position].name).unreached = count
                break
            done = ahead[0]
            asked = self._extract(done, self._runner, budget, stop)
            self._runner.release()  # the next stage's network wants the memory
            self._decide_again(asked)
        return self.stats

    def _extract_windows(self, stop: StopRequest) -> None:
        """Extract the further excerpts of the undecided tracks that vote too; those decided before are not looked at.

        They are no part of a budget. When `stop` comes first, every decision of this run is provisional.
        """
        names = self._cascade.further_windows
        if not names or self._runner is None:
            return
        limits = sorted({WINDOWS[name][1] for name in names})
        for shortest, longest in zip(limits, [*limits[1:], float("inf")], strict=True):
            kinds = [
                replace(kind, excerpt=name)
                for name in names
                if WINDOWS[name][1] <= shortest
                for kind in self._cascade.first_read
            ]
            with self._bar("windows", None) as progress:
                last = ""
                while not stop and (page := self._scope.undecided_without(kinds[-1], shortest, longest, after=last)):
                    self._runner.extract_windows(page, kinds, lambda: bool(stop), progress)
                    last = page[-1][1]
        self._provisional = bool(stop)

    def _decide_all(self) -> None:
        """Decide the undecided tracks by the vectors that are stored."""
        if not self.stats.decided:
            return
        with self._bar("deciding", self.stats.decided) as progress:
            for chunk in self._scope.undecided_by_album():
                tracks = {track.id: track for track in self._decisions.tracks(chunk)}
                albums = self._cascade.albums(tracks)
                self._conclude(self._cascade.predict(tracks, self._library, albums), albums)
                progress.advance(len(chunk))

    def _decide_again(self, asked: set[int]) -> None:
        """Decide the tracks that a stage was asked about, and the rest of their albums; known votes are taken over."""
        with self._bar("deciding", None) as progress:
            for known, albums in self._scope.open_by_album(asked):
                self._conclude(self._cascade.predict(known, self._library, albums, known), albums)
                progress.advance(len(known))

    def _conclude(self, votes: Mapping[int, Votes], albums: Albums) -> None:
        """Save decisions; tracks that wait for a later stage stay open, with the rest of their albums."""
        waiting = self._waiting(votes, albums)
        unfinished = waiting.keys() | (self._passing & votes.keys())
        concluded = self._cascade.conclude(votes, albums)
        finished = {i: decision for i, decision in concluded.items() if i not in unfinished}
        self._decisions.save(finished, self._bundles, "" if self._provisional else self._cascade.basis)
        self._decisions.save({i: concluded[i] for i in unfinished}, self._bundles, "")
        self._scope.keep_open(votes, albums, waiting)

    def _waiting(self, votes: Mapping[int, Votes], albums: Albums) -> dict[int, tuple[int, float]]:
        """For each uncertain track the position of the next stage that can be asked, and the gain expected of it."""
        waiting: dict[int, tuple[int, float]] = {}
        by_name = {stage.name: stage for stage in self._cascade.stages}
        for position, stage in list(enumerate(self._cascade.stages))[1:]:
            in_vain = self._no_vote[stage.name].union(*(self._failed[kind] for kind in stage.kinds))
            for track in self._cascade.uncertain(votes, position, albums):
                if stage.name in self._ended:
                    self._passing.add(track)
                elif track not in waiting and track not in in_vain:
                    cast = genre_votes(votes[track])
                    last = cast[-1] if cast else None
                    gain = 1.0 if last is None else by_name[last.stage].expected_gain(last)
                    waiting[track] = position, gain
        return waiting

    def _extract(self, position: int, runner: ExtractionRunner, budget: Budget, stop: StopRequest) -> set[int]:
        """Extract for the stage at `position`, the highest expected gain first; the tracks that were reached."""
        stage = self._cascade.stages[position]
        stats = self.stats.stage(stage.name)
        count = self._scope.queue_up(position)
        total = count if budget.tracks is None else min(count, budget.tracks)
        reached: set[int] = set()
        with self._bar(stage.name, total) as progress:
            progress.foresee(total, seconds_to_come(self._cascade, position, total, self._measured, budget=budget))
            while not stop and (page := self._scope.next_in_queue(budget.room)):
                start = time.perf_counter()
                limit = None if budget.seconds is None else start + budget.seconds

                def enough(limit: float | None = limit) -> bool:
                    return bool(stop) or (limit is not None and time.perf_counter() >= limit)

                extract = partial(runner.extract, stop=enough)
                try:
                    extracted, failed = self._extract_page(page, stage, extract, progress)
                except DatabaseError:
                    raise
                except ReclassError as error:
                    extracted, failed = self._end(stage, page, str(error)), set()
                    while more := self._scope.next_in_queue(PAGE):
                        page += more
                    stats.unreached = len(page) - len(extracted)
                    reached.update(track for track, _ in page)
                reached |= extracted | failed | self._no_vote[stage.name]
                seconds = time.perf_counter() - start
                budget.spend(seconds, len(extracted))
                stats.extracted += len(extracted)
                stats.seconds += seconds
                stats.failed += len(failed)
        return reached

    def _end(self, stage: Stage, page: Sequence[TrackPath], why: str) -> set[int]:
        """Note why `stage` extracts nothing more; those of `page` that have all its vectors."""
        self._ended.add(stage.name)
        self.stats.stage(stage.name).ended = why
        complete = {track for track, _ in page}
        for kind in stage.kinds:
            complete &= self._library.having(complete, kind)
        return complete

    def _extract_page(
        self,
        page: Sequence[TrackPath],
        stage: Stage,
        extract: Callable[..., Mapping[int, TrackError | None]],
        progress: Progress,
    ) -> tuple[set[int], set[int]]:
        """Extract each kind of `stage` in turn that tracks lack: those that have all of them now, those that failed."""
        lacked: set[int] = set()
        failed: set[int] = set()
        for kind in stage.kinds:
            stored = self._library.having((track for track, _ in page), kind)
            lacking = [item for item in page if item[0] not in stored]
            if not lacking:
                continue
            lacked.update(track for track, _ in lacking)
            answers = extract(lacking, kind, progress=progress if kind == stage.kinds[-1] else Silent())
            for track, error in answers.items():
                if error is None:
                    stored.add(track)
                    continue
                failed.add(track)
                self._failed[kind].add(track)
                if error.reason in PASSING:
                    self._passing.add(track)
            page = [item for item in page if item[0] in stored]
        self._no_vote[stage.name].update(track for track, _ in page if track not in lacked)
        return {track for track, _ in page if track in lacked}, failed
