"""Decisions are counted with what they rest on, and beside tags that the user gave, not those that we wrote."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from music_reclass.domain import Decision, FeatureKind, Outcome, Track, TrackTags, Vote
from music_reclass.errors import FailTrack, SkipTrack
from music_reclass.features.database import Database
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library
from music_reclass.features.scope import Scope
from music_reclass.features.statistics import Cell, Outcomes
from tests.features.test_library_labelled import wrote

KIND = FeatureKind("first", "1", 3, "mid30")
Row = tuple[str, tuple[str, ...] | None, Outcome, str | None, float, tuple[str, ...], str]
ROWS: tuple[Row, ...] = (
    ("/m/a1", ("Pop",), Outcome.CONFIDENT, "Rock", 0.92, ("first",), "first"),
    ("/m/a2", ("Pop",), Outcome.CONFIDENT, "Rock", 0.94, ("first",), "album"),
    ("/m/b1", ("Jazz",), Outcome.LIKELY, "Jazz", 0.6, ("first", "second"), "second"),
    ("/m/b2", None, Outcome.LIKELY, "Jazz", 1.0, ("first", "second"), "second"),
    ("/m/c1", ("Other",), Outcome.UNSURE, None, 0.3, ("first", "second"), "second"),
)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(tmp_path / "l.sqlite3")
    decisions = Decisions(database)
    bundles = {name: decisions.register_bundle(name, name, {}) for name in ("first", "second")}
    readings = [
        Track(path, 1, 1, path.encode(), 9.0, TrackTags(tags, artist="A", album="One"), (), np.ones(3, np.float32))
        for path, tags, *_ in ROWS
    ]
    ids = Library(database).save(readings, KIND)
    for number, (_, _, outcome, genre, confidence, voted, stage) in zip(ids, ROWS, strict=True):
        votes = tuple(Vote(name, {"Jazz": 0.4, "Rock": 0.6}) for name in voted)
        decided = Decision(outcome, "x", (genre,) if genre else (), confidence, stage, votes)
        decisions.save({number: decided}, bundles, "basis")
    failed = [
        Track("/m/x", 1, 1, error=SkipTrack("silence", "no sound")),
        Track("/m/y", 1, 1, error=FailTrack("decode", "bad frame")),
        Track("/m/z", 1, 1, error=FailTrack("decode", "worse frame")),
    ]
    Library(database).save(failed, KIND)
    return database


def counted(cells: Iterable[Cell]) -> Counter[str]:
    """Tracks by outcome."""
    found: Counter[str] = Counter()
    for cell in cells:
        found[cell.outcome] += cell.count
    return found


def test_every_decided_track_is_counted_once(database: Database) -> None:
    cells = Outcomes(database).cells()

    assert counted(cells) == {"confident": 2, "likely": 2, "unsure": 1}
    assert {(cell.genre, cell.bin, cell.by_album, cell.count) for cell in cells if cell.outcome != "unsure"} == {
        ("Rock", 18, False, 1), ("Rock", 18, True, 1), ("Jazz", 12, False, 1), ("Jazz", 19, False, 1),
    }  # fmt: skip
    assert {cell.stages for cell in cells} == {frozenset({"first"}), frozenset({"first", "second"})}


def test_only_tracks_of_the_scope_count_where_that_is_asked(database: Database) -> None:
    scope = Scope(database)
    scope.add([1, 5])

    outcomes = Outcomes(database, scope)

    assert counted(outcomes.cells()) == {"confident": 1, "unsure": 1}
    assert outcomes.causes(5) == []


def test_decisions_stand_beside_tags_that_the_user_gave(database: Database) -> None:
    beside = Outcomes(database).cells_by_tags()

    assert {(cell.tags, cell.genre, cell.bin, cell.count) for cell in beside} == {
        (("Pop",), "Rock", 18, 2), (("Jazz",), "Jazz", 12, 1)
    }  # fmt: skip
    assert [track.path for track in Outcomes(database).tagged_by_user()] == ["/m/a1", "/m/a2", "/m/b1"]


def test_what_we_wrote_is_no_tag_of_the_users(database: Database) -> None:
    wrote(database, b"/m/a1", '["Pop"]')

    assert [track.path for track in Outcomes(database).tagged_by_user()] == ["/m/a2", "/m/b1"]
    assert [track.path for track in Library(database).tracks_with(KIND, tagged_by_user=True)] == [
        "/m/a2",
        "/m/b1",
        "/m/c1",
    ]
    assert Library(database).user_genres([1, 2, 4]) == {2: ("Pop",)}


def test_uncertain_tracks_come_with_their_votes(database: Database) -> None:
    (track,) = Outcomes(database).unsure()

    assert track.decision is not None
    assert (track.path, track.decision.genres, track.decision.confidence) == ("/m/c1", (), 0.3)
    assert [vote.stage for vote in track.decision.votes] == ["first", "second"]


def test_failures_are_grouped_by_cause_the_most_frequent_first(database: Database) -> None:
    decode, silence = Outcomes(database).causes(1)

    assert (decode.outcome, decode.reason, decode.count, decode.examples) == (
        "failed", "decode", 2, (("/m/y", "bad frame"),),
    )  # fmt: skip
    assert (silence.outcome, silence.count) == ("skipped", 1)


def test_early_exits_are_the_tracks_of_this_cascade_with_fewer_votes(database: Database) -> None:
    decisions = Decisions(database)

    assert decisions.exited_before(2, "basis") == [1, 2]
    assert decisions.exited_before(2, "another basis") == []
    assert decisions.count_voted() == 5
    assert len(list(Library(database).tracks_with(KIND))) == 5


def test_stages_come_with_the_manifest_of_the_bundle_that_cast_most_of_their_votes(database: Database) -> None:
    decisions = Decisions(database)
    numbers = [decisions.register_bundle("second", f"digest {n}", {"kinds": ["a", "b"], "n": n}) for n in (1, 2)]
    database.connection.execute("UPDATE vote SET bundle_id = ? WHERE stage = 'second'", (numbers[0],))
    database.connection.execute("UPDATE vote SET bundle_id = ? WHERE stage = 'second' AND track_id = 3", (numbers[1],))

    assert Outcomes(database).manifests() == {"first": {}, "second": {"kinds": ["a", "b"], "n": 1}}
    assert list(Outcomes(database).manifests()) == ["first", "second"]


def test_tracks_of_which_nothing_can_be_said_are_not_counted(database: Database) -> None:
    database.connection.execute("UPDATE track SET missing_since = 1 WHERE id <= 2")

    assert counted(Outcomes(database).cells()) == {"likely": 2, "unsure": 1}
    assert [track.id for track in Library(database).tracks_with(KIND)] == [3, 4, 5]
    assert Decisions(database).exited_before(2, "basis") == []


def test_what_is_no_music_is_counted_among_what_was_skipped_and_nowhere_else(database: Database) -> None:
    (track,) = (state for state in Decisions(database).below() if state.path == "/m/a1")
    sound = Vote("content", {"music": 0.1, "speech": 0.9})
    bundles = {"content": Decisions(database).register_bundle("content", "content", {})}
    refused = Decision(Outcome.SKIPPED, "not_music", (), 0.9, "content", (sound,))
    before = len(Library(database).user_genres([track.id]))
    Decisions(database).save({track.id: refused}, bundles, "basis")
    causes = {(cause.outcome, cause.reason): cause for cause in Outcomes(database).causes(2)}
    assert causes["skipped", "not_music"].examples == (("/m/a1", "speech (90%)"),)
    assert "content" not in Outcomes(database).manifests()
    assert Decisions(database).counts()["reasons"]["skipped: not_music"] == 1
    assert before == 1
    assert track.id not in {one.id for one in Library(database).tagged_by_user(KIND)}
    assert track.id not in {one.id for one in Library(database).tracks_with(KIND)}
    assert track.id not in Decisions(database).voted()
