"""The linear model scores what it learned and comes back strictly."""

from dataclasses import replace

import numpy as np
import pytest

from music_reclass.models.linear import LinearModel, linear_estimator, restored
from music_reclass.models.transforms import QuantileScale
from tests.models.test_base import needs, right, table

ROWS = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)


def model() -> LinearModel:
    weights = np.array([[1, -1], [0, 0], [0, 0], [0, 0]], dtype=np.float32)
    return LinearModel("unchanged", QuantileScale.fit(ROWS), weights, np.zeros(2, dtype=np.float32))


def test_scores_follow_the_weights() -> None:
    scores = model().log_probabilities(ROWS)
    assert np.corrcoef(scores[:, 0] - scores[:, 1], ROWS[:, 0])[0, 1] > 0.95
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("knots", np.zeros((1, 4), dtype=np.float32)),
        ("knots", np.arange(8, 0, -1, dtype=np.float32).reshape(2, 4)),
        ("weights", np.zeros((4, 3), dtype=np.float32)),
        ("bias", np.array([np.nan, 0], dtype=np.float32)),
        ("other", np.zeros(1, dtype=np.float32)),
    ],
)
def test_arrays_that_do_not_fit_are_refused(name: str, wrong: np.ndarray) -> None:
    arrays = model().arrays()
    assert restored(model().description(), arrays, 4, 2).description() == model().description()
    with pytest.raises(ValueError, match=r"knots|weights|finite|arrays"):
        restored(model().description(), {**arrays, name: wrong}, 4, 2)


@needs("sklearn")
def test_a_label_that_no_row_carries_is_never_first() -> None:
    known = table()
    labels = np.concatenate([known.labels, np.zeros((len(known), 1), dtype=bool)], axis=1)
    scores = linear_estimator(strength=0.1).fit(replace(known, classes=(*known.classes, "Polka"), labels=labels), None)
    found = scores.log_probabilities(known.rows)
    assert (found.argmax(axis=1) < len(known.classes)).all()
    assert right(found, labels) > 0.9
