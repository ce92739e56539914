"""A bundle knows the median training row: as stored, else from the scales inside its model."""

import numpy as np
import pytest

from music_reclass.errors import BundleError
from music_reclass.extractors.fma518 import COLUMNS, FAMILIES
from music_reclass.models.base import Model
from music_reclass.models.bundle import Bundle, embedded, make
from music_reclass.models.calibration import Calibration
from music_reclass.models.linear import LinearModel
from music_reclass.models.stacking import Selected, Stack, TranslatedModel
from music_reclass.models.transforms import INPUTS, QuantileScale
from music_reclass.models.trees import TreesModel

ROWS = np.random.default_rng(5).normal(size=(99, 518)).astype(np.float32) + np.arange(518, dtype=np.float32)
MEDIANS = np.median(ROWS, axis=0)


def bundle(model: Model, columns: int = 518, **more: object) -> Bundle:
    kinds = [{"name": "fma518", "version": "1", "dimension": 518, "excerpt": "mid30"}]
    if columns > 518:
        kinds.append({"name": "later", "version": "1", "dimension": columns - 518, "excerpt": "mid30"})
    manifest = {
        "name": "n", "version": "1", "stage": "s", "kinds": kinds, "labels": ["Jazz", "Rock"], "thresholds": {},
        "calibration": {"temperature": 1.0, "doubt": 0.0}, **more,
    }  # fmt: skip
    return make(manifest, model)


def typical(model: Model, columns: int = 518) -> np.ndarray | None:
    return bundle(model, columns).medians()


def linear(inputs: str = "unchanged", rows: np.ndarray = ROWS) -> LinearModel:
    seen = INPUTS[inputs](rows)
    weights = np.ones((seen.shape[1], 2), dtype=np.float32)
    return LinearModel(inputs, QuantileScale.fit(seen), weights, np.zeros(2, dtype=np.float32))


def trees(column: int = 0) -> TreesModel:
    node = np.zeros((1, 3), dtype=np.int16)
    return TreesModel(
        node + column, node.astype(np.float32), node, node, np.zeros(1, np.int16), np.zeros(2, np.float32), 1
    )


@pytest.mark.parametrize(
    "model",
    [
        linear(),
        Stack((trees(), linear()), (0.5, 0.5)),
        TranslatedModel(linear(), Calibration(), np.eye(2), np.full(2, 0.1)),
        Stack((linear("key_free"), linear()), (0.5, 0.5)),
    ],
    ids=["linear", "stack with trees", "translated", "stack of two inputs"],
)
def test_the_medians_of_the_training_rows_come_back(model: Model) -> None:
    found = typical(model, 518)
    assert found is not None
    assert np.abs(found - MEDIANS).max() < 0.1


def test_a_key_free_scale_tells_all_but_the_order_of_pitch_classes() -> None:
    found = typical(linear("key_free"), 518)
    assert found is not None
    kept = np.ones(518, dtype=bool)
    for family, columns in FAMILIES.items():
        if family.startswith("chroma"):
            kept[columns] = False
            sorted_medians = np.median(np.sort(ROWS[:, columns].reshape(99, 7, 12), axis=2), axis=0).ravel()
            assert np.abs(found[columns] - sorted_medians).max() < 0.1
    kept[FAMILIES["tonnetz"]] = False
    assert np.abs(found[kept] - MEDIANS[kept]).max() < 0.1
    assert not found[FAMILIES["tonnetz"]].any()  # such a network never looks at it


def test_columns_behind_the_518_have_medians_too() -> None:
    rows = np.concatenate([ROWS, 1000 + ROWS[:, :7]], axis=1)
    stack = Stack((linear("key_free_and_embedding", rows), linear("embedding", rows)), (0.5, 0.5))
    found = typical(stack, 525)
    assert found is not None
    assert np.abs(found[518:] - np.median(rows[:, 518:], axis=0)).max() < 0.1


def test_a_narrow_model_tells_the_columns_that_it_sees() -> None:
    names = COLUMNS[100:140]
    found = typical(Selected(names, linear(rows=ROWS[:, 100:140])), 518)
    assert found is not None
    assert np.abs(found[100:140] - MEDIANS[100:140]).max() < 0.1
    assert not found[:100].any()


def test_trees_alone_tell_nothing() -> None:
    assert typical(trees(), 518) is None
    assert typical(Stack((trees(), Selected(COLUMNS[:40], linear(rows=ROWS[:, :40]))), (0.5, 0.5)), 518) is None


def test_stored_medians_win_over_those_of_the_scales() -> None:
    stored = bundle(linear(), medians=[0.25] * 518)
    assert stored.medians() == pytest.approx(0.25)
    assert bundle(trees(), medians=[0.25] * 518).medians() == pytest.approx(0.25)
    with pytest.raises(BundleError, match="one median a column"):
        bundle(linear(), medians=[0.25] * 517)


def test_the_shipped_bundle_tells_every_column() -> None:
    found = embedded().medians()
    assert found is not None
    assert np.isfinite(found).all()
    assert 900 < found[COLUMNS.index("spectral_centroid_mean_01")] < 4000  # Hz
