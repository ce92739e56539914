"""Taking a run back: only what is as we left it, and only on the server where it was done."""

import pytest

from music_reclass.errors import NothingToDo, UsageError
from music_reclass.features.plex import FieldEdit, PlexChange
from music_reclass.plex.model import Item
from music_reclass.plex.write import CHANGED, COMMANDS, GONE, LIBRARY_GONE, is_same, plan_restore
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


def test_tracks_that_plex_matched_anew_are_taken_back_with_their_locks(bench: Bench, fake: FakePlex, run: int) -> None:
    for thing in fake.tracks()[:3]:
        fake.match_anew(thing.key)
    left, outcome = bench.restore(run)
    assert (left, outcome.written) == ([], 5)
    assert all((thing.genres, thing.locked) == (["Other"], set()) for thing in fake.tracks())


@pytest.mark.parametrize("swapped", [False, True])
def test_tracks_of_a_library_that_counts_anew_are_found_by_their_files(
    bench: Bench, fake: FakePlex, run: int, swapped: bool
) -> None:
    fake.number_anew(swapped=swapped)
    left, outcome = bench.restore(run)
    assert (left, outcome.written) == ([], 5)
    assert all((thing.genres, thing.locked) == (["Other"], set()) for thing in fake.tracks())
    assert set(bench.states(run)) == {"undone"}


@pytest.mark.parametrize("level", ["album", "artist"])
def test_albums_and_artists_are_found_again_by_their_names(bench: Bench, fake: FakePlex, level: str) -> None:
    fake.album("Ada", "Blue", 3)
    fake.album("Bob", "Blue", 3)
    bench.decide_all("Jazz")
    run, outcome = bench.sync(level=level)
    assert outcome.written == 2
    fake.number_anew(swapped=True)  # nothing may go by number alone
    left, outcome = bench.restore(run)
    assert (left, outcome.written) == ([], 2)
    assert not any(thing.genres or thing.locked for thing in fake.things.values())


def test_an_album_that_was_renamed_in_a_library_that_counts_anew_is_named(bench: Bench, fake: FakePlex) -> None:
    fake.album("Ada", "Blue", 3)
    bench.decide_all("Jazz")
    run, _ = bench.sync(level="album")
    (album,) = (thing for thing in fake.things.values() if thing.kind == "album")
    album.guid, album.title = "plex://album/other", "Red"
    fake._fixed.clear()
    left, outcome = bench.restore(run)
    assert [row.reason for row in left] == ["not found, and its number now means Ada - Red (--force restores that)"]
    assert (outcome.written, album.genres, album.locked) == (0, ["Jazz"], {"genre"})
    assert bench.restore(run, force=True)[1].written == 1
    assert (album.genres, album.locked) == ([], set())


@pytest.mark.parametrize("guid", ["", "plex://track/other"])
def test_a_number_that_now_means_another_file_is_named_and_left_unless_forced(
    bench: Bench, fake: FakePlex, run: int, guid: str
) -> None:
    thing = fake.tracks()[0]
    fake._fixed.clear()
    thing.guid, thing.files = guid or thing.guid, ["/data/music/Else/Where/1.mp3"]  # local://NUMBER says nothing
    left, outcome = bench.restore(run)
    assert [(row.title, row.reason) for row in left] == [
        ("Ada - Blue - Tune 1",
         "not found, and its number now means /data/music/Else/Where/1.mp3 (--force restores that)"),
    ]  # fmt: skip
    assert (outcome.written, thing.genres) == (4, ["Jazz"])
    left, outcome = bench.restore(run, force=True)
    assert (left, outcome.written, thing.genres, thing.locked) == ([], 1, ["Other"], set())


def test_of_two_albums_of_one_name_neither_is_taken_for_a_third(bench: Bench, fake: FakePlex) -> None:
    tracks = [fake.album("Ada", "Blue", 2, root=f"/data/music/{n}") for n in range(3)]
    artist = fake.things[tracks[0][0].parent].parent
    for album in (fake.things[some[0].parent] for some in tracks):
        album.parent = artist
    bench.decide_all("Jazz")
    run, _ = bench.sync(level="album")
    del fake.things[tracks[0][0].parent]
    for thing in tracks[0]:
        del fake.things[thing.key]
    fake._fixed.clear()
    left, outcome = bench.restore(run)
    assert ([row.reason for row in left], outcome.written) == ([GONE], 2)


def test_an_album_is_no_artist_of_its_name() -> None:
    edit = FieldEdit("genre", (), ("Jazz",), False, True)
    change = PlexChange(1, 1, 5, "artist", 7, "plex://artist/7", "", "Ada", edit)
    artist, album = (Item(level, 7, "g", "Ada", "", "", (), {}, frozenset()) for level in ("artist", "album"))
    assert (is_same(artist, change), is_same(album, change)) == (True, False)


def test_a_file_that_was_moved_is_known_by_the_guid_that_plex_gave_its_track(bench: Bench, fake: FakePlex) -> None:
    (thing,) = fake.album("Ada", "Blue", 1, guid="plex://track/1")
    bench.decide_all("Jazz")
    run, _ = bench.sync()
    thing.files = ["/data/music/Else/Where/1.mp3"]
    fake._fixed.clear()
    assert bench.restore(run)[1].written == 1
    assert (thing.genres, thing.locked) == ([], set())


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
    left, outcome = bench.restore(run)
    assert ({row.reason for row in left}, outcome.written) == ({LIBRARY_GONE}, 0)
    assert set(bench.states(run)) == {"written"}


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
