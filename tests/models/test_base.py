"""The promises of every estimator and of the models they give, one after the other."""

import importlib.util
import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from music_reclass.errors import BundleError
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.base import Estimator, Model, examples
from music_reclass.models.bundle import Bundle, _digest, load, make, save
from music_reclass.models.dataset import Augmentations, Table
from music_reclass.models.linear import linear_estimator
from music_reclass.models.mlp import WIDE_RECIPE, mlp_estimator
from music_reclass.models.stacking import Selected, Stack, combined, learned_weights
from music_reclass.models.trees import HGB, XGB, trees_estimator
from tests.training.synthetic import CLASSES, SMALL, arrays

KIND = {"name": "fma518", "version": "1", "dimension": 518, "excerpt": "mid30"}


def table(count: int = 90, seed: int = 0) -> Table:
    content = arrays(count, seed)
    return Table(COLUMNS, content["fma518"], CLASSES, content["labels"], content["group"], content["dataset"])


def needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=f"{package} is not installed")


ESTIMATORS: list[Any] = [
    pytest.param(linear_estimator(strength=0.1), marks=needs("sklearn"), id="linear"),
    pytest.param(trees_estimator(learner=XGB, rounds=12), marks=needs("xgboost"), id="xgb"),
    pytest.param(trees_estimator(learner=HGB, rounds=12), marks=needs("sklearn"), id="hgb"),
    pytest.param(mlp_estimator(recipe=replace(WIDE_RECIPE, hidden=(32, 16), epochs=12, batch=32)), id="wide"),
    pytest.param(mlp_estimator(recipe=replace(SMALL, epochs=12)), id="small"),
]


@cache
def fitted(estimator: Estimator) -> Model:
    """What the estimator makes of `table()`, once for all tests."""
    return estimator.fit(table(), None)


def right(probabilities: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    return float(labels[np.arange(len(labels)), probabilities.argmax(axis=1)].mean())


def bundle_of(model: Any, labels: tuple[str, ...] = CLASSES) -> Bundle:
    manifest = {
        "name": "t", "version": "1", "stage": "fma518", "kinds": [KIND], "labels": list(labels), "thresholds": {},
        "calibration": {"temperature": 1.0, "doubt": 0.0},
    }  # fmt: skip
    return make(manifest, model)


@pytest.mark.parametrize("estimator", ESTIMATORS)
class TestEveryEstimator:
    def test_knows_the_genres_of_new_rows(self, estimator: Estimator) -> None:
        new = table(60, seed=5)

        scores = fitted(estimator).log_probabilities(new.rows)

        assert scores.shape == (60, len(CLASSES))
        assert np.isfinite(scores).all()
        np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1.0, atol=1e-6)
        assert right(scores, new.labels) > 0.8

    def test_gives_the_same_model_for_the_same_seed(self, estimator: Estimator) -> None:
        again = estimator.fit(table(), None)

        assert bundle_of(again).digest == bundle_of(fitted(estimator)).digest

    def test_comes_back_from_the_disk_as_it_was(self, estimator: Estimator, tmp_path: Any) -> None:
        bundle = bundle_of(fitted(estimator))
        save(bundle, tmp_path / "b")

        back = load(tmp_path / "b")

        assert back.digest == bundle.digest
        rows = table(20, seed=3).rows
        np.testing.assert_array_equal(back.predict_proba(rows), bundle.predict_proba(rows))
        np.testing.assert_allclose(back.predict_proba(rows)[:1], back.predict_proba(rows[:1]), atol=1e-6)

    def test_learns_from_views_too(self, estimator: Estimator) -> None:
        known = table()
        augmentations = Augmentations(
            ("loud", "quiet"), np.stack([known.rows * 1.1, known.rows * 0.9], axis=1).astype(np.float32)
        )

        scores = estimator.fit(known, augmentations).log_probabilities(known.rows * 0.9)

        assert right(scores, known.labels) > 0.8

    def test_a_damaged_array_is_refused(self, estimator: Estimator, tmp_path: Any) -> None:
        model = fitted(estimator)
        save(bundle_of(model), tmp_path / "b")
        manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
        for name in model.arrays():
            kept = {other: array for other, array in model.arrays().items() if other != name}
            changed = {**manifest, "digest": _digest(manifest, kept)}
            (tmp_path / "b" / "manifest.json").write_text(json.dumps(changed))
            np.savez(tmp_path / "b" / "arrays.npz", **kept)
            with pytest.raises(BundleError, match="is wrong"):
                load(tmp_path / "b")


def test_a_row_counts_once_however_many_labels_it_has() -> None:
    known = table(30)
    _, _, weights = examples(known, None, rarity=0.0, versions=1, seed=0)

    total = np.zeros(30)
    np.add.at(total, np.nonzero(known.labels)[0], weights)
    np.testing.assert_allclose(total, total[0], rtol=1e-5)


class Fixed:
    """A model that always says the same."""

    def __init__(self, scores: NDArray[np.float64]) -> None:
        self.scores = scores

    def log_probabilities(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.repeat(self.scores[None], len(rows), axis=0)


def test_a_stack_learns_to_ignore_a_member_that_guesses() -> None:
    generator = np.random.default_rng(0)
    labels = np.eye(3, dtype=bool)[generator.integers(0, 3, 300)]
    good = np.where(labels, np.log(0.7), np.log(0.15))
    flip = generator.random(300) < 0.2
    good[flip] = np.roll(good[flip], 1, axis=1)
    guess = np.log(generator.dirichlet(np.ones(3), 300))

    weights = learned_weights([good, guess], labels)
    together = right(combined([good, guess], weights), labels)

    assert weights[0] > 0
    assert together >= right(good, labels)


@needs("sklearn")
def test_a_stack_and_a_narrow_model_come_back_from_a_bundle(tmp_path: Any) -> None:
    known = table()
    narrow = replace(known, columns=COLUMNS[252:392], rows=known.rows[:, 252:392])
    inner = linear_estimator(strength=0.1).fit(narrow, None)
    model = Selected(narrow.columns, Stack((inner, inner), (0.3, 0.7)))
    save(bundle_of(model), tmp_path / "b")

    back = load(tmp_path / "b")

    np.testing.assert_allclose(back.predict_proba(known.rows), np.exp(inner.log_probabilities(narrow.rows)), atol=1e-6)
