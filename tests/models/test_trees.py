"""Trees walked by NumPy give what XGBoost and scikit-learn give, and come back strictly."""

import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from music_reclass.errors import MissingExtra, ReclassError
from music_reclass.models import trees
from music_reclass.models.base import examples
from music_reclass.models.bundle import load, save
from music_reclass.models.dataset import Table
from music_reclass.models.trees import HGB, XGB, TreesModel, restored, trees_estimator
from tests.models.test_base import bundle_of, needs, table


@needs("xgboost")
def test_trees_walked_by_numpy_give_what_xgboost_gives() -> None:
    import xgboost

    known = table()
    rows, genre, weights = examples(known, None, rarity=0.25, versions=1, seed=0)
    data = xgboost.DMatrix(rows, label=genre, weight=weights)
    model = trees_estimator(learner=XGB, rounds=10).fit(known, None)
    settings = {
        "objective": "multi:softprob", "num_class": 4, "tree_method": "hist", "max_bin": 64, "max_depth": 4, "eta": 0.1,
        "subsample": 0.7, "colsample_bytree": 0.2, "lambda": 5.0, "min_child_weight": 2.0, "seed": 0, "nthread": 1,
        "device": "cpu", "base_score": 0.5,
    }  # fmt: skip
    theirs = xgboost.train(settings, data, num_boost_round=10).predict(xgboost.DMatrix(known.rows))

    np.testing.assert_allclose(np.exp(model.log_probabilities(known.rows)), theirs, atol=1e-5)


@needs("sklearn")
@pytest.mark.parametrize("labels", [(0, 1), (1, 3), (0, 1, 2), (0, 2, 3, 4, 5)], ids=str)
@pytest.mark.parametrize("steps", [0, 3], ids=["many values", "few values"])
def test_trees_walked_by_numpy_give_what_scikit_learn_gives(labels: tuple[int, ...], steps: int) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    generator = np.random.default_rng(len(labels) + steps)
    genre = generator.choice(labels, 200)
    rows = (generator.normal(size=(200, 7)) + 0.4 * genre[:, None]).astype(np.float32)
    if steps:
        rows = np.round(rows * steps).astype(np.float32)
    cuts = np.quantile(rows, np.arange(1, 64) / 64, axis=0).astype(np.float32)
    theirs = HistGradientBoostingClassifier(
        max_iter=8, learning_rate=0.3, max_bins=64, min_samples_leaf=3, early_stopping=False
    ).fit(trees._binned(rows, cuts), genre)
    on_cuts = [cuts, np.nextafter(cuts, np.float32(99)), np.nextafter(cuts, np.float32(-99))]
    new = np.concatenate([rows, *on_cuts, 3 * generator.normal(size=(99, 7)).astype(np.float32)])

    model = trees._of_scikit_learn(theirs, cuts, 6)
    found = np.exp(model.log_probabilities(new))

    np.testing.assert_allclose(found[:, list(labels)], theirs.predict_proba(trees._binned(new, cuts)), atol=1e-6)
    others = [n for n in range(6) if n not in labels]
    assert (found[:, others] < 1e-9).all()


@needs("sklearn")
def test_scikit_learn_sees_the_weights_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    import sklearn.ensemble

    seen = {}

    class Watched(sklearn.ensemble.HistGradientBoostingClassifier):
        def fit(self, rows: Any, genre: Any, sample_weight: Any = None) -> Any:
            seen["weights"] = sample_weight
            return super().fit(rows, genre, sample_weight)

    monkeypatch.setattr(sklearn.ensemble, "HistGradientBoostingClassifier", Watched)
    trees_estimator(3, HGB, rounds=1).fit(table(), None)

    _, _, weights = examples(table(), None, rarity=0.25, versions=1, seed=3)
    np.testing.assert_array_equal(seen["weights"], weights)
    assert weights.std() > 0


def of_genres(*places: int) -> Table:
    """Rows that carry one of the labels at `places` each."""
    known = table(60)
    labels = np.zeros_like(known.labels)
    labels[np.arange(60), np.resize(places, 60)] = True
    return replace(known, labels=labels)


@pytest.mark.parametrize(
    "learner", [pytest.param(XGB, marks=needs("xgboost")), pytest.param(HGB, marks=needs("sklearn"))]
)
@pytest.mark.parametrize("places", [(1,), (0, 2)], ids=["one genre", "two genres"])
def test_a_fold_without_some_of_the_genres_still_gives_a_model_of_all(learner: str, places: tuple[int, ...]) -> None:
    known = of_genres(*places)
    scores = trees_estimator(learner=learner, rounds=8).fit(known, None).log_probabilities(known.rows)
    assert scores.shape == (60, 4)
    assert np.isfinite(scores).all()
    assert set(scores.argmax(axis=1)) <= set(places)


@pytest.mark.parametrize(
    "learner", [pytest.param(XGB, marks=needs("xgboost")), pytest.param(HGB, marks=needs("sklearn"))]
)
def test_a_bundle_predicts_the_same_without_the_package_that_grew_its_trees(
    learner: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = table()
    bundle = bundle_of(trees_estimator(learner=learner, rounds=8).fit(known, None))
    save(bundle, tmp_path / "b")
    for name in [name for name in sys.modules if name.split(".")[0] in ("xgboost", "sklearn")] + ["xgboost", "sklearn"]:
        monkeypatch.setitem(sys.modules, name, None)

    np.testing.assert_array_equal(load(tmp_path / "b").predict_proba(known.rows), bundle.predict_proba(known.rows))
    with pytest.raises(MissingExtra, match="pip install"):
        trees.check_learner(learner)


class TestWhoGrowsTheTrees:
    def test_is_xgboost_where_it_is_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "xgboost", fake_xgboost())
        assert trees.learner_for("cpu") == XGB

    def test_is_scikit_learn_where_it_is_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "xgboost", None)
        assert trees.learner_for("cpu") == HGB
        assert trees_estimator().name == HGB

    def test_is_never_scikit_learn_on_a_graphics_card(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "xgboost", None)
        assert trees.learner_for("cuda") == XGB
        with pytest.raises(MissingExtra, match=r"music_reclass\[xgb\]"):
            trees.check_learner(XGB)

    def test_a_broken_xgboost_is_named_with_the_way_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object, **__: object) -> None:
            raise ValueError("\nXGBoost Library (libxgboost.dylib) could not be loaded.\nmany more lines")

        monkeypatch.setattr(trees, "require", broken)
        with pytest.raises(ReclassError, match=r"\.dylib\) could not be loaded\.\).*pip uninstall xgboost"):
            trees.check_learner(XGB)


def fake_xgboost() -> ModuleType:
    module = ModuleType("xgboost")
    module.__spec__ = SimpleNamespace()  # type: ignore[assignment]
    return module


@needs("sklearn")
def test_a_scikit_learn_that_keeps_its_trees_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    read = trees._of_scikit_learn
    monkeypatch.setattr(
        trees, "_of_scikit_learn", lambda *given: replace(read(*given), split=read(*given).split * np.float32(1.5))
    )
    with pytest.raises(ReclassError, match=r"install XGBoost.*music_reclass\[xgb\]"):
        trees_estimator(learner=HGB, rounds=4).fit(table(), None)


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
