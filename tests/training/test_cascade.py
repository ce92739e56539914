"""A whole cascade from one table: later stages have more features, and exit rules name the later bundles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from music_reclass.models.bundle import load_cascade, save_cascade
from music_reclass.models.dataset import Dataset, read_augmentations, read_table
from music_reclass.models.early_exit import RiskTarget, exit_rules, exit_rules_of
from music_reclass.models.mlp import MlpRecipe, mlp_estimator
from music_reclass.training import npz
from music_reclass.training.cascade import train_cascade
from music_reclass.training.train import StageRecipe, answerable
from tests.training.synthetic import views_of, with_later_kinds, written

ROWS = 240
NETWORKS = MlpRecipe(hidden=(12,), epochs=12)
FIRST = mlp_estimator(recipe=replace(NETWORKS, members=("key_free",)))
LATER = mlp_estimator(recipe=replace(NETWORKS, members=("embedding",)))
STATED = np.array(["mert/1-l7-norm-00/mid30", "jmla/1-00/mid30"])
NAMES = ("fma518", "mert", "jmla")


def data(folder: Path, **changes: object) -> Dataset:
    content = with_later_kinds(ROWS, mert=60, jmla=60) | {"kinds": STATED} | changes
    return npz.read(written(folder, "t.npz", content), NAMES)


RECIPES = [
    StageRecipe("fma-mlp", NAMES[:1], (FIRST,)),
    StageRecipe("mert-ensemble", NAMES[:2], (LATER,)),
    StageRecipe("jmla-ensemble", NAMES, (LATER,)),
]


def test_every_exit_rule_names_the_later_bundles_and_shares_delta(tmp_path: Path) -> None:
    found = train_cascade(data(tmp_path, dataset=np.full(ROWS, "one")), RECIPES, target=RiskTarget(0.05, 0.2))

    first, second, third = (one.bundle for one in found.stages)
    assert [bundle.stage for bundle in (first, second, third)] == list(NAMES)
    assert [kind.name for kind in third.kinds] == list(NAMES)
    assert third.kinds[1].version == "2-l7-norm-00"  # vectors of the version before it are comparable
    assert exit_rules_of(third.manifest) == ()
    short = exit_rules([first, second])[0]
    whole, inner, _ = exit_rules([first, second, third])
    assert short is not None
    assert whole is not None
    assert inner is not None
    assert (short.delta, whole.delta, inner.delta) == (0.2, 0.1, 0.1)
    assert short.epsilon == 0.05
    assert short.held_on["new artists"]["count"] == ROWS // 3
    assert short.gain
    save_cascade([first, second, third], tmp_path / "cascade")
    assert [bundle.digest for bundle in load_cascade(tmp_path / "cascade")] == [
        bundle.digest for bundle in (first, second, third)
    ]


def test_exit_rules_are_tried_on_augmentations_and_on_collections_the_stages_never_saw(tmp_path: Path) -> None:
    made = data(tmp_path)
    table = read_table(tmp_path / "t.npz")
    content = {"fma518": made.table.rows[:, :518], "columns": np.array(table.columns)}
    made = made.with_augmentations(read_augmentations(written(tmp_path, "v.npz", views_of(content)), table))
    log: list[str] = []

    found = train_cascade(made, RECIPES[:2], target=RiskTarget(0.05, 0.2), log=log.append)

    exit_ = exit_rules_of(found.stages[0].bundle.manifest)[0]
    names = list(exit_.held_on)
    assert names[0] == "new artists"
    assert names[1].startswith("view quiet, its fma518 beside the clean vectors")
    assert any(name.startswith("collection one") for name in names)
    assert any(name.startswith("collection two") for name in names)
    allowed = [one["threshold"] for one in exit_.held_on.values()]
    assert exit_.threshold == (None if None in allowed else max(allowed))
    assert any("trained without one" in text for text in log)
    assert found.rows == ROWS
    assert found.asked[0] == 1.0


def test_the_later_stage_is_better_where_its_vectors_say_more(tmp_path: Path) -> None:
    found = train_cascade(data(tmp_path, dataset=np.full(ROWS, "one")), RECIPES[:2])

    cheap, expensive = (one.evaluation.accuracy.value for one in found.stages)
    assert expensive > cheap
    assert found.accuracy_without_exits == pytest.approx(expensive)
    assert found.accuracy >= expensive - 0.05


def test_rows_that_the_other_collections_cannot_teach_are_left_out_and_twins_count_as_one() -> None:
    labels = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1]], bool)
    inside = np.array([False, False, False, True, True, True])

    asked, right = answerable(labels, inside)

    assert asked.tolist() == [False, False, False, True, False, True]  # no row of the others carries the fourth genre
    assert right.tolist() == [[True, True, False, False], [False, False, True, True]]


def test_equal_seeds_give_equal_cascades(tmp_path: Path) -> None:
    made = data(tmp_path, dataset=np.full(ROWS, "one"))
    seen = (("key_free",), ("embedding",))
    each = [mlp_estimator(recipe=replace(NETWORKS, members=one, epochs=3)) for one in seen]
    quick = [replace(recipe, estimators=(one,)) for recipe, one in zip(RECIPES, each, strict=False)]

    first, again = (train_cascade(made, quick, seed=4) for _ in range(2))

    assert [one.bundle.digest for one in first.stages] == [one.bundle.digest for one in again.stages]


def test_a_stage_without_a_shown_gain_is_left_out_and_later_ones_do_without_its_vectors(tmp_path: Path) -> None:
    chance = np.random.default_rng(5)
    noise = chance.normal(size=(ROWS, 60)).astype(np.float32)
    blurred = with_later_kinds(ROWS)["fma518"] + chance.normal(size=(ROWS, 518)).astype(np.float32) * 4
    made = data(tmp_path, dataset=np.full(ROWS, "one"), fma518=blurred, mert=noise)

    found = train_cascade(made, RECIPES, only_gains=True)

    assert [[kind.name for kind in one.bundle.kinds] for one in found.stages] == [["fma518"], ["fma518", "jmla"]]
    (note,) = found.notes
    assert note.startswith("the stage mert is left out: ")
    assert note.endswith("show no gain over fma518; to keep it: --stages fma518,mert")
    assert len(train_cascade(made, RECIPES[:2]).stages) == 2  # where it was asked for by name
