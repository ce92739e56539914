"""The edit that converges, and batches that fit."""

from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.errors import ServerError
from music_reclass.features.plex import FieldEdit
from music_reclass.plex.model import Item, ItemEdit, same_tags
from music_reclass.plex.write import Sender, grouped, parameters
from tests.fakes.plex_server import FakePlex, Request, Thing, semantics
from tests.plex.bench import connected

ODD = ["R&B, Soul", "Folk/Rock", "Café del Mar", "100% Silk", "a=b&c", "Rock + Roll", "日本", "Q?#"]


def edit_of(
    key: int, before: tuple[str, ...], after: tuple[str, ...], lock: bool = True, was: bool = False
) -> ItemEdit:
    item = Item("track", key, "g", f"Tune {key}", "", "", (), {"genre": before}, frozenset(("genre",) if was else ()))
    return ItemEdit(item, (FieldEdit("genre", before, after, was, lock),))


def test_the_query_names_all_that_is_wanted_and_removes_all_else() -> None:
    edits = [edit_of(1, ("Rock", "Folk"), ("Jazz", "Folk")), edit_of(2, ("R&B, Soul", "jazz"), ("Jazz", "Folk"))]
    assert parameters(edits) == {
        "genre[0].tag.tag": "Jazz",
        "genre[1].tag.tag": "Folk",
        "genre[].tag.tag-": f"Rock,{quote('R&B, Soul')}",
        "genre.locked": 1,
    }


def test_a_change_of_the_lock_alone_sends_no_tags() -> None:
    assert parameters([edit_of(1, ("Rock",), ("Rock",), lock=False, was=True)]) == {"genre.locked": 0}


def test_an_empty_list_is_reached_by_removals() -> None:
    assert parameters([edit_of(1, ("Rock", "Folk"), (), lock=False)]) == {
        "genre[].tag.tag-": "Rock,Folk", "genre.locked": 0,
    }  # fmt: skip


tag_lists = st.lists(st.sampled_from(["Rock", "Pop", "rock", *ODD]), max_size=4, unique_by=str.casefold)


@settings(max_examples=60, deadline=None)
@given(st.lists(tag_lists, min_size=1, max_size=4), tag_lists)
def test_every_server_ends_at_the_same_list(befores: list[list[str]], wanted: list[str]) -> None:
    from urllib.parse import parse_qsl

    edits = [edit_of(n, tuple(before), tuple(wanted)) for n, before in enumerate(befores, 1)]
    for replaces, removes_first in semantics():
        fake = FakePlex()
        fake.replaces, fake.removes_first = replaces, removes_first
        for group in grouped(edits):
            query = "&".join(f"{quote(k)}={quote(str(v), safe='')}" for k, v in parameters(group).items())
            for edit in group:
                thing = Thing(edit.item.key, "track", "t", tags={"genre": list(edit.item.value("genre"))})
                request = Request("PUT", "/", parse_qsl(query, keep_blank_values=True), "")
                fake._apply(thing, request.query)
                assert same_tags(thing.genres, wanted)
                assert "genre" in thing.locked


def test_groups_hold_what_shall_become_alike() -> None:
    edits = [edit_of(n, (), ("Rock",) if n % 2 else ("Jazz",)) for n in range(1, 251)]
    sizes = [len(batch) for batch in grouped(edits)]
    assert sizes == [100, 25, 100, 25]
    both = [edit_of(1, (), ("Rock",)), edit_of(2, (), ("Rock",), lock=False), edit_of(3, ("Rock",), ("Rock",))]
    assert len(list(grouped(both))) == 3


def sender(fake: FakePlex) -> Sender:
    server = connected(fake)
    return Sender(server, server.music())


@pytest.mark.parametrize("status", [400, 414])
def test_a_query_that_is_too_long_is_halved_and_remembered(fake: FakePlex, status: int) -> None:
    keys = [thing.key for thing in fake.album("Ada", "Blue", 200)]
    fake.longest_query, fake.too_long_status = 250, status
    send = sender(fake)
    assert send.send([edit_of(key, (), ("Jazz",)) for key in keys[:100]]) == []
    before = len(fake.requests)
    assert send.send([edit_of(key, (), ("Jazz",)) for key in keys[100:]]) == []
    assert len(fake.requests) - before == 4
    assert all(thing.genres == ["Jazz"] for thing in fake.tracks())
    assert fake.unbounded == 0


def test_no_item_is_left_out_where_the_server_takes_less_and_less(fake: FakePlex) -> None:
    keys = [thing.key for thing in fake.album("Ada", "Blue", 200)]
    send = sender(fake)
    for longest, part in ((250, keys[:100]), (120, keys[100:])):
        fake.longest_query = longest
        assert send.send([edit_of(key, (), ("Jazz",)) for key in part]) == []
    assert all(thing.genres == ["Jazz"] for thing in fake.tracks())


@pytest.mark.parametrize("status", [400, 404, 409])
def test_one_bad_item_costs_one_item(fake: FakePlex, status: int) -> None:
    keys = [thing.key for thing in fake.album("Ada", "Blue", 32)]
    fake.refused_keys = {keys[13]: status}
    failures = sender(fake).send([edit_of(key, (), ("Jazz",)) for key in keys])
    assert [(edit.item.key, why) for edit, why in failures] == [(keys[13], f"the server answers {status}")]
    assert sum(thing.genres == ["Jazz"] for thing in fake.tracks()) == 31


def test_a_server_that_refuses_everything_is_left_alone(fake: FakePlex) -> None:
    keys = [thing.key for thing in fake.album("Ada", "Blue", 12)]
    fake.refused_keys = dict.fromkeys(keys, 400)
    send = sender(fake)
    edits = [edit_of(key, (), ("Jazz",)) for key in keys]
    assert len(send.send(edits[:4]) + send.send(edits[4:8])) == 8
    with pytest.raises(ServerError, match="refuses every edit"):
        send.send(edits[8:])


def test_an_answer_that_makes_no_sense_stops(fake: FakePlex) -> None:
    (thing,) = fake.album("Ada", "Blue", 1)
    send = sender(fake)
    fake.faults = [405]
    with pytest.raises(ServerError, match="405"):
        send.send([edit_of(thing.key, (), ("Jazz",))])
