"""What a server holds, compared."""

from music_reclass.features.plex import FieldEdit
from music_reclass.plex.model import Item, ItemEdit, Listed, Section, same_tags, without


def item(*genres: str, locked: bool = False) -> Item:
    return Item("track", 1, "g", "Tune", "Blue", "Ada", (), {"genre": genres}, frozenset({"genre"} if locked else ()))


def test_tags_are_the_same_in_any_order_case_and_unicode_form() -> None:
    assert same_tags(("Rock", "Café"), ("cafe\u0301", "ROCK"))
    assert not same_tags(("Rock",), ("Rock", "Pop"))


def test_without_keeps_each_tag_once_and_in_order() -> None:
    assert without(("Pop", "Rock", "pop", "Folk"), ("ROCK",)) == ("Pop", "Folk")


def test_an_edit_starts_from_what_the_item_holds() -> None:
    assert item("Folk", locked=True).edit("genre", ("Jazz",), lock=False) == FieldEdit(
        "genre", ("Folk",), ("Jazz",), True, False
    )


def test_an_edit_is_done_only_with_its_lock() -> None:
    edit = ItemEdit(item("Folk"), (FieldEdit("genre", ("Folk",), ("Jazz",), False, True),))
    assert edit.is_open(item("Folk"))
    assert edit.is_done(item("jazz", locked=True))
    assert not edit.is_done(item("Jazz"))
    assert not edit.is_open(item("Folk", locked=True))


def test_items_and_sections_tell_what_they_are() -> None:
    assert item().label == "Ada - Blue - Tune"
    assert item().value("style") == ()
    assert Section(5, "Music", "artist", ()).is_music
    assert not Section(6, "Films", "movie", ()).is_music
    assert Listed(1, "t", "a", "b", "c", 2, 3, None, ()).seconds is None
