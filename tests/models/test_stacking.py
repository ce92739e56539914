"""The weights of a stack: as likely as the best of all tenths, and quickly found for many members."""

from __future__ import annotations

import time
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from music_reclass.models import calibration
from music_reclass.models.base import Estimator
from music_reclass.models.calibration import Calibration
from music_reclass.models.crossval import Scores
from music_reclass.models.dataset import Augmentations, Table
from music_reclass.models.linear import LinearModel
from music_reclass.models.stacking import (
    Extended,
    Selected,
    Stack,
    TranslatedModel,
    calibrated,
    combined,
    extended_estimator,
    learned_weights,
    member_weights,
    restored_extension,
    restored_selection,
    restored_stack,
    restored_translation,
    stacked,
    supported_labels,
    translated_estimator,
    translation,
)
from music_reclass.models.transforms import QuantileScale
from music_reclass.taxonomy import load
from tests.models.test_base import table

TAXONOMY = load()
Doubles = NDArray[np.float64]


def members(count: int, rows: int = 300, seed: int = 0) -> tuple[list[Doubles], NDArray[np.bool_]]:
    """Log-probabilities of `count` models of eight labels, each with errors of its own and some in common."""
    generator = np.random.default_rng(seed)
    labels = np.eye(8, dtype=bool)[generator.integers(0, 8, rows)]
    shared = generator.normal(size=(rows, 8))
    each = []
    for place in range(count):
        raw = labels * (1.0 + 0.3 * place) + 0.7 * shared + generator.normal(size=(rows, 8))
        each.append(raw - np.log(np.exp(raw).sum(axis=1, keepdims=True)))
    return each, labels


def likelihood(scores: list[Doubles], weights: tuple[float, ...], labels: NDArray[np.bool_]) -> float:
    likely = np.exp(combined(scores, weights))
    return float(np.log((likely * labels).sum(axis=1)).mean())


def walked(scores: list[Doubles], labels: NDArray[np.bool_]) -> float:
    """The best likelihood over all weights in tenths, by trying each."""
    temperatures = [calibration.fit(score, labels).temperature for score in scores]
    found = []
    for tenths in product(range(11), repeat=len(scores)):
        if sum(tenths) == 10:
            weights = tuple(number / 10 / t for number, t in zip(tenths, temperatures, strict=True))
            found.append(likelihood(scores, weights, labels))
    return max(found)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_no_weights_in_tenths_are_likelier_than_those_that_were_learned(count: int, seed: int) -> None:
    scores, labels = members(count, seed=seed)
    assert likelihood(scores, learned_weights(scores, labels), labels) >= walked(scores, labels) - 1e-12


def test_six_members_are_weighed_in_seconds_and_better_than_the_best_alone() -> None:
    scores, labels = members(6)
    begun = time.process_time()
    weights = learned_weights(scores, labels)
    assert time.process_time() - begun < 5.0  # a walk over 11 ** 6 tuples takes longer than that to count them
    alone = max(likelihood(scores, (0.0,) * n + (w,) + (0.0,) * (5 - n), labels) for n, w in enumerate(weights) if w)
    assert likelihood(scores, weights, labels) > alone


def test_the_weight_goes_to_the_member_that_knows() -> None:
    (good,), labels = members(1)
    guess = np.log(np.random.default_rng(0).dirichlet(np.ones(8), len(labels)))
    weights = learned_weights([guess, good], labels)
    assert weights[1] > 10 * weights[0]


def scores_of(each: list[Doubles], folds: int = 5) -> Scores:
    """Clean scores of every row, and a noisy version of each."""
    noise = np.random.default_rng(3).normal(scale=0.1, size=each[0].shape)
    versions = tuple(np.stack([score, score + noise], axis=1) for score in each)
    return Scores(np.arange(len(each[0])), versions, np.arange(len(each[0])) % folds, folds=True)


def linear(labels: int = 2, columns: int = 3) -> LinearModel:
    rows = np.random.default_rng(0).normal(size=(20, columns)).astype(np.float32)
    weights = np.eye(columns, labels, dtype=np.float32)
    return LinearModel("unchanged", QuantileScale.fit(rows), weights, np.zeros(labels, dtype=np.float32))


def test_a_single_member_needs_no_weighing() -> None:
    each, labels = members(1)
    assert member_weights(scores_of(each), labels, ["nets"]) == ((1.0,), ())


def test_the_labels_of_a_fold_do_not_change_its_stacked_scores() -> None:
    each, labels = members(2)
    scores = scores_of(each)
    before = stacked(scores, (0.5, 0.5), labels)
    other = labels.copy()
    other[scores.part == 2] = np.roll(other[scores.part == 2], 1, axis=1)
    after = stacked(scores, (0.5, 0.5), other)
    np.testing.assert_array_equal(before[scores.part == 2], after[scores.part == 2])
    assert not np.array_equal(before, after)


def test_the_best_member_alone_keeps_its_scores() -> None:
    each, labels = members(2)
    scores = scores_of(each)
    np.testing.assert_array_equal(stacked(scores, (0.0, 1.0), labels), scores.each[1])


def test_probabilities_for_the_figures_come_from_other_folds_than_the_calibration_that_is_shipped() -> None:
    each, labels = members(1)
    scores = scores_of(each)
    shipped, probabilities = calibrated(scores.each[0], labels, scores)
    assert probabilities.shape == scores.each[0].shape
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1.0)
    assert not np.array_equal(probabilities, shipped(scores.each[0]))


def test_a_wide_genre_is_shared_among_finer_ones_by_their_frequency() -> None:
    frequency = np.array([6.0, 2.0, 4.0])
    shares, spare = translation(("Rock", "Jazz", "Shoegaze"), ("Metal", "Grunge", "Jazz"), frequency, TAXONOMY)
    assert shares[0].tolist() == [0.75, 0.25, 0.0]
    assert shares[1].tolist() == [0.0, 0.0, 1.0]
    assert shares[2].tolist() == pytest.approx((frequency / 12).tolist())  # neither itself nor anything wider is wanted
    assert spare.sum() == pytest.approx(0.05)


def test_a_finer_genre_goes_to_the_nearest_wider_one() -> None:
    shares, _ = translation(("Shoegaze",), ("Rock", "Jazz"), np.ones(2), TAXONOMY)
    assert shares.tolist() == [[1.0, 0.0]]


def test_a_translated_model_speaks_the_labels_of_the_table() -> None:
    known = table()
    estimator = translated_estimator(linear(2, 518), Calibration(), ("Rock", "Jazz"), TAXONOMY)
    assert estimator.name == "base"
    probabilities = np.exp(estimator.fit(known, None).log_probabilities(known.rows))
    assert probabilities.shape == (len(known), len(known.classes))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert (probabilities > 0).all()


def test_a_damaged_stack_is_refused() -> None:
    model = Stack((linear(), linear()), (0.4, 0.6))
    description, arrays = model.description(), model.arrays()
    assert restored_stack(description, arrays, 3, 2).description() == description
    for wrong in ({"weights": [1.0]}, {"weights": [1.0, -1.0]}, {"members": [], "weights": []}):
        with pytest.raises(ValueError, match="one weight a member"):
            restored_stack({**description, **wrong}, arrays, 3, 2)


def test_a_selection_of_columns_that_do_not_exist_is_refused() -> None:
    model = Selected(("mfcc_mean_01", "mfcc_mean_02", "zcr_mean_01"), linear())
    description = model.description()
    assert restored_selection(description, model.arrays(), 518, 2).description() == description
    for names in ([], ["mfcc_mean_01"] * 3):
        with pytest.raises(ValueError, match="each once"):
            restored_selection({**description, "columns": names}, model.arrays(), 518, 2)
    with pytest.raises(KeyError):
        restored_selection({**description, "columns": ["nothing"]}, model.arrays(), 518, 2)


def test_a_translation_that_does_not_fit_is_refused() -> None:
    model = TranslatedModel(linear(), Calibration(), np.full((2, 3), 1 / 3), np.full(3, 0.1))
    description, arrays = model.description(), model.arrays()
    assert restored_translation(description, arrays, 3, 3).description() == description
    wrong = {"shares": np.full((2, 2), 0.5), "spare": np.zeros(3), "stray": np.zeros(1)}
    for name, array in wrong.items():
        with pytest.raises(ValueError, match="translat"):
            restored_translation(description, {**arrays, name: array}, 3, 3)


class Fixed:
    """A model that says the same of every row; an estimator that remembers what it was given."""

    def __init__(self, *shares: float) -> None:
        self.scores = np.log(np.array([shares]))
        self.classes: tuple[str, ...] = ()

    def log_probabilities(self, rows: NDArray[np.float32]) -> Doubles:
        return np.repeat(self.scores, len(rows), axis=0)

    def estimator(self) -> Estimator:
        def fit(given: Table, augmentations: Augmentations | None) -> Fixed:
            self.classes, self.labels = given.classes, given.labels
            return self

        return Estimator("fixed", fit)  # type: ignore[arg-type]


def test_labels_with_too_few_rows_stay_with_the_model_that_knows_them() -> None:
    labels = np.zeros((60, 4), dtype=bool)
    labels[:40, 0], labels[40:58, 1], labels[58:, 2] = True, True, True
    given = Table(("a",), np.zeros((60, 1), np.float32), ("A", "B", "C", "D"), labels, np.arange(60), np.full(60, ""))
    assert supported_labels(given) == (0, 1)
    head, base = Fixed(0.75, 0.25), Fixed(0.1, 0.1, 0.6, 0.2)
    model = extended_estimator(head.estimator(), base.estimator()).fit(given, None)
    assert head.classes == ("A", "B")
    assert head.labels.shape == (58, 2)
    assert base.classes == ("A", "B", "C", "D")
    found = np.exp(model.log_probabilities(given.rows[:1]))[0]
    assert found.sum() == pytest.approx(1.0)
    assert found[:2].sum() == pytest.approx(58 / 60, abs=1e-4)  # as the rows have it
    assert found[0] / found[1] == pytest.approx(3.0)
    assert found[2] / found[3] == pytest.approx(3.0)


def test_labels_that_are_named_are_left_to_the_model_that_knows_them() -> None:
    labels = np.eye(3, dtype=bool)[np.repeat([0, 1, 2], 20)]
    given = Table(("a",), np.zeros((60, 1), np.float32), ("A", "B", "C"), labels, np.arange(60), np.full(60, ""))
    head, base = Fixed(0.5, 0.5), Fixed(0.4, 0.3, 0.3)
    model = extended_estimator(head.estimator(), base.estimator(), ("B",)).fit(given, None)
    assert head.classes == ("A", "C")
    assert np.exp(model.log_probabilities(given.rows[:1]))[0] == pytest.approx(np.full(3, 1 / 3), abs=1e-4)


def test_few_artists_do_not_make_a_label_that_can_be_learned() -> None:
    labels = np.eye(2, dtype=bool)[np.repeat([0, 1], 40)]
    groups = np.concatenate([np.arange(40), np.repeat([100, 101], 20)])
    given = Table(("a",), np.zeros((80, 1), np.float32), ("A", "B"), labels, groups, np.full(80, ""))
    assert supported_labels(given) == (0,)
    base = Fixed(0.5, 0.5)
    assert extended_estimator(Fixed(1.0).estimator(), base.estimator()).fit(given, None) is base


def test_music_outside_the_learned_labels_is_never_reckoned_impossible() -> None:
    labels = np.zeros((60, 3), dtype=bool)
    labels[:30, 0], labels[30:, 1] = True, True
    given = Table(("a",), np.zeros((60, 1), np.float32), ("A", "B", "C"), labels, np.arange(60), np.full(60, ""))
    base = Fixed(0.3, 0.3, 0.4)
    model = extended_estimator(Fixed(0.5, 0.5).estimator(), base.estimator()).fit(given, None)
    assert np.exp(model.log_probabilities(given.rows[:1]))[0, 2] == pytest.approx(0.02, abs=1e-4)


def test_an_extended_model_comes_back_from_its_description() -> None:
    generator = np.random.default_rng(0)
    scale = QuantileScale(np.sort(generator.normal(size=(5, 2)), axis=0).astype(np.float32))

    def linear(labels: int) -> LinearModel:
        weights = generator.normal(size=(2, labels)).astype(np.float32)
        return LinearModel("unchanged", scale, weights, np.zeros(labels, np.float32))

    model = Extended(linear(2), linear(3), (0, 2), 1.5)
    rows = generator.normal(size=(9, 2)).astype(np.float32)
    back = restored_extension(model.description(), model.arrays(), 2, 3)
    assert np.array_equal(back.log_probabilities(rows), model.log_probabilities(rows))
    assert np.exp(model.log_probabilities(rows)).sum(axis=1) == pytest.approx(np.ones(9))
    for wrong in ({"learned": [2, 0]}, {"learned": [0, 3]}, {"learned": []}, {"shift": float("nan")}):
        with pytest.raises(ValueError, match="extended model"):
            restored_extension({**model.description(), **wrong}, model.arrays(), 2, 3)
