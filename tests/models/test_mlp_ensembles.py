"""An ensemble goes into arrays and comes back."""

from dataclasses import replace

import numpy as np
import pytest

from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.dataset import Augmentations
from music_reclass.models.mlp import (
    EMBEDDING_RECIPE,
    FMA_RECIPE,
    WIDE_RECIPE,
    Ensemble,
    mlp_estimator,
    recipe_for,
    restored,
    rounded,
)
from music_reclass.models.transforms import INPUTS, QuantileScale
from tests.models.test_base import right, table


def _ensemble() -> tuple[Ensemble, np.ndarray]:
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(40, 518)).astype(np.float32)
    scales = {name: QuantileScale.fit(made(rows)) for name, made in INPUTS.items()}
    members = []
    for name in ("key_free", "unchanged", "key_free"):
        width = scales[name].knots.shape[1]
        shapes = ((width, 6), (6, 3))
        layers = tuple(
            (generator.normal(size=shape).astype(np.float32) / 9, generator.normal(size=shape[1]).astype(np.float32))
            for shape in shapes
        )
        members.append((name, rounded(layers)))
    return Ensemble(scales, tuple(members)), rows


def test_an_ensemble_scores_the_same_after_it_was_written_down() -> None:
    ensemble, rows = _ensemble()
    again = restored(ensemble.description(), ensemble.arrays(), 518, 3)
    assert np.array_equal(again.log_probabilities(rows), ensemble.log_probabilities(rows))


def test_the_scores_are_log_probabilities() -> None:
    ensemble, rows = _ensemble()
    assert np.allclose(np.exp(ensemble.log_probabilities(rows)).sum(axis=1), 1.0)


@pytest.mark.parametrize(("columns", "labels"), [(518, 4), (500, 3)])
def test_arrays_for_other_rows_or_labels_are_refused(columns: int, labels: int) -> None:
    ensemble, _ = _ensemble()
    with pytest.raises((ValueError, KeyError)):
        restored(ensemble.description(), ensemble.arrays(), columns, labels)


def test_knots_that_do_not_rise_are_refused() -> None:
    ensemble, _ = _ensemble()
    arrays = ensemble.arrays()
    arrays["key_free.knots"] = arrays["key_free.knots"][::-1]
    with pytest.raises(ValueError, match="rise"):
        restored(ensemble.description(), arrays, 518, 3)


def test_the_recipe_follows_rows_and_columns() -> None:
    assert recipe_for(COLUMNS, 900) is FMA_RECIPE
    assert recipe_for(COLUMNS, 4000) is WIDE_RECIPE
    assert recipe_for(COLUMNS[:140], 900) is WIDE_RECIPE  # key-free inputs need all columns
    assert recipe_for((*COLUMNS, "musicnn_000"), 900) is EMBEDDING_RECIPE


def test_the_wide_network_takes_any_columns_and_augmentations() -> None:
    known = table(60)
    narrow = replace(known, columns=COLUMNS[252:392], rows=known.rows[:, 252:392])
    changed = Augmentations(("quiet",), narrow.rows[:, None] * np.float32(0.9))
    recipe = replace(WIDE_RECIPE, hidden=(16,), epochs=10, batch=16)
    model = mlp_estimator(recipe=recipe).fit(narrow, changed)
    assert [name for name, _ in model.members] == ["unchanged"]  # type: ignore[attr-defined]
    assert right(model.log_probabilities(narrow.rows), narrow.labels) > 0.8


def test_epochs_count_in_place_of_those_of_the_recipe() -> None:
    known = table(40)
    recipe = replace(WIDE_RECIPE, hidden=(8,), batch=16)
    short, same, long = (
        mlp_estimator(recipe=replace(recipe, epochs=own), epochs=given).fit(known, None).arrays()["0.0.weights"]
        for own, given in ((40, 2), (2, None), (3, None))
    )
    np.testing.assert_array_equal(short, same)
    assert not np.array_equal(same, long)
