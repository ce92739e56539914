"""The seven statistics against scipy, and a constant row as old scipy had it."""

from __future__ import annotations

import numpy as np
import pytest

from music_reclass.extractors.fma518 import STATISTICS, seven_statistics


def test_statistics_are_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    frames = np.random.default_rng(5).gamma(2.0, size=(501, 4))
    ours = dict(zip(STATISTICS, seven_statistics(frames), strict=True))
    expected = {
        "kurtosis": stats.kurtosis(frames),
        "max": frames.max(axis=0),
        "mean": frames.mean(axis=0),
        "median": np.median(frames, axis=0),
        "min": frames.min(axis=0),
        "skew": stats.skew(frames),
        "std": frames.std(axis=0),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 1.0, -3.7, 1e-30, 1e12])
@pytest.mark.parametrize("count", [1, 2, 1000])
def test_a_constant_row_has_skew_zero_and_kurtosis_minus_three(value: float, count: int) -> None:
    ours = dict(zip(STATISTICS, seven_statistics(np.full((count, 1), value)), strict=True))
    assert ours["skew"][0] == 0.0
    assert ours["kurtosis"][0] == -3.0
    assert ours["median"][0] == pytest.approx(value)


def test_an_even_count_has_its_median_in_between() -> None:
    assert seven_statistics(np.array([[4.0], [1.0], [2.0], [3.0]]))[STATISTICS.index("median"), 0] == 2.5
