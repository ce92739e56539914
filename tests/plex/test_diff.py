"""What would change and why, item by item."""

import pytest

from music_reclass.domain import Decision, Outcome
from music_reclass.features.plex import Ownership, PlexChange
from music_reclass.plex.diff import (
    ADD,
    AUTO,
    FILL,
    KEEP_LOCK,
    LOCKED,
    REPLACE,
    UNLOCK,
    DesiredState,
    Relations,
    Row,
    Rules,
    row_of,
)
from music_reclass.plex.model import Item
from music_reclass.taxonomy import load


@pytest.fixture(scope="module")
def relations() -> Relations:
    return Relations(load())


def item(*genres: str, locked: tuple[str, ...] = (), **more: tuple[str, ...]) -> Item:
    return Item("track", 1, "g", "Tune", "Blue", "Ada", (), {"genre": genres, **more}, frozenset(locked))


def desired(*genres: str, outcome: Outcome = Outcome.CONFIDENT, styles: tuple[str, ...] = ()) -> DesiredState:
    return DesiredState(Decision(outcome, "sure", genres, 0.9, "fma518"), styles, "/x.mp3")


def mine(
    before: tuple[str, ...], after: tuple[str, ...], tags: tuple[str, ...], *, field: str = "genre", lock: bool = True
) -> dict[str, Ownership]:
    change = PlexChange(1, 1, 5, "track", 1, "g", "", "t", field, before, after, False, lock, "written")
    return {field: Ownership(change, tags)}


def test_an_empty_field_is_filled_and_locked(relations: Relations) -> None:
    row = row_of(item(), desired("Jazz"), {}, Rules(), relations)
    assert (row.action, row.reason, row.after) == ("set", "fill", ("Jazz",))
    assert row.edit is not None
    assert row.edit.fields[0].lock_after
    assert row.as_json() == {
        "action": "set", "reason": "fill", "level": "track", "rating_key": 1, "title": "Ada - Blue - Tune",
        "path": "/x.mp3", "before": [], "after": ["Jazz"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "there", "after"),
    [
        (AUTO, ("Other",), ("Jazz",)),
        (AUTO, ("Folk", "Pop"), ("Folk", "Pop", "Jazz")),
        (AUTO, ("Bebop",), None),
        (AUTO, ("Jazz",), None),
        (ADD, ("Folk",), ("Folk", "Jazz")),
        (ADD, ("Other",), ("Other", "Jazz")),
        (FILL, ("Other",), ("Jazz",)),
        (FILL, ("Folk",), None),
        (REPLACE, ("Folk", "Pop"), ("Jazz",)),
        (REPLACE, ("Bebop",), None),
    ],
)
def test_the_mode_says_what_may_happen_to_what_is_there(
    mode: str, there: tuple[str, ...], after: tuple[str, ...] | None, relations: Relations
) -> None:
    row = row_of(item(*there), desired("Jazz"), {}, Rules(mode=mode), relations)
    assert (row.action, row.after) == (("set", after) if after else ("noop", there))


@pytest.mark.parametrize("mode", [AUTO, ADD, REPLACE])
def test_a_lock_of_a_user_is_a_users_decision(mode: str, relations: Relations) -> None:
    locked = item("Folk", locked=("genre",))
    row = row_of(locked, desired("Jazz"), {}, Rules(mode=mode), relations)
    assert (row.action, row.reason, row.edit) == ("skip", LOCKED, None)
    assert row_of(locked, desired("Jazz"), {}, Rules(mode=mode, override_locks=True), relations).action == "set"


def test_what_we_wrote_is_replaced_without_what_others_wrote(relations: Relations) -> None:
    ours = mine(("Folk",), ("Folk", "Jazz"), ("Jazz",))
    row = row_of(item("Folk", "Jazz", locked=("genre",)), desired("Rock"), ours, Rules(), relations)
    assert (row.action, row.reason, row.after) == ("set", "ours", ("Folk", "Rock"))


def test_add_removes_nothing_not_even_ours(relations: Relations) -> None:
    ours = mine(("Folk",), ("Folk", "Jazz"), ("Jazz",))
    row = row_of(item("Folk", "Jazz", locked=("genre",)), desired("Rock"), ours, Rules(mode=ADD), relations)
    assert row.after == ("Folk", "Jazz", "Rock")


def test_our_old_word_goes_where_the_others_already_say_it_better(relations: Relations) -> None:
    ours = mine(("Bebop",), ("Bebop", "Rock"), ("Rock",))
    row = row_of(item("Bebop", "Rock", locked=("genre",)), desired("Jazz"), ours, Rules(), relations)
    assert row.after == ("Bebop",)


@pytest.mark.parametrize(("there", "locked"), [(("Jazz", "Blues"), True), (("Jazz",), False)])
def test_what_was_touched_since_is_not_ours_any_more(
    there: tuple[str, ...], locked: bool, relations: Relations
) -> None:
    ours = mine((), ("Jazz",), ("Jazz",))
    row = row_of(item(*there, locked=("genre",) if locked else ()), desired("Rock"), ours, Rules(), relations)
    assert row.after == (there if locked else (*there, "Rock"))


def test_a_second_sync_finds_nothing_to_do(relations: Relations) -> None:
    ours = mine((), ("Jazz",), ("Jazz",))
    row = row_of(item("Jazz", locked=("genre",)), desired("Jazz"), ours, Rules(), relations)
    assert (row.action, row.edit) == ("noop", None)


@pytest.mark.parametrize(
    ("lock", "was", "then"), [(UNLOCK, False, False), (KEEP_LOCK, False, False), (KEEP_LOCK, True, True)]
)
def test_the_lock_follows_the_rule(lock: str, was: bool, then: bool, relations: Relations) -> None:
    start = item(locked=("genre",) if was else ())
    row = row_of(start, desired("Jazz"), {}, Rules(lock=lock, override_locks=True), relations)
    assert row.edit is not None
    assert row.edit.fields[0].lock_after is then


def test_unsure_and_unwished_items_are_skipped_with_the_reason(relations: Relations) -> None:
    assert row_of(item(), desired(outcome=Outcome.UNSURE), {}, Rules(), relations).reason == "unsure"
    assert row_of(item(), DesiredState(None, reason="undecided"), {}, Rules(), relations).reason == "undecided"


def test_styles_are_added_and_ours_replaced(relations: Relations) -> None:
    def styles(row: Row) -> tuple[str, ...] | None:
        return next((one.after for one in row.edit.fields if one.field == "style"), None) if row.edit else None

    album = desired("Rock", styles=("Shoegaze",))
    assert styles(row_of(item("Rock"), album, {}, Rules(), relations)) == ("Shoegaze",)
    assert row_of(item("Rock"), album, {}, Rules(), relations).reason == "style"
    assert styles(row_of(item("Rock", style=("Grunge",)), album, {}, Rules(), relations)) == ("Grunge", "Shoegaze")
    assert styles(row_of(item("Rock", style=("Grunge",)), album, {}, Rules(mode=FILL), relations)) is None
    assert styles(row_of(item("Rock", style=("Grunge",)), album, {}, Rules(mode=REPLACE), relations)) == ("Shoegaze",)
    assert styles(row_of(item("Rock", style=("Grunge",), locked=("style",)), album, {}, Rules(), relations)) is None
    ours = mine((), ("Grunge",), ("Grunge",), field="style")
    held = item("Rock", style=("Grunge",), locked=("style",))
    assert styles(row_of(held, album, ours, Rules(mode=ADD), relations)) == ("Grunge", "Shoegaze")
    assert styles(row_of(item("Rock", style=("Grunge",), locked=("style",)), album, ours, Rules(), relations)) == (
        "Shoegaze",
    )


def test_a_label_marks_what_is_written_and_nothing_else(relations: Relations) -> None:
    rules = Rules(label="reclass")
    row = row_of(item(label=("mine",)), desired("Jazz"), {}, rules, relations)
    assert row.edit is not None
    assert [(one.field, one.after, one.lock_after) for one in row.edit.fields] == [
        ("genre", ("Jazz",), True), ("label", ("mine", "reclass"), False),
    ]  # fmt: skip
    assert row.as_json()["label"] == ["mine", "reclass"]
    assert row_of(item("Jazz"), desired("Jazz"), {}, rules, relations).edit is None
    again = row_of(item(label=("Reclass",)), desired("Jazz"), {}, rules, relations)
    assert again.edit is not None
    assert len(again.edit.fields) == 1
