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
from music_reclass.models.tag_prior import TagPrior, tag_priors, without_tags
from music_reclass.models.training_range import TrainingRange
from music_reclass.models.transforms import INPUTS, QuantileScale, merged_medians, transpositions

if TYPE_CHECKING:
    from music_reclass.models.dataset import Augmentations, Table
    from music_reclass.taxonomy import Taxonomy

EpochRows = Callable[["np.random.Generator"], tuple[Floats, Floats]]

Layers = tuple[tuple[Floats, Floats], ...]  # (weights (inputs, outputs), bias (outputs,)) from first to last

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
_WARM_UP = 0.3  # share of the steps in which the learning rate rises; then it falls along a cosine
_DISAGREEMENT = 1.25  # how fast scores flatten as network and tags disagree (Jensen-Shannon divergence in nats)
_BEYOND = 0.5  # and as a row lies beyond the range of the training rows (widths)


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
    first_output: float = 1.0  # the size of the last layer's first weights, as a share of the usual
    prior: float = 1.0  # the first strength of each tag prior


FMA_RECIPE = MlpRecipe()
# Beside further vectors: half of the networks see these alone, half the 518 columns as well.
EMBEDDING_RECIPE = replace(FMA_RECIPE, members=("embedding", "key_free_and_embedding") * 4)
# Beside tag priors: small networks that begin near zero, so that the tags speak where nothing else was learned.
PRIOR_RECIPE = replace(EMBEDDING_RECIPE, hidden=(64,), epochs=40, clean=0.3, transposed=0.0, first_output=0.1)
# For many rows, and for a part of the 518 columns.
WIDE_RECIPE = MlpRecipe(
    members=("unchanged",), hidden=(256, 128), epochs=40, batch=256, decay=5e-2, drop_input=0.1, mixup=0.2,
    clean=0.4, transposed=0.0,
)  # fmt: skip


def mlp_estimator(
    seed: int = 0, recipe: MlpRecipe | None = None, *, epochs: int | None = None, taxonomy: Taxonomy | None = None
) -> Estimator:
    """An ensemble of networks; without a `recipe` the one for a few rows of the columns at hand.

    With a `taxonomy`, columns that hold a tagger's tags are no inputs but a prior for the labels they name.
    `epochs` counts in place of the recipe's.
    """

    def fit(table: Table, augmentations: Augmentations | None) -> Ensemble:
        priors = () if taxonomy is None else tag_priors(table.columns, table.classes, taxonomy)
        chosen = recipe or (PRIOR_RECIPE if priors else recipe_for(table.columns))
        chosen = chosen if epochs is None else replace(chosen, epochs=epochs)
        return _fit(table, augmentations, chosen, seed=seed, priors=priors)

    return Estimator("nets", fit)


def _fit(
    table: Table, augmentations: Augmentations | None, recipe: MlpRecipe, *, seed: int, priors: tuple[TagPrior, ...]
) -> Ensemble:
    """The networks of the recipe, trained on all rows."""
    versions = with_augmentations(table, augmentations)
    shape = versions.shape[:2]
    flat = versions.reshape(-1, versions.shape[-1])
    odds = log_odds(flat, priors, len(table.classes)).reshape(*shape, len(priors), len(table.classes))
    flat = without_tags(flat, priors)
    scales: dict[str, QuantileScale] = {}
    scaled: dict[str, Floats] = {}
    for name in sorted(set(recipe.members)):
        inputs = INPUTS[name](flat)
        scales[name] = QuantileScale.fit(inputs)
        scaled[name] = scales[name](inputs).reshape(*shape, -1)
    sets = (table.labels * (table.labels.sum(axis=0) + 1.0) ** -recipe.rarity).astype(np.float32)
    sets /= sets.max()
    members, strengths = [], []
    for number, name in enumerate(recipe.members):
        epoch_rows = _epochs(scaled[name], odds, recipe, turning=name == "unchanged" and recipe.transposed > 0)
        layers, strength = fit_network(epoch_rows, sets, recipe, seed * 1000 + number)
        members.append((name, rounded(layers)))
        strengths.append(strength)
    limits = TrainingRange.fit(scaled[range_input(scales)][:, 0], table.groups, seed)
    return Ensemble(scales, tuple(members), priors, tuple(strengths), limits)


def log_odds(rows: Floats, priors: Sequence[TagPrior], labels: int) -> Floats:
    """What each prior says of raw `rows`, shape (n, priors, labels)."""
    if not priors:
        return np.zeros((len(rows), 0, labels), dtype=np.float32)
    return np.stack([prior(rows) for prior in priors], axis=1)


def range_input(scales: Mapping[str, QuantileScale]) -> str:
    """The input in whose space the range of the training rows is kept: the narrowest."""
    return min(scales, key=lambda name: (scales[name].knots.shape[1], name))


def recipe_for(columns: Sequence[str], rows: int = 0) -> MlpRecipe:
    """For few rows small networks of the 518 columns alone or beside further vectors; else the wide network."""
    if rows >= LARGE or tuple(columns[: len(COLUMNS)]) != COLUMNS:
        return WIDE_RECIPE
    return FMA_RECIPE if len(columns) == len(COLUMNS) else EMBEDDING_RECIPE


def _epochs(versions: Floats, odds: Floats, recipe: MlpRecipe, *, turning: bool) -> EpochRows:
    """What one epoch sees: of every row one version, now and then transposed, and what the priors say of it."""
    count, kinds = versions.shape[:2]
    turns = transpositions() if turning else None

    def rows(generator: np.random.Generator) -> tuple[Floats, Floats]:
        version = np.where(generator.random(count) < recipe.clean, 0, generator.integers(0, kinds, count))
        drawn, beside = versions[np.arange(count), version], odds[np.arange(count), version]
        if turns is None:
            return drawn, beside
        semitones = np.where(generator.random(count) < recipe.transposed, generator.integers(0, len(turns), count), 0)
        return np.take_along_axis(drawn, turns[semitones], axis=1), beside

    return rows


def forward(layers: Layers, rows: Floats) -> Doubles:
    """Scores, shape (n, labels), of scaled `rows`, shape (n, inputs)."""
    for weights, bias in layers[:-1]:
        rows = np.maximum(rows @ weights + bias, 0.0)
    weights, bias = layers[-1]
    return np.asarray(rows @ weights + bias, dtype=np.float64)


def fit_network(
    epoch_rows: EpochRows, sets: Floats, recipe: MlpRecipe, seed: int
) -> tuple[Layers, NDArray[np.float32]]:
    """Layers trained on the label sets `sets`, shape (n, labels): the shares of a row's labels, zero for others; and
    the strength of each prior, (priors,), never negative.

    `epoch_rows` gives the scaled rows of one epoch, shape (n, inputs), there augmentation takes place; and what the
    priors say of them, (n, priors, labels). The same seed gives the same layers on the same machine.
    """
    generator = np.random.default_rng(seed)
    rows, odds = epoch_rows(generator)
    count, batches = len(rows), -(-len(rows) // recipe.batch)
    parameters = _initial((rows.shape[1], *recipe.hidden, sets.shape[1]), generator)
    parameters[-2] *= np.float32(recipe.first_output)
    parameters[-1] *= np.float32(recipe.first_output)
    parameters.append(np.full(odds.shape[1], recipe.prior, dtype=np.float32))
    first = [np.zeros_like(parameter) for parameter in parameters]
    second = [np.zeros_like(parameter) for parameter in parameters]
    decay = [np.float32(recipe.decay)] * (len(parameters) - 1) + [np.float32(0.0)]
    step, steps = 0, recipe.epochs * batches
    for epoch in range(recipe.epochs):
        rows, odds = (rows, odds) if epoch == 0 else epoch_rows(generator)
        order = generator.permutation(count)
        for batch in np.array_split(order, batches):
            gradients = _gradients(parameters, (rows[batch], odds[batch], sets[batch]), recipe, generator)
            step += 1
            rate = recipe.rate * _cycle(step / steps)
            for number, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
                first[number] += (1 - _BETA1) * (gradient - first[number])
                second[number] += (1 - _BETA2) * (gradient * gradient - second[number])
                scale = np.sqrt(second[number] / (1 - _BETA2**step)) + _EPSILON
                step_size = first[number] / (1 - _BETA1**step) / scale + decay[number] * parameter
                parameter -= np.float32(rate) * step_size
            np.maximum(parameters[-1], 0.0, out=parameters[-1])
    return tuple(zip(parameters[0:-1:2], parameters[1:-1:2], strict=True)), parameters[-1]


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
    parameters: list[Floats], batch: tuple[Floats, Floats, Floats], recipe: MlpRecipe, generator: np.random.Generator
) -> list[Floats]:
    """Gradients of the mean label-set loss of a `batch` of rows, log-odds of the priors and label sets, mixed in pairs.

    `parameters` are weights and biases in turn, then the strengths of the priors.
    """
    rows, odds, sets = batch
    *layers, strengths = parameters
    depth = len(layers) // 2
    share = generator.beta(recipe.mixup, recipe.mixup, (len(rows), 1)).astype(np.float32)
    other = generator.permutation(len(rows))
    activity, masks = [_dropped(share * rows + (1 - share) * rows[other], recipe.drop_input, generator)[0]], []
    for layer in range(depth - 1):
        raw = activity[-1] @ layers[2 * layer] + layers[2 * layer + 1]
        kept, mask = _dropped(np.maximum(raw, 0.0), recipe.drop_hidden, generator)
        activity.append(kept)
        masks.append(mask * (raw > 0))
    odds = share[:, None] * odds + (1 - share[:, None]) * odds[other]
    scores = activity[-1] @ layers[-2] + layers[-1] + np.einsum("npl,p->nl", odds, strengths)
    probabilities = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    wanted = share * _within(probabilities, sets, recipe.sharpness)
    wanted += (1 - share) * _within(probabilities, sets[other], recipe.sharpness)
    delta = (probabilities - wanted) / np.float32(len(rows))
    gradients: list[Floats] = [np.einsum("npl,nl->p", odds, delta)]
    for layer in range(depth - 1, -1, -1):
        gradients[:0] = [activity[layer].T @ delta, delta.sum(axis=0)]
        if layer:
            delta = (delta @ layers[2 * layer].T) * masks[layer - 1]
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
    """Networks by the name of the input they see (a key of `transforms.INPUTS`), with one scale an input.

    Each network's scores are added to what the tag `priors` say, times its `strengths` (members, priors). Scores
    flatten as network and tags disagree, and as a row lies beyond the range of the training rows: confidence is lost
    continuously, and the likeliest label stays the likeliest.
    """

    scales: Mapping[str, QuantileScale]
    members: tuple[tuple[str, Layers], ...]
    priors: tuple[TagPrior, ...] = ()
    strengths: tuple[NDArray[np.float32], ...] = ()
    limits: TrainingRange | None = None

    def log_probabilities(self, rows: Floats) -> Doubles:
        """Uncalibrated, shape (n, labels), of raw `rows`, shape (n, columns)."""
        inputs = without_tags(rows, self.priors)
        scaled = {name: scale(INPUTS[name](inputs)) for name, scale in self.scales.items()}
        labels = self.members[0][1][-1][1].shape[0]
        odds = log_odds(rows, self.priors, labels).astype(np.float64)
        total = np.zeros((len(rows), labels))
        for number, (name, layers) in enumerate(self.members):
            scores = forward(layers, scaled[name])
            if self.priors:
                scores = scores + np.einsum("npl,p->nl", odds, self.strengths[number].astype(np.float64))
            total += log_softmax(scores)
        found = log_softmax(total / len(self.members))
        return log_softmax(found / self._flattening(found, odds, scaled)[:, None])

    def _flattening(self, found: Doubles, odds: Doubles, scaled: Mapping[str, Floats]) -> Doubles:
        """By what each row's scores are divided, (n,), at least one in a row that is in range."""
        exponent = np.zeros(len(found))
        if self.priors:
            tags, here = np.exp(log_softmax(odds.sum(axis=1))), np.exp(found)
            middle = np.log((tags + here) / 2 + 1e-12)
            exponent += _DISAGREEMENT * sum(
                (part * (np.log(part + 1e-12) - middle)).sum(axis=1) / 2 for part in (tags, here)
            )
        if self.limits is not None:
            exponent += _BEYOND * self.limits.excess(scaled[range_input(self.scales)])
        return np.asarray(np.exp(np.minimum(exponent, 5.0)), dtype=np.float64)

    def description(self) -> dict[str, Any]:
        """What the manifest keeps for `restored` to put the arrays together again."""
        members = [{"input": name, "layers": len(layers)} for name, layers in self.members]
        found: dict[str, Any] = {"type": TYPE, "inputs": sorted(self.scales), "members": members}
        if self.priors:
            found["priors"] = [prior.first for prior in self.priors]
        if self.limits is not None:
            found["range"] = self.limits.description()
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All numbers by name; weights as float16, which `rounded` has made them already."""
        found: dict[str, NDArray[Any]] = {f"{name}.knots": scale.knots for name, scale in self.scales.items()}
        for number, (_, layers) in enumerate(self.members):
            for depth, (weights, bias) in enumerate(layers):
                found[f"{number}.{depth}.weights"] = weights.astype(np.float16)
                found[f"{number}.{depth}.bias"] = bias.astype(np.float16)
        for number, prior in enumerate(self.priors):
            found[f"prior.{number}"] = prior.members
        if self.priors:
            found["strengths"] = np.stack(self.strengths)
        return found if self.limits is None else {**found, **self.limits.arrays()}

    def medians(self, columns: int) -> Floats:
        """Those of its scales, (2, columns), NaN for tags."""
        rest = without_tags(np.arange(columns, dtype=np.float32)[None], self.priors)[0].astype(np.int64)
        found = np.full((2, columns), np.nan, dtype=np.float32)
        parts = [scale.medians(name, len(rest)) for name, scale in sorted(self.scales.items())]
        found[:, rest] = merged_medians(parts, len(rest))
        return found


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

    priors: list[TagPrior] = []
    for number, first in enumerate(description.get("priors", ())):
        tags = arrays[f"prior.{number}"]
        used.add(f"prior.{number}")
        if tags.dtype != np.bool_ or tags.ndim != 2 or tags.shape[1] != labels or not 0 <= first <= columns - len(tags):
            raise ValueError(f"the prior {number} does not fit the columns or the labels")
        priors.append(TagPrior(int(first), tags))
    rest = without_tags(np.zeros((1, columns), dtype=np.float32), priors)
    scales: dict[str, QuantileScale] = {}
    for name in description["inputs"]:
        width = INPUTS[name](rest).shape[1]
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
    strengths = array("strengths", (len(members), len(priors))) if priors else np.zeros((len(members), 0), np.float32)
    limits = None
    if "range" in description:
        width = scales[range_input(scales)].knots.shape[1]
        axes = array("range.axes", (width, None))
        limits = TrainingRange.restored(description["range"], axes, array("range.rows", (None, axes.shape[1])))
    if not members or used != set(arrays) or (strengths < 0).any():
        raise ValueError("the arrays are not those that the manifest names")
    return Ensemble(scales, tuple(members), tuple(priors), tuple(strengths) if priors else (), limits)
