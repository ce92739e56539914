"""What would change and why, item by item."""

import pytest

from music_reclass.domain import Decision, Outcome
from music_reclass.features.plex import FieldEdit
from music_reclass.plex.model import Item
from music_reclass.plex.plan import (
    ADD,
    AUTO,
    FILL,
    KEEP_LOCK,
    LOCKED,
    REPLACE,
    UNLOCK,
    Comparison,
    DesiredState,
    Row,
    SyncRequest,
)
from music_reclass.taxonomy import Taxonomy, load


@pytest.fixture(scope="module")
def taxonomy() -> Taxonomy:
    return load()


def item(*genres: str, locked: tuple[str, ...] = (), **more: tuple[str, ...]) -> Item:
    return Item("track", 1, "g", "Tune", "Blue", "Ada", (), {"genre": genres, **more}, frozenset(locked))


def desired(*genres: str, outcome: Outcome = Outcome.CONFIDENT, styles: tuple[str, ...] = ()) -> DesiredState:
    return DesiredState(Decision(outcome, "sure", genres, 0.9, "fma518"), styles, "/x.mp3")


def edited(others: tuple[str, ...], after: tuple[str, ...], field: str = "genre") -> dict[str, FieldEdit]:
    """Our edits of a field that hold `after`, of which `others` are not from us."""
    return {field: FieldEdit(field, others, after, False, True)}


def test_an_empty_field_is_filled_and_locked(taxonomy: Taxonomy) -> None:
    row = Comparison(SyncRequest(), taxonomy).row(item(), desired("Jazz"), {})
    assert (row.action, row.reason, row.after) == ("set", "fill", ("Jazz",))
    assert row.edit is not None
    assert row.edit.fields[0].lock_after
    assert (row.level, row.key, row.title, row.path) == ("track", 1, "Ada - Blue - Tune", "/x.mp3")
    assert row.before == ()


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
    mode: str, there: tuple[str, ...], after: tuple[str, ...] | None, taxonomy: Taxonomy
) -> None:
    row = Comparison(SyncRequest(mode=mode), taxonomy).row(item(*there), desired("Jazz"), {})
    assert (row.action, row.after) == (("set", after) if after else ("noop", there))


@pytest.mark.parametrize("mode", [AUTO, ADD, REPLACE])
def test_a_lock_of_a_user_is_a_users_decision(mode: str, taxonomy: Taxonomy) -> None:
    locked = item("Folk", locked=("genre",))
    row = Comparison(SyncRequest(mode=mode), taxonomy).row(locked, desired("Jazz"), {})
    assert (row.action, row.reason, row.edit) == ("skip", LOCKED, None)
    assert (
        Comparison(SyncRequest(mode=mode, override_locks=True), taxonomy).row(locked, desired("Jazz"), {}).action
        == "set"
    )


def test_what_we_wrote_is_replaced_without_what_others_wrote(taxonomy: Taxonomy) -> None:
    ours = edited(("Folk",), ("Folk", "Jazz"))
    row = Comparison(SyncRequest(), taxonomy).row(item("Folk", "Jazz", locked=("genre",)), desired("Rock"), ours)
    assert (row.action, row.reason, row.after) == ("set", "ours", ("Folk", "Rock"))


def test_add_removes_nothing_not_even_ours(taxonomy: Taxonomy) -> None:
    ours = edited(("Folk",), ("Folk", "Jazz"))
    row = Comparison(SyncRequest(mode=ADD), taxonomy).row(
        item("Folk", "Jazz", locked=("genre",)), desired("Rock"), ours
    )
    assert row.after == ("Folk", "Jazz", "Rock")


def test_our_old_word_goes_where_the_others_already_say_it_better(taxonomy: Taxonomy) -> None:
    ours = edited(("Bebop",), ("Bebop", "Rock"))
    row = Comparison(SyncRequest(), taxonomy).row(item("Bebop", "Rock", locked=("genre",)), desired("Jazz"), ours)
    assert row.after == ("Bebop",)


@pytest.mark.parametrize(("there", "locked"), [(("Jazz", "Blues"), True), (("Jazz",), False)])
def test_what_was_touched_since_is_not_ours_any_more(there: tuple[str, ...], locked: bool, taxonomy: Taxonomy) -> None:
    ours = edited((), ("Jazz",))
    row = Comparison(SyncRequest(), taxonomy).row(
        item(*there, locked=("genre",) if locked else ()), desired("Rock"), ours
    )
    assert row.after == (there if locked else (*there, "Rock"))


def test_a_second_sync_finds_nothing_to_do(taxonomy: Taxonomy) -> None:
    ours = edited((), ("Jazz",))
    row = Comparison(SyncRequest(), taxonomy).row(item("Jazz", locked=("genre",)), desired("Jazz"), ours)
    assert (row.action, row.edit) == ("noop", None)


@pytest.mark.parametrize(
    ("lock", "was", "then"), [(UNLOCK, False, False), (KEEP_LOCK, False, False), (KEEP_LOCK, True, True)]
)
def test_the_lock_follows_the_rule(lock: str, was: bool, then: bool, taxonomy: Taxonomy) -> None:
    start = item(locked=("genre",) if was else ())
    row = Comparison(SyncRequest(lock=lock, override_locks=True), taxonomy).row(start, desired("Jazz"), {})
    assert row.edit is not None
    assert row.edit.fields[0].lock_after is then


def test_unsure_and_undecided_items_are_skipped_with_the_reason(taxonomy: Taxonomy) -> None:
    assert Comparison(SyncRequest(), taxonomy).row(item(), desired(outcome=Outcome.UNSURE), {}).reason == "unsure"
    assert (
        Comparison(SyncRequest(), taxonomy).row(item(), DesiredState(None, reason="undecided"), {}).reason
        == "undecided"
    )


def test_styles_are_added_and_ours_replaced(taxonomy: Taxonomy) -> None:
    def styles(row: Row) -> tuple[str, ...] | None:
        return next((one.after for one in row.edit.fields if one.field == "style"), None) if row.edit else None

    album = desired("Rock", styles=("Shoegaze",))
    assert styles(Comparison(SyncRequest(), taxonomy).row(item("Rock"), album, {})) == ("Shoegaze",)
    assert Comparison(SyncRequest(), taxonomy).row(item("Rock"), album, {}).reason == "style"
    assert styles(Comparison(SyncRequest(), taxonomy).row(item("Rock", style=("Grunge",)), album, {})) == (
        "Grunge",
        "Shoegaze",
    )
    assert styles(Comparison(SyncRequest(mode=FILL), taxonomy).row(item("Rock", style=("Grunge",)), album, {})) is None
    assert styles(Comparison(SyncRequest(mode=REPLACE), taxonomy).row(item("Rock", style=("Grunge",)), album, {})) == (
        "Shoegaze",
    )
    assert (
        styles(Comparison(SyncRequest(), taxonomy).row(item("Rock", style=("Grunge",), locked=("style",)), album, {}))
        is None
    )
    ours = edited((), ("Grunge",), "style")
    held = item("Rock", style=("Grunge",), locked=("style",))
    assert styles(Comparison(SyncRequest(mode=ADD), taxonomy).row(held, album, ours)) == ("Grunge", "Shoegaze")
    assert styles(
        Comparison(SyncRequest(), taxonomy).row(item("Rock", style=("Grunge",), locked=("style",)), album, ours)
    ) == ("Shoegaze",)


def test_a_label_marks_what_is_written_and_nothing_else(taxonomy: Taxonomy) -> None:
    request = SyncRequest(label="reclass")
    row = Comparison(request, taxonomy).row(item(label=("mine",)), desired("Jazz"), {})
    assert row.edit is not None
    assert [(one.field, one.after, one.lock_after) for one in row.edit.fields] == [
        ("genre", ("Jazz",), True), ("label", ("mine", "reclass"), False),
    ]  # fmt: skip
    assert Comparison(request, taxonomy).row(item("Jazz"), desired("Jazz"), {}).edit is None
    again = Comparison(request, taxonomy).row(item(label=("Reclass",)), desired("Jazz"), {})
    assert again.edit is not None
    assert len(again.edit.fields) == 1
