"""Decisions and votes as stored."""

from pathlib import Path

import numpy as np
import pytest

from music_reclass.domain import Decision, FeatureKind, Outcome, Track, TrackTags, Vote
from music_reclass.errors import SkipTrack
from music_reclass.features.database import Database
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library
from music_reclass.features.scope import Scope

KIND = FeatureKind("fma518", "1", 3, "mid30")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "library.sqlite3")


def add(database: Database, path: str, **more: object) -> int:
    vector = None if "error" in more else np.ones(3, np.float32)
    reading = Track(path, 10, 5, path.encode(), 1.0, TrackTags(genres=("Rock",)), (), vector, **more)  # type: ignore[arg-type]
    return Library(database).save([reading], KIND)[0]


def likely(genre: str) -> Decision:
    return Decision(
        Outcome.LIKELY, "above the threshold", (genre,), 0.7, "fma518", (Vote("fma518", {genre: 0.7, "Pop": 0.3}),)
    )


def test_a_decision_comes_back_with_its_votes(database: Database) -> None:
    track, decisions = add(database, "/a"), Decisions(database)
    bundle = decisions.register_bundle("fma-mlp", "abc", {"version": "1"})
    decisions.save({track: likely("Jazz")}, {"fma518": bundle}, "basis")
    state = decisions.track_at("/a")
    assert state is not None
    assert state.decision == likely("Jazz")
    assert state.outcome is Outcome.LIKELY
    assert state.tags.genres == ("Rock",)


def test_votes_come_back_in_cascade_order(database: Database) -> None:
    track, decisions = add(database, "/a"), Decisions(database)
    stages = ("musicnn", "mert", "jmla", "late")
    votes = tuple(Vote(stage, {"Jazz": 0.5, "Rock": 0.5}) for stage in stages)
    bundles = {stage: decisions.register_bundle(stage, stage, {}) for stage in sorted(stages)}
    for number in (2, 4):  # decided again with more votes
        decisions.save({track: Decision(Outcome.UNSURE, "below", votes=votes[:number])}, bundles, "basis")
        (state,) = decisions.tracks([track])
        assert state.decision is not None
        assert [vote.stage for vote in state.decision.votes] == list(stages[:number])


def test_a_bundle_is_registered_once(database: Database) -> None:
    decisions = Decisions(database)
    assert decisions.register_bundle("m", "abc", {}) == decisions.register_bundle("m", "abc", {})


def test_a_failure_is_the_outcome_of_its_track(database: Database) -> None:
    add(database, "/a", error=SkipTrack("silence", "no sound"))
    state = Decisions(database).track_at("/a")
    assert state is not None
    assert state.outcome is Outcome.SKIPPED
    assert (state.error.reason, state.error.detail) == ("silence", "no sound")  # type: ignore[union-attr]


def test_states_below_a_folder_do_not_include_its_neighbours(database: Database) -> None:
    for path in ("/music/a", "/music/b", "/musical/c"):
        add(database, path)
    assert [state.path for state in Decisions(database).below(["/music"])] == ["/music/a", "/music/b"]
    assert [state.path for state in Decisions(database).below()] == ["/music/a", "/music/b", "/musical/c"]


def test_counts_are_by_outcome_reason_and_genre(database: Database) -> None:
    decisions = Decisions(database)
    decisions.save({add(database, "/a"): likely("Jazz"), add(database, "/b"): likely("Jazz")}, {}, "b")
    decisions.save({add(database, "/c"): Decision(Outcome.UNSURE, "below")}, {}, "b")
    add(database, "/d", error=SkipTrack("silence"))
    assert decisions.counts() == {
        "outcomes": {"likely": 2, "unsure": 1, "skipped": 1},
        "reasons": {"skipped: silence": 1},
        "genres": {"Jazz": 2},
    }


def test_a_later_decision_takes_the_place_of_the_former(database: Database) -> None:
    track, decisions = add(database, "/a"), Decisions(database)
    decisions.save({track: likely("Jazz")}, {}, "1")
    decisions.save({track: likely("Blues")}, {}, "2")
    state = decisions.track_at("/a")
    assert state is not None
    assert state.decision is not None
    assert state.decision.genres == ("Blues",)


def test_tracks_come_in_the_order_asked_and_unknown_ones_are_left_out(database: Database) -> None:
    first, second = add(database, "/a"), add(database, "/b")
    assert [track.path for track in Decisions(database).tracks([second, 99, first])] == ["/b", "/a"]
    assert Decisions(database).track_at("/nowhere") is None


def test_an_album_is_those_of_its_tracks_that_are_there(database: Database) -> None:
    for path in ("/a", "/b", "/c"):
        add(database, path)
    database.connection.execute("UPDATE track SET album = 'Blue' WHERE path <> CAST('/c' AS BLOB)")
    database.connection.execute("UPDATE track SET missing_since = 1 WHERE path = CAST('/b' AS BLOB)")
    assert [track.path for track in Decisions(database).on_album("Blue")] == ["/a"]
    assert Decisions(database).on_album("") == []


def test_the_votes_of_an_album_are_not_stored(database: Database) -> None:
    track, decisions = add(database, "/a"), Decisions(database)
    votes = (Vote("fma518", {"Jazz": 1.0}), Vote("album", {"Rock": 1.0}))
    bundles = {"fma518": decisions.register_bundle("fma518", "abc", {})}
    decisions.save({track: Decision(Outcome.LIKELY, "album", ("Rock",), 0.7, "album", votes)}, bundles, "b")
    (found,) = decisions.tracks([track])
    assert found.decision is not None
    assert (found.decision.stage, found.decision.votes) == ("album", votes[:1])


def test_tracks_may_be_written_while_they_are_walked_through(database: Database) -> None:
    decisions, scope = Decisions(database), Scope(database)
    tracks = [Track(f"/m/{n:04}", 1, 1, b"%d" % n, vector=np.ones(3, np.float32)) for n in range(1201)]
    scope.add(Library(database).save(tracks, KIND))
    for number, track in enumerate(decisions.in_scope(scope)):
        assert track.path == f"/m/{number:04}"
        if number % 100 == 0:
            decisions.save({track.id: likely("Jazz")}, {}, "basis")
    assert decisions.counts()["outcomes"] == {"likely": 13}
