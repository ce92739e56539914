"""`base`: a model that exists already (the embedded one), speaking in the labels of other data; nothing is learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.taxonomy import Taxonomy
from music_reclass.training.calibration import Calibration
from music_reclass.training.models import Model, Restore
from music_reclass.training.tables import Table, Views

Doubles = NDArray[np.float64]

TYPE = "translated"
_UNKNOWN = 0.05  # what is kept back for labels that the model has never heard of


@dataclass(frozen=True, slots=True)
class Translated:
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
        return {"type": TYPE, "calibration": calibration, "model": self.model.description()}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The model's own behind `inner/`, and the translation."""
        inner = {f"inner/{name}": array for name, array in self.model.arrays().items()}
        return {**inner, "shares": self.shares, "spare": self.spare}


@dataclass(frozen=True, slots=True)
class Base:
    """The estimator that leaves a model as it is and translates it into the table's labels."""

    model: Model
    calibration: Calibration
    labels: tuple[str, ...]
    taxonomy: Taxonomy
    name: str = "base"

    def fit(self, table: Table, views: Views | None) -> Translated:
        """The same model; of the table only the labels' frequency counts, to share a wide genre among finer ones."""
        frequency = table.labels.sum(axis=0) + 1.0
        shares, spare = translation(self.labels, table.classes, frequency, self.taxonomy)
        return Translated(self.model, self.calibration, shares, spare)


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


def restored(
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
    return Translated(model, Calibration(**description["calibration"]), shares, spare)
