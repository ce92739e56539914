"""A cleaned field holds what was there, spelled once: nothing comes in, and cleaning it again changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from music_reclass.tagging.policy import clean
from music_reclass.taxonomy import load

TREE = load()
MIXED = st.sampled_from(
    ["Rock", "hip hop", "Hip-Hop", "Drum & Bass", "R&B", "Rock/Pop", "Pop/Rock", "Other", "17", "(4)Eurodisco",
     "Zorblax",
     "Folk, World, & Country", "www.x.com",
     "2007", "Singer/Songwriter", "shoegaze", "Foo/Bar", "a", "", " ", "AC/DC"]
)  # fmt: skip
VALUES = st.lists(
    st.one_of(
        MIXED, st.lists(MIXED, min_size=2, max_size=4).flatmap(lambda names: st.sampled_from(";/,|").map(
            lambda mark: f"{mark} ".join(names))), st.text(max_size=30), st.sampled_from(TREE.labels),
        st.sampled_from(sorted(TREE.spellings)),
    ), max_size=6,
).map(tuple)  # fmt: skip


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (("Rock/Pop; hip hop",), ("Rock", "Pop", "Hip-Hop")),
        (("Drum & Bass",), ("Drum & Bass",)),
        (("R&B",), ("Soul-RnB",)),
        (("R&B; Soul",), ("Soul-RnB",)),
        (("rock", "ROCK", "17"), ("Rock",)),
        (("Rock", "Other", "www.x.com", ""), ("Rock",)),
        (("Other",), ()),
        (("Zorblax; rock",), ("Zorblax", "Rock")),
        (("AC/DC",), ("AC/DC",)),
        (("Shoegaze", "Rock"), ("Shoegaze", "Rock")),
    ],
)
def test_fields_as_they_are_found(values: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    assert TREE.cleaned(values) == wanted


@given(VALUES)
def test_cleaning_is_done_the_first_time(values: tuple[str, ...]) -> None:
    once = TREE.cleaned(values)
    assert TREE.cleaned(once) == once
    assert len(set(once)) == len(once)
    for profile in ("native", "joined", "plex"):
        proposal = clean(values, TREE, profile=profile)
        if proposal.writes and proposal.genres:
            assert not clean(proposal.genres, TREE, profile=profile).writes


@given(VALUES)
def test_nothing_comes_in_that_was_not_there(values: tuple[str, ...]) -> None:
    names, fresh = [], list(values)
    while fresh:
        fresh = [name for value in fresh for name in TREE.split(value) if name not in names]
        names += fresh
    there = {TREE.written(name) for name in names if TREE.canonical(name)} | {name.strip() for name in names}
    assert set(TREE.cleaned(values)) <= there


@given(VALUES, st.sets(st.sampled_from(TREE.labels), min_size=1, max_size=5))
def test_a_whitelist_leaves_its_genres_alone_each_above_one_that_was_there(
    values: tuple[str, ...], only: set[str]
) -> None:
    found = TREE.cleaned(values, sorted(only))
    written = {TREE.written(genre) for genre in only}
    assert set(found) <= written
    names = [name for name in TREE.cleaned(values) if TREE.canonical(name)]
    for genre in found:
        assert any(TREE.written(one) == genre for name in names for one in (name, *TREE.ancestors(name)))
    assert TREE.cleaned(found, sorted(only)) == found


def test_a_field_too_long_to_look_through_stays_whole() -> None:
    long = tuple(f"g{number}; Rock" for number in range(70))
    assert TREE.cleaned(long) == long
    assert TREE.cleaned(("x" * 1001 + "; rock",)) == ("x" * 1001 + "; rock",)


@given(VALUES)
def test_a_style_that_goes_apart_lies_below_the_genre_that_stays(values: tuple[str, ...]) -> None:
    proposal = clean(values, TREE, apart=True)
    if proposal.style_field:
        (genre,) = proposal.genres
        assert genre in TREE.ancestors(proposal.style_field)
        assert TREE.cleaned(values) == (proposal.style_field,)
