"""Metrics against scikit-learn's, and what must not change them: the order of rows, of genres, of artists' numbers."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from music_reclass.models.metrics import (
    FEW,
    Evaluation,
    balanced_accuracy,
    coverage,
    evaluate,
    expected_calibration_error,
)
from tests.models.test_base import needs

CLASSES = ("Blues", "Jazz", "Pop", "Rock")


def predictions(count: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities of four genres that are right in about half of the rows, and the true genre of each."""
    generator = np.random.default_rng(seed)
    truth = generator.choice(4, count, p=[0.1, 0.2, 0.3, 0.4])
    raw = generator.normal(size=(count, 4))
    raw[np.arange(count), truth] += 1.0
    shares = np.exp(raw)
    return shares / shares.sum(axis=1, keepdims=True), truth


def metrics(probabilities: NDArray[np.float64], truth: NDArray[np.int64], seed: int = 0) -> Evaluation:
    return evaluate(probabilities, np.eye(4, dtype=bool)[truth], CLASSES, np.arange(len(truth)) // 3, seed=seed)


@needs("sklearn")
@pytest.mark.parametrize("seed", range(4))
def test_figures_by_genre_are_those_of_scikit_learn(seed: int) -> None:
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

    probabilities, truth = predictions(300, seed)
    predicted = probabilities.argmax(axis=1)
    found = metrics(probabilities, truth)

    precision, recall, f1, support = precision_recall_fscore_support(truth, predicted, labels=range(4))
    assert [row.precision for row in found.genres] == pytest.approx(precision.tolist())
    assert [row.recall for row in found.genres] == pytest.approx(recall.tolist())
    assert [row.f1 for row in found.genres] == pytest.approx(f1.tolist())
    assert [row.support for row in found.genres] == support.tolist()
    assert np.array_equal(found.matrix, confusion_matrix(truth, predicted, labels=range(4)))
    assert found.accuracy.value == pytest.approx(accuracy_score(truth, predicted))
    assert found.macro_f1.value == pytest.approx(f1_score(truth, predicted, average="macro"))


@needs("sklearn")
def test_the_balanced_accuracy_is_that_of_scikit_learn_where_every_genre_has_enough_rows() -> None:
    from sklearn.metrics import balanced_accuracy_score

    probabilities, truth = predictions(200, seed=7)
    theirs = balanced_accuracy_score(truth, probabilities.argmax(axis=1))
    assert balanced_accuracy(probabilities, np.eye(4, dtype=bool)[truth]) == pytest.approx(theirs)


def test_rows_of_two_genres_do_not_count_in_the_balanced_accuracy() -> None:
    labels = np.repeat(np.eye(2, dtype=bool), 5, axis=0)
    probabilities = np.tile([0.8, 0.2], (10, 1))
    both = np.ones((50, 2), dtype=bool)
    alone = balanced_accuracy(probabilities, labels)
    assert balanced_accuracy(np.tile([0.8, 0.2], (60, 1)), np.concatenate([labels, both])) == alone == 0.5


@needs("sklearn")
def test_the_share_that_is_right_on_the_coverage_curve_is_a_precision() -> None:
    from sklearn.metrics import precision_score

    probabilities, truth = predictions(250, seed=3)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    for point in metrics(probabilities, truth).curve:
        if point.count:
            theirs = precision_score(right, confidence >= point.confidence)
            assert point.precision == pytest.approx(theirs)
            assert point.coverage == pytest.approx(point.count / 250)


def test_nobody_is_surer_than_certain_and_such_a_level_has_no_precision() -> None:
    point = coverage(np.array([0.4, 0.9]), np.array([True, True]), 0.95)
    assert (point.count, point.coverage) == (0, 0.0)
    assert np.isnan(point.precision)
    assert coverage(np.array([0.4, 0.9]), np.array([True, False]), 0.9).count == 1  # the level itself is within


def test_the_calibration_error_follows_from_the_reliability_diagram() -> None:
    probabilities, truth = predictions(400, seed=1)
    found = metrics(probabilities, truth)
    gaps = sum(point.count * abs(point.confidence - point.precision) for point in found.reliability)
    assert sum(point.count for point in found.reliability) == 400
    assert found.ece.value == pytest.approx(gaps / 400)


def test_full_certainty_falls_in_the_last_step_of_confidence() -> None:
    assert expected_calibration_error(np.ones(4), np.array([True, True, True, False])) == pytest.approx(0.25)
    assert expected_calibration_error(np.array([0.95, 1.0]), np.array([True, True])) == pytest.approx(0.025)


@given(st.integers(5, 60), st.integers(0, 2**31))
@settings(max_examples=15)
def test_the_order_of_the_rows_does_not_matter(count: int, seed: int) -> None:
    probabilities, truth = predictions(count, seed)
    order = np.random.default_rng(seed).permutation(count)
    groups = np.arange(count) // 3
    labels = np.eye(4, dtype=bool)[truth]
    found = evaluate(probabilities, labels, CLASSES, groups)
    again = evaluate(probabilities[order], labels[order], CLASSES, groups[order])
    assert again.matrix == found.matrix
    assert again.confusions == found.confusions
    for one, other in ((found.accuracy, again.accuracy), (found.macro_f1, again.macro_f1), (found.ece, again.ece)):
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))


def test_genres_in_another_order_have_the_same_figures() -> None:
    probabilities, truth = predictions(200, seed=2)
    labels = np.eye(4, dtype=bool)[truth]
    order = [2, 0, 3, 1]
    found = evaluate(probabilities, labels, CLASSES, np.arange(200))
    other = evaluate(probabilities[:, order], labels[:, order], tuple(CLASSES[n] for n in order), np.arange(200))
    by_name = {row.genre: row for row in other.genres}
    assert all(by_name[row.genre] == row for row in found.genres)
    assert (other.accuracy.value, other.ece.value) == pytest.approx((found.accuracy.value, found.ece.value))
    assert sorted(other.confusions) == sorted(found.confusions)


def test_other_numbers_for_the_artists_change_nothing_and_twice_the_rows_change_no_figure() -> None:
    probabilities, truth = predictions(120, seed=4)
    labels, groups = np.eye(4, dtype=bool)[truth], np.arange(120) // 4
    found = evaluate(probabilities, labels, CLASSES, groups)
    assert evaluate(probabilities, labels, CLASSES, groups * 17 + 5) == found
    twice = evaluate(
        np.concatenate([probabilities] * 2), np.concatenate([labels] * 2), CLASSES, np.concatenate([groups] * 2)
    )
    assert twice.accuracy == found.accuracy  # the same artists: no narrower interval either
    assert twice.artists == found.artists == 30
    assert twice.count == 240


def test_an_interval_holds_its_figure_and_depends_on_the_seed_alone() -> None:
    probabilities, truth = predictions(150, seed=5)
    found = metrics(probabilities, truth, seed=1)
    for interval in (found.accuracy, found.macro_f1):
        assert interval.low <= interval.value <= interval.high
        assert interval.low >= 0.0
        assert interval.high <= 1.0
    assert metrics(probabilities, truth, seed=1).accuracy == found.accuracy
    assert metrics(probabilities, truth, seed=2).accuracy != found.accuracy


def test_a_single_artist_leaves_no_room_for_chance() -> None:
    probabilities, truth = predictions(40)
    found = evaluate(probabilities, np.eye(4, dtype=bool)[truth], CLASSES, np.zeros(40, dtype=np.int64))
    assert found.artists == 1
    assert found.accuracy.low == found.accuracy.value == found.accuracy.high


def test_the_commonest_confusions_come_first_and_ten_are_enough() -> None:
    classes = tuple("abcd")
    pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
    truth = np.array([i for n, (i, _) in enumerate(pairs) for _ in range(n + 1)])
    called = np.array([j for n, (_, j) in enumerate(pairs) for _ in range(n + 1)])
    labels = np.eye(4, dtype=bool)
    found = evaluate(np.eye(4)[called] * 0.9 + 0.025, labels[truth], classes, np.arange(len(truth))).confusions
    assert [count for _, _, count in found] == list(range(12, 2, -1))
    assert found[0] == ("d", "c", 12)


def test_thresholds_are_stated_with_what_lies_above_them_and_json_repeats_them() -> None:
    probabilities, truth = predictions(100)
    labels = np.eye(4, dtype=bool)[truth]
    found = evaluate(probabilities, labels, CLASSES, np.arange(100), thresholds={"confident": 0.7, "never": 1.0})
    plain = json.loads(json.dumps(found.as_json(), allow_nan=False))
    (confident, point), (never, nothing) = plain["thresholds"]
    above = probabilities.max(axis=1) >= 0.7
    assert (confident, never) == ("confident", "never")
    assert point == {
        "confidence": 0.7,
        "coverage": pytest.approx(above.mean()),
        "precision": pytest.approx((probabilities.argmax(axis=1) == truth)[above].mean()),
    }
    assert nothing["precision"] is None


@pytest.mark.parametrize(("rows", "warned"), [(FEW - 1, True), (FEW, False)])
def test_a_genre_is_scarce_below_a_number_of_rows_that_carry_it(rows: int, warned: bool) -> None:
    truth = np.repeat([0, 1, 2, 3], [rows, 30, 30, 30])
    probabilities = np.eye(4)[truth] * 0.9 + 0.025
    assert any("Blues" in text for text in metrics(probabilities, truth).warnings) == warned
