"""Nothing that is judged was seen in training."""

from pathlib import Path

import numpy as np
import pytest

from music_reclass.errors import UsageError
from music_reclass.models import crossval as validation
from music_reclass.models import dataset as tables
from music_reclass.models.dataset import Augmentations, Table
from tests.training.synthetic import arrays, views_of, written


class Remembering:
    """Scores rows it was trained on, or a view of them, as label 0, all others as label 1."""

    def __init__(self, table: Table, augmentations: Augmentations | None) -> None:
        self.seen = {row.tobytes() for row in table.rows}
        self.seen |= {row.tobytes() for row in augmentations.rows.reshape(-1, 518)} if augmentations else set()

    def log_probabilities(self, rows: np.ndarray) -> np.ndarray:
        known = np.array([row.tobytes() in self.seen for row in rows])
        return np.where(np.stack([known, ~known, ~known, ~known], axis=1), 0.0, -9.0)


def _table_and_views(folder: Path) -> tuple[Table, Augmentations]:
    content = arrays(60)
    table = tables.read_table(written(folder, "t.npz", content))
    return table, tables.read_augmentations(written(folder, "v.npz", views_of(content)), table)


def test_neither_a_row_nor_a_view_of_it_is_judged_by_a_model_that_saw_it(tmp_path: Path) -> None:
    table, augmentations = _table_and_views(tmp_path)
    scores = validation.out_of_fold(table, augmentations, Remembering, validation.folds_of(table, 0))
    assert scores.shape == (60, 3, 4)
    assert (scores[:, :, 0] == -9.0).all()


def test_the_calibration_of_a_fold_comes_from_the_other_folds(tmp_path: Path) -> None:
    table, _ = _table_and_views(tmp_path)
    folds = validation.folds_of(table, 0)
    scores = np.random.default_rng(0).normal(size=(60, 1, 4))
    before = validation.cross_calibrated(scores, table.labels, folds)
    other = table.labels.copy()
    other[folds == 2] = ~other[folds == 2]
    after = validation.cross_calibrated(scores, other, folds)
    assert np.array_equal(before[folds == 2], after[folds == 2])


def test_a_few_artists_make_a_few_folds_and_one_makes_none(tmp_path: Path) -> None:
    table, _ = _table_and_views(tmp_path)
    three = np.isin(table.groups, np.unique(table.groups)[:3])
    assert set(validation.folds_of(table.chosen(three), 0).tolist()) <= {0, 1, 2}
    with pytest.raises(UsageError, match="single artist"):
        validation.folds_of(table.chosen(table.groups == 0), 0)


def test_a_table_without_labels_teaches_nothing(tmp_path: Path) -> None:
    content = arrays(6)
    path = written(tmp_path, "p.npz", {key: content[key] for key in ("fma518", "columns")})
    with pytest.raises(UsageError, match="no labels"):
        validation.folds_of(tables.read_table(path), 0)
