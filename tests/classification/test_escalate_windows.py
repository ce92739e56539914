"""Excerpts beside the middle are extracted for undecided tracks that are long enough, and vote; none is read twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from music_reclass.classification.escalate import Escalation
from music_reclass.classification.relabel import relabel
from music_reclass.classification.voter import Cascade
from music_reclass.domain import FeatureKind, Track
from music_reclass.features.database import Database
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library
from music_reclass.features.scope import Scope
from music_reclass.taxonomy import load
from music_reclass.utils.progress import Silent, StopRequest
from tests.classification.fakes import CHEAP, echo_stage

SECONDS = (60.0, 120.0, 240.0, 104.0)
HERE = {"mid30": [0.6, 0.2, 0.2], "start30": [0.3, 0.4, 0.3], "end30": [0.0, 1.0, 0.0]}
HERE |= {"early30": [0.0, 1.0, 0.0], "late30": [0.1, 0.9, 0.0]}
SHORT = {"start30", "end30"}


@dataclass
class Runner:
    """Has the vectors of every excerpt but those that are `silent`, and notes what it was asked for."""

    library: Library
    asked: list[tuple[int, set[str]]] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    after: Callable[[], None] = lambda: None

    def extract_windows(
        self, tracks: Sequence[tuple[int, str]], kinds: Sequence[FeatureKind], stop: Callable[[], bool], progress: Any
    ) -> None:
        for track, _ in tracks:
            if stop():
                return
            self.asked.append((track, {kind.excerpt for kind in kinds}))
            for kind in kinds:
                if kind.excerpt not in self.silent:
                    self.library.add_vectors({track: np.array(HERE[kind.excerpt], np.float32)}, kind)
            self.after()

    def release(self) -> None:
        """Nothing to free."""


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Four tracks of other lengths; the middle of each says Jazz."""
    library = Library(Database(tmp_path / "library.sqlite3"))
    middle = np.array(HERE["mid30"], np.float32)
    library.save([Track(f"/{n}", 1, 1, bytes([n]), s, vector=middle) for n, s in enumerate(SECONDS)], CHEAP)
    return library


def cascade(windows: int) -> Cascade:
    return Cascade((echo_stage("cheap", (CHEAP,)),), load(), windows=windows)


def decide(runner: Runner, windows: int, stop: StopRequest | None = None) -> int:
    """A scan's decisions; how many tracks were decided."""
    scope = Scope(runner.library.database)
    scope.add_all()

    def no_bar(title: str, total: int | None) -> Any:
        return nullcontext(Silent())

    run = Escalation(runner.library.database, scope, cascade(windows), runner, bar=no_bar)  # type: ignore[arg-type]
    return run.run(None, stop).decided


def votes(library: Library) -> list[float]:
    """Each track's probability of Jazz."""
    decisions = (track.decision for track in Decisions(library.database).below())
    return [round(decision.votes[0].probabilities["Jazz"], 4) for decision in decisions if decision is not None]


def test_as_many_excerpts_vote_as_fit_without_overlap(library: Library) -> None:
    runner = Runner(library)
    decide(runner, 1)
    assert (runner.asked, votes(library)) == ([], [0.6, 0.6, 0.6, 0.6])
    assert decide(runner, 3) == 4
    assert runner.asked == [(2, SHORT), (3, SHORT)]
    assert votes(library) == [0.6, 0.3, 0.3, 0.6]
    assert decide(runner, 5) == 4
    assert runner.asked[2:] == [(3, SHORT | {"early30", "late30"})]
    assert votes(library) == [0.6, 0.3, 0.2, 0.6]


def test_what_is_extracted_and_decided_is_left_alone_and_one_window_decides_as_before(library: Library) -> None:
    runner = Runner(library)
    decide(runner, 3)
    assert decide(runner, 3) == 0
    assert decide(runner, 1) == 4
    assert votes(library) == [0.6, 0.6, 0.6, 0.6]
    assert decide(runner, 3) == 4
    assert len(runner.asked) == 2


def test_an_excerpt_that_cannot_be_had_does_not_vote_and_is_not_tried_at_every_scan(library: Library) -> None:
    runner = Runner(library, silent={"end30"})
    decide(runner, 3)
    assert votes(library) == [0.6, 0.45, 0.45, 0.6]
    assert decide(runner, 3) == 0
    assert len(runner.asked) == 2


def test_a_stopped_scan_decides_by_what_is_there_and_the_next_one_goes_on(library: Library) -> None:
    stop = StopRequest()
    runner = Runner(library, after=lambda: setattr(stop, "requested", True))
    decide(runner, 3, stop)
    assert [track for track, _ in runner.asked] == [2]
    assert votes(library) == [0.6, 0.3, 0.6, 0.6]
    assert decide(runner, 3) == 4
    assert [track for track, _ in runner.asked] == [2, 3]
    assert votes(library) == [0.6, 0.3, 0.3, 0.6]


def test_stored_votes_are_of_an_unknown_number_of_windows_so_a_relabel_leaves_the_last_word_to_the_scan(
    library: Library,
) -> None:
    runner = Runner(library)
    decide(runner, 1)
    relabel(library.database, cascade(3))
    assert votes(library) == [0.6, 0.6, 0.6, 0.6]
    assert decide(runner, 3) == 4
    assert votes(library) == [0.6, 0.3, 0.3, 0.6]


def test_the_number_of_windows_is_part_of_what_a_decision_rests_on() -> None:
    assert len({cascade(windows).basis for windows in (1, 2, 3, 5)}) == 4
    whole = echo_stage("cheap", (replace(CHEAP, excerpt="full"),))
    assert Cascade((whole,), load(), windows=3).basis == Cascade((whole,), load()).basis
