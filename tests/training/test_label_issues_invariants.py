"""What the probability of a wrong label may depend on, and what a training set without suspects keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.training.label_issues import LabelIssues, check_precision, label_issues


def opinions(count: int = 400, genres: int = 4, noise: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities of a good model, and labels of which a share was swapped; the first rows are the wrong ones."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, genres, count)
    scores = generator.normal(size=(count, genres))
    scores[np.arange(count), truth] += 4.0
    tagged = truth.copy()
    wrong = round(noise * count)
    tagged[:wrong] = (truth[:wrong] + generator.integers(1, genres, wrong)) % genres
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)), np.eye(genres, dtype=bool)[tagged]


def assert_equal(one: LabelIssues, other: LabelIssues) -> None:
    assert one.wrong == pytest.approx(other.wrong)
    assert one.chance == pytest.approx(other.chance)
    assert one.rate == pytest.approx(other.rate)


@given(st.integers(0, 1000))
@settings(max_examples=5, deadline=None)
def test_the_order_of_the_rows_does_not_matter(seed: int) -> None:
    scores, labels = opinions(120)
    order = np.random.default_rng(seed).permutation(120)
    found, again = label_issues(scores, labels), label_issues(scores[order], labels[order])
    assert again.wrong == pytest.approx(found.wrong[order])
    assert np.array_equal(again.suggested, found.suggested[order])


def test_genres_in_another_order_give_the_same_answer() -> None:
    scores, labels = opinions()
    order = np.array([2, 0, 3, 1])
    found, again = label_issues(scores, labels), label_issues(scores[:, order], labels[:, order])
    assert_equal(found, again)
    assert np.array_equal(order[again.suggested], found.suggested)


def test_a_library_copied_whole_is_as_wrong_as_it_was() -> None:
    scores, labels = opinions()
    twice = label_issues(np.concatenate([scores] * 2), np.concatenate([labels] * 2))
    found = label_issues(scores, labels)
    assert twice.wrong[:400] == pytest.approx(found.wrong, abs=1e-4)
    assert twice.rate == pytest.approx(found.rate, abs=1e-4)


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.15, 0.3])
def test_the_rate_is_about_the_share_of_wrong_tags(noise: float) -> None:
    found = label_issues(*opinions(2000, noise=noise))
    assert found.rate == pytest.approx(noise, abs=0.03)
    assert found.rate == pytest.approx(found.wrong.mean())
    if noise:
        wrong = np.arange(2000) < noise * 2000
        assert found.wrong[wrong].mean() > 0.8 > 0.1 > found.wrong[~wrong].mean()


def test_a_suggestion_is_never_a_label_that_the_row_has() -> None:
    scores, labels = opinions()
    labels = labels | np.eye(4, dtype=bool)[np.arange(400) % 4]  # some rows carry two genres
    found = label_issues(scores, labels)
    assert not labels[np.arange(400), found.suggested].any()
    assert (found.chance >= 0.0).all()
    assert (found.chance <= 1.0).all()


def test_the_less_the_model_gives_a_label_the_likelier_it_is_wrong() -> None:
    scores, labels = opinions(genres=2)  # of two, whose order no temperature changes
    found = label_issues(scores, labels)
    genre = labels[:, 1]  # of one genre, as the frequency of a genre counts too
    given = (np.exp(scores) * labels).sum(axis=1)[genre]
    order = np.argsort(given)
    assert (np.diff(found.wrong[genre][order]) <= 1e-9).all()


def test_suspects_come_in_the_order_of_the_evidence_and_ties_in_that_of_the_rows() -> None:
    wrong, none = np.array([0.2, 0.9, 0.5, 0.9, 0.499]), np.zeros((5, 2), dtype=bool)
    found = LabelIssues(wrong, np.zeros(5, dtype=np.int64), np.zeros(5), 0.6, np.zeros((5, 2)), none, none)
    assert found.suspects().tolist() == [1, 3, 2]
    assert found.suspects(0.95).tolist() == []
    assert found.expected_precision(found.suspects()) == pytest.approx((0.9 + 0.9 + 0.5) / 3)
    assert np.isnan(found.expected_precision(found.suspects(0.95)))


def test_what_lies_above_or_below_a_label_speaks_for_it_and_is_never_suggested() -> None:
    scores, labels = opinions()
    related = labels | np.roll(labels, 1, axis=1)  # each genre has one relative
    swapped = np.roll(scores, 1, axis=1)  # the models name the relative instead
    alone, kin = label_issues(swapped, labels), label_issues(swapped, labels, related)
    plain = (related & ~labels)[np.arange(400), swapped.argmax(axis=1)]
    assert plain.mean() > 0.8
    assert (kin.wrong[plain] < 0.5).all()
    assert (alone.wrong[plain] > kin.wrong[plain]).mean() > 0.9
    assert not related[np.arange(400), kin.suggested].any()


def test_a_row_whose_relatives_are_all_genres_has_no_suggestion_and_no_suspicion() -> None:
    scores, labels = opinions()
    related = labels.copy()
    related[7] = True
    found = label_issues(scores, labels, related)
    assert found.chance[7] == 0.0
    assert found.wrong[7] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("noise", [0.05, 0.1, 0.2])
def test_the_precision_measured_by_swaps_is_about_that_of_the_list(noise: float) -> None:
    found = label_issues(*opinions(2000, noise=noise))
    wrong = np.arange(2000) < noise * 2000
    for count in (20, round(noise * 2000), 400):
        first = np.argsort(-found.wrong, kind="stable")[:count]
        check = check_precision(found, count)
        assert check is not None
        assert check.precision == pytest.approx(wrong[first].mean(), abs=0.1)
        assert check.low <= check.precision <= check.high
        assert check.share == pytest.approx(found.rate, abs=1e-3)
        assert check_precision(found, count) == check


def test_the_bounds_of_a_short_list_are_wide() -> None:
    found = label_issues(*opinions(2000))
    short, long = check_precision(found, 5), check_precision(found, 150)
    assert short is not None
    assert long is not None
    assert short.high - short.low > 0.3 > long.high - long.low


def test_a_ranking_by_chance_is_measured_as_one() -> None:
    labels = np.eye(4, dtype=bool)[np.random.default_rng(1).integers(0, 4, 400)]
    scores = np.random.default_rng(2).normal(size=(400, 4))
    found = LabelIssues(
        np.full(400, 0.1), np.zeros(400, dtype=np.int64), np.zeros(400), 0.1, scores, labels, labels, (1.0, 0.1)
    )
    check = check_precision(found, 40)
    assert check is not None
    assert check.high < 0.5


def test_where_nothing_can_be_swapped_nothing_is_measured() -> None:
    labels = np.ones((30, 2), dtype=bool)
    assert check_precision(label_issues(np.log(np.full((30, 2), 0.5)), labels), 10) is None
