"""Models made of models: weighted stacks, models of some columns or labels, and a model translated to other labels."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models import calibration
from music_reclass.models.base import Arrays, Doubles, Estimator, Floats, Model, log_softmax, restored
from music_reclass.models.calibration import Calibration, hits
from music_reclass.models.crossval import OutOfDomain, Scores, cross_calibrated, pooled_calibration
from music_reclass.models.dataset import Augmentations, Table
from music_reclass.models.transforms import merged_medians
from music_reclass.taxonomy import Taxonomy

Labels = NDArray[np.bool_]
Tenths = tuple[int, ...]

# Model types in manifests.
STACK, SELECTED, TRANSLATED, EXTENDED = "stack", "selected", "translated", "extended"
_STEPS = 10  # the weights of a stack are tenths
_UNKNOWN = 0.05  # probability kept back for labels that the translated model does not know
_OUTSIDE = 0.02  # share of all music that is reckoned to have a label which too few rows carry to learn it
_LEAST, _LEAST_GROUPS = 15, 3  # rows, and artists, from which on a label is learned


@dataclass(frozen=True, slots=True)
class Stack:
    """The weighted sum of the members' log-probabilities."""

    members: tuple[Model, ...]
    weights: tuple[float, ...]

    def log_probabilities(self, rows: Floats) -> Doubles:
        """Uncalibrated, shape (n, labels)."""
        return combined([member.log_probabilities(rows) for member in self.members], self.weights)

    def description(self) -> dict[str, Any]:
        """What the manifest keeps for the stack to come back."""
        members = [member.description() for member in self.members]
        return {"type": STACK, "weights": list(self.weights), "members": members}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All numbers; a member's names follow its number."""
        return {f"{n}/{name}": a for n, member in enumerate(self.members) for name, a in member.arrays().items()}

    def medians(self, columns: int) -> Floats | None:
        """Those of the members, (2, columns); None if a member keeps no scale and the others do not know a column."""
        parts = [member.medians(columns) for member in self.members]
        found = merged_medians([part for part in parts if part is not None], columns)
        open_columns = np.isnan(found).all(axis=0)
        return None if open_columns.any() and any(part is None for part in parts) else found


@dataclass(frozen=True, slots=True)
class Selected:
    """A model that was trained on a part of the 518 columns, for rows that hold all of them."""

    columns: tuple[str, ...]
    model: Model

    def log_probabilities(self, rows: Floats) -> Doubles:
        """Uncalibrated, shape (n, labels), of rows with all columns."""
        return self.model.log_probabilities(rows[:, _places(self.columns)])

    def description(self) -> dict[str, Any]:
        """What the manifest keeps for the model to come back."""
        return {"type": SELECTED, "columns": list(self.columns), "model": self.model.description()}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Those of the model."""
        return self.model.arrays()

    def medians(self, columns: int) -> Floats | None:
        """Those of the model in their places, (2, columns)."""
        inner = self.model.medians(len(self.columns))
        if inner is None:
            return None
        found = np.full((2, columns), np.nan, dtype=np.float32)
        found[:, _places(self.columns)] = inner
        return found


@dataclass(frozen=True, slots=True)
class TranslatedModel:
    """Calibrated probabilities of `model`, shared out over other labels by `shares`; `spare` is added to all."""

    model: Model
    calibration: Calibration
    shares: Doubles  # (its labels, other labels)
    spare: Doubles  # (other labels,)

    def log_probabilities(self, rows: Floats) -> Doubles:
        """Shape (n, other labels)."""
        known = self.calibration(self.model.log_probabilities(rows)) @ self.shares + self.spare
        return np.asarray(np.log(known / known.sum(axis=1, keepdims=True)), dtype=np.float64)

    def description(self) -> dict[str, Any]:
        """What the manifest keeps for the model to come back."""
        return {"type": TRANSLATED, "calibration": self.calibration.as_manifest(), "model": self.model.description()}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Those of the model behind `inner/`, and the translation."""
        inner = {f"inner/{name}": array for name, array in self.model.arrays().items()}
        return {**inner, "shares": self.shares, "spare": self.spare}

    def medians(self, columns: int) -> Floats | None:
        """Those of the model."""
        return self.model.medians(columns)


@dataclass(frozen=True, slots=True)
class Extended:
    """A model of the labels `learned`, beside the other labels of `base`, which knows them all.

    `base` says whether the label is one of those learned, with `shift` added to the log-odds; `model` says which of
    them, and `base` which of the others.
    """

    model: Model
    base: Model
    learned: tuple[int, ...]  # positions among the labels of `base`
    shift: float

    def log_probabilities(self, rows: Floats) -> Doubles:
        """Shape (n, labels of `base`)."""
        of_base = log_softmax(self.base.log_probabilities(rows))
        inside, outside = _log_shares(of_base, self.learned)
        total = np.logaddexp(inside + self.shift, outside)
        found = of_base - total[:, None]
        within = (inside + self.shift - total)[:, None]
        found[:, list(self.learned)] = within + log_softmax(self.model.log_probabilities(rows))
        return np.asarray(found, dtype=np.float64)

    def description(self) -> dict[str, Any]:
        """What the manifest keeps for the model to come back."""
        inner = {"model": self.model.description(), "base": self.base.description()}
        return {"type": EXTENDED, "learned": list(self.learned), "shift": self.shift, **inner}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Those of both models, behind `model/` and `base/`."""
        parts = {"model": self.model, "base": self.base}
        return {f"{part}/{name}": array for part, one in parts.items() for name, array in one.arrays().items()}

    def medians(self, columns: int) -> Floats | None:
        """Those of the learned model."""
        return self.model.medians(columns)


def extended_estimator(estimator: Estimator, base: Estimator, left: Collection[str] = ()) -> Estimator:
    """The estimator that learns the labels which enough rows of the table carry, and leaves the others to `base`, with
    those named in `left`.

    `base` gives a model of all labels of the table, as `translated_estimator` does.
    """

    def fit(table: Table, augmentations: Augmentations | None) -> Model:
        learned = tuple(place for place in supported_labels(table) if table.classes[place] not in left)
        if len(learned) < 2:
            return base.fit(table, augmentations)
        if len(learned) == len(table.classes):
            return estimator.fit(table, augmentations)
        inside: Labels = np.asarray(table.labels[:, list(learned)].any(axis=1), dtype=np.bool_)
        part = table.chosen(inside)
        part = replace(part, classes=tuple(table.classes[n] for n in learned), labels=part.labels[:, list(learned)])
        model = estimator.fit(part, None if augmentations is None else augmentations.chosen(inside))
        beside = base.fit(table, augmentations)
        shift = _shift(log_softmax(beside.log_probabilities(table.rows)), learned, float(inside.mean()))
        return Extended(model, beside, learned, shift)

    return Estimator(estimator.name, fit)


def supported_labels(table: Table) -> tuple[int, ...]:
    """The positions of the labels that enough rows, of enough artists, carry to be learned."""
    carried = table.labels.sum(axis=0)
    artists = [len(np.unique(table.groups[rows])) for rows in table.labels.T]
    pairs = zip(carried.tolist(), artists, strict=True)
    return tuple(n for n, (rows, groups) in enumerate(pairs) if rows >= _LEAST and groups >= _LEAST_GROUPS)


def _shift(of_base: Doubles, learned: Sequence[int], share: float) -> float:
    """What to add to the log-odds of the labels `learned` for their mean probability to be `share`, as the rows have
    it; music outside is never reckoned to be rarer than _OUTSIDE."""
    inside, outside = _log_shares(of_base, learned)
    wanted, low, high = min(share, 1 - _OUTSIDE), -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        given = float(np.exp(inside + middle - np.logaddexp(inside + middle, outside)).mean())
        low, high = (middle, high) if given < wanted else (low, middle)
    return round((low + high) / 2, 6)


def _log_shares(log_probabilities: Doubles, learned: Sequence[int]) -> tuple[Doubles, Doubles]:
    """The logarithms of what the labels `learned`, and the others, have together, (n,) each."""
    others = np.setdiff1d(np.arange(log_probabilities.shape[1]), learned)
    shares = np.exp(log_probabilities)
    inside, outside = shares[:, list(learned)].sum(axis=1), shares[:, others].sum(axis=1)
    return np.log(np.maximum(inside, 1e-12)), np.log(np.maximum(outside, 1e-12))


def translated_estimator(
    model: Model, calibration: Calibration, labels: tuple[str, ...], taxonomy: Taxonomy
) -> Estimator:
    """The estimator that leaves a model of `labels` as it is and translates it into the table's labels.

    Of the table only the labels' frequency counts, to share a wide genre among finer ones.
    """

    def fit(table: Table, augmentations: Augmentations | None) -> TranslatedModel:
        shares, spare = translation(labels, table.classes, table.labels.sum(axis=0) + 1.0, taxonomy)
        return TranslatedModel(model, calibration, shares, spare)

    return Estimator("base", fit)


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
        heirs = [] if genre is None else [n for n, other in enumerate(names) if _within(other, genre, taxonomy)]
        if not heirs and genre is not None:
            heirs = next(([names.index(a)] for a in taxonomy.ancestors(genre) if a in names), [])
        chosen = np.array(heirs or range(len(wanted)))
        shares[number, chosen] = frequency[chosen] / frequency[chosen].sum()
    return shares, _UNKNOWN * frequency / frequency.sum()


def combined(scores: Sequence[Doubles], weights: Sequence[float]) -> Doubles:
    """Log-probabilities of a stack from those of its members, each (..., labels)."""
    total = sum(weight * score for weight, score in zip(weights, scores, strict=True))
    return log_softmax(np.asarray(total, dtype=np.float64))


def learned_weights(scores: Sequence[Doubles], labels: Labels) -> tuple[float, ...]:
    """Weights in tenths under which the label sets are likeliest; each member counts at its own best temperature.

    `scores` are log-probabilities of rows that the members did not see, (n, labels) each. Few numbers are learned, as
    a stack of weak and strong members loses to the strong one when it has much to learn (measured on a few hundred
    rows). Block ascent: from the best single member, the tenths of two members, then of three, are shared out anew in
    the best way until nothing is gained. For up to three members that is the best of all; six take some hundred
    evaluations.
    """
    temperatures = [calibration.fit(score, labels).temperature for score in scores]
    tempered = [score / temperature for score, temperature in zip(scores, temperatures, strict=True)]

    @cache
    def likelihood(tenths: Tenths) -> float:
        likely = np.exp(combined(tempered, [number / _STEPS for number in tenths]))
        return float(np.log(np.clip((likely * labels).sum(axis=1), 1e-9, 1.0)).mean())

    count = len(scores)
    best = max((tuple(_STEPS * (n == place) for n in range(count)) for place in range(count)), key=likelihood)
    for size in (2, 3):
        gained = True
        while gained:
            gained = False
            for block in combinations(range(count), size):
                found = max(_splits(best, block), key=likelihood)
                if likelihood(found) > likelihood(best):
                    best, gained = found, True
    return tuple(tenths / _STEPS / temperature for tenths, temperature in zip(best, temperatures, strict=True))


def _splits(tenths: Tenths, block: Sequence[int]) -> Iterator[Tenths]:
    """`tenths` with those of the members in `block` shared out among them in every way."""
    total = sum(tenths[place] for place in block)
    for shares in product(range(total + 1), repeat=len(block) - 1):
        if sum(shares) <= total:
            new = list(tenths)
            for place, share in zip(block, (*shares, total - sum(shares)), strict=True):
                new[place] = share
            yield tuple(new)


def member_weights(scores: Scores, labels: Labels, names: Sequence[str]) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Each member's weight, 0 for those that are left out, and sentences with the numbers that say why.

    The stack with learned weights if it is right more often on new artists than the best alone, else that one. `labels`
    belong to the rows of `scores`.
    """
    if len(names) == 1:
        return (1.0,), ()
    judged = scores.judging
    alone = [float(hits(score[judged, 0], labels[judged]).mean()) for score in scores.each]
    clean = [score[:, :1] for score in scores.each]
    together = float(hits(_cross_stacked(clean, scores, labels)[judged, 0], labels[judged]).mean())
    best = int(np.argmax(alone))
    shown = ", ".join(f"{name} {value:.4f}" for name, value in zip(names, alone, strict=True))
    if together <= alone[best]:
        note = f"the stack is left out: {together:.4f} right on new artists, alone: {shown}"
        return tuple(float(number == best) for number in range(len(alone))), (note,)
    inside = scores.learning
    weights = learned_weights([score[inside, 0] for score in scores.each], labels[inside])
    notes = [f"the stack is {together:.4f} right on new artists, alone: {shown}"]
    if dropped := [name for name, weight in zip(names, weights, strict=True) if not weight > 0]:
        notes.append(f"left out of the stack: {', '.join(dropped)}; new artists are likeliest without")
    return weights, tuple(notes)


def stacked(scores: Scores, weights: Sequence[float], labels: Labels) -> Doubles:
    """The log-probabilities of what is kept. Under folds, the stack's weights come from the other folds."""
    if sum(weight > 0 for weight in weights) == 1:
        return scores.each[int(np.argmax(weights))]
    return _cross_stacked(scores.each, scores, labels) if scores.folds else combined(scores.each, weights)


def _cross_stacked(each: Sequence[Doubles], scores: Scores, labels: Labels) -> Doubles:
    """The stack of `each`, (n, versions, labels), its weights for judged rows learned on the clean other ones."""
    found = np.zeros_like(each[0])
    for outside, inside in scores.turns:
        weights = learned_weights([score[inside, 0] for score in each], labels[inside])
        found[outside] = combined([score[outside] for score in each], weights)
    return found


def calibrated(
    log_probabilities: Doubles, labels: Labels, scores: Scores, out_of_domain: OutOfDomain | None = None
) -> tuple[Calibration, Doubles]:
    """The calibration that is shipped, and probabilities (n, versions, labels) by calibrations that saw other rows."""
    learning = scores.learning
    shipped = pooled_calibration(log_probabilities[learning], labels[learning], out_of_domain)
    if scores.folds:
        return shipped, cross_calibrated(log_probabilities, labels, scores.part, out_of_domain)
    return shipped, shipped(log_probabilities)


def restored_stack(description: Mapping[str, Any], arrays: Arrays, columns: int, labels: int) -> Model:
    """The stack of a bundle; ValueError or KeyError if something does not fit."""
    weights = tuple(float(weight) for weight in description["weights"])
    described = description["members"]
    if len(weights) != len(described) or not described or not all(0.0 <= weight < 1e3 for weight in weights):
        raise ValueError("a stack needs one weight a member")
    parts: list[dict[str, NDArray[Any]]] = [{} for _ in described]
    for name, array in arrays.items():
        number, _, inner = name.partition("/")
        parts[int(number)][inner] = array
    return Stack(tuple(restored(d, a, columns, labels) for d, a in zip(described, parts, strict=True)), weights)


def restored_selection(description: Mapping[str, Any], arrays: Arrays, columns: int, labels: int) -> Model:
    """The narrow model of a bundle. ValueError or KeyError if something does not fit."""
    names = tuple(str(name) for name in description["columns"])
    if columns != len(COLUMNS) or not names or len(set(names)) != len(names):
        raise ValueError("a selection names columns of fma518, each once")
    _places(names)
    return Selected(names, restored(description["model"], arrays, len(names), labels))


def restored_translation(description: Mapping[str, Any], arrays: Arrays, columns: int, labels: int) -> Model:
    """The translated model of a bundle; ValueError or KeyError if something does not fit."""
    shares, spare = arrays["shares"], arrays["spare"]
    if shares.ndim != 2 or shares.shape[1] != labels or spare.shape != (labels,):
        raise ValueError("the translation does not fit the labels")
    if not (np.isfinite(shares).all() and (shares >= 0).all() and np.isfinite(spare).all() and (spare > 0).all()):
        raise ValueError("the translation holds wrong numbers")
    inner = {name.removeprefix("inner/"): a for name, a in arrays.items() if name.startswith("inner/")}
    if len(inner) + 2 != len(arrays):
        raise ValueError("the arrays are not those of a translated model")
    model = restored(description["model"], inner, columns, len(shares))
    return TranslatedModel(model, Calibration.from_manifest(description["calibration"]), shares, spare)


def restored_extension(description: Mapping[str, Any], arrays: Arrays, columns: int, labels: int) -> Model:
    """The extended model of a bundle; ValueError or KeyError if something does not fit."""
    learned, shift = tuple(int(place) for place in description["learned"]), float(description["shift"])
    if sorted({*learned} & {*range(labels)}) != list(learned) or not learned or not abs(shift) <= 1e3:
        raise ValueError("an extended model names the labels that were learned, in order, and a shift")
    parts: dict[str, dict[str, NDArray[Any]]] = {"model": {}, "base": {}}
    for name, array in arrays.items():
        part, _, inner = name.partition("/")
        parts[part][inner] = array
    model = restored(description["model"], parts["model"], columns, len(learned))
    return Extended(model, restored(description["base"], parts["base"], columns, labels), learned, shift)


def _within(name: str, genre: str, taxonomy: Taxonomy) -> bool:
    return name == genre or (name in taxonomy.parents and taxonomy.is_descendant(name, genre))


def _places(names: Sequence[str]) -> NDArray[np.int64]:
    place = {name: number for number, name in enumerate(COLUMNS)}
    return np.array([place[name] for name in names], dtype=np.int64)
