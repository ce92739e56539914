"""Trains a whole cascade on one labelled set: equal folds for all stages, exit rules certified against later ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.models.base import Estimator
from music_reclass.models.crossval import Log
from music_reclass.models.dataset import Augmentations, Dataset
from music_reclass.models.early_exit import (
    MONITORED,
    CalibrationSet,
    ExitRule,
    RiskTarget,
    certified_exit_rule,
    exit_rules_of,
)
from music_reclass.models.precision import PrecisionTarget
from music_reclass.training.train import CrossValidated, Trained, cross_validate, finish, guarantee_lines

_FOLDS_OUT_OF_DOMAIN = (
    3  # folds for weights and calibration of the stages that are taken to a collection they never saw
)
_MOST = 6  # collections, the largest first


@dataclass(frozen=True, slots=True)
class StageRecipe:
    """One stage to be: the name of its bundle, the kinds it sees (those of the rung before and its own), and what it
    is made of."""

    name: str
    kinds: tuple[str, ...]
    estimators: tuple[Estimator, ...]
    aim: PrecisionTarget = field(default_factory=PrecisionTarget)


@dataclass(frozen=True, slots=True)
class CascadeScores:
    """What the ladder reached on the rows its exits were chosen on, against asking its last stage about every row."""

    count: int
    right: float
    always: float
    reached: tuple[float, ...]  # share of the rows that each stage is asked about


@dataclass(frozen=True, slots=True)
class TrainedCascade:
    """The bundles, cheapest first, each with its evaluation; and the ladder as a whole."""

    stages: tuple[Trained, ...]
    climb: CascadeScores
    notes: tuple[str, ...]


def train_cascade(
    data: Dataset,
    augmentations: Augmentations | None,
    rungs: Sequence[StageRecipe],
    seed: int = 0,
    promise: RiskTarget | None = None,
    say: Log | None = None,
    taxonomy: str = "",
    licence: str = "",
) -> TrainedCascade:
    """The ladder of `rungs` that `data` teaches.

    The bundles are made from the last to the first, as an exit names the digests of the later ones. Exits hold on
    clean rows of new artists, on each view (its 518 features beside the clean vectors of the later kinds), and on
    each collection of `data` that the stages were not trained on.
    """
    promise, tell = promise or RiskTarget(), say or _nobody
    stages = [
        cross_validate(data.of(r.kinds), augmentations, r.estimators, r.name, seed, r.aim, _named(tell, r.kinds[-1]))
        for r in rungs
    ]
    trials, notes = _out_of_domain(data, augmentations, rungs, stages, seed, promise, tell)
    trials = [*_in_domain(stages), *trials]
    made: list[Trained] = []
    for position in reversed(range(len(rungs))):
        exits = []
        for last in range(position + 1, len(rungs)):
            later = [one.bundle.digest for one in made[: last - position]]
            exits.append(certified_exit_rule(trials, (position, last), promise.shared(last), later))
        tell_own = _named(tell, rungs[position].kinds[-1])
        made.insert(0, finish(stages[position], taxonomy, exits, tell_own, licence))
    return TrainedCascade(tuple(made), _cascade_scores(trials[0], [_whole(one) for one in made]), tuple(notes))


def summary(found: TrainedCascade) -> Iterator[tuple[str, str]]:
    """Lines for people, each with a short label: every stage's honest figures, promises and exit, then the ladder."""
    first = found.stages[0].evaluation
    yield "what", f"a ladder of {len(found.stages)}: {first.count:,} rows of {first.artists:,} artists it never saw"
    yield from (("warning", text) for text in first.warnings)
    for result in found.stages:
        own = result.evaluation
        yield (
            result.bundle.stage,
            f"{own.accuracy.value:.3f} right on new artists ({own.accuracy.low:.3f} to {own.accuracy.high:.3f}), "
            f"macro-F1 {own.macro_f1.value:.3f}, ECE {own.ece.value:.3f}",
        )
        yield from guarantee_lines(result.bundle)
        yield from (("note", note) for note in result.notes)
        exit_rule = _whole(result)
        if exit_rule is not None:
            yield "exit", exit_rule.sentence()
            yield from (("", _held(name, one)) for name, one in exit_rule.held_on.items())
    yield from (("note", note) for note in found.notes)
    climb = found.climb
    shares = zip(found.stages, climb.reached, strict=True)
    asked = ", ".join(f"{result.bundle.stage} {share:.0%}" for result, share in shares)
    yield "ladder", f"{climb.right:.3f} right, {climb.always:.3f} if every track went to the end; asked about: {asked}"


def _held(name: str, own: Mapping[str, Any]) -> str:
    level = "never" if own["threshold"] is None else f"from {own['threshold']:.2f}"
    lost = f"{own['lost']} lost" if "lost" in own else f"{own['share lost']:.1%} lost, watched only"
    return f"{name}: {level}, {lost} of {own['count']} artists"


def _nobody(text: str) -> None:
    """Nobody listens."""


def _named(tell: Log, stage: str) -> Log:
    return lambda text: tell(f"{stage}: {text}")


def _in_domain(stages: Sequence[CrossValidated]) -> list[CalibrationSet]:
    """The clean rows, and each of their views. All that no stage was fitted on, but for an official test part."""
    augmentations, scores = stages[0].augmentations, stages[0].scores
    unseen = scores.learning if stages[0].data.is_split else np.ones(len(scores.rows), dtype=np.bool_)
    names = ["new artists"]
    if augmentations is not None:
        beside = ", its fma518 beside the clean vectors of the later kinds" if len(stages) > 1 else ""
        names += [f"view {name}{beside}" for name in augmentations.names]
    groups, labels = stages[0].groups[unseen], stages[0].labels[unseen]
    return [
        CalibrationSet.of(name, groups, [s.probabilities[unseen, number] for s in stages], labels)
        for number, name in enumerate(names)
    ]


def _out_of_domain(
    data: Dataset,
    augmentations: Augmentations | None,
    rungs: Sequence[StageRecipe],
    stages: Sequence[CrossValidated],
    seed: int,
    promise: RiskTarget,
    tell: Log,
) -> tuple[list[CalibrationSet], list[str]]:
    """Each collection of the data as stages see it that were trained and calibrated on the other ones."""
    names, counts = np.unique(data.table.datasets, return_counts=True)
    trials: list[CalibrationSet] = []
    notes: list[str] = []
    if len(names) < 2 or len(rungs) < 2:
        return trials, notes
    for name in names[np.argsort(-counts, kind="stable")][:_MOST]:
        own = data.table.datasets == name
        asked, labels = answerable(data.table.labels, own)
        artists = len(np.unique(data.table.groups[asked]))
        if artists < MONITORED or not _teaches(data, ~own):
            notes.append(f"the exits were not tried on {name}: {artists} artists with genres the others teach")
            continue
        seen = []
        for rung, stage in zip(rungs, stages, strict=True):
            tell(f"{rung.kinds[-1]}: trained without {name}, to see what its exit loses there")
            other = data.of(rung.kinds).chosen(~own)
            bad = None if augmentations is None else augmentations.chosen(~own)
            kept = stage.members.kept
            bundle = finish(
                cross_validate(other, bad, kept, rung.name, seed, rung.aim, folds=_FOLDS_OUT_OF_DOMAIN)
            ).bundle
            rows = data.of(rung.kinds).table.rows[asked]
            seen.append(bundle.predict_proba(rows))
        trials.append(
            CalibrationSet.of(f"collection {name}, trained on the others", data.table.groups[asked], seen, labels)
        )
    return trials, notes


def answerable(labels: NDArray[np.bool_], own: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The rows of the collection `own` that models of the other rows can get right, and what is right for them.

    Rows without any genre that the others teach are left out: no stage can be right there, so none is lost, and they
    would make the share of the lost look small. Genres that the others never tell apart (each row carries both or
    neither) count as one: which of the two is named is chance, and no fault of leaving early.
    """
    others = labels[~own]
    asked = own & (labels & others.any(axis=0)).any(axis=1)
    merged = labels.copy()
    columns, place = np.unique(others, axis=1, return_inverse=True)
    place = place.reshape(-1)
    for number in range(columns.shape[1]):
        if columns[:, number].any():
            alike = place == number
            merged[:, alike] = labels[:, alike].any(axis=1, keepdims=True)
    return asked, merged[asked]


def _teaches(data: Dataset, mask: NDArray[np.bool_]) -> bool:
    labels, groups = data.table.labels[mask], data.table.groups[mask]
    return int(labels.any(axis=0).sum()) > 1 and len(np.unique(groups)) >= _FOLDS_OUT_OF_DOMAIN


def _whole(one: Trained) -> ExitRule | None:
    """The exit of a bundle in the whole ladder: the last one it states."""
    found = exit_rules_of(one.bundle.manifest)
    return found[-1] if found else None


def _cascade_scores(clean: CalibrationSet, exits: Sequence[ExitRule | None]) -> CascadeScores:
    """What the cascade reaches where each row exits at the first stage whose rule lets it, else at the last."""
    count, last = len(clean.groups), len(exits) - 1
    position = np.full(count, last)
    for place, rule in reversed(list(enumerate(exits[:-1]))):
        if rule is not None and rule.threshold is not None:
            position[clean.confidence[place] >= rule.threshold] = place
    right = np.choose(position, clean.right)
    reached = tuple(float((position >= place).mean()) for place in range(last + 1))
    return CascadeScores(count, float(right.mean()), float(clean.right[-1].mean()), reached)
