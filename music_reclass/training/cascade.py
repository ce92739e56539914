"""Trains a whole cascade on one labelled set: equal folds for all stages, exit rules certified against later ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from music_reclass.models.calibration import hits
from music_reclass.models.crossval import Log
from music_reclass.models.dataset import Dataset
from music_reclass.models.early_exit import (
    MONITORED,
    CalibrationSet,
    ExitRule,
    RiskTarget,
    certified_exit_rule,
    exit_rules_of,
)
from music_reclass.models.metrics import Interval, mean_over_groups
from music_reclass.training.train import (
    FOLDS_OUT_OF_DOMAIN,
    CrossValidated,
    StageRecipe,
    Trained,
    answerable,
    collections,
    cross_validate,
    finish,
    guarantee_lines,
    silent,
    trainable,
)
from music_reclass.utils.words import counted


@dataclass(frozen=True, slots=True)
class TrainedCascade:
    """The bundles, cheapest first, each with its evaluation; and the cascade on the rows its exit rules came from."""

    stages: tuple[Trained, ...]
    rows: int
    accuracy: float  # share of the rows that the cascade gets right
    accuracy_without_exits: float  # of the last stage, were it asked about every row
    asked: tuple[float, ...]  # share of the rows that each stage is asked about
    notes: tuple[str, ...]


def train_cascade(
    data: Dataset,
    recipes: Sequence[StageRecipe],
    *,
    seed: int = 0,
    target: RiskTarget | None = None,
    log: Log = silent,
    taxonomy: str = "",
    licence: str = "",
    only_gains: bool = False,
) -> TrainedCascade:
    """The cascade of `recipes`, cheapest first, trained on `data`; with `only_gains` without the stages whose gain over
    those before them is not shown, and later ones without their kinds.

    The bundles are made from the last to the first, as an exit rule names the digests of the later ones. Exit rules
    hold on clean rows of new artists, on each augmentation (its 518 features beside the clean vectors of the later
    kinds), and on each collection of `data` that the stages were not trained on.
    """
    target = target or RiskTarget()
    stages, left_out = _cross_validated(data, recipes, only_gains, seed=seed, log=log)
    out_of_domain, notes = _out_of_domain(data, stages, log)
    recipes, notes = [stage.recipe for stage in stages], [*left_out, *notes]
    calibration_sets = [*_in_domain(stages), *out_of_domain]
    made: list[Trained] = []
    for position in reversed(range(len(recipes))):
        rules = []
        for last in range(position + 1, len(recipes)):
            later = [one.bundle.digest for one in made[: last - position]]
            rules.append(certified_exit_rule(calibration_sets, (position, last), target.shared(last), later))
        stage_log = _prefixed(log, recipes[position].kinds[-1])
        made.insert(0, finish(stages[position], rules, log=stage_log, taxonomy=taxonomy, licence=licence))
    return _as_whole(made, calibration_sets[0], notes)


def _cross_validated(
    data: Dataset, recipes: Sequence[StageRecipe], only_gains: bool, *, seed: int, log: Log
) -> tuple[list[CrossValidated], list[str]]:
    """The stages, and a sentence for each that is left out because it does not show a gain beyond chance."""
    stages: list[CrossValidated] = []
    left_out: dict[str, str] = {}
    for recipe in recipes:
        name, kinds = recipe.kinds[-1], tuple(kind for kind in recipe.kinds if kind not in left_out)
        before = stages[-1].recipe.kinds[-1] if stages else ""
        stage = cross_validate(data, replace(recipe, kinds=kinds), seed=seed, log=_prefixed(log, name))
        if only_gains and stages:
            gain = _gain(stages[-1], stage)
            if gain.low <= 0:
                left_out[name] = (
                    f"the stage {name} is left out: {100 * gain.value:+.1f} points (95 % interval "
                    f"{100 * gain.low:+.1f} to {100 * gain.high:+.1f}) show no gain over {before}; "
                    f"to keep it: --stages {','.join(kinds)}"
                )
                log(left_out[name])
                continue
        stages.append(stage)
    return stages, list(left_out.values())


def _gain(before: CrossValidated, after: CrossValidated) -> Interval:
    """By how much the share of right answers grows on the same rows, of artists that neither stage saw."""
    judging = before.scores.judging
    right = [hits(stage.probabilities[judging, 0], stage.labels[judging]) for stage in (before, after)]
    return mean_over_groups(right[1].astype(float) - right[0], before.groups[judging])


def summary(found: TrainedCascade) -> Iterator[tuple[str, str]]:
    """Lines for people, each with a short label: every stage's figures, guarantees and exit rule, then the cascade."""
    first = found.stages[0].evaluation
    yield (
        "what",
        f"a cascade of {len(found.stages)}: {counted(first.count, 'track')} of "
        f"{counted(first.artists, 'artist')} it never saw",
    )
    yield from (("warning", text) for text in first.warnings)
    for result in found.stages:
        yield from stage_summary(result)
    yield from (("note", note) for note in found.notes)
    asked = ", ".join(
        f"{result.bundle.stage} {share:.0%}" for result, share in zip(found.stages, found.asked, strict=True)
    )
    yield (
        "cascade",
        f"{found.accuracy:.1%} right, {found.accuracy_without_exits:.1%} if every track went to the last stage; share "
        f"of the tracks that each stage is asked about: {asked}",
    )


def stage_summary(result: Trained) -> Iterator[tuple[str, str]]:
    """Lines for people, each with a short label: the figures, guarantees and exit rule of one stage."""
    evaluation = result.evaluation
    yield (
        result.bundle.stage,
        f"{evaluation.accuracy.value:.1%} of the tracks of new artists right ({evaluation.accuracy.low:.1%} to "
        f"{evaluation.accuracy.high:.1%}); all genres alike (macro-F1) {evaluation.macro_f1.value:.3f}; "
        f"confidence is off by {evaluation.ece.value:.3f} on average (ECE)",
    )
    yield from guarantee_lines(result.bundle)
    yield from (("note", note) for note in result.notes)
    exit_rule = _last_exit_rule(result)
    if exit_rule is not None:
        yield "exit", exit_rule.sentence()
        yield from (("", _allowed(name, one)) for name, one in exit_rule.held_on.items())


def _allowed(name: str, allowed: Mapping[str, Any]) -> str:
    level = "never" if allowed["threshold"] is None else f"from {allowed['threshold']:.2f}"
    lost = f"{allowed['lost']} lost" if "lost" in allowed else f"{allowed['share lost']:.1%} lost, too few to certify"
    return f"{name}: {level}, {lost} of {allowed['count']} artists"


def _prefixed(log: Log, stage: str) -> Log:
    return lambda text: log(f"{stage}: {text}")


def _in_domain(stages: Sequence[CrossValidated]) -> list[CalibrationSet]:
    """The clean rows, and each of their augmentations. All that no stage was fitted on, but for an official test
    part."""
    data, scores = stages[0].data, stages[0].scores
    unseen = scores.learning if data.is_split else np.ones(len(scores.rows), dtype=np.bool_)
    names = ["new artists"]
    if data.augmentations is not None:
        beside = ", its fma518 beside the clean vectors of the later kinds" if len(stages) > 1 else ""
        # "view" is the word of stored manifests for an augmentation.
        names += [f"view {name}{beside}" for name in data.augmentations.names]
    groups, labels = stages[0].groups[unseen], stages[0].labels[unseen]
    return [
        CalibrationSet.of(name, groups, [stage.probabilities[unseen, number] for stage in stages], labels)
        for number, name in enumerate(names)
    ]


def _out_of_domain(data: Dataset, stages: Sequence[CrossValidated], log: Log) -> tuple[list[CalibrationSet], list[str]]:
    """Each collection of the data as seen by stages that were trained and calibrated on the other ones; and notes."""
    found: list[CalibrationSet] = []
    notes: list[str] = []
    for name in collections(data) if len(stages) > 1 else ():
        inside = data.table.datasets == name
        asked, labels = answerable(data.table.labels, inside)
        artists = len(np.unique(data.table.groups[asked]))
        if artists < MONITORED or not trainable(data, ~inside):
            notes.append(f"the exit rules were not tried on {name}: {artists} artists with genres of the others")
            continue
        probabilities = []
        for stage in stages:
            log(f"{stage.recipe.kinds[-1]}: trained without {name}, to see what its exit rule loses there")
            recipe = StageRecipe(stage.recipe.name, stage.recipe.kinds, stage.kept, stage.recipe.target)
            others = cross_validate(data.chosen(~inside), recipe, seed=stage.seed, folds=FOLDS_OUT_OF_DOMAIN)
            rows = stage.data.table.rows[asked]
            probabilities.append(finish(others).bundle.predict_proba(rows))
        title = f"collection {name}, trained on the others"
        found.append(CalibrationSet.of(title, data.table.groups[asked], probabilities, labels))
    return found, notes


def _last_exit_rule(stage: Trained) -> ExitRule | None:
    """The exit rule of a bundle in the whole cascade: the last one it states."""
    found = exit_rules_of(stage.bundle.manifest)
    return found[-1] if found else None


def _as_whole(stages: Sequence[Trained], clean: CalibrationSet, notes: Sequence[str]) -> TrainedCascade:
    """The stages on the clean rows of new artists: each row exits at the first stage whose rule lets it, else at the
    last."""
    count, last = len(clean.groups), len(stages) - 1
    position = np.full(count, last)
    for place in reversed(range(last)):
        rule = _last_exit_rule(stages[place])
        if rule is not None and rule.threshold is not None:
            position[clean.confidence[place] >= rule.threshold] = place
    accuracy = float(np.choose(position, clean.right).mean())
    asked = tuple(float((position >= place).mean()) for place in range(last + 1))
    return TrainedCascade(tuple(stages), count, accuracy, float(clean.right[-1].mean()), asked, tuple(notes))
