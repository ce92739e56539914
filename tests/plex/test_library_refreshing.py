"""Which folders the server is asked to look into."""

from hypothesis import given
from hypothesis import strategies as st

from music_reclass.plex.library import folders_of
from music_reclass.plex.paths import PathMap
from tests.fakes.plex_server import FakePlex
from tests.plex.bench import LOCAL, SERVER, Bench

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
