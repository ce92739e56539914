"""Rows far from the training rows are known as such, and lose confidence continuously."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from music_reclass.models.base import log_softmax
from music_reclass.models.mlp import Ensemble, mlp_estimator
from music_reclass.models.training_range import AXES, MOST, TrainingRange
from tests.models.test_mlp_by_hand import table
from tests.training.synthetic import SMALL


def _inputs(count: int, seed: int, shift: float = 0.0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    basis = np.random.default_rng(42).normal(size=(6, 40))
    rows = np.abs(generator.normal(size=(count, 6))) @ basis + shift * generator.normal(size=(count, 40))
    return np.asarray(rows, dtype=np.float32)


@pytest.fixture(scope="module")
def limits() -> TrainingRange:
    found = TrainingRange.fit(_inputs(300, 0), np.arange(300) // 2, seed=0)
    assert found is not None
    return found


def test_new_rows_of_the_same_kind_are_in_range_and_noise_is_not(limits: TrainingRange) -> None:
    assert (limits.excess(_inputs(200, 1)) == 0).mean() > 0.85
    noise = np.random.default_rng(3).normal(size=(50, 40)).astype(np.float32)
    assert (limits.excess(noise) > 1).all()


def test_the_excess_grows_with_the_distance(limits: TrainingRange) -> None:
    means = [limits.excess(_inputs(100, 5, shift)).mean() for shift in (0.0, 1.0, 3.0, 10.0)]
    assert means == sorted(means)


def test_a_row_has_the_same_excess_alone_and_among_others(limits: TrainingRange) -> None:
    rows = _inputs(600, 9, 2.0)
    assert limits.excess(rows)[[0, 300, 599]] == pytest.approx(
        [float(limits.excess(rows[[number]])[0]) for number in (0, 300, 599)], abs=1e-5
    )


def test_few_artists_give_no_range_and_many_rows_are_thinned_out() -> None:
    assert TrainingRange.fit(_inputs(30, 0), np.zeros(30, dtype=np.int64), seed=0) is None
    found = TrainingRange.fit(_inputs(MOST + 200, 0), np.arange(MOST + 200), seed=0)
    assert found is not None
    assert found.rows.shape == (MOST, AXES)


@pytest.mark.parametrize(("limit", "width"), [(np.nan, 1.0), (0.3, 0.0), (0.3, -1.0)])
def test_a_range_that_makes_no_sense_is_refused(limits: TrainingRange, limit: float, width: float) -> None:
    with pytest.raises(ValueError, match="range"):
        TrainingRange.restored({"limit": limit, "width": width}, limits.axes, limits.rows)


def test_an_ensemble_is_less_sure_of_what_lies_out_of_range_and_names_the_same_label() -> None:
    known = table(60)
    model = mlp_estimator(0, SMALL).fit(known, None)
    assert isinstance(model, Ensemble)
    assert model.limits is not None
    rows = np.random.default_rng(0).normal(size=(20, known.rows.shape[1])).astype(np.float32) * 50
    found, plain = model.log_probabilities(rows), replace(model, limits=None).log_probabilities(rows)
    assert np.array_equal(found.argmax(axis=1), plain.argmax(axis=1))
    assert (found.max(axis=1) < plain.max(axis=1) + 1e-9).all()
    assert found.max(axis=1).mean() < plain.max(axis=1).mean()
    assert np.allclose(log_softmax(found), found)
