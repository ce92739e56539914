"""What a run must read and decide."""

import os
from pathlib import Path

import numpy as np
import pytest

from music_reclass.domain import Decision, FeatureKind, Outcome, Track, TrackTags, Vote
from music_reclass.errors import FailTrack, SkipTrack
from music_reclass.features.database import Database
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library
from music_reclass.features.results import ScanStats
from music_reclass.features.scope import Scope

KIND = FeatureKind("fma518", "1", 3, "mid30")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "library.sqlite3")


def stored(database: Database, *paths: str, album: str = "", error: Exception | None = None) -> list[int]:
    tags = TrackTags(album=album, artist="Ida")
    return Library(database).save(
        [
            Track(path, 10, 5, path.encode(), 1.0, tags, (), None if error else np.ones(3, np.float32), error)  # type: ignore[arg-type]
            for path in paths
        ],
        KIND,
    )


def sorted_found(scope: Scope, *files: Track, rescan: bool = False) -> ScanStats:
    stats = ScanStats()
    scope.sort_found(files, KIND, stats, rescan)
    return stats


def test_known_new_and_changed_files_are_told_apart(database: Database) -> None:
    stored(database, "/a", "/b")
    scope = Scope(database)
    stats = sorted_found(scope, Track("/a", 10, 5), Track("/b", 10, 6), Track("/c", 1, 1))
    assert (stats.known, stats.changed, stats.new) == (1, 1, 1)
    assert [file.path for file in scope.pending()] == ["/b", "/c"]


def test_a_file_met_twice_counts_once(database: Database) -> None:
    stored(database, "/a")
    scope = Scope(database)
    stats = sorted_found(scope, *[Track("/a", 10, 5)] * 2, *[Track("/c", 1, 1)] * 2)
    assert stats.found == 2


@pytest.mark.parametrize(
    ("error", "pending"), [(SkipTrack("silence"), 0), (FailTrack("decode"), 0), (FailTrack("io"), 1)]
)
def test_only_failures_that_may_pass_are_tried_again(database: Database, error: Exception, pending: int) -> None:
    stored(database, "/a", error=error)
    scope = Scope(database)
    sorted_found(scope, Track("/a", 10, 5))
    assert scope.pending_count() == pending


def test_another_feature_version_and_rescan_read_everything_again(database: Database) -> None:
    stored(database, "/a")
    scope = Scope(database)
    scope.sort_found([Track("/a", 10, 5)], FeatureKind("fma518", "2", 3, "mid30"), ScanStats(), False)
    assert scope.pending_count() == 1
    assert sorted_found(Scope(database), Track("/a", 10, 5), rescan=True).changed == 1


def test_only_tracks_below_the_root_go_missing(database: Database) -> None:
    stored(database, "/music/a", "/music/b", "/musical/c", "/other/d")
    scope = Scope(database)
    sorted_found(scope, Track("/music/a", 10, 5))
    assert scope.mark_missing(["/music"]) == 1
    rows = database.connection.execute("SELECT path FROM track WHERE missing_since IS NOT NULL").fetchall()
    assert rows == [(b"/music/b",)]


def test_only_tracks_in_the_very_folder_go_missing_where_those_below_were_not_looked_at(database: Database) -> None:
    stored(database, "/music/a", "/music/b", "/music/CD1/c", "/other/d")
    scope = Scope(database)
    sorted_found(scope, Track("/music/a", 10, 5))
    assert scope.mark_missing(["/music"], with_folders_below=False) == 1
    rows = database.connection.execute("SELECT path FROM track WHERE missing_since IS NOT NULL").fetchall()
    assert rows == [(b"/music/b",)]


def test_a_new_track_calls_up_its_whole_album(database: Database) -> None:
    first = stored(database, "/x/1", "/x/2", album="Blue")
    stored(database, "/y/1", album="Red")
    vote = Vote("fma518", {"Jazz": 1.0})
    Decisions(database).save(
        {t: Decision(Outcome.LIKELY, "", ("Jazz",), 1.0, "fma518", (vote,)) for t in first}, {}, "b"
    )
    new = stored(database, "/x/3", album="Blue")
    scope = Scope(database)
    scope.add(new)
    assert scope.collect_undecided("b", KIND) == 3
    assert [sorted(chunk) for chunk in scope.undecided_by_album()] == [sorted(first + new)]


def test_decided_tracks_rest_until_the_basis_changes(database: Database) -> None:
    ids = stored(database, "/x/1")
    decision = Decision(Outcome.UNSURE, "below threshold")
    Decisions(database).save(dict.fromkeys(ids, decision), {}, "basis-1")
    scope = Scope(database)
    scope.add(ids)
    assert scope.collect_undecided("basis-1", KIND) == 0
    assert scope.collect_undecided("basis-2", KIND) == 1


def test_no_album_is_cut_in_two(database: Database) -> None:
    ids = [track for album in "abcdef" for track in stored(database, *(f"/{album}/{n}" for n in range(5)), album=album)]
    scope = Scope(database)
    scope.add(ids)
    scope.collect_undecided("b", KIND)
    chunks = list(scope.undecided_by_album(size=7))
    assert sorted(track for chunk in chunks for track in chunk) == sorted(ids)
    assert [len(chunk) for chunk in chunks] == [10, 10, 10]


def test_pending_pages_through_any_number_of_files(database: Database) -> None:
    scope = Scope(database)
    names = [os.fsdecode(b"/%05d\xff" % number) for number in range(1203)]
    scope.sort_found([Track(name, 1, 1) for name in names], KIND, ScanStats(), False)
    assert [file.path for file in scope.pending()] == names


def waits(*gains: float, position: int = 1) -> list[tuple[int, float]]:
    return [(position, gain) for gain in gains]


def test_uncertain_tracks_wait_in_line_the_highest_gain_first_and_equals_by_path(database: Database) -> None:
    ids = stored(database, "/m/c", "/m/a", "/m/b", "/m/d", "/m/e")
    scope = Scope(database)
    waiting = dict(zip(ids, [*waits(0.201, 0.199, 0.5), *waits(0.9, position=2), *waits(0.0)], strict=True))
    scope.keep_open(dict.fromkeys(ids, ()), [], waiting)
    assert scope.waiting() == {1: 4, 2: 1}
    assert scope.queue_up(1) == 4
    assert scope.next_in_queue(2) == [(ids[2], "/m/b"), (ids[1], "/m/a")]
    assert scope.next_in_queue(0) == []
    assert scope.next_in_queue(9) == [(ids[0], "/m/c"), (ids[4], "/m/e")]
    assert scope.next_in_queue(9) == []


def test_a_track_that_has_gone_missing_is_in_no_line(database: Database) -> None:
    ids = stored(database, "/m/a", "/m/b")
    database.connection.execute("UPDATE track SET missing_since = 1 WHERE id = ?", (ids[0],))
    scope = Scope(database)
    scope.keep_open(dict.fromkeys(ids, ()), [], dict.fromkeys(ids, (1, 0.5)))
    assert scope.queue_up(1) == 1
    assert scope.next_in_queue(5) == [(ids[1], "/m/b")]


def test_open_tracks_keep_their_albums_and_exact_votes_and_finished_ones_are_dropped(database: Database) -> None:
    ids = stored(database, "/m/a", "/m/b", "/m/c", "/m/d")
    scope = Scope(database)
    vote = Vote("first", {"Jazz": 1 / 3, "Rock": 2 / 3})
    scope.keep_open(dict.fromkeys(ids, (vote,)), [ids[:2]], {ids[1]: (1, 0.5), ids[2]: (1, 0.5)})

    ((votes, albums),) = scope.open_by_album(ids)

    assert votes == dict.fromkeys(ids[:3], (vote,))
    assert albums == [ids[:2]]
    assert [list(part) for part, _ in scope.open_by_album([ids[0]])] == [ids[:2]]
    assert [list(part) for part, _ in scope.open_by_album(ids, size=1)] == [ids[:2], [ids[2]]]

    scope.keep_open(dict.fromkeys(ids[:2], (vote,)), [ids[:2]], {})
    assert scope.waiting() == {1: 1}
    assert list(scope.open_by_album(ids[:2])) == []


def test_scopes_of_one_connection_do_not_meet(database: Database) -> None:
    ids = stored(database, "/m/a", "/m/b")
    first, second = Scope(database), Scope(database)
    first.add(ids[:1])
    second.add_all()
    decisions = Decisions(database)
    assert [track.path for track in decisions.in_scope(first)] == ["/m/a"]
    assert [track.path for track in decisions.in_scope(second)] == ["/m/a", "/m/b"]
