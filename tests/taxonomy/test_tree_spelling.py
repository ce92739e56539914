"""Spellings that people use for one genre have one key; what is no name is known as such."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_reclass.taxonomy.tree import has_separator, key, says_nothing


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hip-Hop", "hip hop"),
        ("ROCK", "ｒｏｃｋ"),
        ("Raï", "rai"),
        ("Drum & Bass", "Drum and Bass"),
        ("Drum & Bass", "drum'n'bass"),
        ("Rock & Roll", "Rock ’n’ Roll"),
        ("Jazz+Funk", "Jazz & Funk"),
        ("R&B; Soul", "r & b/soul"),
        ("Møre", "more"),
    ],
)
def test_spellings_of_one_name_share_a_key(one: str, other: str) -> None:
    assert key(one) == key(other)


@pytest.mark.parametrize(("one", "other"), [("Folk/Rock", "Folk Rock"), ("Rock", "Rick"), ("ロック", "ポップ")])
def test_different_names_keep_different_keys(one: str, other: str) -> None:
    assert key(one) != key(other)


@given(st.text(max_size=30))
def test_a_key_is_its_own_key(name: str) -> None:
    assert key(key(name)) == key(name)


@pytest.mark.parametrize("name", ["", "  ", "!!!", "1995", "x", "http://a.b/c", "www.music", "foo.com", "me@mail.org"])
def test_urls_numbers_and_single_letters_say_nothing(name: str) -> None:
    assert says_nothing(name)


@pytest.mark.parametrize("name", ["Rock", "80s", "N. Indian Traditional", "歌", "Alt. Rock", "R.E.M."])
def test_names_say_something(name: str) -> None:
    assert not says_nothing(name)


def test_separators_are_seen() -> None:
    assert all(has_separator(f"a{mark}b") for mark in ";/,|\\\0")
    assert not has_separator("Soul & R&B - Old-Time")
