"""Small parts that all formats share."""

from __future__ import annotations

from music_reclass.containers.edits import Edit, replaced, slot


def test_the_first_place_is_kept_and_the_others_go() -> None:
    assert replaced([(3, 5), (8, 9)], 20, b"new") == [Edit(3, 5, b"new"), Edit(8, 9, b"")]
    assert replaced([], 20, b"new") == [Edit(20, 20, b"new")]
    assert replaced([], 20, b"") == []


def test_a_slot_gives_its_bytes_in_order() -> None:
    assert slot((("a", b"1"), ("b", b"2"), ("a", b"3")), "a") == (b"1", b"3")
