"""Multilayer perceptrons in NumPy: training by AdamW with mixup and dropout; ensembles of them as an estimator."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.base import LARGE, Arrays, Doubles, Estimator, Floats, log_softmax, with_augmentations
from music_reclass.models.transforms import INPUTS, QuantileScale, merged_medians, transpositions

if TYPE_CHECKING:
    from music_reclass.models.dataset import Augmentations, Table

Layers = tuple[tuple[Floats, Floats], ...]  # (weights (inputs, outputs), bias (outputs,)) from first to last

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
_WARM_UP = 0.3  # share of the steps in which the learning rate rises; then it falls along a cosine


@dataclass(frozen=True, slots=True)
class MlpRecipe:
    """How networks are trained, and of which inputs: one network for each of `members`, keys of `transforms.INPUTS`.

    `mixup` is the parameter of the Beta distribution (arXiv 1710.09412). `clean` is the share of rows used as they are
    in an epoch, `transposed` that of transposed ones (518 columns only); `rarity` is the power of a label's frequency
    by which rare labels of a set get the larger share.
    """

    members: tuple[str, ...] = ("key_free", "unchanged") * 4
    hidden: tuple[int, ...] = (128, 64)
    epochs: int = 80
    batch: int = 64
    rate: float = 2e-3
    decay: float = 1e-2
    drop_input: float = 0.2
    drop_hidden: float = 0.4
    mixup: float = 0.4
    sharpness: float = 1.0
    clean: float = 0.2
    transposed: float = 0.5
    rarity: float = 0.25


FMA_RECIPE = MlpRecipe()
# Beside further vectors: half of the networks see these alone, half the 518 columns as well.
EMBEDDING_RECIPE = replace(FMA_RECIPE, members=("embedding", "key_free_and_embedding") * 4)
# For many rows, and for a part of the 518 columns.
WIDE_RECIPE = MlpRecipe(
    members=("unchanged",), hidden=(256, 128), epochs=40, batch=256, decay=5e-2, drop_input=0.1, mixup=0.2,
    clean=0.4, transposed=0.0,
)  # fmt: skip


def mlp_estimator(seed: int = 0, recipe: MlpRecipe | None = None, *, epochs: int | None = None) -> Estimator:
    """An ensemble of networks; without a `recipe` the one for a few rows of the columns at hand.

    `epochs` counts in place of the recipe's.
    """

    def fit(table: Table, augmentations: Augmentations | None) -> Ensemble:
        chosen = recipe or recipe_for(table.columns)
        return _fit(table, augmentations, chosen if epochs is None else replace(chosen, epochs=epochs), seed)

    return Estimator("nets", fit)


def _fit(table: Table, augmentations: Augmentations | None, recipe: MlpRecipe, seed: int) -> Ensemble:
    """The networks of the recipe, trained on all rows."""
    versions = with_augmentations(table, augmentations)
    flat = versions.reshape(-1, versions.shape[-1])
    scales: dict[str, QuantileScale] = {}
    scaled: dict[str, Floats] = {}
    for name in sorted(set(recipe.members)):
        inputs = INPUTS[name](flat)
        scales[name] = QuantileScale.fit(inputs)
        scaled[name] = scales[name](inputs).reshape(*versions.shape[:2], -1)
    sets = (table.labels * (table.labels.sum(axis=0) + 1.0) ** -recipe.rarity).astype(np.float32)
    sets /= sets.max()
    members = []
    for number, name in enumerate(recipe.members):
        epoch_rows = _epochs(scaled[name], recipe, turning=name == "unchanged" and recipe.transposed > 0)
        members.append((name, rounded(fit_network(epoch_rows, sets, recipe, seed * 1000 + number))))
    return Ensemble(scales, tuple(members))


def recipe_for(columns: Sequence[str], rows: int = 0) -> MlpRecipe:
    """For few rows small networks of the 518 columns alone or beside further vectors; else the wide network."""
    if rows >= LARGE or tuple(columns[: len(COLUMNS)]) != COLUMNS:
        return WIDE_RECIPE
    return FMA_RECIPE if len(columns) == len(COLUMNS) else EMBEDDING_RECIPE


def _epochs(versions: Floats, recipe: MlpRecipe, *, turning: bool) -> Callable[[np.random.Generator], Floats]:
    """What one epoch sees: of every row one version, now and then transposed."""
    count, kinds = versions.shape[:2]
    turns = transpositions() if turning else None

    def rows(generator: np.random.Generator) -> Floats:
        version = np.where(generator.random(count) < recipe.clean, 0, generator.integers(0, kinds, count))
        drawn = versions[np.arange(count), version]
        if turns is None:
            return drawn
        semitones = np.where(generator.random(count) < recipe.transposed, generator.integers(0, len(turns), count), 0)
        return np.take_along_axis(drawn, turns[semitones], axis=1)

    return rows


def forward(layers: Layers, rows: Floats) -> Doubles:
    """Log-probabilities, shape (n, labels), of scaled `rows`, shape (n, inputs)."""
    for weights, bias in layers[:-1]:
        rows = np.maximum(rows @ weights + bias, 0.0)
    weights, bias = layers[-1]
    return log_softmax((rows @ weights + bias).astype(np.float64))


def fit_network(
    epoch_rows: Callable[[np.random.Generator], Floats], sets: Floats, recipe: MlpRecipe, seed: int
) -> Layers:
    """Layers trained on the label sets `sets`, shape (n, labels): the shares of a row's labels, zero for others.

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
            gradients = _gradients(parameters, (rows[batch], sets[batch]), recipe, generator)
            step += 1
            rate = recipe.rate * _cycle(step / steps)
            for parameter, gradient, mean, square in zip(parameters, gradients, first, second, strict=True):
                mean += (1 - _BETA1) * (gradient - mean)
                square += (1 - _BETA2) * (gradient * gradient - square)
                scale = np.sqrt(square / (1 - _BETA2**step)) + _EPSILON
                step_size = mean / (1 - _BETA1**step) / scale + np.float32(recipe.decay) * parameter
                parameter -= np.float32(rate) * step_size
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
    parameters: list[Floats], batch: tuple[Floats, Floats], recipe: MlpRecipe, generator: np.random.Generator
) -> list[Floats]:
    """Gradients of the mean label-set loss of a `batch` of rows and label sets, mixed in pairs."""
    rows, sets = batch
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
    wanted = share * _within(probabilities, sets, recipe.sharpness)
    wanted += (1 - share) * _within(probabilities, sets[other], recipe.sharpness)
    delta = (probabilities - wanted) / np.float32(len(rows))
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


TYPE = "mlp-ensemble"


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Networks by the name of the input they see (a key of `transforms.INPUTS`), with one scale an input."""

    scales: Mapping[str, QuantileScale]
    members: tuple[tuple[str, Layers], ...]

    def log_probabilities(self, rows: Floats) -> Doubles:
        """Uncalibrated, shape (n, labels), of raw `rows`, shape (n, columns)."""
        scaled = {name: scale(INPUTS[name](rows)) for name, scale in self.scales.items()}
        total = sum(forward(layers, scaled[name]) for name, layers in self.members)
        return log_softmax(np.asarray(total, dtype=np.float64) / len(self.members))

    def description(self) -> dict[str, Any]:
        """What the manifest keeps for `restored` to put the arrays together again."""
        members = [{"input": name, "layers": len(layers)} for name, layers in self.members]
        return {"type": TYPE, "inputs": sorted(self.scales), "members": members}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All numbers by name; weights as float16, which `rounded` has made them already."""
        found: dict[str, NDArray[Any]] = {f"{name}.knots": scale.knots for name, scale in self.scales.items()}
        for number, (_, layers) in enumerate(self.members):
            for depth, (weights, bias) in enumerate(layers):
                found[f"{number}.{depth}.weights"] = weights.astype(np.float16)
                found[f"{number}.{depth}.bias"] = bias.astype(np.float16)
        return found

    def medians(self, columns: int) -> Floats:
        """Those of its scales, (2, columns)."""
        return merged_medians([scale.medians(name, columns) for name, scale in sorted(self.scales.items())], columns)


def rounded(layers: Layers) -> Layers:
    """`layers` as they are after a trip through float16, so that what was measured is what is shipped."""
    return tuple(
        (weights.astype(np.float16).astype(np.float32), bias.astype(np.float16).astype(np.float32))
        for weights, bias in layers
    )


def restored(description: Mapping[str, Any], arrays: Arrays, columns: int, labels: int) -> Ensemble:
    """The ensemble of a bundle; ValueError or KeyError unless every array is there, fits and is finite."""
    used: set[str] = set()

    def array(name: str, shape: tuple[int | None, ...]) -> Floats:
        values = arrays[name]
        fits = values.ndim == len(shape) and all(
            want in (None, have) for want, have in zip(shape, values.shape, strict=True)
        )
        if not fits or values.dtype.kind != "f" or not np.isfinite(values).all():
            raise ValueError(f"the array {name} has the shape {values.shape} of {values.dtype} or is not finite")
        used.add(name)
        return values.astype(np.float32)

    scales: dict[str, QuantileScale] = {}
    for name in description["inputs"]:
        width = INPUTS[name](np.zeros((1, columns), dtype=np.float32)).shape[1]
        knots = array(f"{name}.knots", (None, width))
        if len(knots) < 2 or (np.diff(knots, axis=0) < 0).any():
            raise ValueError(f"the knots of {name} do not rise")
        scales[name] = QuantileScale(knots)
    members: list[tuple[str, Layers]] = []
    for number, member in enumerate(description["members"]):
        width, layers = scales[member["input"]].knots.shape[1], []
        for depth in range(int(member["layers"])):
            last = depth == int(member["layers"]) - 1
            weights = array(f"{number}.{depth}.weights", (width, labels if last else None))
            width = weights.shape[1]
            layers.append((weights, array(f"{number}.{depth}.bias", (width,))))
        if not layers:
            raise ValueError(f"member {number} has no layers")
        members.append((member["input"], tuple(layers)))
    if not members or used != set(arrays):
        raise ValueError("the arrays are not those that the manifest names")
    return Ensemble(scales, tuple(members))
