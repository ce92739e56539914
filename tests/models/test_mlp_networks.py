"""The networks learn, and learn the same twice."""

import numpy as np

from music_reclass.models.base import log_softmax
from music_reclass.models.mlp import Layers, MlpRecipe, _gradients, _initial, fit_network, forward


def _task(count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rows = np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)
    place = (rows[:, 0] > 0).astype(int) + 2 * (rows[:, 1] > 0)
    return rows, np.eye(4, dtype=np.float32)[place]


def _trained(rows: np.ndarray, sets: np.ndarray, recipe: MlpRecipe, seed: int = 0) -> Layers:
    return fit_network(lambda _: (rows, _no_prior(rows)), sets, recipe, seed)[0]


def _no_prior(rows: np.ndarray) -> np.ndarray:
    return np.zeros((len(rows), 0, 4), dtype=np.float32)


def test_a_network_learns_what_can_be_learned() -> None:
    rows, sets = _task()
    layers = _trained(rows, sets, MlpRecipe(hidden=(32,), epochs=60, rate=1e-2, drop_input=0, drop_hidden=0.1))
    right = forward(layers, rows).argmax(axis=1) == sets.argmax(axis=1)
    assert right.mean() > 0.9


def test_the_gradients_are_those_of_the_loss() -> None:
    rows, sets = _task(6)
    sets = np.maximum(sets, np.roll(sets, 1, axis=1))
    recipe = MlpRecipe(hidden=(5,), drop_input=0.0, drop_hidden=0.0, mixup=1e-4)
    odds = np.random.default_rng(2).normal(size=(6, 2, 4)).astype(np.float32)
    parameters = [*_initial((8, 5, 4), np.random.default_rng(1)), np.array([0.7, 0.2], dtype=np.float32)]

    def loss() -> float:
        layers = tuple(zip(parameters[0:-1:2], parameters[1:-1:2], strict=True))
        scores = forward(layers, rows) + np.einsum("npl,p->nl", odds, parameters[-1])
        within = (np.exp(log_softmax(scores)) * (sets > 0)).sum(axis=1)
        return float(-np.log(within).mean())

    gradients = _gradients(parameters, (rows, odds, sets), recipe, np.random.default_rng(4))
    for own, gradient in zip(parameters, gradients, strict=True):
        spot = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
        kept = own[spot]
        own[spot] = kept + 1e-2
        high = loss()
        own[spot] = kept - 1e-2
        low = loss()
        own[spot] = kept
        assert np.isclose((high - low) / 2e-2, gradient[spot], rtol=2e-2, atol=1e-4)


def test_the_same_seed_gives_the_same_network_and_another_another() -> None:
    rows, sets = _task(50)
    recipe = MlpRecipe(hidden=(6,), epochs=3)
    first, again, other = (_trained(rows, sets, recipe, seed)[0][0] for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_label_set_is_satisfied_by_either_of_its_labels() -> None:
    rows, sets = _task()
    either = np.maximum(sets, np.roll(sets, 1, axis=1))
    layers = _trained(rows, either, MlpRecipe(hidden=(32,), epochs=60, rate=1e-2, drop_input=0, drop_hidden=0))
    best = forward(layers, rows).argmax(axis=1)
    assert either[np.arange(len(rows)), best].mean() > 0.95


def test_log_probabilities_sum_to_one_even_for_huge_scores() -> None:
    scores = np.array([[1e4, -1e4, 0.0], [0.0, 0.0, 0.0]])
    assert np.allclose(np.exp(log_softmax(scores)).sum(axis=1), 1.0)
