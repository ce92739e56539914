"""The forward pass and the linear model against scikit-learn and plain sums; an ensemble is the mean of its members."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from music_reclass.models.base import examples, log_softmax
from music_reclass.models.dataset import Augmentations
from music_reclass.models.linear import linear_estimator
from music_reclass.models.mlp import Ensemble, Layers, forward, mlp_estimator, restored, rounded
from music_reclass.models.transforms import INPUTS, QuantileScale
from tests.models.test_base import needs, table
from tests.training.synthetic import SMALL


def layers(*sizes: int, seed: int = 0) -> Layers:
    generator = np.random.default_rng(seed)
    return tuple(
        (generator.normal(size=shape).astype(np.float32), generator.normal(size=shape[1]).astype(np.float32))
        for shape in pairwise(sizes)
    )


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@needs("sklearn")
def test_the_forward_pass_is_that_of_scikit_learn() -> None:
    from sklearn.neural_network import MLPClassifier

    made = layers(6, 5, 4, 3)
    rows = np.random.default_rng(1).normal(size=(20, 6)).astype(np.float32)
    theirs = MLPClassifier((5, 4), max_iter=1).fit(rows, np.arange(20) % 3)
    theirs.coefs_ = [weights for weights, _ in made]
    theirs.intercepts_ = [bias for _, bias in made]
    assert np.exp(log_softmax(forward(made, rows))) == pytest.approx(theirs.predict_proba(rows), abs=1e-5)


@needs("sklearn")
def test_the_linear_model_says_what_scikit_learn_says() -> None:
    from sklearn.linear_model import LogisticRegression

    known = table(60)
    single = replace(known, labels=np.eye(4, dtype=bool)[known.labels.argmax(axis=1)])
    ours = linear_estimator(strength=0.05, rarity=0.25).fit(single, None)
    rows, genre, weights = examples(single, None, rarity=0.25, versions=2, seed=0)
    inputs = INPUTS["key_free"](rows)
    scale = QuantileScale.fit(inputs)
    theirs = LogisticRegression(C=0.05, max_iter=400).fit(scale(inputs), genre, sample_weight=weights)
    carried = np.flatnonzero(single.labels.any(axis=0))
    expected = theirs.predict_proba(scale(INPUTS["key_free"](known.rows)))
    assert np.exp(ours.log_probabilities(known.rows))[:, carried] == pytest.approx(expected, abs=1e-4)


def test_log_probabilities_do_not_depend_on_a_common_shift_of_the_scores() -> None:
    scores = np.random.default_rng(0).normal(size=(5, 4)) * 50
    found = log_softmax(scores)
    assert np.exp(found).sum(axis=1) == pytest.approx(np.ones(5))
    assert log_softmax(scores + 1e4) == pytest.approx(found, abs=1e-6)
    assert np.array_equal(found.argmax(axis=1), scores.argmax(axis=1))


def ensemble(*seeds: int) -> Ensemble:
    rows = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    members = tuple(("unchanged", rounded(layers(8, 5, 3, seed=seed))) for seed in seeds)
    return Ensemble({"unchanged": QuantileScale.fit(rows)}, members)


NEW = np.random.default_rng(9).normal(size=(12, 8)).astype(np.float32)


def test_an_ensemble_is_the_geometric_mean_of_its_members() -> None:
    alone = [ensemble(seed).log_probabilities(NEW) for seed in (1, 2, 3)]
    mean = np.exp(np.mean(alone, axis=0))
    expected = np.log(mean / mean.sum(axis=1, keepdims=True))
    assert ensemble(1, 2, 3).log_probabilities(NEW) == pytest.approx(expected)


def test_members_in_another_order_or_twice_say_the_same() -> None:
    found = ensemble(1, 2, 3).log_probabilities(NEW)
    assert ensemble(3, 1, 2).log_probabilities(NEW) == pytest.approx(found)
    assert ensemble(1, 2, 3, 1, 2, 3).log_probabilities(NEW) == pytest.approx(found)


def test_what_was_rounded_once_stays_as_it_is() -> None:
    once = rounded(layers(4, 3, 2))
    for (weights, bias), (again, other) in zip(once, rounded(once), strict=True):
        assert np.array_equal(weights, again)
        assert np.array_equal(bias, other)
    stored = {name: array.dtype for name, array in ensemble(1).arrays().items()}
    assert {str(kind) for name, kind in stored.items() if "knots" not in name} == {"float16"}


@pytest.mark.parametrize("name", sorted(ensemble(1, 2).arrays()))
def test_each_array_must_be_there_fit_and_be_finite(name: str) -> None:
    made = ensemble(1, 2)
    arrays = made.arrays()
    back = restored(made.description(), arrays, 8, 3)
    assert np.array_equal(back.log_probabilities(NEW), made.log_probabilities(NEW))
    broken = arrays[name].copy()
    broken.flat[0] = np.nan
    for wrong in (broken, arrays[name][:-1].astype(np.int64), arrays[name][None]):
        with pytest.raises(ValueError, match=r"array|knots"):
            restored(made.description(), {**arrays, name: wrong}, 8, 3)
    with pytest.raises((ValueError, KeyError)):
        restored(made.description(), {key: array for key, array in arrays.items() if key != name}, 8, 3)


@pytest.mark.parametrize("members", [[], [{"input": "unchanged", "layers": 0}], [{"input": "key_free", "layers": 2}]])
def test_an_ensemble_of_nothing_is_refused(members: list[dict[str, object]]) -> None:
    with pytest.raises((ValueError, KeyError)):
        restored({"inputs": ["unchanged"], "members": members}, ensemble(1).arrays(), 8, 3)


def test_training_does_not_change_the_rows_and_the_seed_alone_decides() -> None:
    known = table(45)
    before = known.rows.copy()
    changed = Augmentations(("loud",), (known.rows[:, None] * 1.2).astype(np.float32))
    recipe = replace(SMALL, epochs=2)
    first, again, other = (mlp_estimator(seed, recipe).fit(known, changed) for seed in (4, 4, 5))
    assert np.array_equal(known.rows, before)
    assert np.array_equal(first.log_probabilities(before), again.log_probabilities(before))
    assert not np.array_equal(first.log_probabilities(before), other.log_probabilities(before))


def test_the_epochs_that_one_asks_for_count_in_place_of_the_recipes() -> None:
    known = table(45)
    asked = mlp_estimator(1, replace(SMALL, epochs=50), epochs=2).fit(known, None)
    short = mlp_estimator(1, replace(SMALL, epochs=2)).fit(known, None)
    assert np.array_equal(asked.log_probabilities(known.rows), short.log_probabilities(known.rows))
