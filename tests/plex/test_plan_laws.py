"""Whatever an item holds and whatever is asked for: a sync is done once, and no user's tag or lock is lost by it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.domain import Decision, Outcome
from music_reclass.features.plex import FieldEdit
from music_reclass.plex.model import Item, same_tags, without
from music_reclass.plex.paths import PathMap, infer, spread
from music_reclass.plex.plan import (
    ADD,
    AUTO,
    FILL,
    KEEP_LOCK,
    LOCK,
    LOCKED,
    NOOP,
    REPLACE,
    SET,
    UNLOCK,
    Comparison,
    DesiredState,
    SyncRequest,
    desired_group_state,
)
from music_reclass.taxonomy import load

TREE = load()
GENRES = st.sampled_from(["Rock", "Shoegaze", "Jazz", "Bebop", "Folk", "Zorbcore", "Other", "rock"])
TAGS = st.lists(GENRES, max_size=3, unique_by=str.casefold).map(tuple)
DECIDED = st.lists(st.sampled_from(["Rock", "Jazz", "Folk", "Electronic"]), min_size=1, max_size=2, unique=True).map(
    tuple
)
MODES = st.sampled_from([AUTO, ADD, FILL, REPLACE])
LOCKS = st.sampled_from([LOCK, KEEP_LOCK, UNLOCK])
OUTCOMES = st.sampled_from([Outcome.CONFIDENT, Outcome.LIKELY])


def item_of(genres: tuple[str, ...], styles: tuple[str, ...], locked: frozenset[str]) -> Item:
    return Item("album", 1, "g", "Blue", "", "Ada", (), {"genre": genres, "style": styles}, locked)


ITEMS = st.builds(item_of, TAGS, TAGS, st.sets(st.sampled_from(["genre", "style"])).map(frozenset))
DESIRED = st.builds(
    lambda genres, outcome, styles: DesiredState(Decision(outcome, "", genres, 0.9, "album"), styles),
    DECIDED, OUTCOMES, st.sampled_from([(), ("Shoegaze",), ("Bebop",)]),
)  # fmt: skip


def after_sync(item: Item, edits: tuple[FieldEdit, ...]) -> Item:
    """The item as the server holds it once the edits are written."""
    tags, locked = dict(item.tags), set(item.locked)
    for edit in edits:
        tags[edit.field] = edit.after
        (locked.add if edit.lock_after else locked.discard)(edit.field)
    return replace(item, tags=tags, locked=frozenset(locked))


def as_logged(edit: FieldEdit) -> FieldEdit:
    """Our edit as `PlexJournal.edits_of` gives it: `before` are those of its tags that are not from us."""
    return replace(edit, before=tuple(tag for tag in edit.after if tag in edit.before))


@settings(max_examples=300, deadline=None)
@given(ITEMS, DESIRED, MODES, LOCKS, st.booleans())
def test_a_second_sync_finds_every_item_as_the_first_left_it(
    item: Item, desired: DesiredState, mode: str, lock: str, override: bool
) -> None:
    comparison = Comparison(SyncRequest(level="album", mode=mode, lock=lock, override_locks=override), TREE)
    first = comparison.row(item, desired, {})
    edits = first.edit.fields if first.edit else ()
    assert (first.action == SET) == bool(edits)
    again = comparison.row(after_sync(item, edits), desired, {one.field: as_logged(one) for one in edits})
    assert again.edit is None
    if edits and edits[0].field == "genre":
        assert again.action == NOOP


@settings(max_examples=300, deadline=None)
@given(ITEMS, DESIRED, DESIRED, st.booleans())
def test_a_decision_that_changed_leaves_no_trace_of_the_former(
    item: Item, former: DesiredState, desired: DesiredState, override: bool
) -> None:
    comparison = Comparison(SyncRequest(level="album", override_locks=override), TREE)
    first = comparison.row(item, former, {})
    edits = first.edit.fields if first.edit else ()
    ours = {one.field: as_logged(one) for one in edits}
    assert same_tags(
        comparison.row(after_sync(item, edits), desired, ours).after, comparison.row(item, desired, {}).after
    )


@settings(max_examples=200, deadline=None)
@given(ITEMS, DESIRED, MODES, LOCKS)
def test_a_field_that_somebody_else_locked_is_never_edited(
    item: Item, desired: DesiredState, mode: str, lock: str
) -> None:
    row = Comparison(SyncRequest(level="album", mode=mode, lock=lock), TREE).row(item, desired, {})
    edited = {one.field for one in row.edit.fields} if row.edit else set()
    assert not edited & item.locked
    if row.reason == LOCKED:
        assert "genre" in item.locked


@settings(max_examples=200, deadline=None)
@given(ITEMS, DESIRED, LOCKS)
def test_to_add_removes_nothing_and_to_fill_touches_no_genre_that_says_something(
    item: Item, desired: DesiredState, lock: str
) -> None:
    added = Comparison(SyncRequest(mode=ADD, lock=lock), TREE).row(item, desired, {})
    filled = Comparison(SyncRequest(mode=FILL, lock=lock), TREE).row(item, desired, {})
    for edit in added.edit.fields if added.edit else ():
        assert without(item.value(edit.field), edit.after) == ()
    if any(not TREE.is_junk(genre) for genre in item.value("genre")):
        assert "genre" not in {one.field for one in (filled.edit.fields if filled.edit else ())}


@settings(max_examples=200, deadline=None)
@given(ITEMS, DESIRED, st.sampled_from([AUTO, REPLACE]))
def test_a_finer_genre_is_never_replaced_by_the_one_above_it(item: Item, desired: DesiredState, mode: str) -> None:
    row = Comparison(SyncRequest(mode=mode), TREE).row(item, desired, {})
    assert desired.decision is not None
    top = desired.decision.genres[0]
    finer = [g for g in item.value("genre") if TREE.canonical(g) is not None and TREE.is_descendant(g, top)]
    assert set(finer) <= set(row.after)


@settings(max_examples=100, deadline=None)
@given(
    tracks=st.lists(
        st.one_of(st.none(), st.tuples(st.sampled_from(["Rock", "Jazz", "Shoegaze"]), OUTCOMES)), max_size=9
    ),
    order=st.randoms(use_true_random=False),
)
def test_an_album_says_the_same_in_any_order_of_its_tracks(tracks: list[tuple[str, Outcome] | None], order) -> None:
    decisions = [None if one is None else Decision(one[1], "", (one[0],), 0.5, "s") for one in tracks]
    shuffled = list(decisions)
    order.shuffle(shuffled)
    one, other = (desired_group_state(some, TREE) for some in (decisions, shuffled))
    assert (one.decision is None, one.reason) == (other.decision is None, other.reason)
    if one.decision is not None and other.decision is not None:
        assert set(one.decision.genres) == set(other.decision.genres)
        assert one.decision.outcome is other.decision.outcome
        tops = ["Rock" if name in ("Rock", "Shoegaze") else name for name, _ in filter(None, tracks)]
        assert sum(tops.count(genre) for genre in one.decision.genres) >= 0.6 * len(tops)
        assert len(tops) >= len(tracks) / 2


WORDS = st.sampled_from(["Ada", "Blue", "CD 1", "CD 2", "Live", "Björk", "Various"])
FILES = st.dictionaries(st.integers(1, 99), st.lists(WORDS, min_size=1, max_size=3), min_size=1, max_size=20).map(
    lambda folders: {number: "/".join([*words, f"{number:02} Tune.mp3"]) for number, words in folders.items()}
)


@settings(max_examples=80, deadline=None)
@given(numbered=FILES, windows=st.booleans(), more=FILES)
def test_the_inferred_folders_lead_to_every_file_and_back(
    numbered: dict[int, str], windows: bool, more: dict[int, str]
) -> None:
    files, others = numbered.values(), [file for number, file in more.items() if number not in numbered]
    root = "D:\\Music" if windows else "/data/music"
    on_server = [root + "\\" + file.replace("/", "\\") if windows else f"{root}/{file}" for file in files]
    here = [f"/home/me/Tunes/{file}" for file in files]
    found = infer(on_server, [root], [*here, *(f"/home/me/Tunes/{file}" for file in others)])
    assert found == PathMap(((root, "/home/me/Tunes"),))
    assert (found.votes, found.unmatched) == ((len(files),), ())
    assert [found.local(path) for path in on_server] == here
    assert [found.server(path) for path in here] == on_server


@given(st.integers(0, 60), st.integers(1, 20))
def test_samples_are_different_in_order_and_evenly_far_apart(count: int, most: int) -> None:
    items = [f"{number:02}" for number in range(count)]
    taken = spread(items, most)
    assert len(taken) == min(count, most)
    assert taken == sorted(set(taken))
    gaps = {int(later) - int(earlier) for earlier, later in pairwise(taken)}
    assert max(gaps, default=0) - min(gaps, default=0) <= 1
    assert not taken or taken[0] == items[0]
    assert count - int(taken[-1]) <= max(gaps, default=count) + 1 if taken else count == 0
