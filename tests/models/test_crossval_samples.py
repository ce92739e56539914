"""Stratified samples: genres by the square root of their tracks, artists in turns, the same every time."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from music_reclass.models.crossval import stratified_order

COUNTS = (900, 100, 25, 4)  # tracks of four genres
GENRE = np.repeat(np.arange(4), COUNTS)
LABELS: NDArray[np.bool_] = np.asarray(GENRE[:, None] == np.arange(4), dtype=np.bool_)
NAMES = [f"/m/{number}.flac" for number in range(sum(COUNTS))]
ARTISTS = [f"artist {genre} {number % (10 if genre else 90)}" for number, genre in enumerate(GENRE.tolist())]


def counts(order: NDArray[np.int64]) -> list[int]:
    return [int(count) for count in np.bincount(GENRE[order], minlength=4)]


def test_shares_grow_with_the_square_root_of_a_genre_in_every_beginning() -> None:
    order = stratified_order(LABELS, ARTISTS, NAMES)

    assert sorted(order.tolist()) == list(range(len(NAMES)))
    assert counts(order[:47]) == [30, 10, 5, 2]  # the roots are 30, 10, 5 and 2
    assert counts(order[:94]) == [60, 20, 10, 4]
    assert counts(order[:300])[3] == 4  # a small genre gives what it has


def test_artists_take_turns() -> None:
    order = stratified_order(LABELS, ARTISTS, NAMES)
    first = [ARTISTS[row] for row in order if GENRE[row] == 0][:90]

    assert len(set(first)) == 90
    mixed = [*ARTISTS[:5], *["one who made most of it"] * 895, *ARTISTS[900:]]
    begun = [mixed[row] for row in stratified_order(LABELS, mixed, NAMES) if GENRE[row] == 0][:6]
    assert len(set(begun)) == 6


def test_a_smaller_sample_is_part_of_a_larger_one_and_new_tracks_change_little() -> None:
    order = stratified_order(LABELS, ARTISTS, NAMES, seed=3)

    assert np.array_equal(order, stratified_order(LABELS, ARTISTS, NAMES, seed=3))
    assert not np.array_equal(order, stratified_order(LABELS, ARTISTS, NAMES, seed=4))
    more = np.concatenate([LABELS, LABELS[:9]])
    grown = stratified_order(more, [*ARTISTS, *["new"] * 9], [*NAMES, *(f"/new/{n}" for n in range(9))], seed=3)
    assert len(set(grown[:100].tolist()) & set(order[:100].tolist())) >= 95


def test_the_order_of_the_rows_does_not_matter() -> None:
    order = stratified_order(LABELS, ARTISTS, NAMES)
    back = slice(None, None, -1)
    turned = stratified_order(LABELS[back], ARTISTS[back], NAMES[back])

    assert {NAMES[row] for row in order[:50]} == {NAMES[back][row] for row in turned[:50]}


@pytest.mark.parametrize("size", [40, 200])
def test_the_parts_of_an_official_split_keep_their_shares(size: int) -> None:
    split = ["test" if number % 5 == 0 else "training" for number in range(len(NAMES))]

    chosen = stratified_order(LABELS, ARTISTS, NAMES, split=split)[:size]

    assert sum(split[row] == "test" for row in chosen) == pytest.approx(size / 5, abs=1)


def test_a_row_of_several_genres_counts_for_the_rarest_and_one_of_none_is_left_out() -> None:
    labels = np.array([[1, 0], [1, 0], [1, 1], [1, 0], [0, 0]], dtype=np.bool_)

    order = stratified_order(labels, [""] * 5, list("abcde"))

    assert order[0] == 2 or order[1] == 2  # the only one of its genre: its turn comes at once
    assert sorted(order.tolist()) == [0, 1, 2, 3]
