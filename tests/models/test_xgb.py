"""Trees walked by NumPy give what XGBoost gives, and come back strictly."""

import numpy as np
import pytest

from music_reclass.models.base import examples
from music_reclass.models.xgb import TreesModel, restored, xgb_estimator
from tests.models.test_base import needs, table


@needs("xgboost")
def test_trees_walked_by_numpy_give_what_xgboost_gives() -> None:
    import xgboost

    known = table()
    rows, genre, weights = examples(known, None, rarity=0.25, versions=1, seed=0)
    data = xgboost.DMatrix(rows, label=genre, weight=weights)
    model = xgb_estimator(rounds=10).fit(known, None)
    settings = {
        "objective": "multi:softprob", "num_class": 4, "tree_method": "hist", "max_bin": 64, "max_depth": 4, "eta": 0.1,
        "subsample": 0.7, "colsample_bytree": 0.2, "lambda": 5.0, "min_child_weight": 2.0, "seed": 0, "nthread": 1,
        "device": "cpu", "base_score": 0.5,
    }  # fmt: skip
    theirs = xgboost.train(settings, data, num_boost_round=10).predict(xgboost.DMatrix(known.rows))

    np.testing.assert_allclose(np.exp(model.log_probabilities(known.rows)), theirs, atol=1e-5)


def tree() -> TreesModel:
    """One fork: column 2 below 0.5 speaks for the first label, else for nothing."""
    own = np.arange(3, dtype=np.int16)[None]
    left, right = own.copy(), own.copy()
    left[0, 0], right[0, 0] = 1, 2
    feature = np.array([[2, 0, 0]], dtype=np.int16)
    split = np.array([[0.5, 2.0, 0.0]], dtype=np.float32)
    return TreesModel(feature, split, left, right, np.zeros(1, np.int16), np.zeros(2, np.float32), 1)


def test_a_row_falls_to_the_leaf_of_its_numbers() -> None:
    scores = np.exp(tree().log_probabilities(np.array([[0, 0, 0.4], [0, 0, 0.6]], dtype=np.float32)))
    assert scores[0, 0] == pytest.approx(1 / (1 + np.exp(-2)))
    assert scores[1, 0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("feature", np.array([[3, 0, 0]], dtype=np.int16)),
        ("left", np.array([[5, 1, 2]], dtype=np.int16)),
        ("label", np.array([2], dtype=np.int16)),
        ("split", np.array([[np.nan, 0, 0]], dtype=np.float32)),
        ("base", np.zeros(3, dtype=np.float32)),
    ],
)
def test_trees_that_point_out_of_bounds_are_refused(name: str, wrong: np.ndarray) -> None:
    model = tree()
    assert restored(model.description(), model.arrays(), 3, 2).description() == model.description()
    with pytest.raises(ValueError, match="tree"):
        restored(model.description(), {**model.arrays(), name: wrong}, 3, 2)


def test_trees_keep_no_medians() -> None:
    assert tree().medians(3) is None
