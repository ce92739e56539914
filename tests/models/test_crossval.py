"""Nothing that is judged was seen in training."""

import hashlib
import time
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from music_reclass.errors import UsageError
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.base import LARGE, Estimator, Model
from music_reclass.models.crossval import cross_calibrated, folds_of, grouped_folds, held_out, out_of_fold
from music_reclass.models.dataset import (
    TEST,
    TRAINING,
    VALIDATION,
    Augmentations,
    Dataset,
    Table,
    fma518,
    read_augmentations,
    read_table,
)
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
    table = read_table(written(folder, "t.npz", content))
    return table, read_augmentations(written(folder, "v.npz", views_of(content)), table)


def test_neither_a_row_nor_a_view_of_it_is_judged_by_a_model_that_saw_it(tmp_path: Path) -> None:
    table, augmentations = _table_and_views(tmp_path)
    scores = out_of_fold(table, augmentations, Remembering, folds_of(table, 0))
    assert scores.shape == (60, 3, 4)
    assert (scores[:, :, 0] == -9.0).all()


def test_the_calibration_of_a_fold_comes_from_the_other_folds(tmp_path: Path) -> None:
    table, _ = _table_and_views(tmp_path)
    folds = folds_of(table, 0)
    scores = np.random.default_rng(0).normal(size=(60, 1, 4))
    before = cross_calibrated(scores, table.labels, folds)
    other = table.labels.copy()
    other[folds == 2] = ~other[folds == 2]
    after = cross_calibrated(scores, other, folds)
    assert np.array_equal(before[folds == 2], after[folds == 2])


def test_a_few_artists_make_a_few_folds_and_one_makes_none(tmp_path: Path) -> None:
    table, _ = _table_and_views(tmp_path)
    three = np.isin(table.groups, np.unique(table.groups)[:3])
    assert set(folds_of(table.chosen(three), 0).tolist()) <= {0, 1, 2}
    with pytest.raises(UsageError, match="single artist"):
        folds_of(table.chosen(table.groups == 0), 0)


def test_a_table_without_labels_teaches_nothing(tmp_path: Path) -> None:
    content = arrays(6)
    path = written(tmp_path, "p.npz", {key: content[key] for key in ("fma518", "columns")})
    with pytest.raises(UsageError, match="no labels"):
        folds_of(read_table(path), 0)


def test_no_artist_is_in_two_folds_and_every_fold_has_its_share() -> None:
    generator = np.random.default_rng(0)
    groups = generator.integers(0, 60, 400) * 13
    labels = np.eye(4, dtype=bool)[generator.integers(0, 4, 400)]
    folds = grouped_folds(groups, labels, 5, seed=1)
    for group in np.unique(groups):
        assert len(set(folds[groups == group])) == 1
    assert np.bincount(folds).min() > 60
    for fold in range(5):
        assert labels[folds == fold].sum(axis=0).min() > 10


def test_folds_depend_on_the_seed_and_on_nothing_else() -> None:
    groups, labels = np.arange(50), np.eye(2, dtype=bool)[np.arange(50) % 2]
    assert np.array_equal(grouped_folds(groups, labels, 5, 0), grouped_folds(groups, labels, 5, 0))
    assert not np.array_equal(grouped_folds(groups, labels, 5, 0), grouped_folds(groups, labels, 5, 1))


def test_folds_of_thousands_of_artists_take_no_time_and_are_those_they_always_were() -> None:
    generator = np.random.default_rng(0)
    groups = generator.integers(0, 5000, 20_000)
    labels = np.eye(16, dtype=bool)[generator.integers(0, 16, 20_000)]
    begun = time.process_time()
    folds = grouped_folds(groups, labels, 5, seed=0)
    assert time.process_time() - begun < 2.0
    assert hashlib.sha256(folds.astype("<i8").tobytes()).hexdigest()[:16] == "ba77d9fc05992023"


class Constant:
    """A model that says of every row how many rows taught it."""

    def __init__(self, rows: int, labels: int) -> None:
        self.rows, self.labels = rows, labels

    def log_probabilities(self, rows: np.ndarray) -> np.ndarray:
        return np.full((len(rows), self.labels), -float(self.rows))


def counting(taught: list[int]) -> Estimator:
    def fit(table: Table, augmentations: Augmentations | None) -> Model:
        taught.append(len(table))
        return cast(Model, Constant(len(table), len(table.classes)))

    return Estimator("counting", fit)


def dataset(count: int, split: np.ndarray | None = None) -> Dataset:
    """Rows of artists of five, four genres."""
    labels = np.eye(4, dtype=bool)[np.arange(count) % 4]
    rows = np.zeros((count, 518), dtype=np.float32)
    known = Table(COLUMNS, rows, ("a", "b", "c", "d"), labels, np.arange(count) // 5, np.full(count, "one"))
    return Dataset("made", known, fma518("mid30"), np.full(count, "") if split is None else split, ("x",) * count)


def test_few_rows_are_judged_in_folds_and_learned_from_all() -> None:
    taught: list[int] = []
    scores, fitted = held_out(dataset(100), [counting(taught)], seed=0, log=lambda text: None, folds=4)
    assert len(taught) == 4
    assert fitted is None  # what is shipped learns from all rows later
    assert scores.folds
    assert scores.learning.all()
    assert scores.judging.all()
    assert sum((judged & learned).sum() for judged, learned in scores.turns) == 0


def test_many_rows_are_judged_on_a_part_of_the_artists_once() -> None:
    taught: list[int] = []
    data = dataset(LARGE)
    scores, fitted = held_out(data, [counting(taught)], seed=0, log=lambda text: None)
    assert taught == [3200]
    assert fitted is None
    assert len(scores.rows) == 800
    assert scores.learning.sum() == scores.judging.sum() == 400
    groups = data.table.groups[scores.rows]
    assert not set(groups[scores.learning]) & set(groups[scores.judging])


def test_an_official_split_is_kept_and_its_model_is_the_one_that_is_shipped() -> None:
    split = np.repeat(np.array([TRAINING] * 8 + [VALIDATION, TEST]), 10)
    taught: list[int] = []
    scores, fitted = held_out(dataset(100, split), [counting(taught)], seed=0, log=lambda text: None)
    assert taught == [80]
    assert fitted is not None
    assert split[scores.rows[scores.learning]].tolist() == [VALIDATION] * 10
    assert split[scores.rows[scores.judging]].tolist() == [TEST] * 10


def test_a_split_without_a_validation_part_calibrates_on_training_artists_that_are_kept_aside() -> None:
    split = np.repeat(np.array([TRAINING] * 8 + [TEST] * 2), 10)
    taught: list[int] = []
    scores, _ = held_out(dataset(100, split), [counting(taught)], seed=0, log=lambda text: None)
    assert taught == [80 - int(scores.learning.sum())]
    assert set(split[scores.rows[scores.learning]]) == {TRAINING}
