"""One batch after the other: logged, sent, read back, settled, whatever happens in between."""

import pytest

from music_reclass.errors import ServerError
from music_reclass.features.journal import Journal
from music_reclass.plex.write import CHANGED, GONE, UNVERIFIED, settle_open, write
from tests.fakes.plex_server import FakePlex
from tests.plex.bench import Bench, connected


def library(bench: Bench, fake: FakePlex, count: int = 5, genre: str = "Jazz", **more: list[str]) -> None:
    fake.album("Ada", "Blue", count, **more)
    bench.decide_all(genre)


def test_what_is_written_is_verified_locked_and_logged(bench: Bench, fake: FakePlex) -> None:
    library(bench, fake, 250, genres=["Other"])
    run, outcome = bench.sync(label="reclass")
    assert (outcome.written, outcome.failed, outcome.changed) == (250, [], [])
    assert all(thing.genres == ["Jazz"] and thing.locked == {"genre"} for thing in fake.tracks())
    assert all(thing.tags["label"] == ["reclass"] for thing in fake.tracks())
    changes = bench.journal.of_run(run)
    assert len(changes) == 500
    assert {(one.edit.field, one.edit.before, one.edit.after, one.state) for one in changes} == {
        ("genre", ("Other",), ("Jazz",), "written"), ("label", (), ("reclass",), "written"),
    }  # fmt: skip
    assert fake.puts == 3


def test_a_refresh_of_the_server_leaves_what_we_locked(bench: Bench, fake: FakePlex) -> None:
    library(bench, fake, 4, embedded=["Noise"])
    fake.tracks()[3].files = ["/outside.mp3"]
    bench.sync(allow_partial=True)
    fake.refresh_metadata()
    assert [thing.genres for thing in fake.tracks()] == [["Jazz"]] * 3 + [["Noise"]]


def test_without_a_lock_a_refresh_takes_it_back(bench: Bench, fake: FakePlex) -> None:
    library(bench, fake, 2, embedded=["Noise"])
    bench.sync(lock="unlock")
    fake.refresh_metadata()
    assert [thing.genres for thing in fake.tracks()] == [["Noise"]] * 2


def test_an_edit_that_the_server_loses_is_sent_once_more(bench: Bench, fake: FakePlex) -> None:
    library(bench, fake)
    fake.loses_edits = 1
    run, outcome = bench.sync()
    assert (outcome.written, set(bench.states(run))) == (5, {"written"})


def test_an_edit_that_never_takes_is_reported_and_logged_as_not_done(bench: Bench, fake: FakePlex) -> None:
    library(bench, fake, 2)
    fake.loses_edits = 100
    run, outcome = bench.sync()
    assert (outcome.written, [why for _, why in outcome.failed]) == (0, [UNVERIFIED] * 2)
    assert bench.states(run) == ["abandoned"] * 2


def test_a_genre_that_a_user_adds_in_the_same_moment_is_kept_and_reported(bench: Bench, fake: FakePlex) -> None:
    library(bench, fake)
    theirs = fake.tracks()[2]
    fake.before_put = lambda keys: theirs.tags.setdefault("genre", ["Wedding"])
    run, outcome = bench.sync()
    assert (outcome.written, outcome.failed) == (4, [("Ada - Blue - Tune 3", CHANGED)])
    assert theirs.genres == ["Wedding", "Jazz"]
    left, _ = bench.restore(run)
    assert [(row.title, row.reason) for row in left] == [("Ada - Blue - Tune 3", f"genre {CHANGED}")]
    assert theirs.genres == ["Wedding", "Jazz"]


def test_what_was_read_long_ago_is_read_again_before_it_is_overwritten(bench: Bench, fake: FakePlex) -> None:
    fake.replaces = True
    fake.album("Ada", "Blue", 3)
    fake.album("Bob", "Red", 3)
    bench.decide_all("Jazz")
    edits = [row.edit for row in bench.rows() if row.edit is not None]
    bench.clock.now += 3600
    theirs, gone = fake.tracks()[1], fake.tracks()[4]
    theirs.tags["genre"] = ["Wedding"]
    del fake.things[gone.key]
    run = Journal(bench.database).begin_run("plex sync", {})
    outcome = write(bench.target(), edits, run)
    assert outcome.written == 4
    assert outcome.changed == [("Ada - Blue - Tune 2", CHANGED), ("Bob - Red - Tune 2", GONE)]
    assert theirs.genres == ["Wedding"]


def test_a_track_that_vanishes_after_the_edit_is_reported(bench: Bench, fake: FakePlex) -> None:
    library(bench, fake, 3)
    fake.after_put = lambda number: fake.things.pop(fake.tracks()[0].key, None) and None  # type: ignore[func-returns-value]
    _, outcome = bench.sync()
    assert (outcome.written, [why for _, why in outcome.failed]) == (2, [GONE])


def test_one_refused_item_costs_one_item(bench: Bench, fake: FakePlex) -> None:
    library(bench, fake, 20)
    fake.refused_keys = {fake.tracks()[7].key: 409}
    run, outcome = bench.sync()
    assert (outcome.written, outcome.failed) == (19, [("Ada - Blue - Tune 8", "the server answers 409")])
    assert sorted(bench.states(run)) == ["abandoned"] + ["written"] * 19


@pytest.mark.parametrize("fault", [429, 503, "drop"])
def test_faults_that_pass_leave_no_trace(bench: Bench, fake: FakePlex, fault: object) -> None:
    library(bench, fake, 150)
    fake.after_put = lambda number: fake.faults.extend([fault, fault])
    run, outcome = bench.sync()
    assert (outcome.written, outcome.failed, set(bench.states(run))) == (150, [], {"written"})


def test_a_restart_of_the_server_in_the_middle_is_waited_for(bench: Bench, fake: FakePlex) -> None:
    library(bench, fake, 250)
    sleep = bench.clock.sleep

    def wake(seconds: float) -> None:
        sleep(seconds)
        if sum(bench.clock.slept) >= 15 and fake.url_is_down:
            fake.__enter__()

    bench.clock.sleep = wake  # type: ignore[method-assign]
    fake.after_put = lambda number: fake.__exit__() if number == 2 else None
    run, outcome = bench.sync()
    assert (outcome.written, outcome.failed, set(bench.states(run))) == (250, [], {"written"})
    assert sum(bench.clock.slept) >= 15


def test_a_server_that_goes_away_for_good_leaves_an_open_journal_that_the_next_run_settles(
    bench: Bench, fake: FakePlex
) -> None:
    fake.album("Ada", "Blue", 3)
    fake.album("Bob", "Red", 3)
    bench.decide_all("Jazz")
    fake.after_put = lambda number: fake.faults.extend([503] * 20)
    with pytest.raises(ServerError, match="503"):
        bench.sync()
    fake.after_put, fake.faults = lambda number: None, []
    assert set(bench.states(1)) == {"planned"}
    assert all(thing.genres == ["Jazz"] for thing in fake.tracks())
    fake.tracks()[0].tags["genre"], fake.tracks()[1].tags["genre"] = [], ["Wedding"]
    fake.tracks()[0].locked.clear()
    del fake.things[fake.tracks()[5].key]
    server = connected(fake, bench.clock)
    assert settle_open(server, bench.journal) == 6
    states = [(change.state, change.note) for change in bench.journal.of_run(1)]
    assert states == [
        ("abandoned", "interrupted"), ("written", CHANGED), ("written", ""), ("written", ""), ("written", ""),
        ("abandoned", GONE),
    ]  # fmt: skip
    assert settle_open(server, bench.journal) == 0


def test_a_request_to_stop_ends_after_the_batch_and_verifies_it(bench: Bench, fake: FakePlex) -> None:
    library(bench, fake, 350)
    run, outcome = bench.sync(stop=lambda: fake.puts >= 2)
    assert (outcome.written, outcome.stopped) == (200, True)
    assert bench.states(run) == ["written"] * 200
    _, outcome = bench.sync()
    assert outcome.written == 150


def test_a_server_that_hides_locks_among_several_items_is_not_trusted(bench: Bench, fake: FakePlex) -> None:
    library(bench, fake)
    fake.shows_locks_together = False
    with pytest.raises(ServerError, match="locks that users set cannot be respected"):
        bench.sync()


def test_odd_names_arrive_as_they_are(bench: Bench, fake: FakePlex) -> None:
    fake.album("Ada", "Blue", 1, genres=["R&B, Soul", "AC/DC", "100%", "Été"])
    bench.decide_all("Old-Time, “Historic” & more")
    bench.sync(mode="set")
    assert [thing.genres for thing in fake.tracks()] == [["Old-Time, “Historic” & more"]]
