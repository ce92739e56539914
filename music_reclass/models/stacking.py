"""Models made of models: weighted stacks, models of selected columns, and a model translated to other labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models import calibration
from music_reclass.models.base import Estimator, Model, Restore
from music_reclass.models.calibration import Calibration, hits
from music_reclass.models.crossval import Scores, cross_calibrated, pooled_calibration
from music_reclass.models.dataset import Augmentations, Table
from music_reclass.models.mlp import log_softmax
from music_reclass.taxonomy import Taxonomy

Doubles = NDArray[np.float64]

STACK, SELECTED = "stack", "selected"
_STEPS = 10  # the weights of a stack are tenths


@dataclass(frozen=True, slots=True)
class Stack:
    """The weighted sum of the members' log-probabilities."""

    members: tuple[Model, ...]
    weights: tuple[float, ...]

    def log_probabilities(self, rows: NDArray[np.float32]) -> Doubles:
        """Uncalibrated, shape (n, labels)."""
        return combined([member.log_probabilities(rows) for member in self.members], self.weights)

    def description(self) -> dict[str, Any]:
        """What the manifest must say for the stack to come back."""
        members = [member.description() for member in self.members]
        return {"type": STACK, "weights": list(self.weights), "members": members}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All numbers; a member's names follow its number."""
        return {f"{n}/{name}": a for n, member in enumerate(self.members) for name, a in member.arrays().items()}


@dataclass(frozen=True, slots=True)
class Selected:
    """A model that was trained on a part of the 518 columns, for rows that hold all of them."""

    columns: tuple[str, ...]
    model: Model

    def log_probabilities(self, rows: NDArray[np.float32]) -> Doubles:
        """Uncalibrated, shape (n, labels), of rows with all columns."""
        return self.model.log_probabilities(rows[:, _places(self.columns)])

    def description(self) -> dict[str, Any]:
        """What the manifest must say for the model to come back."""
        return {"type": SELECTED, "columns": list(self.columns), "model": self.model.description()}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The model's own."""
        return self.model.arrays()


def combined(scores: Sequence[Doubles], weights: Sequence[float]) -> Doubles:
    """Log-probabilities of a stack from those of its members, each (..., labels)."""
    total = sum(weight * own for weight, own in zip(weights, scores, strict=True))
    return log_softmax(np.asarray(total, dtype=np.float64))


def learned_weights(scores: Sequence[Doubles], labels: NDArray[np.bool_]) -> tuple[float, ...]:
    """Weights in tenths under which the label sets are likeliest; each member counts at its own best temperature.

    `scores` are log-probabilities of rows that the members did not see, (n, labels) each. Few numbers are learned, as
    a stack of weak and strong members loses to the strong one when it has much to learn (facts of a few hundred rows).
    """
    temperatures = [calibration.fit(own, labels).temperature for own in scores]
    tempered = [own / temperature for own, temperature in zip(scores, temperatures, strict=True)]
    best, highest = (1.0,) + (0.0,) * (len(scores) - 1), -np.inf
    for tenths in product(range(_STEPS + 1), repeat=len(scores)):
        if sum(tenths) != _STEPS:
            continue
        weights = tuple(own / _STEPS for own in tenths)
        likely = np.exp(combined(tempered, weights))
        value = float(np.log(np.clip((likely * labels).sum(axis=1), 1e-9, 1.0)).mean())
        if value > highest:
            best, highest = weights, value
    return tuple(weight / temperature for weight, temperature in zip(best, temperatures, strict=True))


def restored_stack(
    models: Mapping[str, Restore],
    description: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    columns: int,
    labels: int,
) -> Model:
    """The stack of a bundle; `models` brings its members back. ValueError or KeyError if something does not fit."""
    weights = tuple(float(weight) for weight in description["weights"])
    described = description["members"]
    if len(weights) != len(described) or not described or not all(0.0 <= weight < 1e3 for weight in weights):
        raise ValueError("a stack needs one weight a member")
    own: list[dict[str, NDArray[Any]]] = [{} for _ in described]
    for name, array in arrays.items():
        number, _, inner = name.partition("/")
        own[int(number)][inner] = array
    members = tuple(models[d["type"]](d, a, columns, labels) for d, a in zip(described, own, strict=True))
    return Stack(members, weights)


def restored_selection(
    models: Mapping[str, Restore],
    description: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    columns: int,
    labels: int,
) -> Model:
    """The narrow model of a bundle. ValueError or KeyError if something does not fit."""
    names = tuple(str(name) for name in description["columns"])
    if columns != len(COLUMNS) or not names or len(set(names)) != len(names):
        raise ValueError("a selection names columns of fma518, each once")
    _places(names)
    inner = description["model"]
    return Selected(names, models[inner["type"]](inner, arrays, len(names), labels))


def _places(names: Sequence[str]) -> NDArray[np.int64]:
    place = {name: number for number, name in enumerate(COLUMNS)}
    return np.array([place[name] for name in names], dtype=np.int64)


TRANSLATED = "translated"
_UNKNOWN = 0.05  # what is kept back for labels that the model has never heard of


@dataclass(frozen=True, slots=True)
class TranslatedModel:
    """Calibrated probabilities of `model`, shared out over other labels by `shares`; `spare` is added to all."""

    model: Model
    calibration: Calibration
    shares: Doubles  # (its labels, other labels)
    spare: Doubles  # (other labels,)

    def log_probabilities(self, rows: NDArray[np.float32]) -> Doubles:
        """Shape (n, other labels)."""
        known = self.calibration(self.model.log_probabilities(rows)) @ self.shares + self.spare
        return np.asarray(np.log(known / known.sum(axis=1, keepdims=True)), dtype=np.float64)

    def description(self) -> dict[str, Any]:
        """What the manifest must say for the model to come back."""
        calibration = {"temperature": self.calibration.temperature, "doubt": self.calibration.doubt}
        return {"type": TRANSLATED, "calibration": calibration, "model": self.model.description()}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The model's own behind `inner/`, and the translation."""
        inner = {f"inner/{name}": array for name, array in self.model.arrays().items()}
        return {**inner, "shares": self.shares, "spare": self.spare}


@dataclass(frozen=True, slots=True)
class TranslatedEstimator:
    """The estimator that leaves a model as it is and translates it into the table's labels."""

    model: Model
    calibration: Calibration
    labels: tuple[str, ...]
    taxonomy: Taxonomy
    name: str = "base"

    def fit(self, table: Table, augmentations: Augmentations | None) -> TranslatedModel:
        """The same model; of the table only the labels' frequency counts, to share a wide genre among finer ones."""
        frequency = table.labels.sum(axis=0) + 1.0
        shares, spare = translation(self.labels, table.classes, frequency, self.taxonomy)
        return TranslatedModel(self.model, self.calibration, shares, spare)


def translation(
    known: Sequence[str], wanted: Sequence[str], frequency: Doubles, taxonomy: Taxonomy
) -> tuple[Doubles, Doubles]:
    """How each known label is shared out over the wanted ones, (known, wanted), and a floor for each wanted one.

    A label goes to itself and to finer ones by their frequency; where there is none of these, to the nearest wider
    one; where there is none either, it is spread over all by frequency.
    """
    names = [taxonomy.canonical(name) or name for name in wanted]
    shares = np.zeros((len(known), len(wanted)))
    for number, label in enumerate(known):
        genre = taxonomy.canonical(label)
        own = [] if genre is None else [n for n, other in enumerate(names) if _within(other, genre, taxonomy)]
        if not own and genre is not None:
            own = next(([names.index(a)] for a in taxonomy.ancestors(genre) if a in names), [])
        chosen = np.array(own or range(len(wanted)))
        shares[number, chosen] = frequency[chosen] / frequency[chosen].sum()
    return shares, _UNKNOWN * frequency / frequency.sum()


def _within(name: str, genre: str, taxonomy: Taxonomy) -> bool:
    return name == genre or (name in taxonomy.parents and taxonomy.is_descendant(name, genre))


def restored_translation(
    models: Mapping[str, Restore],
    description: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    columns: int,
    labels: int,
) -> Model:
    """The translated model of a bundle; ValueError or KeyError if something does not fit."""
    shares, spare = arrays["shares"], arrays["spare"]
    if shares.ndim != 2 or shares.shape[1] != labels or spare.shape != (labels,):
        raise ValueError("the translation does not fit the labels")
    if not (np.isfinite(shares).all() and (shares >= 0).all() and np.isfinite(spare).all() and (spare > 0).all()):
        raise ValueError("the translation holds wrong numbers")
    own = {name.removeprefix("inner/"): a for name, a in arrays.items() if name.startswith("inner/")}
    if len(own) + 2 != len(arrays):
        raise ValueError("the arrays are not those of a translated model")
    inner = description["model"]
    model = models[inner["type"]](inner, own, columns, len(shares))
    return TranslatedModel(model, Calibration(**description["calibration"]), shares, spare)


@dataclass(frozen=True, slots=True)
class Members:
    """Who is kept, everyone's weight (0 for those who are not), and the numbers that say why."""

    kept: tuple[Estimator, ...]
    weights: tuple[float, ...]
    notes: tuple[str, ...]


def members(scores: Scores, labels: NDArray[np.bool_], estimators: Sequence[Estimator]) -> Members:
    """The stack with learned weights if it is right more often on new artists than the best alone, else that one.

    `labels` belong to the rows of `scores`.
    """
    if len(estimators) == 1:
        return Members((estimators[0],), (1.0,), ())
    judged = scores.judging
    alone = [float(hits(own[judged, 0], labels[judged]).mean()) for own in scores.each]
    stacked = np.zeros_like(scores.each[0][:, 0])
    for outside, inside in scores.turns:
        weights = learned_weights([own[inside, 0] for own in scores.each], labels[inside])
        stacked[outside] = combined([own[outside, 0] for own in scores.each], weights)
    together = float(hits(stacked[judged], labels[judged]).mean())
    best = int(np.argmax(alone))
    shown = ", ".join(f"{e.name} {value:.4f}" for e, value in zip(estimators, alone, strict=True))
    if together <= alone[best]:
        note = f"the stack is left out: {together:.4f} right on new artists, alone: {shown}"
        return Members((estimators[best],), tuple(float(number == best) for number in range(len(alone))), (note,))
    inside = scores.learning
    weights = learned_weights([own[inside, 0] for own in scores.each], labels[inside])
    kept = tuple(estimator for estimator, weight in zip(estimators, weights, strict=True) if weight > 0)
    dropped = [estimator.name for estimator, weight in zip(estimators, weights, strict=True) if not weight > 0]
    notes = [f"the stack is {together:.4f} right on new artists, alone: {shown}"]
    if dropped:
        notes.append(f"left out of the stack: {', '.join(dropped)}; new artists are likeliest without")
    return Members(kept, weights, tuple(notes))


def stacked(scores: Scores, weights: Sequence[float], labels: NDArray[np.bool_]) -> Doubles:
    """The log-probabilities of what is kept. Under folds, the stack's weights come from the other folds."""
    if sum(weight > 0 for weight in weights) == 1:
        return scores.each[int(np.argmax(weights))]
    if not scores.folds:
        return combined(scores.each, weights)
    own = np.zeros_like(scores.each[0])
    for outside, inside in scores.turns:
        learned = learned_weights([one[inside, 0] for one in scores.each], labels[inside])
        own[outside] = combined([one[outside] for one in scores.each], learned)
    return own


def calibrated(own: Doubles, labels: NDArray[np.bool_], scores: Scores) -> tuple[Calibration, Doubles]:
    """The calibration that is shipped, and honest probabilities (n, versions, labels) of log-probabilities `own`."""
    learning = scores.learning
    calibration = pooled_calibration(own[learning], labels[learning])
    return calibration, cross_calibrated(own, labels, scores.part) if scores.folds else calibration(own)
