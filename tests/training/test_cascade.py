"""A whole ladder from one table: later stages see more, and exits name the bundles that they hold against."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from music_reclass.models import bundle as ladders
from music_reclass.models import dataset as tables
from music_reclass.models.dataset import Dataset
from music_reclass.models.early_exit import RiskTarget, exit_rules, exit_rules_of
from music_reclass.models.mlp import MlpEnsemble, MlpRecipe
from music_reclass.training import npz
from music_reclass.training.cascade import StageRecipe, answerable, train_cascade
from tests.training.synthetic import views_of, with_later_kinds, written

ROWS = 240
RECIPE = MlpRecipe(hidden=(12,), epochs=12)
FIRST = MlpEnsemble(recipe=replace(RECIPE, members=("key_free",)))
LATER = MlpEnsemble(recipe=replace(RECIPE, members=("embedding",)))
SAID = np.array(["mert/1-l7-norm-00/mid30", "jmla/1-00/mid30"])
NAMES = ("fma518", "mert", "jmla")


def data(folder: Path, **changes: object) -> Dataset:
    content = with_later_kinds(ROWS, mert=60, jmla=60) | {"kinds": SAID} | changes
    return npz.read(written(folder, "t.npz", content), NAMES)


RUNGS = [
    StageRecipe("fma-mlp", NAMES[:1], (FIRST,)),
    StageRecipe("mert-ensemble", NAMES[:2], (LATER,)),
    StageRecipe("jmla-ensemble", NAMES, (LATER,)),
]


def test_every_exit_names_the_later_bundles_and_shares_delta(tmp_path: Path) -> None:
    found = train_cascade(data(tmp_path, dataset=np.full(ROWS, "one")), None, RUNGS, promise=RiskTarget(0.05, 0.2))

    first, second, third = (one.bundle for one in found.stages)
    assert [bundle.stage for bundle in (first, second, third)] == list(NAMES)
    assert [kind.name for kind in third.kinds] == list(NAMES)
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
    ladders.save_cascade([first, second, third], tmp_path / "ladder")
    assert [bundle.digest for bundle in ladders.load_cascade(tmp_path / "ladder")] == [
        bundle.digest for bundle in (first, second, third)
    ]


def test_exits_are_tried_on_views_and_on_collections_the_stages_never_saw(tmp_path: Path) -> None:
    own = data(tmp_path)
    table = tables.read_table(tmp_path / "t.npz")
    content = {"fma518": own.table.rows[:, :518], "columns": np.array(table.columns)}
    augmentations = tables.read_augmentations(written(tmp_path, "v.npz", views_of(content)), table)
    said: list[str] = []

    found = train_cascade(own, augmentations, RUNGS[:2], promise=RiskTarget(0.05, 0.2), say=said.append)

    exit_ = exit_rules_of(found.stages[0].bundle.manifest)[0]
    names = list(exit_.held_on)
    assert names[0] == "new artists"
    assert names[1].startswith("view quiet, its fma518 beside the clean vectors")
    assert any(name.startswith("collection one") for name in names)
    assert any(name.startswith("collection two") for name in names)
    allowed = [one["threshold"] for one in exit_.held_on.values()]
    assert exit_.threshold == (None if None in allowed else max(allowed))
    assert any("trained without one" in text for text in said)
    assert found.climb.count == ROWS
    assert found.climb.reached[0] == 1.0


def test_the_later_stage_is_better_where_its_vectors_say_more(tmp_path: Path) -> None:
    found = train_cascade(data(tmp_path, dataset=np.full(ROWS, "one")), None, RUNGS[:2])

    cheap, dear = (one.evaluation.accuracy.value for one in found.stages)
    assert dear > cheap
    assert found.climb.always == pytest.approx(dear)
    assert found.climb.right >= dear - 0.05


def test_rows_that_the_other_collections_cannot_teach_are_left_out_and_twins_count_as_one() -> None:
    labels = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 1]], bool)
    own = np.array([False, False, False, True, True, True])

    asked, right = answerable(labels, own)

    assert asked.tolist() == [False, False, False, True, False, True]  # nobody taught the fourth genre
    assert right.tolist() == [[True, True, False, False], [False, False, True, True]]


def test_equal_seeds_give_equal_ladders(tmp_path: Path) -> None:
    own = data(tmp_path, dataset=np.full(ROWS, "one"))
    quick = [replace(rung, estimators=(replace(rung.estimators[0], epochs=3),)) for rung in RUNGS[:2]]

    first, again = (train_cascade(own, None, quick, seed=4) for _ in range(2))

    assert [one.bundle.digest for one in first.stages] == [one.bundle.digest for one in again.stages]
