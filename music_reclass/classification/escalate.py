"""Later stages over a whole run: uncertain tracks are extracted and decided again, within a budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from music_reclass.features.decisions import Decisions
from music_reclass.features.library import PASSING, Library
from music_reclass.features.scans import ScanStats
from music_reclass.utils.progress import Bar, Progress, Silent, StopRequest, progress_bar

if TYPE_CHECKING:
    from music_reclass.classification.extract import ExtractionRunner, Numbered
    from music_reclass.classification.voter import Albums, Cascade, Stage
    from music_reclass.config import Settings
    from music_reclass.domain import FeatureKind, Vote
    from music_reclass.features.database import Database
    from music_reclass.features.scope import Scope

PAGE = 5000  # tracks drawn from the line at once


@dataclass(slots=True)
class Budget:
    """What the later stages of one run may spend together; None: no limit. The clock runs while they listen."""

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


class Escalation:
    """One run of a ladder over the undecided tracks of a scope."""

    def __init__(
        self,
        database: Database,
        scope: Scope,
        cascade: Cascade,
        bar: Bar = progress_bar,
        stats: ScanStats | None = None,
    ) -> None:
        self._scope, self._cascade, self._bar = scope, cascade, bar
        self._decisions = Decisions(database)
        self._library = Library(database)
        self._bundles = {s.name: self._decisions.register_bundle(s.name, s.digest, s.manifest) for s in cascade.stages}
        # Whom a stage is not asked about again in this run: a kind could not be heard, or it heard all and was mute.
        self._missed: dict[FeatureKind, set[int]] = {kind: set() for stage in cascade.stages for kind in stage.kinds}
        self._mute: dict[str, set[int]] = {stage.name: set() for stage in cascade.stages}
        self._passing: set[int] = set()  # what kept a stage from them may be over at the next scan
        self.stats = ScanStats() if stats is None else stats

    def run(
        self, runner: ExtractionRunner | None = None, budget: Budget | None = None, stop: StopRequest | None = None
    ) -> ScanStats:
        """Decide everybody, and let later stages listen in between until `stop` or the end of the budget.

        Without a `listener` the vectors that are stored must do. Decisions are saved before anybody listens and again
        after each stage, so whatever ends the run leaves every track decided by what was heard until then. A track
        still in doubt that nobody has listened to, or that could not be heard for a passing reason, is taken up by
        the next scan.
        """
        budget = budget or Budget()
        stop = StopRequest() if stop is None else stop  # one that is not requested yet is false
        self.stats.decided = self._scope.collect_undecided(self._cascade.basis, self._cascade.stages[0].kinds[0])
        done = 0
        while self.stats.decided:
            waiting = self._decide()
            ahead = [position for position in waiting if position > done]
            if not ahead or stop or runner is None or not budget.room:
                for position, count in waiting.items():
                    self.stats.stage(self._cascade.stages[position].name).unreached = count
                break
            done = ahead[0]
            self._listen(done, runner, budget, stop)
            runner.rest()  # the next stage's network wants the memory
        return self.stats

    def _decide(self) -> dict[int, int]:
        """Decide the tracks gathered in the scope by the vectors that are stored; how many are in doubt yet and could
        be helped, by the position of the stage to ask. The scope notes them."""
        self._scope.forget_doubts()
        with self._bar("deciding", self.stats.decided) as progress:
            for chunk in self._scope.undecided_by_album():
                tracks = {state.id: state for state in self._decisions.states(chunk)}
                albums = self._cascade.albums(tracks)
                votes = self._cascade.predict(tracks, self._library, albums)
                concluded = self._cascade.conclude(votes, albums)
                open_ = self._note_doubts(votes, albums)
                finished = {i: decision for i, decision in concluded.items() if i not in open_}
                self._decisions.save(finished, self._bundles, self._cascade.basis)
                self._decisions.save({i: concluded[i] for i in open_}, self._bundles, "")
                progress.advance(len(chunk))
        return self._scope.doubts()

    def _note_doubts(self, votes: Mapping[int, Sequence[Vote]], albums: Albums) -> set[int]:
        """Note for each track in doubt the next stage that could be asked; the tracks that are not finished."""
        placed: set[int] = set()
        worth_of = {stage.name: stage.expected_gain for stage in self._cascade.stages}
        for position, stage in list(enumerate(self._cascade.stages))[1:]:
            vain = self._mute[stage.name].union(*(self._missed[kind] for kind in stage.kinds))
            asked = [i for i in self._cascade.uncertain(votes, position, albums) if i not in placed and i not in vain]
            placed.update(asked)
            before = {i: votes[i][-1] for i in asked if votes.get(i)}
            worth = {i: worth_of[before[i].stage](before[i]) if i in before else 1.0 for i in asked}
            self._scope.add_doubts(position, worth)
        return placed | (self._passing & votes.keys())

    def _listen(self, position: int, runner: ExtractionRunner, budget: Budget, stop: StopRequest) -> None:
        """Let the stage at `position` listen to those that wait for it, in the order of their worth."""
        stage = self._cascade.stages[position]
        spent = self.stats.stage(stage.name)
        count = self._scope.queue_up(position)
        total = count if budget.tracks is None else min(count, budget.tracks)
        with self._bar(stage.name, total) as progress:
            while not stop and (page := self._scope.next_in_queue(budget.room)):
                start = time.perf_counter()
                limit = None if budget.seconds is None else start + budget.seconds

                def enough(limit: float | None = limit) -> bool:
                    return bool(stop) or (limit is not None and time.perf_counter() >= limit)

                heard = self._heard(page, stage, runner, enough, progress)
                seconds = time.perf_counter() - start
                budget.spend(seconds, heard)
                spent.extracted += heard
                spent.seconds += seconds

    def _heard(
        self,
        page: Sequence[Numbered],
        stage: Stage,
        runner: ExtractionRunner,
        enough: Callable[[], bool],
        progress: Progress,
    ) -> int:
        """Listen to a page of tracks for each kind of `stage` in turn that they lack; how many have all of them now."""
        lacked: set[int] = set()
        for kind in stage.kinds:
            stored = self._library.having((track for track, _ in page), kind)
            lacking = [item for item in page if item[0] not in stored]
            if not lacking:
                continue
            lacked.update(track for track, _ in lacking)
            hearing = runner.listen(lacking, kind, enough, progress if kind == stage.kinds[-1] else Silent())
            for track, error in hearing.missed.items():
                self._missed[kind].add(track)
                self.stats.stage(stage.name).failed += 1
                if error.reason in PASSING:
                    self._passing.add(track)
            page = [item for item in page if item[0] in stored or item[0] in hearing.heard]
        self._mute[stage.name].update(track for track, _ in page if track not in lacked)
        return sum(track in lacked for track, _ in page)
