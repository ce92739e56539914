"""Small multilayer perceptrons in NumPy: training by AdamW with mixup and dropout, and inference without either."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Layers = tuple[tuple[Floats, Floats], ...]  # (weights (inputs, outputs), bias (outputs,)) from first to last

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
_WARM_UP = 0.3  # share of the steps in which the learning rate rises; then it falls along a cosine


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained. `mixup` is the parameter of the Beta distribution (arXiv 1710.09412)."""

    hidden: tuple[int, ...] = (128, 64)
    epochs: int = 80
    batch: int = 64
    rate: float = 2e-3
    decay: float = 1e-2
    drop_input: float = 0.2
    drop_hidden: float = 0.4
    mixup: float = 0.4
    sharpness: float = 1.0


def forward(layers: Layers, rows: Floats) -> NDArray[np.float64]:
    """Log-probabilities, shape (n, labels), of scaled `rows`, shape (n, inputs)."""
    for weights, bias in layers[:-1]:
        rows = np.maximum(rows @ weights + bias, 0.0)
    weights, bias = layers[-1]
    return log_softmax((rows @ weights + bias).astype(np.float64))


def log_softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-probabilities of `scores` along the last axis."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), dtype=np.float64)


def fit(
    epoch_rows: Callable[[np.random.Generator], Floats], sets: Floats, weights: Floats, recipe: Recipe, seed: int
) -> Layers:
    """Layers trained on soft `targets`, shape (n, labels), with one weight a row.

    `epoch_rows` gives the scaled rows of one epoch, shape (n, inputs): there augmentation takes place.
    The same seed gives the same layers on the same machine.
    """
    generator = np.random.default_rng(seed)
    rows = epoch_rows(generator)
    count, batches = len(rows), -(-len(rows) // recipe.batch)
    parameters = _initial((rows.shape[1], *recipe.hidden, sets.shape[1]), generator)
    first = [np.zeros_like(parameter) for parameter in parameters]
    second = [np.zeros_like(parameter) for parameter in parameters]
    step, steps = 0, recipe.epochs * batches
    for epoch in range(recipe.epochs):
        rows = rows if epoch == 0 else epoch_rows(generator)
        order = generator.permutation(count)
        for batch in np.array_split(order, batches):
            gradients = _gradients(parameters, rows[batch], sets[batch], weights[batch], recipe, generator)
            step += 1
            rate = recipe.rate * _cycle(step / steps)
            for own, gradient, mean, square in zip(parameters, gradients, first, second, strict=True):
                mean += (1 - _BETA1) * (gradient - mean)
                square += (1 - _BETA2) * (gradient * gradient - square)
                scale = np.sqrt(square / (1 - _BETA2**step)) + _EPSILON
                own -= np.float32(rate) * (mean / (1 - _BETA1**step) / scale + np.float32(recipe.decay) * own)
    return tuple(zip(parameters[0::2], parameters[1::2], strict=True))


def _cycle(progress: float) -> float:
    """The learning rate as a share of its peak: up along half a cosine, then down (OneCycle, arXiv 1708.07120)."""
    if progress < _WARM_UP:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * progress / _WARM_UP)) / 2
    return (1 + math.cos(math.pi * (progress - _WARM_UP) / (1 - _WARM_UP))) / 2


def _initial(sizes: tuple[int, ...], generator: np.random.Generator) -> list[Floats]:
    """Weights and biases in turn; uniform within 1/sqrt(inputs)."""
    parameters: list[Floats] = []
    for inputs, outputs in pairwise(sizes):
        bound = inputs**-0.5
        parameters.append(generator.uniform(-bound, bound, (inputs, outputs)).astype(np.float32))
        parameters.append(generator.uniform(-bound, bound, outputs).astype(np.float32))
    return parameters


def _gradients(
    parameters: list[Floats],
    rows: Floats,
    sets: Floats,
    weights: Floats,
    recipe: Recipe,
    generator: np.random.Generator,
) -> list[Floats]:
    """Gradients of the weighted mean label-set loss on rows mixed in pairs."""
    depth = len(parameters) // 2
    share = generator.beta(recipe.mixup, recipe.mixup, (len(rows), 1)).astype(np.float32)
    other = generator.permutation(len(rows))
    activity, masks = [_dropped(share * rows + (1 - share) * rows[other], recipe.drop_input, generator)[0]], []
    for layer in range(depth - 1):
        raw = activity[-1] @ parameters[2 * layer] + parameters[2 * layer + 1]
        kept, mask = _dropped(np.maximum(raw, 0.0), recipe.drop_hidden, generator)
        activity.append(kept)
        masks.append(mask * (raw > 0))
    scores = activity[-1] @ parameters[-2] + parameters[-1]
    probabilities = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    own, others = share * weights[:, None], (1 - share) * weights[other, None]
    wanted = own * _within(probabilities, sets, recipe.sharpness)
    wanted += others * _within(probabilities, sets[other], recipe.sharpness)
    delta = (probabilities * (own + others) - wanted) / np.float32(len(rows))
    gradients: list[Floats] = []
    for layer in range(depth - 1, -1, -1):
        gradients[:0] = [activity[layer].T @ delta, delta.sum(axis=0)]
        if layer:
            delta = (delta @ parameters[2 * layer].T) * masks[layer - 1]
    return gradients


def _within(probabilities: Floats, sets: Floats, sharpness: float) -> Floats:
    """How the network itself shares a row among the labels of its set: what the label-set loss strives for."""
    shares: Floats = (probabilities + np.float32(1e-6)) ** np.float32(sharpness) * sets
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def _dropped(rows: Floats, share: float, generator: np.random.Generator) -> tuple[Floats, Floats]:
    mask = (generator.random(rows.shape, dtype=np.float32) >= share).astype(np.float32) / np.float32(1 - share)
    return rows * mask, mask
