"""Taking a run back: only what is as we left it, and only on the server where it was done."""

import pytest

from music_reclass.errors import NothingToDo, UsageError
from music_reclass.plex.write import CHANGED, COMMANDS, GONE, OTHER, plan_restore
from tests.fakes.plex_server import FakePlex
from tests.plex.bench import Bench, connected


@pytest.fixture
def run(bench: Bench, fake: FakePlex) -> int:
    fake.album("Ada", "Blue", 5, genres=["Other"])
    bench.decide_all("Jazz")
    number, outcome = bench.sync()
    assert outcome.written == 5
    return number


def test_a_run_is_taken_back_once(bench: Bench, fake: FakePlex, run: int) -> None:
    _, outcome = bench.restore(run)
    assert outcome.written == 5
    assert all((thing.genres, thing.locked) == (["Other"], set()) for thing in fake.tracks())
    with pytest.raises(NothingToDo, match="Nothing of run"):
        bench.restore(run)


def test_a_dry_run_changes_nothing(bench: Bench, fake: FakePlex, run: int) -> None:
    before = fake.state()
    left, outcome = bench.restore(run, dry_run=True)
    assert (left, outcome.written, fake.state()) == ([], 0, before)
    assert set(bench.states(run)) == {"written"}


def test_what_was_edited_since_is_named_and_left_unless_forced(bench: Bench, fake: FakePlex, run: int) -> None:
    one, two, *_ = fake.tracks()
    one.tags["genre"] = ["Wedding"]
    two.locked.clear()
    left, outcome = bench.restore(run)
    assert [row.reason for row in left] == [f"genre {CHANGED}"] * 2
    assert outcome.written == 3
    assert (one.genres, two.genres) == (["Wedding"], ["Jazz"])
    bench.restore(run, force=True)
    assert (one.genres, two.genres) == (["Other"], ["Other"])


def test_what_is_as_before_already_is_only_marked(bench: Bench, fake: FakePlex, run: int) -> None:
    for thing in fake.tracks():
        thing.tags["genre"] = ["Other"]
        thing.locked.clear()
    puts = fake.puts
    left, outcome = bench.restore(run)
    assert (left, outcome.written, fake.puts) == ([], 0, puts)
    assert set(bench.states(run)) == {"undone"}


def test_a_track_that_is_gone_harms_no_other(bench: Bench, fake: FakePlex, run: int) -> None:
    del fake.things[fake.tracks()[0].key]
    left, outcome = bench.restore(run)
    assert ([(row.title, row.reason) for row in left], outcome.written) == ([("Ada - Blue - Tune 1", GONE)], 4)


@pytest.mark.parametrize("change", ["guid", "file"])
def test_a_number_that_now_means_another_item_is_left_alone(
    bench: Bench, fake: FakePlex, run: int, change: str
) -> None:
    thing = fake.tracks()[0]
    fake._fixed.clear()
    if change == "guid":
        thing.guid = "plex://track/other"
    else:
        thing.files = ["/data/music/Else/Where/1.mp3"]
    left, outcome = bench.restore(run)
    assert ([(row.title, row.reason) for row in left], outcome.written) == ([("Ada - Blue - Tune 1", OTHER)], 4)
    assert thing.genres == ["Jazz"]


def test_another_server_is_refused(bench: Bench, fake: FakePlex, run: int) -> None:
    fake.machine = "machine-2"
    with pytest.raises(UsageError, match="wrote to the server 'Fake'"):
        bench.restore(run)
    fake.machine = "machine-1"
    with pytest.raises(NothingToDo, match="wrote nothing to a Plex server"):
        bench.restore(run + 99)


def test_a_library_that_is_gone_is_reported(bench: Bench, fake: FakePlex, run: int) -> None:
    sections = fake._sections
    fake._sections = lambda: sections().replace('key="5"', 'key="6"')  # type: ignore[method-assign]
    _, outcome = bench.restore(run)
    assert {why for _, why in outcome.failed} == {"the library is gone from the server"}


def test_stopped_and_resumed_it_ends_the_same(bench: Bench, fake: FakePlex) -> None:
    fake.album("Ada", "Blue", 150, genres=["Other"])
    fake.album("Bob", "Red", 150)
    bench.decide_all("Jazz")
    start = {thing.key: (["Other"] if thing.genres else [], set()) for thing in fake.tracks()}
    run, _ = bench.sync()
    done = fake.puts
    _, outcome = bench.restore(run, stop=lambda: fake.puts > done)
    assert outcome.stopped
    bench.restore(run)
    assert {thing.key: (thing.genres, thing.locked) for thing in fake.tracks()} == start


def test_the_commands_that_are_taken_back_here_are_named() -> None:
    assert "plex sync" in COMMANDS


def test_what_is_found_as_before_is_marked_only_when_the_restore_is_wanted(
    bench: Bench, fake: FakePlex, run: int
) -> None:
    one, two, *_ = fake.tracks()
    one.tags["genre"] = ["Other"]
    one.locked.clear()
    del fake.things[two.key]
    rows, settled = plan_restore(connected(fake, bench.clock), bench.journal, run)
    assert [(row.action, row.reason) for row in rows if row.edit is None] == [("leave", GONE)]
    assert set(bench.states(run)) == {"written"}
    bench.journal.settle(settled)
    assert bench.states(run) == ["undone", "abandoned", "written", "written", "written"]


def test_a_restore_says_for_each_field_where_it_goes(bench: Bench, fake: FakePlex) -> None:
    (thing,) = fake.album("Ada", "Blue", 1, genres=["Other"])
    bench.decide_all("Jazz")
    run, _ = bench.sync(label="reclass")
    thing.tags["label"] = ["mine", "reclass"]
    rows, _ = plan_restore(connected(fake, bench.clock), bench.journal, run)
    assert [(row.action, row.reason) for row in rows] == [("restore", ""), ("leave", f"label {CHANGED}")]
    edit = rows[0].edit
    assert edit is not None
    assert [(one.field, one.before, one.after, one.lock_after) for one in edit.fields] == [
        ("genre", ("Jazz",), ("Other",), False)
    ]
    assert len(edit.undoes) == 1
