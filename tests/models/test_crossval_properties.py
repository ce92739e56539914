"""Artist-grouped folds against scikit-learn's, which rows are held out, and what a fold's scores may depend on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.base import LARGE, Estimator
from music_reclass.models.crossval import (
    Scores,
    cross_calibrated,
    folds_of,
    grouped_folds,
    held_out,
    out_of_fold,
    pooled_calibration,
)
from music_reclass.models.dataset import TEST, TRAINING, VALIDATION, Augmentations, Dataset, Table, fma518
from tests.models.test_base import needs


class Frequencies:
    """A model that gives every row the frequency of the labels that it was fitted on."""

    def __init__(self, table: Table, augmentations: Augmentations | None) -> None:
        self.rows = table.rows.copy()
        self.scores = np.log(table.labels.mean(axis=0) + 1e-9)

    def log_probabilities(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.tile(self.scores, (len(rows), 1))


def labelled(count: int, artists: int, seed: int = 0, genres: int = 3) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Artists of different numbers of rows, each with a genre."""
    generator = np.random.default_rng(seed)
    groups = generator.choice(artists, count, p=generator.dirichlet(np.ones(artists)))
    return groups, np.eye(genres, dtype=bool)[generator.integers(0, genres, artists)[groups]]


def table(count: int = 60, artists: int = 20, seed: int = 0) -> Table:
    groups, labels = labelled(count, artists, seed)
    rows = np.random.default_rng(seed).normal(size=(count, 518)).astype(np.float32)
    classes = ("Jazz", "Pop", "Rock")
    return Table(COLUMNS, rows, classes, labels, groups, np.full(count, ""))


def dataset(known: Table, split: list[str] | None = None) -> Dataset:
    parts = np.array(split or [""] * len(known))
    return Dataset("t", known, fma518("mid30"), parts, tuple(map(str, range(len(known)))))


@given(st.integers(20, 200), st.integers(5, 30), st.integers(2, 5), st.integers(0, 1000))
@settings(max_examples=40)
def test_every_row_has_one_fold_and_every_artist_too(count: int, artists: int, folds: int, seed: int) -> None:
    groups, labels = labelled(count, artists, seed)
    found = grouped_folds(groups, labels, folds, seed)
    assert found.shape == (count,)
    assert found.min() >= 0
    assert found.max() < folds
    for group in np.unique(groups):
        assert len(np.unique(found[groups == group])) == 1


def test_artists_may_have_any_numbers() -> None:
    groups, labels = labelled(200, 30)
    found = grouped_folds(groups, labels, 5, seed=2)
    assert np.array_equal(found, grouped_folds(groups * 1000 - 7, labels, 5, seed=2))


@needs("sklearn")
def test_labels_are_spread_about_as_evenly_as_scikit_learn_spreads_them() -> None:
    from sklearn.model_selection import StratifiedGroupKFold

    def uneven(folds: NDArray[np.int64]) -> float:
        shares = np.stack([labels[folds == fold].sum(axis=0) / labels.sum(axis=0) for fold in range(5)])
        return float(np.abs(shares - 0.2).mean())

    ours, theirs = [], []
    for seed in range(10):
        groups, labels = labelled(400, 80, seed)
        ours.append(uneven(grouped_folds(groups, labels, 5, seed)))
        other = np.zeros(400, dtype=np.int64)
        splitter = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        for fold, (_, judged) in enumerate(splitter.split(labels, labels.argmax(axis=1), groups)):
            other[judged] = fold
        theirs.append(uneven(other))
    assert np.mean(ours) < 1.1 * np.mean(theirs)


def test_folds_do_not_depend_on_the_columns() -> None:
    known = table()
    other = replace(known, rows=known.rows[:, :10] * 5, columns=COLUMNS[:10])
    assert np.array_equal(folds_of(known, 3), folds_of(other, 3))


def test_out_of_fold_scores_come_from_the_other_folds_alone() -> None:
    known = table()
    folds = folds_of(known, 0)
    scores = out_of_fold(known, None, Frequencies, folds)
    for fold in np.unique(folds):
        expected = np.log(known.labels[folds != fold].mean(axis=0) + 1e-9)
        assert np.allclose(scores[folds == fold, 0], expected)


def test_each_fold_is_reported_once() -> None:
    said: list[str] = []
    known = table()
    folds = folds_of(known, 0)
    out_of_fold(known, None, Frequencies, folds, log=said.append)
    assert [line.split(":")[0] for line in said] == [f"fold {number + 1} of 5" for number in range(5)]
    counts = [int(line.split(" right on ")[1].split()[0]) for line in said]
    assert counts == np.bincount(folds).tolist()


def held(data: Dataset) -> tuple[Scores, list[Frequencies], bool]:
    """The scores, every model that was fitted, and whether models are given back."""
    fitted: list[Frequencies] = []

    def fit(known: Table, augmentations: Augmentations | None) -> Frequencies:
        fitted.append(Frequencies(known, augmentations))
        return fitted[-1]

    scores, models = held_out(data, [Estimator("frequencies", fit)], seed=0, log=lambda text: None)  # type: ignore[arg-type]
    return scores, fitted, models is not None


def test_a_few_rows_are_judged_in_turns_and_no_model_is_given_back() -> None:
    data = dataset(table())
    scores, fitted, given = held(data)
    assert (scores.folds, given, len(fitted)) == (True, False, 5)
    assert scores.rows.tolist() == list(range(60))
    assert scores.learning.all()
    assert scores.judging.all()
    for judged, learned in scores.turns:
        assert not (judged & learned).any()
        assert (judged | learned).all()
    assert sum(judged.sum() for judged, _ in scores.turns) == 60


def test_many_rows_are_judged_once_and_no_artist_is_on_two_sides() -> None:
    known = table(LARGE, 300)
    small = replace(known, rows=known.rows[:, :4], columns=COLUMNS[:4])
    scores, fitted, given = held(dataset(small))
    assert (scores.folds, given, len(fitted)) == (False, False, 1)
    ((judged, learned),) = scores.turns
    assert np.array_equal(judged, scores.judging)
    assert np.array_equal(learned, scores.learning)
    used = {row.tobytes() for row in fitted[0].rows}
    held_rows = small.rows[scores.rows]
    assert not any(row.tobytes() in used for row in held_rows)
    parts = [set(small.groups[scores.rows][mask].tolist()) for mask in (judged, learned)]
    assert not parts[0] & parts[1]
    assert not (parts[0] | parts[1]) & set(np.delete(small.groups, scores.rows).tolist())


def test_an_official_split_is_kept_and_its_models_are_given_back() -> None:
    known = table()
    split = [TRAINING] * 30 + [VALIDATION] * 10 + [TEST] * 15 + [""] * 5
    scores, (model,), given = held(dataset(known, split))
    assert given
    assert np.array_equal(model.rows, known.rows[:30])
    assert scores.rows.tolist() == list(range(30, 55))  # rows of no part are left out
    assert scores.learning.tolist() == [True] * 10 + [False] * 15


def test_without_a_validation_part_some_artists_of_the_training_part_calibrate() -> None:
    known = table(80, 40)
    scores, (model,), given = held(dataset(known, [TRAINING] * 60 + [TEST] * 20))
    assert given
    calibrating = scores.rows[scores.learning]
    assert 0 < len(calibrating) < 30
    assert calibrating.max() < 60
    assert len(model.rows) + len(calibrating) == 60
    trained = np.setdiff1d(np.arange(60), calibrating)
    assert not set(known.groups[calibrating].tolist()) & set(known.groups[trained].tolist())


def test_the_log_names_the_estimator() -> None:
    said: list[str] = []
    known = table()
    estimator = Estimator("guess", Frequencies)  # type: ignore[arg-type]
    held_out(dataset(known), [estimator], seed=0, log=said.append)
    held_out(dataset(known, [TRAINING] * 40 + [TEST] * 20), [estimator], seed=0, log=said.append)
    assert len(said) == 6
    assert all(line.startswith("guess, fold ") for line in said[:5])
    assert said[5].endswith("right on 20 held-out tracks")


def test_equal_augmentations_calibrate_as_the_rows_alone_do() -> None:
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(50, 1, 3)) * 3
    labels = np.eye(3, dtype=bool)[generator.integers(0, 3, 50)]
    assert pooled_calibration(np.repeat(scores, 4, axis=1), labels) == pooled_calibration(scores, labels)


@pytest.mark.parametrize("folds", [2, 5])
def test_cross_calibrated_probabilities_sum_to_one_and_keep_the_first_label(folds: int) -> None:
    generator = np.random.default_rng(1)
    scores = generator.normal(size=(60, 2, 3)) * 4
    labels = np.eye(3, dtype=bool)[generator.integers(0, 3, 60)]
    found = cross_calibrated(scores, labels, np.arange(60) % folds)
    assert np.allclose(found.sum(axis=-1), 1.0)
    assert np.array_equal(found.argmax(axis=-1), scores.argmax(axis=-1))
