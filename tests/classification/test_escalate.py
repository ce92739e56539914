"""Later stages extract uncertain tracks, the highest expected gain first, within a budget; a stopped run resumes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from music_reclass.classification import albums, escalate, voter
from music_reclass.classification.escalate import Budget, Escalation, seconds_to_come
from music_reclass.classification.voter import Cascade, Stage
from music_reclass.config import Settings
from music_reclass.domain import Decision, FeatureKind, Track, TrackTags, Vote
from music_reclass.errors import DatabaseError, DeviceError, FailTrack, TrackError
from music_reclass.features.database import Database
from music_reclass.features.library import Library
from music_reclass.features.results import ScanStats, StageStats
from music_reclass.features.scope import Scope
from music_reclass.taxonomy import load
from music_reclass.utils.progress import Silent, StopRequest
from tests.classification.fakes import CHEAP, COSTLY, echo_stage

COSTLIEST = FeatureKind("costliest", "1", 3, "mid30")
CHAIN = {
    "cheap": (CHEAP,),
    "costly": (CHEAP, COSTLY),
    "costliest": (CHEAP, COSTLY, COSTLIEST),
    "other": (CHEAP, COSTLIEST),
}
SURE = [0.9, 0.05, 0.05]


def row(confidence: float) -> list[float]:
    return [confidence, 1 - confidence, 0.0]


@dataclass
class FakeRunner:
    """Knows every vector already, keeps the order it was asked in, and may fail or be interrupted."""

    library: Library
    vectors: dict[FeatureKind, dict[int, list[float]]]
    errors: dict[int, TrackError] = field(default_factory=dict)
    after: Callable[[int], None] = lambda count: None
    order: list[tuple[str, int]] = field(default_factory=list)
    released_after: list[int] = field(default_factory=list)

    def extract(
        self, tracks: Sequence[tuple[int, str]], kind: FeatureKind, stop: Callable[[], bool], progress: Any
    ) -> dict[int, TrackError | None]:
        found: dict[int, TrackError | None] = {}
        for track, _ in tracks:
            if stop():
                break
            self.order.append((kind.name, track))
            found[track] = self.errors.get(track)
            if track not in self.errors:
                vector = np.array(self.vectors[kind].get(track, SURE), np.float32)
                self.library.add_vectors({track: vector}, kind)
            self.after(len(self.order))
        return found

    def release(self) -> None:
        self.released_after.append(len(self.order))

    def extracted(self, kind: FeatureKind) -> list[int]:
        return [track for name, track in self.order if name == kind.name]


class World:
    """A library whose tracks have cheap vectors, and a cascade of three stages."""

    def __init__(self, folder: Path, cheap: list[float], albums: dict[int, str] | None = None) -> None:
        self.path = folder / "library.sqlite3"
        self.database = Database(self.path)
        self.library = Library(self.database)
        readings = [
            Track(
                f"/music/{number:03}", 1, 1, bytes([number]), 1.0,
                TrackTags(artist="Ida", album=(albums or {}).get(number, "")), (), np.array(row(share), np.float32),
            )
            for number, share in enumerate(cheap)
        ]  # fmt: skip
        self.ids = self.library.save(readings, CHEAP)
        self.vectors: dict[FeatureKind, dict[int, list[float]]] = {COSTLY: {}, COSTLIEST: {}}
        self.runner = FakeRunner(self.library, self.vectors)

    def cascade(self, names: Sequence[str] = ("cheap", "costly", "costliest")) -> Cascade:
        stages = (echo_stage(n, CHAIN[n]) for n in names)
        return Cascade(tuple(stages), load())

    def run(self, budget: Budget | None = None, stop: StopRequest | None = None, **cascade: Any) -> ScanStats:
        scope = Scope(self.database)
        scope.add(self.ids)

        def no_bar(title: str, total: int | None) -> Any:
            return nullcontext(Silent())

        run = Escalation(self.database, scope, self.cascade(**cascade), self.runner, bar=no_bar)  # type: ignore[arg-type]
        return run.run(budget, stop)

    def decisions(self) -> list[tuple[Any, ...]]:
        """Every track's decision and votes."""
        with sqlite3.connect(self.path) as sql:
            return sql.execute(
                "SELECT d.track_id, d.outcome, d.reason, d.genres, d.confidence, d.stage, d.basis <> '',"
                " (SELECT group_concat(stage || probabilities) FROM vote v WHERE v.track_id = d.track_id)"
                " FROM decision d ORDER BY 1"
            ).fetchall()

    def finished(self) -> set[int]:
        """The tracks that no later scan takes up again."""
        return {line[0] for line in self.decisions() if line[6]}


def counted(stats: ScanStats) -> dict[str, dict[str, int]]:
    """The counts of the stages that are not zero, by what is counted and stage."""
    found: dict[str, dict[str, int]] = {}
    for what in ("extracted", "unreached", "failed"):
        for name, stage in stats.stages.items():
            if getattr(stage, what):
                found.setdefault(what, {})[name] = getattr(stage, what)
    return found


def test_each_stage_extracts_only_tracks_that_did_not_exit_before(tmp_path: Path) -> None:
    world = World(tmp_path, [0.9, 0.6, 0.5, 0.95])
    first, second, third, fourth = world.ids
    world.vectors[COSTLY] = {second: row(0.99), third: row(0.5)}
    stats = world.run()
    assert world.runner.order == [("costly", third), ("costly", second), ("costliest", third)]
    assert world.runner.released_after == [2, 3]
    assert (stats.decided, counted(stats)) == (4, {"extracted": {"costly": 2, "costliest": 1}})
    assert all(stage.seconds > 0 for stage in stats.stages.values())
    assert {line[0]: line[5] for line in world.decisions()} == {
        first: "cheap", second: "costly", third: "costliest", fourth: "cheap"
    }  # fmt: skip
    assert world.finished() == set(world.ids)


def test_the_highest_gain_goes_first_and_equals_in_the_order_of_their_paths(tmp_path: Path) -> None:
    world = World(tmp_path, [0.7, 0.501, 0.6, 0.504, 0.5])
    world.run(names=("cheap", "costly"))
    assert world.runner.extracted(COSTLY) == [world.ids[place] for place in (1, 3, 4, 2, 0)]


def test_a_stage_extracts_across_albums_and_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(escalate, "PAGE", 2)
    world = World(tmp_path, [0.5 + number / 100 for number in range(7)])
    assert counted(world.run(names=("cheap", "costly"))) == {"extracted": {"costly": 7}}
    assert world.runner.extracted(COSTLY) == world.ids


@pytest.mark.parametrize("page", [2, 5000])
def test_a_number_of_tracks_is_kept_to_exactly_and_spent_on_the_highest_gains(
    page: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(escalate, "PAGE", page)
    world = World(tmp_path, [0.5, 0.55, 0.6, 0.65, 0.7])
    world.runner.errors = {world.ids[0]: FailTrack("decode", "broken")}
    stats = world.run(Budget(tracks=3))
    assert world.runner.extracted(COSTLY) == world.ids[:4]  # the broken one cost nothing
    assert world.runner.extracted(COSTLIEST) == []
    assert counted(stats) == {"extracted": {"costly": 3}, "unreached": {"costly": 1}, "failed": {"costly": 1}}


def test_what_the_first_costly_stage_leaves_of_the_budget_is_the_next_ones(tmp_path: Path) -> None:
    world = World(tmp_path, [0.5, 0.6])
    world.vectors[COSTLY] = dict.fromkeys(world.ids, row(0.5))
    stats = world.run(Budget(tracks=3))
    assert counted(stats) == {"extracted": {"costly": 2, "costliest": 1}, "unreached": {"costliest": 1}}


def test_no_track_is_begun_when_the_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(escalate.time, "perf_counter", lambda: clock[0])
    world = World(tmp_path, [0.5, 0.6, 0.7])
    world.runner.after = lambda count: clock.__setitem__(0, clock[0] + 10)
    stats = world.run(Budget(seconds=15))
    assert counted(stats) == {"extracted": {"costly": 2}, "unreached": {"costly": 1}}
    assert stats.stages["costly"].seconds == 20


def test_tracks_beyond_the_budget_are_decided_by_the_votes_there_are_and_taken_up_again(tmp_path: Path) -> None:
    whole = World(tmp_path / "whole", [0.5, 0.6, 0.7, 0.9])
    whole.run()
    world = World(tmp_path / "parts", [0.5, 0.6, 0.7, 0.9])
    world.run(Budget(tracks=1))
    assert len(world.decisions()) == 4
    assert world.finished() == {world.ids[0], world.ids[3]}
    world.run(Budget(tracks=1))
    world.run()
    assert world.runner.extracted(COSTLY) == whole.runner.extracted(COSTLY)
    assert world.decisions() == whole.decisions()
    before = list(world.runner.order)
    assert world.run().decided == 0
    assert world.runner.order == before


def mixed(folder: Path) -> World:
    """Two albums and some single tracks, of which each stage leaves some uncertain."""
    shares = [0.4 + 0.05 * (number % 10) for number in range(20)]
    world = World(folder, shares, {number: "Blue" if number < 5 else "Red" for number in range(10)})
    for kind, step in ((COSTLY, 3), (COSTLIEST, 7)):
        world.vectors[kind] = {track: row(0.45 + 0.05 * (track * step % 10)) for track in world.ids}
    return world


@pytest.mark.parametrize("moment", range(1, 26, 3))
def test_a_run_that_is_stopped_anywhere_goes_on_without_extracting_anything_twice(moment: int, tmp_path: Path) -> None:
    whole, world, stop = mixed(tmp_path / "whole"), mixed(tmp_path / "parts"), StopRequest()
    whole.run()

    def stop_then(count: int) -> None:
        stop.requested = count == moment

    world.runner.after = stop_then
    stats = world.run(stop=stop)
    assert len(world.runner.order) == min(moment, len(whole.runner.order))
    assert sum(stage.unreached for stage in stats.stages.values()) == 20 - len(world.finished())
    assert len(world.decisions()) == 20
    stop.requested, world.runner.after = False, lambda count: None
    world.run(stop=stop)
    assert len(set(world.runner.order)) == len(world.runner.order)
    assert sorted(world.runner.order) == sorted(whole.runner.order)
    assert world.decisions() == whole.decisions()


@pytest.mark.parametrize("moment", range(2, 26, 5))
def test_a_run_that_dies_anywhere_goes_on_as_well(moment: int, tmp_path: Path) -> None:
    whole, world = mixed(tmp_path / "whole"), mixed(tmp_path / "parts")
    whole.run()

    def die(count: int) -> None:
        if count == moment:
            raise MemoryError

    world.runner.after = die
    if moment <= len(whole.runner.order):
        with pytest.raises(MemoryError):
            world.run()
        assert len(world.decisions()) == 20  # all were decided before the first extraction
    world.runner.after = lambda count: None
    world.run()
    assert len(set(world.runner.order)) == len(world.runner.order)
    assert world.decisions() == whole.decisions()


@pytest.mark.parametrize(("reason", "again"), [("decode", False), ("timeout", True)])
def test_a_failed_track_is_not_tried_twice_and_later_only_if_the_reason_may_pass(
    reason: str, again: bool, tmp_path: Path
) -> None:
    world = World(tmp_path, [0.5, 0.6])
    bad, good = world.ids
    world.runner.errors = {bad: FailTrack(reason)}
    stats = world.run()
    assert world.runner.order == [("costly", bad), ("costly", good)]
    assert counted(stats) == {"extracted": {"costly": 1}, "failed": {"costly": 1}}
    assert world.finished() == ({good} if again else {bad, good})


def test_an_album_that_is_sure_together_spares_its_tracks_the_costly_stage(tmp_path: Path) -> None:
    world = World(tmp_path, [0.79, 0.79, 0.79, 0.79, 0.79], dict.fromkeys(range(4), "Blue"))
    world.run(names=("cheap", "costly"))
    assert world.runner.extracted(COSTLY) == [world.ids[4]]


def test_one_stage_or_no_runner_decides_by_what_is_stored(tmp_path: Path) -> None:
    world = World(tmp_path, [0.5, 0.9])
    assert world.run(names=("cheap",)) == ScanStats(decided=2)
    scope = Scope(world.database)
    scope.add(world.ids)
    stats = Escalation(world.database, scope, world.cascade()).run()
    assert counted(stats) == {"unreached": {"costly": 1}}
    assert world.runner.order == []


def test_budgets_come_from_the_settings() -> None:
    assert Budget.of(Settings()) == Budget(None, None)
    assert Budget.of(Settings(max_time="2h", max_tracks=5)) == Budget(7200, 5)


@pytest.mark.parametrize("names", [("cheap",), ("cheap", "costly"), ("cheap", "costly", "costliest")])
def test_albums_are_grouped_once_a_track_and_only_asked_tracks_are_decided_again(
    names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grouped: list[str] = []
    decided: list[int] = []
    album_of, decide = albums.album_of, voter.decide

    def counted_album(path: str, tags: TrackTags) -> tuple[str, str, str] | None:
        grouped.append(path)
        return album_of(path, tags)

    def counted_decision(votes: Sequence[Vote], *arguments: Any, **more: Any) -> Decision:
        decided.append(len(votes))
        return decide(votes, *arguments, **more)

    monkeypatch.setattr(albums, "album_of", counted_album)
    monkeypatch.setattr(voter, "decide", counted_decision)
    world = World(tmp_path, [0.9, 0.6, 0.5, 0.95, *[0.6] * 4, *[0.95] * 4], {4: "Red", 5: "Red", 6: "Red", 7: "Red"})
    world.vectors[COSTLY] = {world.ids[2]: row(0.5)}

    stats = world.run(names=names)

    assert sorted(grouped) == sorted(set(grouped))
    assert len(grouped) == stats.decided == 12
    asked = [stats.stage(name).extracted for name in names[1:]]
    assert asked == [6, 1][: len(names) - 1]
    assert len(decided) == 12 + sum(asked)


def test_a_stage_votes_once_for_a_track_in_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    predict = Stage.predict

    def counted(stage: Stage, vectors: Any) -> list[Vote]:
        rows.append(len(vectors))
        return predict(stage, vectors)

    monkeypatch.setattr(Stage, "predict", counted)
    world = mixed(tmp_path)
    stats = world.run()

    assert sum(rows) == 20 + stats.stage("costly").extracted + stats.stage("costliest").extracted


def test_a_stage_that_cannot_go_on_ends_and_the_others_decide_and_the_next_scan_takes_its_tracks_up(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, [0.5, 0.6, 0.55, 0.9])
    first, second, third, _ = world.ids
    world.vectors[COSTLY] = {first: row(0.99)}

    def lost(count: int) -> None:
        if count == 1:
            raise DeviceError("The card stopped working; start reclass again.")

    world.runner.after = lost
    stats = world.run(names=("cheap", "costly"))
    assert stats.stages["costly"].ended == "The card stopped working; start reclass again."
    assert world.runner.order == [("costly", first)]
    assert counted(stats) == {"extracted": {"costly": 1}, "unreached": {"costly": 2}}
    assert {line[0]: line[5] for line in world.decisions()} == {
        first: "costly", second: "cheap", third: "cheap", world.ids[3]: "cheap"
    }  # fmt: skip
    assert world.finished() == {first, world.ids[3]}
    world.runner.after = lambda count: None
    again = world.run(names=("cheap", "costly"))
    assert again.stages["costly"].ended == ""
    assert world.finished() == set(world.ids)


def test_a_stage_whose_vectors_need_nothing_of_the_one_that_ended_is_still_asked(tmp_path: Path) -> None:
    world = World(tmp_path, [0.5, 0.6])

    def lost(count: int) -> None:
        if count == 1:
            raise DeviceError("It is lost.")

    world.runner.after = lost
    world.vectors[COSTLY] = dict.fromkeys(world.ids, row(0.5))
    stats = world.run(names=("cheap", "costly", "other"))
    assert stats.stages["costly"].ended == "It is lost."
    assert sorted(world.runner.extracted(COSTLIEST)) == world.ids
    assert {line[5] for line in world.decisions()} == {"other"}
    assert world.finished() == {world.ids[0]}  # the other lacks a vote


@pytest.mark.parametrize("error", [DatabaseError("It is locked."), ValueError("a bug")])
def test_what_is_no_matter_of_one_stage_ends_the_run(error: Exception, tmp_path: Path) -> None:
    world = World(tmp_path, [0.5, 0.6])

    def broken(count: int) -> None:
        raise error

    world.runner.after = broken
    with pytest.raises(type(error)):
        world.run()


@pytest.mark.parametrize(
    ("measured", "budget", "seconds"),
    [
        ({"cheap": StageStats(200, 20.0), "costly": StageStats(50, 100.0)}, Budget(), 500.0),  # a quarter, 2 s each
        ({"cheap": StageStats(200, 20.0), "costly": StageStats(50, 100.0)}, Budget(seconds=60.0), 60.0),
        ({"cheap": StageStats(200, 20.0)}, Budget(), None),
        ({}, Budget(), None),
    ],
)
def test_the_time_of_later_stages_is_foreseen_by_the_share_and_the_cost_of_earlier_scans(
    measured: dict[str, StageStats], budget: Budget, seconds: float | None
) -> None:
    cascade = Cascade((echo_stage("cheap", (CHEAP,)), echo_stage("costly", (CHEAP, COSTLY))), load())
    assert seconds_to_come(cascade, 0, 1000, measured, budget=budget) == seconds
    assert seconds_to_come(cascade, 1, 1000, measured, budget=budget) == 0.0  # none is behind it
