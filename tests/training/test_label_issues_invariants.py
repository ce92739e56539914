"""What the probability of a wrong label may depend on, and what a training set without suspects keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.training.label_issues import LabelIssues, label_issues


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
    wrong = np.array([0.2, 0.9, 0.5, 0.9, 0.499])
    found = LabelIssues(wrong, np.zeros(5, dtype=np.int64), np.zeros(5), 0.6, np.zeros((5, 2)))
    assert found.suspects().tolist() == [1, 3, 2]
    assert found.suspects(0.95).tolist() == []
    assert found.expected_precision(found.suspects()) == pytest.approx((0.9 + 0.9 + 0.5) / 3)
    assert np.isnan(found.expected_precision(found.suspects(0.95)))
