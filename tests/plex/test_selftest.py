"""The selftest reports how a server behaves, and leaves the track as it was."""

import pytest

from music_reclass.errors import NothingToDo, ServerError
from music_reclass.features.journal import Journal
from music_reclass.plex.paths import PathMap
from music_reclass.plex.selftest import find_track, selftest
from tests.fakes.plex_server import FakePlex, semantics
from tests.plex.bench import LOCAL, SERVER, Bench


def steps(bench: Bench, key: int) -> dict[str, tuple[bool | None, str]]:
    run = Journal(bench.database).begin_run("plex selftest", {})
    return {step.name: (step.fine, step.detail) for step in selftest(bench.target(), key, run)}


@pytest.mark.parametrize("there", [[], ["Folk"], ["R&B, Soul", "Folk"]])
def test_every_kind_of_server_is_reported_and_left_as_it_was(bench: Bench, fake: FakePlex, there: list[str]) -> None:
    thing, _ = fake.album("Ada", "Blue", 2, genres=there)
    start = fake.state()
    for replaces, removes_first in semantics():
        fake.replaces, fake.removes_first = replaces, removes_first
        found = steps(bench, thing.key)
        assert all(fine is not False for fine, _ in found.values()), found
        if there:
            assert found["a bare addition"][1] == ("replaces the list" if replaces else "adds to the list")
        assert fake.state() == start
    assert {state for run in range(1, 5) for state in bench.states(run)} == {"undone"}
    assert fake.unbounded == 0


def test_a_server_that_hides_locks_among_several_is_found_out(bench: Bench, fake: FakePlex) -> None:
    thing, _ = fake.album("Ada", "Blue", 2)
    fake.shows_locks_together = False
    assert steps(bench, thing.key)["the lock shows among several"][0] is False


def test_a_selftest_that_was_killed_can_be_taken_back(bench: Bench, fake: FakePlex) -> None:
    thing, _ = fake.album("Ada", "Blue", 2, genres=["Folk"])
    run = Journal(bench.database).begin_run("plex selftest", {})
    for step in selftest(bench.target(), thing.key, run):
        if step.name == "the edit of sync":
            break
    assert thing.genres != ["Folk"]
    bench.restore(run)
    assert (thing.genres, thing.locked) == (["Folk"], set())


def test_a_track_is_named_by_number_or_by_file(bench: Bench, fake: FakePlex) -> None:
    _, two = fake.album("Ada", "Blue", 2)
    target = bench.target(given=PathMap(((SERVER, LOCAL),)))
    for name in (str(two.key), two.files[0], two.files[0].replace(SERVER, LOCAL)):
        assert find_track(target, name) == two.key
    with pytest.raises(NothingToDo, match="No track"):
        find_track(target, "/nowhere.mp3")


def test_a_number_that_is_no_track_is_refused(bench: Bench, fake: FakePlex) -> None:
    fake.album("Ada", "Blue", 2)
    with pytest.raises(ServerError, match="no track"):
        steps(bench, 101)
