"""The member that sees only a tagger's columns: it learns from them, ignores the rest, and comes back strictly."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from music_reclass.errors import BundleError, UsageError
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models import bundle as bundles
from music_reclass.models import linear as tags
from music_reclass.models.dataset import Augmentations, Table
from music_reclass.models.linear import Linear, TagLinear, runs_of
from music_reclass.models.stacking import Stack, learned_weights
from music_reclass.training import npz
from music_reclass.training import train as recipes
from tests.training.synthetic import with_later_kinds, written

pytestmark = pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="sklearn is not installed")

CLASSES = ("Country", "Jazz", "Metal")
TAG_COLUMNS = tuple(f"musicnn-tags_{number:03}" for number in range(50))
KINDS = [
    {"name": "fma518", "version": "1", "dimension": 518, "excerpt": "mid30"},
    {"name": "musicnn-tags", "version": "1-0", "dimension": 50, "excerpt": "mid30"},
]


def table(count: int = 120, seed: int = 0) -> Table:
    """The 518 columns are noise; one tag a genre tells what it is."""
    generator = np.random.default_rng(seed)
    genre = generator.integers(0, len(CLASSES), count)
    heard = generator.uniform(0.0, 0.1, (count, 50))
    heard[np.arange(count), genre * 7] += generator.uniform(0.1, 0.6, count)
    rows = np.concatenate([generator.normal(size=(count, len(COLUMNS))), heard], axis=1).astype(np.float32)
    labels = np.eye(len(CLASSES), dtype=bool)[genre]
    return Table((*COLUMNS, *TAG_COLUMNS), rows, CLASSES, labels, np.arange(count) // 3, np.full(count, "one"))


def bundle_of(model: Any) -> bundles.Bundle:
    manifest = {
        "name": "t", "version": "1", "stage": "s", "kinds": KINDS, "labels": list(CLASSES), "thresholds": {},
        "calibration": {"temperature": 1.0, "doubt": 0.0},
    }  # fmt: skip
    return bundles.make(manifest, model)


def right(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> float:
    return float(labels[np.arange(len(labels)), scores.argmax(axis=1)].mean())


def test_it_knows_the_genres_of_new_rows_by_their_tags() -> None:
    new = table(60, seed=5)
    scores = TagLinear().fit(table(), None).log_probabilities(new.rows)
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1.0, atol=1e-6)
    assert right(scores, new.labels) > 0.8


def test_no_other_column_changes_what_it_says() -> None:
    model, new = TagLinear().fit(table(), None), table(20, seed=5)
    changed = new.rows.copy()
    changed[:, : len(COLUMNS)] = 1e6
    np.testing.assert_array_equal(model.log_probabilities(changed), model.log_probabilities(new.rows))


def test_the_same_seed_gives_the_same_model_with_views_too() -> None:
    known = table()
    augmentations = Augmentations(("quiet",), known.rows[:, None] * np.float32(0.9))
    first, again = (bundle_of(TagLinear().fit(known, augmentations)).digest for _ in range(2))
    assert first == again


def test_it_comes_back_from_the_disk_alone_and_in_a_stack(tmp_path: Any) -> None:
    model = TagLinear().fit(table(), None)
    rows = table(20, seed=3).rows
    for name, whole in (("alone", model), ("stack", Stack((model, model), (0.4, 0.6)))):
        bundles.save(bundle_of(whole), tmp_path / name)
        back = bundles.load(tmp_path / name)
        np.testing.assert_array_equal(back.predict_proba(rows), bundle_of(whole).predict_proba(rows))


@pytest.mark.parametrize("runs", [[], [[518, 569]], [[530, 520]], [[540, 568], [518, 530]], [[-3, 47]], [[518, 567]]])
def test_columns_that_do_not_fit_are_refused(runs: list[list[int]]) -> None:
    model = TagLinear().fit(table(), None)

    class Lying:
        def description(self) -> dict[str, Any]:
            return {**model.description(), "runs": runs}

        def arrays(self) -> dict[str, NDArray[Any]]:
            return model.arrays()

    with pytest.raises(BundleError, match="is wrong"):
        bundle_of(Lying())


def test_a_damaged_array_is_refused() -> None:
    model = TagLinear().fit(table(), None)
    for name in model.arrays():
        kept = {other: array for other, array in model.arrays().items() if other != name}
        with pytest.raises((KeyError, ValueError)):
            tags.restored_tags(model.description(), kept, 568, len(CLASSES))


def test_columns_are_found_wherever_they_stand() -> None:
    mixed = (
        "musicnn_000",
        "musicnn-tags_000",
        "musicnn-tags_001",
        "ast-tags_000",
        "mert_000",
        "distilhubert-genre_000",
    )
    assert runs_of(mixed) == ((1, 3), (3, 4), (5, 6))
    assert runs_of((*COLUMNS, "musicnn_000")) == ()
    order = np.random.default_rng(0).permutation(568)
    known = table()
    shuffled = replace(known, columns=tuple(known.columns[i] for i in order), rows=known.rows[:, order])
    assert right(TagLinear().fit(shuffled, None).log_probabilities(shuffled.rows), known.labels) > 0.9


def test_a_table_without_tags_is_answered_with_the_cure() -> None:
    known = table()
    bare = replace(known, columns=known.columns[:518], rows=known.rows[:, :518])
    with pytest.raises(UsageError, match="reclass features --kind musicnn-tags"):
        TagLinear().fit(bare, None)


def test_strengths_of_zero_and_one_are_finite() -> None:
    model = TagLinear().fit(table(), None)
    edges = table(2).rows
    edges[0, 518:], edges[1, 518:] = 0.0, 1.0
    assert np.isfinite(model.log_probabilities(edges)).all()


def test_the_stacker_gives_its_weight_to_the_member_that_knows() -> None:
    known, new = table(), table(90, seed=5)
    good = TagLinear().fit(known, None).log_probabilities(new.rows)
    guess = np.log(np.random.default_rng(0).dirichlet(np.ones(3), 90))
    weights = learned_weights([guess, good], new.labels)
    assert weights[1] > 10 * weights[0]


def test_a_stage_keeps_it_where_it_knows_more_and_comes_back(tmp_path: Any) -> None:
    content = with_later_kinds(120, **{"musicnn-tags": 50})
    content["musicnn-tags"] = 1 / (1 + np.exp(-content["musicnn-tags"]))
    content["kinds"] = np.array(["musicnn-tags/1-00/mid30"])
    data = npz.read(written(tmp_path, "t.npz", content), ("fma518", "musicnn-tags"))

    found = recipes.train(data, None, [Linear(strength=1e-6), TagLinear()], "tagged")

    bundles.save(found.bundle, tmp_path / "b")
    back = bundles.load(tmp_path / "b")
    assert "tags" in back.manifest["training"]["estimators"]
    assert [kind.name for kind in back.kinds] == ["fma518", "musicnn-tags"]
    np.testing.assert_array_equal(back.predict_proba(data.table.rows), found.bundle.predict_proba(data.table.rows))
    assert right(back.predict_proba(data.table.rows), data.table.labels) > 0.8
