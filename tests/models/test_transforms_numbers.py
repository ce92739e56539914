"""Input transforms by independent formulas: quantile scaling, sorted pitch classes and Fourier magnitudes, profiles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from music_reclass.extractors.fma518 import COLUMNS, FAMILIES
from music_reclass.models.dataset import Table
from music_reclass.models.transforms import (
    INPUTS,
    KNOTS,
    QuantileScale,
    key_free,
    merged_medians,
    profile,
    transpositions,
)

LEVELS = stats.norm.ppf((np.arange(KNOTS) + 0.5) / KNOTS)


def rows_of(count: int = 30, seed: int = 0, columns: int = 518) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, columns)).astype(np.float32)


@given(st.integers(0, 10_000))
@settings(max_examples=15)
def test_scaling_interpolates_between_the_quantiles_of_the_normal_distribution(seed: int) -> None:
    known, new = rows_of(200, seed, 4), rows_of(50, seed + 1, 4) * 2
    scale = QuantileScale.fit(known)
    found = scale(new)
    for column in range(4):
        expected = np.interp(new[:, column], scale.knots[:, column], LEVELS)
        assert found[:, column] == pytest.approx(expected, abs=2e-5)


def test_the_knots_are_the_quantiles_of_the_rows_in_any_order() -> None:
    known = rows_of(101, 3, 5)
    scale = QuantileScale.fit(known)
    for share, knot in zip((np.arange(KNOTS) + 0.5) / KNOTS, scale.knots, strict=True):
        assert knot == pytest.approx(np.quantile(known, share, axis=0), abs=1e-6)
    shuffled = np.random.default_rng(0).permutation(known)
    assert np.array_equal(QuantileScale.fit(shuffled).knots, scale.knots)


@pytest.mark.parametrize(("factor", "offset"), [(3.0, 0.0), (1.0, -7.5), (1e-3, 100.0)])
def test_another_unit_of_a_column_does_not_matter(factor: float, offset: float) -> None:
    known, new = rows_of(300, 0, 3).astype(np.float64), rows_of(40, 1, 3).astype(np.float64)
    plain = QuantileScale.fit(known.astype(np.float32))(new.astype(np.float32))
    other = QuantileScale.fit((known * factor + offset).astype(np.float32))
    assert other((new * factor + offset).astype(np.float32)) == pytest.approx(plain, abs=0.05)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 130])
def test_any_number_of_rows_is_scaled(count: int) -> None:
    scale = QuantileScale.fit(rows_of(80, 0, 3))
    new = rows_of(count, 1, 3)
    found = scale(new)
    assert found.shape == (count, 3)
    assert found.dtype == np.float32
    if count:
        assert np.array_equal(found[-1:], scale(new[-1:]))


def test_pitch_classes_give_way_to_sorted_values_and_magnitudes_and_tonnetz_goes() -> None:
    row = rows_of(1)
    chroma = [name for name in FAMILIES if name.startswith("chroma")]
    kept = [row[0, where] for name, where in FAMILIES.items() if name not in (*chroma, "tonnetz")]
    blocks = [
        row[0, first : first + 12] for name in chroma for first in range(FAMILIES[name].start, FAMILIES[name].stop, 12)
    ]
    values = [number for block in blocks for number in (*np.sort(block), *np.abs(np.fft.fft(block)[:7]) / 12)]
    assert len(blocks) == 21
    expected = np.sort(np.concatenate([*kept, values]))
    assert key_free(row).shape == (1, 623)
    assert np.sort(key_free(row)[0]) == pytest.approx(expected, abs=1e-5)


def test_only_a_common_turn_of_the_pitch_classes_leaves_the_key_free_input_as_it_is() -> None:
    row = rows_of(1)
    swapped = row.copy()
    first = FAMILIES["chroma_stft"].start
    swapped[0, [first, first + 3]] = swapped[0, [first + 3, first]]
    assert not np.allclose(key_free(swapped), key_free(row), atol=1e-4)  # the magnitudes know the order


def test_turning_twelve_times_by_a_semitone_comes_back_and_turns_add_up() -> None:
    turns = transpositions()
    assert np.array_equal(turns[0], np.arange(518))
    for one in range(12):
        for other in range(12):
            assert np.array_equal(turns[one][turns[other]], turns[(one + other) % 12])


def test_vectors_of_later_kinds_pass_as_they_are() -> None:
    rows = rows_of(4, columns=530)
    assert np.array_equal(INPUTS["embedding"](rows), rows[:, 518:])
    both = INPUTS["key_free_and_embedding"](rows)
    assert np.array_equal(both[:, -12:], rows[:, 518:])
    assert np.array_equal(both[:, :-12], key_free(rows[:, :518]))


def test_the_last_known_median_counts() -> None:
    gap = np.nan
    first = np.array([[1, 2, gap], [gap, gap, gap]], dtype=np.float32)
    second = np.array([[gap, 5, gap], [7, gap, gap]], dtype=np.float32)
    assert np.array_equal(merged_medians([first, second], 3), [[1, 5, gap], [7, gap, gap]], equal_nan=True)
    assert np.isnan(merged_medians([], 3)).all()


def test_a_profile_states_deciles_mean_and_spread_in_five_digits() -> None:
    rows = rows_of(500, columns=3) * [1.0, 1000.0, 1e-6]
    table = Table(COLUMNS[:3], rows.astype(np.float32), (), np.zeros((500, 0), bool), np.arange(500), np.full(500, ""))
    kept = profile(table)
    assert kept["columns"] == list(COLUMNS[:3])
    assert kept["mean"] == pytest.approx(rows.mean(axis=0), rel=1e-4)
    assert kept["spread"] == pytest.approx(rows.std(axis=0), rel=1e-4)
    assert np.array(kept["deciles"]) == pytest.approx(np.quantile(rows, np.arange(1, 10) / 10, axis=0), rel=1e-4)
    assert all(value == float(f"{value:.5g}") for value in kept["mean"])
