"""Windows: equal, evenly spaced, never padded with zeros."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.extractors import windows


@settings(deadline=None)
@given(length=st.integers(1, 50), window=st.integers(1, 20), most=st.integers(1, 8))
def test_windows_are_equal_inside_the_sound_and_reach_both_ends(length, window, most):
    samples = np.arange(length, dtype=np.float32)
    cut = windows.spread(samples, window, most)
    assert cut.shape == (max(1, min(most, length // window)), window)
    assert cut[0, 0] == 0
    if length >= window and len(cut) > 1:
        assert cut[-1, -1] == length - 1
        assert np.all(np.diff(cut[:, 0]) >= window)


@settings(deadline=None)
@given(length=st.integers(1, 50), window=st.integers(2, 20), most=st.integers(1, 8), data=st.data())
def test_windows_overlap_by_what_is_short_for_one_more_and_by_nothing_else(length, window, most, data):
    short = data.draw(st.integers(0, window - 1))
    samples = np.arange(length, dtype=np.float32)
    cut, plain = windows.spread(samples, window, most, short=short), windows.spread(samples, window, most)
    assert len(plain) <= len(cut) <= len(plain) + 1
    if len(cut) == len(plain):
        assert np.array_equal(cut, plain)
    else:
        assert (cut[0, 0], cut[-1, -1]) == (0, length - 1)
        assert len(cut) * window - length <= short
        assert np.all(np.diff(cut[:, 0]) <= window)


def test_thirty_seconds_are_cut_end_to_end():
    cut = windows.spread(np.arange(30, dtype=np.float32), 5, 6)
    assert np.array_equal(cut.ravel(), np.arange(30))


def test_a_sound_that_is_too_short_repeats():
    assert windows.spread(np.array([1, 2], np.float32), 5, 3).tolist() == [[1, 2, 1, 2, 1]]


def test_silent_windows_are_left_out_unless_all_are():
    cut = np.array([[0.5, -0.5], [0, 0], [1e-6, 0]], np.float32)
    assert windows.audible(cut).tolist() == [[0.5, -0.5]]
    assert len(windows.audible(cut[1:])) == 2


def test_wild_values_become_tame():
    tame = windows.finite(np.array([np.nan, np.inf, -1e9, 0.25], np.float32))
    assert tame.tolist() == [0.0, 1.0, -1.0, 0.25]


def test_an_excerpt_of_half_a_minute_gives_as_many_windows_wherever_it_lies() -> None:
    counts = {"mid30": 3, "full": 6}
    assert [windows.most_in(excerpt, counts) for excerpt in ("mid30", "start30", "late30", "full")] == [3, 3, 3, 6]
