"""The chain behind `scan --sync-plex`: the server scans the folders, then gets the genres, and is listed once."""

from pathlib import Path

import pytest

from music_reclass.features.journal import Journal
from music_reclass.plex.http import PAGE
from music_reclass.plex.library import PlexLibrary
from music_reclass.plex.paths import NO_MAP, PathMap
from music_reclass.plex.plan import SyncPlan, SyncRequest, plan_sync
from music_reclass.plex.write import write
from tests.fakes.plex_server import FakePlex
from tests.plex.bench import Bench, decide


@pytest.fixture
def music(tmp_path: Path, fake: FakePlex) -> Path:
    folder = tmp_path / "music"
    fake.locations = [str(folder)]
    for thing in fake.album("Ada", "Blue", 3, root=str(folder)):
        Path(thing.files[0]).parent.mkdir(parents=True, exist_ok=True)
        Path(thing.files[0]).write_bytes(b"sound")
    return folder


def planned(target: PlexLibrary, bench: Bench, written: list[str]) -> tuple[SyncPlan, int]:
    request = SyncRequest(level="track", only=frozenset(written), allow_partial=True)
    folders = target.refresh(written)
    return plan_sync(target, request, bench.taxonomy), folders


def listings(fake: FakePlex) -> int:
    """How often a listing of all tracks was begun."""
    return sum(request.path[-4:] == "/all" and request.window == (0, PAGE) for request in fake.requests)


def test_after_a_scan_the_server_looks_and_then_gets_the_genres(bench: Bench, fake: FakePlex, music: Path) -> None:
    one, two, three = fake.tracks()
    new = fake.things.pop(three.key)
    fake.on_refresh = lambda path: fake.things.update({new.key: new})
    fake.queued_polls, fake.scan_polls = 5, 2
    paths = [thing.files[0] for thing in (one, two, three)]
    decide(bench.database, [(path, "Jazz") for path in paths])
    target = bench.target()
    plan, folders = planned(target, bench, paths[1:])
    run = Journal(bench.database).begin_run("plex sync", {})
    assert fake.refreshed == [str(music / "Ada" / "Blue")]
    assert (folders, plan.warning, write(target, plan.edits, run).written) == (1, "", 2)
    assert [thing.genres for thing in (one, two, three)] == [[], ["Jazz"], ["Jazz"]]
    assert not planned(bench.target(), bench, paths[1:])[0].edits


def test_the_library_is_listed_once_where_the_map_is_inferred(bench: Bench, fake: FakePlex, music: Path) -> None:
    paths = [thing.files[0] for thing in fake.tracks()]
    decide(bench.database, [(path, "Jazz") for path in paths])
    plan, _ = planned(bench.target(), bench, paths)
    assert (len(plan.edits), listings(fake)) == (3, 1)


@pytest.mark.parametrize("stored", [True, False])
def test_the_library_is_listed_once_where_the_map_is_known_though_files_are_new(
    bench: Bench, fake: FakePlex, music: Path, stored: bool
) -> None:
    new = fake.things.pop(fake.tracks()[2].key)
    fake.on_refresh = lambda path: fake.things.update({new.key: new})
    paths = [thing.files[0] for thing in (*fake.tracks(), new)]
    decide(bench.database, [(path, "Jazz") for path in paths])
    path_map = PathMap(((str(music), str(music)),))
    if stored:
        bench.target().store_map(path_map)
    plan, _ = planned(bench.target(given=NO_MAP if stored else path_map), bench, paths)
    assert (len(plan.edits), listings(fake)) == (3, 1)


def test_an_import_lists_the_library_once(bench: Bench, fake: FakePlex, music: Path) -> None:
    target = bench.target()
    assert target.import_tracks().new == 3
    assert listings(fake) == 1


def test_new_files_are_found_though_the_map_was_inferred_before_the_scan(
    bench: Bench, fake: FakePlex, music: Path
) -> None:
    new = fake.things.pop(fake.tracks()[2].key)
    fake.on_refresh = lambda path: fake.things.update({new.key: new})
    fake.queued_polls, fake.scan_polls = 10, 10
    paths = [thing.files[0] for thing in (*fake.tracks(), new)]
    decide(bench.database, [(path, "Jazz") for path in paths])
    plan, _ = planned(bench.target(), bench, paths)
    assert (len(plan.edits), listings(fake)) == (3, 1)


def test_the_first_music_of_an_empty_library_is_found_on_the_same_machine(
    bench: Bench, fake: FakePlex, music: Path
) -> None:
    held = dict(fake.things)
    fake.things.clear()
    fake.on_refresh = lambda path: fake.things.update(held)
    paths = [thing.files[0] for thing in held.values() if thing.files]
    decide(bench.database, [(path, "Jazz") for path in paths])
    plan, folders = planned(bench.target(), bench, paths)
    assert (len(plan.edits), folders) == (3, 1)


def test_the_first_music_in_a_second_folder_of_the_library_is_found(bench: Bench, fake: FakePlex, music: Path) -> None:
    second = music.parent / "more"
    (new,) = fake.album("Bo", "Green", 1, root=str(second))
    Path(new.files[0]).parent.mkdir(parents=True)
    Path(new.files[0]).write_bytes(b"sound")
    fake.locations.append(str(second))
    del fake.things[new.key]
    fake.on_refresh = lambda path: fake.things.update({new.key: new})
    paths = [thing.files[0] for thing in (*fake.tracks(), new)]
    decide(bench.database, [(path, "Jazz") for path in paths])
    target = bench.target()
    plan, folders = planned(target, bench, paths)
    assert (len(plan.edits), folders, target.unknown(paths)) == (4, 2, [])


def test_who_asks_to_stop_does_not_wait_for_the_scan(bench: Bench, fake: FakePlex, music: Path) -> None:
    fake.scan_polls = 10**6
    paths = [thing.files[0] for thing in fake.tracks()]
    decide(bench.database, [(path, "Jazz") for path in paths])
    target = bench.target(stop=lambda: len(bench.clock.slept) >= 5)
    planned(target, bench, paths)
    assert len(bench.clock.slept) == 5


def test_files_that_the_server_did_not_take_in_are_named(bench: Bench, fake: FakePlex, music: Path) -> None:
    new = fake.things.pop(fake.tracks()[2].key)
    paths = [thing.files[0] for thing in (*fake.tracks(), new)]
    decide(bench.database, [(path, "Jazz") for path in paths])
    target = bench.target()
    planned(target, bench, paths)
    assert target.unknown(paths) == [new.files[0]]


@pytest.mark.parametrize(
    ("there", "here"), [("Café.mp3", "Cafe\u0301.mp3"), ("CAFE.mp3", "cafe.mp3"), ("a/b.mp3", "a/b.mp3")]
)
def test_another_form_of_a_name_is_the_same_file(bench: Bench, fake: FakePlex, there: str, here: str) -> None:
    (thing,) = fake.album("Ada", "Blue", 1)
    thing.files = [f"/data/music/{there}"]
    pairs = PathMap((("/data/music", "/home/me"),))
    assert bench.target(given=pairs).unknown([f"/home/me/{here}", "/home/me/other.mp3"]) == ["/home/me/other.mp3"]


def test_files_outside_every_folder_of_the_server_refresh_nothing(bench: Bench, fake: FakePlex, music: Path) -> None:
    decide(bench.database, [(thing.files[0], "Jazz") for thing in fake.tracks()])
    plan, folders = planned(bench.target(), bench, ["/elsewhere/1.mp3"])
    assert (plan.edits, folders, fake.refreshed) == ([], 0, [])
