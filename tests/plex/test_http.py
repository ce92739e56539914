"""Libraries, listings, whole items, edits: what goes over the wire."""

from pathlib import Path

import pytest

from music_reclass.errors import NothingToDo, ServerError, UsageError
from music_reclass.plex.http import PAGE, Refused, in_batches
from music_reclass.plex.login import connect
from tests.fakes.plex_server import TOKEN, FakePlex
from tests.plex.bench import connected


def test_the_only_music_library_needs_no_name(fake: FakePlex) -> None:
    fake.more_sections = '<Directory key="9" type="movie" title="Films"/>'
    server = connected(fake)
    assert server.music().key == server.music("music").key == server.music("5").key == 5
    with pytest.raises(UsageError, match=r"no music library 'Films'.*Music \(number 5\)"):
        server.music("Films")


def test_several_music_libraries_must_be_told_apart(fake: FakePlex) -> None:
    fake.more_sections = '<Directory key="9" type="artist" title="Music"/>'
    server = connected(fake)
    with pytest.raises(UsageError, match="several"):
        server.music("Music")
    assert server.music("9").key == 9


def test_a_server_without_music_is_one_sentence(fake: FakePlex) -> None:
    fake.kind = "movie"
    with pytest.raises(NothingToDo, match="holds no music"):
        connected(fake).music()


def test_paging_is_linear(fake: FakePlex) -> None:
    for n in range(10):
        fake.album(f"Artist {n}", "Album", 250)
    server = connected(fake)
    section = server.music()
    before = len(fake.requests)
    assert [one.key for one in server.tracks(section)] == [thing.key for thing in fake.tracks()]
    assert len(fake.requests) - before == -(-2500 // PAGE)


def test_untagged_tracks_cost_no_request_each(fake: FakePlex) -> None:
    fake.album("Ada", "Blue", 100)
    server = connected(fake)
    listed = list(server.tracks(server.music()))
    before = len(fake.requests)
    assert all(
        item.value("genre") == () and not item.locked for item in server.items(one.key for one in listed).values()
    )
    assert len(fake.requests) - before == 1


def test_whole_items_show_all_genres_where_a_listing_shows_two(fake: FakePlex) -> None:
    (thing,) = fake.album("Ada", "Blue", 1, genres=["A", "B", "C"])
    assert connected(fake).items([thing.key])[thing.key].value("genre") == ("A", "B", "C")


@pytest.mark.parametrize("whole", [False, True])
def test_items_that_are_gone_are_left_out(fake: FakePlex, whole: bool) -> None:
    keys = [thing.key for thing in fake.album("Ada", "Blue", 7)]
    fake.whole_404 = whole
    del fake.things[keys[3]]
    assert list(connected(fake).items(keys)) == keys[:3] + keys[4:]


def test_an_edit_without_items_is_never_sent(fake: FakePlex) -> None:
    server = connected(fake)
    section = server.music()
    for keys in ([], [0]):
        with pytest.raises(ValueError, match="names its items"):
            server.edit(section, "track", keys, {"genre.locked": 0})
    assert fake.unbounded == 0


def test_a_token_that_may_not_edit_is_one_sentence(fake: FakePlex) -> None:
    server = connected(fake)
    section = server.music()
    fake.faults = [403]
    with pytest.raises(ServerError, match="log in as its owner"):
        server.edit(section, "track", [1], {"genre.locked": 0})
    with pytest.raises(Refused):
        server.edit(section, "track", [1], {"genre.locked": 0})


@pytest.mark.parametrize("status", [401, 403])
def test_a_shared_user_learns_at_the_first_edit_that_only_the_owner_may(fake: FakePlex, status: int) -> None:
    fake.shared_status = status
    (thing,) = fake.album("Ada", "Blue", 1)
    server = connected(fake)
    with pytest.raises(ServerError, match="of a shared or managed user"):
        server.edit(server.music(), "track", [thing.key], {"genre.locked": 0})


def test_reading_an_item_does_not_make_the_server_refresh_it(fake: FakePlex) -> None:
    keys = [thing.key for thing in fake.album("Ada", "Blue", 150)]
    assert len(connected(fake).items(keys)) == 150
    assert fake.item_refreshes == 0


@pytest.mark.parametrize("count", [0, 1, 15, 150, 2500])
def test_a_sample_comes_from_all_over_the_library_by_ten_requests(fake: FakePlex, count: int) -> None:
    tracks = fake.album("Ada", "Blue", count)
    server = connected(fake)
    section = server.music()
    before = len(fake.requests)
    found = [one.key for one in server.sample(section, 200)]
    assert len(fake.requests) - before <= 10
    assert len(set(found)) == len(found) == min(count, 200)
    assert not count or (tracks[0].key in found and max(found) >= tracks[9 * count // 10].key)


def test_a_library_that_vanishes_is_a_sentence(fake: FakePlex) -> None:
    server = connected(fake)
    section = server.music()
    fake.faults = [404]
    with pytest.raises(ServerError, match="answers 404"):
        list(server.tracks(section))


@pytest.mark.parametrize("has", [True, False])
def test_whether_tracks_carry_genres_is_asked_not_guessed(fake: FakePlex, has: bool) -> None:
    fake.track_genres = has
    server = connected(fake)
    assert server.carries_genres(server.music(), "track") is has
    assert server.carries_genres(server.music(), "album")


def test_settings_lead_to_the_server(fake: FakePlex, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from music_reclass.config import Settings

    monkeypatch.setenv("PLEX_URL", fake.url)
    monkeypatch.setenv("PLEX_TOKEN", TOKEN)
    monkeypatch.setenv("RECLASS_CONFIG", str(tmp_path / "config.toml"))
    assert connect(Settings(plex_rate=0)).music().title == "Music"


def test_batches_lose_nothing() -> None:
    assert [list(batch) for batch in in_batches([1, 2, 3, 4, 5], 2)] == [[1, 2], [3, 4], [5]]


@pytest.mark.parametrize(("together", "requests"), [(True, 3), (False, 3)])
def test_a_library_that_is_gone_is_found_gone_by_one_request_per_two_hundred(
    fake: FakePlex, together: bool, requests: int
) -> None:
    keys = [thing.key for thing in fake.album("Ada", "Blue", 400)]
    server = connected(fake)
    if together:
        server.items(keys[:1])  # so an item is known
    for key in keys[1:]:
        del fake.things[key]
    before = len(fake.requests)
    assert server.items(keys[200:]) == {}
    assert len(fake.requests) - before <= 1 + requests
    before = len(fake.requests)
    assert server.items(keys[200:]) == {}
    assert len(fake.requests) - before == 1


def test_an_item_that_is_gone_costs_nothing_where_answers_leave_it_out(fake: FakePlex) -> None:
    keys = [thing.key for thing in fake.album("Ada", "Blue", 200)]
    for key in keys[3:200:7]:
        del fake.things[key]
    server = connected(fake)
    before = len(fake.requests)
    assert len(server.items(keys)) == len(fake.tracks())
    assert len(fake.requests) - before == 1


def test_where_one_item_that_is_gone_spoils_an_answer_the_others_are_found(fake: FakePlex) -> None:
    keys = [thing.key for thing in fake.album("Ada", "Blue", 200)]
    fake.whole_404 = True
    del fake.things[keys[77]]
    server = connected(fake)
    before = len(fake.requests)
    assert list(server.items(keys)) == [key for key in keys if key != keys[77]]
    assert len(fake.requests) - before <= 20


def test_how_long_an_address_may_be_is_learned_once(fake: FakePlex) -> None:
    keys = [thing.key for thing in fake.album("Ada", "Blue", 800)]
    answer = fake.answer
    fake.answer = lambda request, window: (414, "") if len(request.target) > 500 else answer(request, window)  # type: ignore[method-assign]
    server = connected(fake)
    assert len(server.items(keys[:200])) == 200
    before = len(fake.requests)
    assert len(server.items(keys[200:])) == 600
    assert len(fake.requests) - before == 6
