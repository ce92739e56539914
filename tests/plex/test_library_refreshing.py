"""Which folders the server is asked to look into, and until when that is waited for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_reclass.plex.library import QUIET, folders_of, wait_for_scan
from music_reclass.plex.paths import PathMap
from music_reclass.utils.progress import Silent
from tests.fakes.plex_server import FakePlex
from tests.plex.bench import LOCAL, SERVER, Bench, Clock, connected

ROOT = "/data/music"


def test_each_folder_is_named_once() -> None:
    files = [f"{ROOT}/A/B/1.mp3", f"{ROOT}/A/B/2.mp3", f"{ROOT}/C/3.mp3", "/outside/4.mp3"]
    assert folders_of(files, [ROOT]) == [f"{ROOT}/A/B", f"{ROOT}/C"]


def test_a_folder_inside_another_needs_no_request_of_its_own() -> None:
    assert folders_of([f"{ROOT}/A/1.mp3", f"{ROOT}/A/CD 2/1.mp3"], [ROOT]) == [f"{ROOT}/A"]


def test_windows_paths_stay_windows_paths() -> None:
    assert folders_of(["D:\\Musik\\A\\1.mp3"], ["D:\\Musik"]) == ["D:\\Musik\\A"]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=60), st.integers(1, 12))
def test_there_are_never_too_many_and_every_file_lies_in_one(places: list[tuple[int, int]], most: int) -> None:
    files = [f"{ROOT}/Artist {a}/Album {b}/x.mp3" for a, b in places]
    folders = folders_of(files, [ROOT], most)
    assert len(folders) <= most
    assert all(any(file.startswith(folder + "/") for folder in folders) for file in files)
    assert all(folder == ROOT or folder.startswith(ROOT + "/") for folder in folders)


def test_the_server_refreshes_folders_by_its_names_for_them(bench: Bench, fake: FakePlex) -> None:
    files = [f"{LOCAL}/Ada & Bo/Blue/1.mp3", "/not mapped/1.mp3"]
    assert bench.target(given=PathMap(((SERVER, LOCAL),))).refresh(files) == 1
    assert fake.refreshed == [f"{SERVER}/Ada & Bo/Blue"]


def scanned(fake: FakePlex, clock: Clock) -> bool:
    """Ask for a scan and wait for it; whether it ended."""
    server = connected(fake, clock)
    section = server.music()
    server.look_into(section, "/data/music/Ada")
    return wait_for_scan(server, section, Silent())


@pytest.mark.parametrize("shows", ["refreshing", "activities"])
@pytest.mark.parametrize("queued", [0, 3, 15])
def test_a_scan_that_is_only_queued_is_waited_for(fake: FakePlex, shows: str, queued: int) -> None:
    found: list[str] = []
    fake.on_refresh, fake.scan_shows = found.append, shows
    fake.queued_polls, fake.scan_polls = queued, 40
    clock = Clock()
    assert scanned(fake, clock)
    assert found == ["/data/music/Ada"]
    assert len(clock.slept) == pytest.approx(queued + 40 + QUIET, abs=2)


def test_a_scan_that_is_over_before_anybody_looks_is_not_waited_for(fake: FakePlex) -> None:
    clock = Clock()
    assert scanned(fake, clock)
    assert len(clock.slept) == QUIET


def test_a_scan_that_never_begins_is_waited_for_twenty_seconds(fake: FakePlex) -> None:
    fake.queued_polls = 10**6
    clock = Clock()
    assert scanned(fake, clock)
    assert len(clock.slept) == 20


def test_a_scan_behind_that_of_another_library_is_waited_for(fake: FakePlex) -> None:
    found: list[str] = []
    fake.on_refresh = found.append
    fake.other_scan_polls = fake.queued_polls = 60
    fake.scan_polls = 5
    assert scanned(fake, Clock())
    assert found


def test_a_scan_without_end_is_waited_for_ten_minutes(fake: FakePlex) -> None:
    fake.scan_polls = 10**6
    clock = Clock()
    assert not scanned(fake, clock)
    assert sum(clock.slept) == 600


def test_a_server_without_activities_is_asked_for_its_libraries_alone(fake: FakePlex) -> None:
    fake.scan_polls = 5
    server = connected(fake, Clock())
    section = server.music()
    fake.scan_shows = "nowhere"
    fake.activities_status = 404
    server.look_into(section, "/data/music")
    assert wait_for_scan(server, section, Silent())
