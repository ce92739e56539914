"""Drift by an independent formula, and what must not change it; each symptom from the means alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.errors import BundleError
from music_reclass.extractors.fma518 import COLUMNS, FAMILIES
from music_reclass.models import bundle as bundles
from music_reclass.training.drift import ENOUGH, DriftReference, drift, population_stability, reference_of

EDGES = np.arange(1, 10)[:, None] / 10


def by_hand(shares: np.ndarray, expected: np.ndarray) -> float:
    return float(((shares - expected) * np.log(shares / expected)).sum())


@given(st.lists(st.integers(1, 40), min_size=10, max_size=10))
@settings(max_examples=30)
def test_the_index_is_that_of_the_formula(counts: list[int]) -> None:
    rows = np.repeat((np.arange(10) + 0.5) / 10, counts)[:, None]
    shares = np.array(counts) / sum(counts)
    assert population_stability(rows, EDGES)[0] == pytest.approx(by_hand(shares, np.full(10, 0.1)))


def test_rows_in_one_part_alone_give_a_finite_index() -> None:
    found = population_stability(np.full((50, 1), 0.05), EDGES)[0]
    shares = np.full(10, 1e-3)
    shares[0] = 1.0
    assert found == pytest.approx(by_hand(shares, np.full(10, 0.1)))


def test_every_column_is_compared_with_its_edges_and_rows_come_in_any_order() -> None:
    generator = np.random.default_rng(0)
    rows = generator.random((500, 3)) * [1.0, 2.0, 0.5]
    edges = EDGES * [[1.0, 2.0, 1.0]]
    found = population_stability(rows, edges)
    assert found[:2].max() < 0.1 < found[2]
    for column in range(3):
        alone = population_stability(rows[:, [column]], edges[:, [column]])[0]
        assert found[column] == pytest.approx(alone)
    assert population_stability(generator.permutation(rows), edges) == pytest.approx(found)
    assert population_stability(np.repeat(rows, 3, axis=0), edges) == pytest.approx(found)


def test_a_monotonic_change_of_unit_changes_no_index() -> None:
    rows = np.random.default_rng(1).random((300, 1)) ** 2
    assert population_stability(np.exp(3 * rows), np.exp(3 * EDGES)) == pytest.approx(population_stability(rows, EDGES))


def standard(columns: tuple[str, ...] = COLUMNS) -> DriftReference:
    """A training set of independent standard normal columns."""
    from scipy.stats import norm

    edges = np.tile(norm.ppf(np.arange(1, 10) / 10)[:, None], (1, len(columns)))
    return DriftReference(columns, edges, np.zeros(len(columns)), np.ones(len(columns)))


def moved(**means: float) -> np.ndarray:
    """Rows like those of the training but for the means of these columns."""
    rows = np.random.default_rng(2).normal(size=(400, 518))
    rows -= rows.mean(axis=0)
    for name, shift in means.items():
        rows[:, COLUMNS.index(name)] += shift
    return rows.astype(np.float32)


def test_rows_as_in_training_have_no_finding() -> None:
    found = drift(moved(), standard())
    assert found.findings == ()
    assert found.count == 400
    assert set(found.psi) == set(found.shift) == set(FAMILIES)
    assert found.worst == max(found.psi.values()) < 0.1


@pytest.mark.parametrize(
    ("means", "symptom"),
    [
        ({"spectral_bandwidth_mean_01": -0.8, "spectral_centroid_mean_01": -0.5}, "little above 8 kHz"),
        ({"spectral_bandwidth_mean_01": -0.25, "spectral_contrast_mean_07": -1.8}, "little above 11 kHz"),
        ({"spectral_contrast_mean_07": -1.2}, "heavily compressed"),
        ({"spectral_bandwidth_mean_01": 4.7, "mfcc_mean_02": -1.5}, "hiss or noise"),
        ({"rmse_mean_01": -1.4, "mfcc_mean_01": -1.2}, "quieter"),
        ({"rmse_mean_01": 1.0}, "louder"),
    ],
)
def test_a_fault_of_recordings_is_named_by_the_means_that_it_moves(means: dict[str, float], symptom: str) -> None:
    (finding,) = drift(moved(**means), standard()).findings
    assert symptom in finding


def test_a_family_that_differs_in_no_known_way_is_named() -> None:
    rows = moved()
    rows[:, FAMILIES["tonnetz"]] *= 4
    (finding,) = drift(rows, standard()).findings
    assert finding.startswith("tonnetz differs most")
    assert "other genres than in training" in finding


def test_few_tracks_are_said_to_be_few_and_enough_are_not() -> None:
    assert "tracks are few" in drift(moved()[: ENOUGH - 1], standard()).findings[-1]
    assert not any("few" in text for text in drift(moved()[:ENOUGH], standard()).findings)


def test_a_bundle_of_some_columns_is_compared_in_these() -> None:
    columns = tuple(name for name in COLUMNS if name.startswith("rmse_"))
    found = drift(moved(rmse_mean_01=1.0), standard(columns))
    assert list(found.psi) == ["rmse"]
    assert found.shift["rmse"] == pytest.approx(1.0, abs=1e-3)


def test_a_column_that_never_varied_in_training_gives_finite_numbers() -> None:
    reference = standard()
    constant = replace(reference, spread=np.where(np.arange(518) == 3, 0.0, reference.spread))
    found = drift(moved(), constant)
    assert np.isfinite([*found.psi.values(), *found.shift.values()]).all()


def test_a_bundle_that_remembers_nothing_is_refused() -> None:
    other = bundles.embedded("musicnn")
    forgetful = replace(other, manifest={key: value for key, value in other.manifest.items() if key != "profile"})
    with pytest.raises(BundleError, match="does not say what its training rows looked like"):
        reference_of(replace(forgetful, kinds=(replace(other.kinds[0], dimension=3),)))
