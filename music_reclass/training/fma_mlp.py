"""The recipe of the small networks: an ensemble on fma518 vectors, or on these and others beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from music_reclass.domain import FeatureKind
from music_reclass.extractors.fma import COLUMNS
from music_reclass.extractors.fma import VERSION as FEATURES_VERSION
from music_reclass.training import networks
from music_reclass.training.ensembles import Ensemble, rounded
from music_reclass.training.tables import Table, Views
from music_reclass.training.transforms import INPUTS, Floats, QuantileScale, transpositions
from music_reclass.training.validation import all_versions

KIND = FeatureKind("fma518", FEATURES_VERSION, len(COLUMNS), "mid30")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is trained. `clean` is the share of rows seen undegraded in an epoch, `turned` that of transposed ones;
    `rarity` is the power of a label's frequency by which rare labels of a set get the larger share."""

    members: tuple[str, ...] = ("key_free", "unchanged") * 4
    recipe: networks.Recipe = field(default_factory=networks.Recipe)
    clean: float = 0.2
    turned: float = 0.5
    rarity: float = 0.25


PLAN = Plan()
# Beside further vectors: half of the networks see these alone, half the 518 columns as well.
BESIDE = replace(PLAN, members=("embedding", "key_free_and_embedding") * 4)


def plan_for(columns: Sequence[str]) -> Plan:
    """The plan for rows of these columns: the 518 alone, or with further vectors beside them."""
    return PLAN if len(columns) <= len(COLUMNS) else BESIDE


def fitter(plan: Plan, seed: int) -> Callable[[Table, Views | None], Ensemble]:
    """`fit` with everything but the rows settled."""
    return lambda table, views: fit(table, views, plan, seed)


def fit(table: Table, views: Views | None, plan: Plan, seed: int) -> Ensemble:
    """The networks of `plan`, trained on all rows; scales are fitted on the same rows and nothing else."""
    versions = all_versions(table, views)
    flat = versions.reshape(-1, versions.shape[-1])
    scales: dict[str, QuantileScale] = {}
    scaled: dict[str, Floats] = {}
    for name in sorted(set(plan.members)):
        inputs = INPUTS[name](flat)
        scales[name] = QuantileScale.fit(inputs)
        scaled[name] = scales[name](inputs).reshape(*versions.shape[:2], -1)
    sets = (table.labels * (table.labels.sum(axis=0) + 1.0) ** -plan.rarity).astype(np.float32)
    sets /= sets.max()
    even = np.ones(len(table), dtype=np.float32)
    members = []
    for number, name in enumerate(plan.members):
        layers = networks.fit(_epochs(scaled[name], name, plan), sets, even, plan.recipe, seed * 1000 + number)
        members.append((name, rounded(layers)))
    return Ensemble(scales, tuple(members))


def _epochs(versions: Floats, name: str, plan: Plan) -> Callable[[np.random.Generator], Floats]:
    """What one epoch sees: of every row one version, plain columns now and then transposed."""
    turns = transpositions()
    count, kinds = versions.shape[:2]

    def rows(generator: np.random.Generator) -> Floats:
        version = np.where(generator.random(count) < plan.clean, 0, generator.integers(0, kinds, count))
        seen = versions[np.arange(count), version]
        if name != "unchanged":
            return seen
        semitones = np.where(generator.random(count) < plan.turned, generator.integers(0, len(turns), count), 0)
        return np.take_along_axis(seen, turns[semitones], axis=1)

    return rows
