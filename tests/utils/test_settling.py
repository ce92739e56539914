"""When a folder has settled: quiet, looks that are equal, nothing unfinished; and nothing kept afterwards."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_reclass.utils.settling import Look, Settling, is_unfinished, matters


def settling(look: Callable[[str], Look | None], said: list[str] | None = None) -> Settling:
    return Settling(30.0, 300.0, look, lambda folder, name: said.append(name) if said is not None else None)


def out(found: Settling, *times: float) -> list[tuple[float, str]]:
    """What has settled at each of the times."""
    return [(now, folder) for now in times for folder, _ in found.settled(now)]


def test_a_folder_settles_half_a_minute_after_the_last_event_and_once() -> None:
    found = settling(lambda folder: Look(1, 3))
    for second in range(0, 100, 5):
        found.touch("a", second)
        assert not list(found.settled(second))
    assert out(found, *range(96, 200)) == [(125, "a")]
    assert len(found) == 0
    assert found.next_due() is None


def test_the_next_look_is_due_when_it_is_said_to_be() -> None:
    found = settling(lambda folder: Look(1, 3))
    found.touch("a", 0.0)
    times = []
    while (due := found.next_due()) is not None:
        times.append(due)
        list(found.settled(due))
    assert times == [15.0, 30.0]


def test_a_folder_that_grows_without_events_settles_when_two_looks_are_equal() -> None:
    looks = {now: Look(min(now, 100), 2) for now in range(500)}
    now = 0
    found = settling(lambda folder: looks[now])
    found.notice("share", 0)
    settled = []
    for now in range(500):
        settled += [now for _ in found.settled(now)]
    assert len(settled) == 1
    assert 100 + 15 <= settled[0] <= 100 + 60


def test_an_unfinished_file_holds_the_folder_back_and_is_named_once() -> None:
    look, said = Look(1, 3, "04.flac.part"), list[str]()
    found = settling(lambda folder: look, said)
    found.touch("a", 0)
    assert out(found, *range(0, 5000)) == []
    assert said == ["04.flac.part"]
    look = Look(2, 4)
    found.touch("a", 5000)  # its renaming is an event
    assert out(found, *range(5000, 5200)) == [(5030, "a")]


def test_an_unfinished_file_on_a_share_is_looked_for_less_and_less_often_but_always() -> None:
    looks = 0

    def look(folder: str) -> Look:
        nonlocal looks
        looks += 1
        return Look(1, 3, "x.part")

    found = settling(look)
    found.notice("a", 0)
    out(found, *range(0, 86_400, 10))
    assert 86_400 / 300 * 0.9 < looks < 86_400 / 300 + 10


def test_a_folder_that_is_gone_is_dropped() -> None:
    found = settling(lambda folder: None)
    found.touch("a", 0)
    assert out(found, *range(100)) == []
    assert len(found) == 0


def test_what_is_noticed_again_and_again_settles_all_the_same() -> None:
    found = settling(lambda folder: Look(1, 1))
    settled = []
    for now in range(0, 100):
        if not settled:
            found.notice("a", now)
        settled += [now for _ in found.settled(now)]
    assert settled == [30]


def test_whether_a_folder_is_owed_stays_with_it() -> None:
    found = settling(lambda folder: Look(1, 1))
    found.notice("a", 0, is_owed=True)
    found.touch("a", 1)
    found.notice("b", 1)
    assert [settled for now in range(60) for settled in found.settled(now)] == [("a", True), ("b", False)]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40)), max_size=30))
def test_no_folder_settles_within_half_a_minute_of_an_event_and_each_in_the_end(events: list[tuple[str, int]]) -> None:
    found, now = settling(lambda folder: Look(1, 1)), 0
    last: dict[str, int] = {}
    open_now: set[str] = set()
    for folder, pause in [*events, ("", 300)]:
        for _ in range(pause):
            now += 1
            for settled, _ in found.settled(now):
                assert now - last[settled] >= 30
                open_now.remove(settled)
        if folder:
            found.touch(folder, now)
            last[folder] = now
            open_now.add(folder)
    assert not open_now


def test_ten_thousand_folders_leave_nothing_behind() -> None:
    found = settling(lambda folder: Look(1, 1) if "gone" not in folder else None)
    now, sizes = 0, []
    tracemalloc.start()
    try:
        for number in range(10_000):
            now += 10
            found.touch(f"album {number}{' gone' if number % 7 == 0 else ''}", now)
            list(found.settled(now))
            assert len(found) <= 4
            if number % 2500 == 2499:
                sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert max(sizes) - min(sizes) < 20_000


@pytest.mark.parametrize(
    "name",
    [
        "01.flac.part", "Song.mp3.crdownload", "x.flac.!qB", "y.tmp", "z.download", "a.partial", "b.aria2",
        "c.filepart", "d.mp3.!ut", "e.bc!", "f.mp3~", "Album.part", ".syncthing.01.flac.tmp", "G.PART",
    ],
)  # fmt: skip
def test_names_of_downloads_are_unfinished_and_matter(name: str) -> None:
    assert is_unfinished(name)
    assert matters(name)


@pytest.mark.parametrize("name", ["01.flac", "partial.mp3", "tmp.ogg", "~", "part", "cover.jpg", "a.part.flac"])
def test_other_names_are_not_unfinished(name: str) -> None:
    assert not is_unfinished(name)


@pytest.mark.parametrize(
    ("name", "does"),
    [
        ("01.flac", True), ("01.FLAC", True), (".01.flac.Xa82Kq", True), ("cover.jpg", False), (".hidden.mp3", False),
        (".reclass-0123456789abcdef.tmp", False), ("notes.txt", False), (".cover.jpg.Xa82Kq", False),
    ],
)  # fmt: skip
def test_what_may_be_music_or_become_it_matters(name: str, does: bool) -> None:
    assert matters(name) is does
