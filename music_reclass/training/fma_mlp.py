"""The recipe of the first stage: an ensemble of small networks on fma518, calibrated on artists it never saw."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.domain import FeatureKind
from music_reclass.extractors.fma import COLUMNS
from music_reclass.extractors.fma import VERSION as FEATURES_VERSION
from music_reclass.training import bundles, networks, thresholds
from music_reclass.training.calibration import hits
from music_reclass.training.ensembles import Ensemble, rounded
from music_reclass.training.evaluation import Figures, coverage, evaluate
from music_reclass.training.tables import Table, Views
from music_reclass.training.transforms import INPUTS, Floats, QuantileScale, transpositions
from music_reclass.training.validation import (
    Say,
    all_versions,
    cross_calibrated,
    folds_of,
    out_of_fold,
    pooled_calibration,
)

NAME, VERSION = "fma-mlp", "1"
KIND = FeatureKind("fma518", FEATURES_VERSION, len(COLUMNS), "mid30")
LICENCE = "MIT (the numbers of the model; no audio of its sources is part of it)"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is trained. `clean` is the share of rows seen undegraded in an epoch, `turned` that of transposed ones;
    `rarity` is the power of a label's frequency by which rare labels of a set get the larger share."""

    members: tuple[str, ...] = ("key_free", "unchanged") * 4
    recipe: networks.Recipe = field(default_factory=networks.Recipe)
    clean: float = 0.2
    turned: float = 0.5
    rarity: float = 0.25
    confident: float = 0.8
    likely: float = 0.65
    delta: float = 0.1


PLAN = Plan()
# Beside further vectors: half of the networks see these alone, half the 518 columns as well.
BESIDE = replace(PLAN, members=("embedding", "key_free_and_embedding") * 4)
PLAIN = {"confident": 0.85, "likely": 0.6}  # where nothing could be certified: cautious, and said to be no promise


@dataclass(frozen=True, slots=True)
class Rung:
    """What a bundle is for: the stage of the ladder, and the feature kinds that stand side by side in a row."""

    name: str
    version: str
    stage: str
    kinds: tuple[FeatureKind, ...]


RUNG = Rung(NAME, VERSION, "fma518", (KIND,))


def train(
    table: Table,
    views: Views | None = None,
    seed: int = 0,
    progress: Say | None = None,
    plan: Plan = PLAN,
    rung: Rung = RUNG,
) -> bundles.Bundle:
    """The bundle that `table`, and the degraded versions of its rows in `views`, teach.

    Five artist-grouped folds give the figures, the calibration and the thresholds; then all rows train what is
    shipped. Equal seeds give equal bundles on one machine. UsageError for a table without labels, or with a single
    artist or genre.
    """
    folds = folds_of(table, seed)
    scores = out_of_fold(table, views, fitter(plan, seed), folds, progress)
    calibration = pooled_calibration(scores, table.labels)
    measured = cross_calibrated(scores, table.labels, folds)
    certificates = certified(measured, table, plan)
    if progress is not None:
        progress("training on all rows")
    ensemble = fit(table, views, plan, seed)
    manifest = {
        "name": rung.name,
        "version": rung.version,
        "stage": rung.stage,
        "kinds": [asdict(kind) for kind in rung.kinds],
        "labels": list(table.classes),
        "thresholds": chosen_thresholds(certificates),
        "certificates": {name: _stated(name, found, measured, table) for name, found in certificates.items()},
        "calibration": {"temperature": calibration.temperature, "doubt": calibration.doubt},
        "metrics": metrics(measured, table, views),
        "training": _origin(table, views, seed, plan),
        "licence": LICENCE,
    }
    return bundles.make(manifest, ensemble)


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


def certified(measured: NDArray[np.float64], table: Table, plan: Plan) -> dict[str, thresholds.Certificate | None]:
    """Thresholds that hold on the clean rows and on each view alike: the strictest of their certificates.

    `measured` are out-of-fold probabilities, (n, versions, labels). One row an artist is drawn, as rows of one artist
    are not independent.
    """
    rows = thresholds.one_a_group(table.groups)
    found: dict[str, thresholds.Certificate | None] = {}
    for name, precision in (("confident", plan.confident), ("likely", plan.likely)):
        each = [
            thresholds.certify(version.max(axis=1), hits(version, table.labels[rows]), precision, plan.delta)
            for version in np.moveaxis(measured[rows], 1, 0)
        ]
        whole = [certificate for certificate in each if certificate is not None]
        found[name] = max(whole, key=lambda own: own.threshold) if len(whole) == len(each) else None
    return found


def chosen_thresholds(certificates: Mapping[str, thresholds.Certificate | None]) -> dict[str, float]:
    """The certified thresholds, and plain cautious ones where none could be; `likely` never above `confident`."""
    found = {name: own.threshold if own else PLAIN[name] for name, own in certificates.items()}
    return {**found, "likely": min(found["likely"], found["confident"])}


def _stated(
    name: str, certificate: thresholds.Certificate | None, measured: NDArray[np.float64], table: Table
) -> dict[str, Any]:
    """What the manifest says of a threshold: its certificate, or that it has none and what was merely seen there."""
    if certificate is not None:
        return {"certified": True, **asdict(certificate)}
    right = [hits(version, table.labels) for version in np.moveaxis(measured, 1, 0)]
    seen = [coverage(measured[:, number].max(axis=1), own, PLAIN[name]) for number, own in enumerate(right)]
    worst = [own.precision for own in seen if own.coverage]
    return {
        "certified": False,
        "threshold": PLAIN[name],
        "lowest precision seen": round(min(worst), 3) if worst else None,
    }


def metrics(measured: NDArray[np.float64], table: Table, views: Views | None) -> dict[str, float]:
    """The figures for the manifest, from out-of-fold calibrated probabilities of the rows and their views."""
    found: dict[str, float] = {}
    for number, name in enumerate(("clean", *(views.names if views else ()))):
        figures: Figures = evaluate(measured[:, number], table.labels, table.classes)
        found[f"hit@1 {name}"] = round(figures.hit, 4)
        found[f"ece {name}"] = round(figures.ece, 4)
        if number == 0 and np.isfinite(figures.balanced):
            found["balanced recall clean"] = round(figures.balanced, 4)
    return found


def summary(bundle: bundles.Bundle) -> Iterable[tuple[str, str]]:
    """Lines for people: the honest figures first, then thresholds and what has to be said about the table."""
    numbers = bundle.manifest["metrics"]
    yield "new artists", f"{numbers['hit@1 clean']:.3f} right, calibration error {numbers['ece clean']:.3f}"
    for name in (key.removeprefix("hit@1 ") for key in numbers if key.startswith("hit@1 ") and key != "hit@1 clean"):
        yield f"  {name}", f"{numbers[f'hit@1 {name}']:.3f} right, calibration error {numbers[f'ece {name}']:.3f}"
    for name, found in bundle.manifest["certificates"].items():
        if not found["certified"]:
            seen = found["lowest precision seen"]
            known = "nobody was that sure" if seen is None else f"at worst {seen:.0%} were right there"
            yield name, f"from {bundle.thresholds[name]:.2f}, not certified ({known})"
        else:
            yield (
                name,
                f"from {found['threshold']:.2f}: at least {found['precision']:.0%} right, with probability "
                f"{1 - found['delta']:.0%} ({found['errors']} errors in {found['count']} artists)",
            )
    for note in bundle.manifest["training"]["notes"]:
        yield "note", note


def _origin(table: Table, views: Views | None, seed: int, plan: Plan) -> dict[str, Any]:
    return {
        "table": table.digest,
        "rows": len(table),
        "artists": len(np.unique(table.groups)),
        "collections": sorted({str(name) for name in table.datasets} - {""}),
        "views": list(views.names) if views else [],
        "seed": seed,
        "plan": asdict(plan),
        "numpy": np.__version__,
        "notes": list(table.notes),
    }
