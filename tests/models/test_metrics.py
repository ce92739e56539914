"""The figures are what their names say."""

import math

import numpy as np
import pytest

from music_reclass.models.crossval import grouped_folds
from music_reclass.models.metrics import summary_metrics

LABELS = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=bool)
SURE = np.array([[0.9, 0.05, 0.05], [0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.0, 1.0, 0.0]])


def test_hits_recalls_and_precisions_of_a_table_done_by_hand() -> None:
    figures = summary_metrics(SURE, LABELS, ("Blues", "Jazz", "Pop"))
    assert figures.hit == pytest.approx(3 / 4)
    blues, jazz, pop = figures.genres
    assert (blues.support, blues.alone, blues.recall_alone, blues.precision) == (3, 2, 0.5, 1.0)
    assert blues.hit == pytest.approx(2 / 3)
    assert (jazz.predicted, jazz.precision) == (3, pytest.approx(2 / 3))
    assert pop.support == 0
    assert math.isnan(pop.recall_alone)
    assert math.isnan(pop.precision)


def test_coverage_falls_as_more_confidence_is_asked() -> None:
    coverages = [own.coverage for own in summary_metrics(SURE, LABELS, ("Blues", "Jazz", "Pop")).coverage]
    assert coverages == sorted(coverages, reverse=True)
    assert summary_metrics(SURE, LABELS, ("Blues", "Jazz", "Pop")).coverage[-1].precision == 1.0


def test_the_balanced_recall_gives_each_genre_the_same_weight() -> None:
    labels = np.repeat(np.eye(2, dtype=bool), [95, 5], axis=0)
    always_first = np.tile([0.9, 0.1], (100, 1))
    figures = summary_metrics(always_first, labels, ("Pop", "Jazz"))
    assert figures.hit == pytest.approx(0.95)
    assert figures.balanced == pytest.approx(0.5)


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
