"""A class prior: estimated from unlabelled probabilities it comes near the truth, and few votes are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.domain import Vote
from music_reclass.errors import BundleError, NothingToDo
from music_reclass.models.priors import (
    FEWEST,
    ClassPrior,
    estimated,
    prior_of_votes,
    reweighed,
    trained_frequency,
)

GENRES = ("Jazz", "Pop", "Rock")
EVEN = dict.fromkeys(GENRES, 1 / 3)


def posterior(shares: np.ndarray, count: int, seed: int = 0, apart: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Genres drawn by `shares`, and exact posteriors of a Gaussian measurement under even frequencies."""
    generator = np.random.default_rng(seed)
    genres = generator.choice(3, count, p=shares)
    seen = apart * np.eye(3)[genres] + generator.normal(size=(count, 3))
    scores = np.exp(apart * seen)
    return genres, scores / scores.sum(axis=1, keepdims=True)


def test_the_frequencies_of_a_library_of_one_genre_are_found_without_labels() -> None:
    truth = np.array([0.8, 0.1, 0.1])
    genres, probabilities = posterior(truth, 3000)
    even = np.full(3, 1 / 3)
    found = estimated(probabilities, even)
    assert found == pytest.approx(truth, abs=0.08)
    before = (probabilities.argmax(axis=1) == genres).mean()
    after = (reweighed(probabilities, found, even).argmax(axis=1) == genres).mean()
    assert after > before + 0.05


def test_a_library_like_the_training_stays_as_it_is() -> None:
    even = np.full(3, 1 / 3)
    _, probabilities = posterior(even, 3000)
    assert estimated(probabilities, even) == pytest.approx(even, abs=0.03)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0.05, 1.0), min_size=3, max_size=3), st.integers(0, 1000))
def test_no_label_ever_vanishes_and_the_shares_sum_to_one(weights: list[float], seed: int) -> None:
    frequency = np.array(weights) / sum(weights)
    probabilities = np.random.default_rng(seed).dirichlet([0.3, 0.3, 0.001], 250)
    found = estimated(np.clip(probabilities, 1e-9, 1.0), frequency)
    assert found.sum() == pytest.approx(1.0)
    assert (found >= 0.09 * frequency).all()  # a tenth of the rows is added as the training was


def test_the_order_of_the_rows_does_not_matter() -> None:
    _, probabilities = posterior(np.array([0.6, 0.3, 0.1]), 300)
    turned = probabilities[np.random.default_rng(1).permutation(300)]
    assert estimated(turned, np.full(3, 1 / 3)) == pytest.approx(estimated(probabilities, np.full(3, 1 / 3)), abs=1e-9)


def votes(count: int, stage: str = "cheap") -> list[Vote]:
    _, probabilities = posterior(np.array([0.8, 0.1, 0.1]), count)
    return [Vote(stage, dict(zip(GENRES, row.tolist(), strict=True))) for row in probabilities]


def test_few_votes_are_refused_with_what_is_missing() -> None:
    with pytest.raises(NothingToDo, match=rf"the votes on 12 tracks; {FEWEST} are the least"):
        prior_of_votes(votes(12), {"cheap": EVEN})
    with pytest.raises(NothingToDo, match="the votes on 0 tracks"):
        prior_of_votes(votes(500, stage="another"), {"cheap": EVEN})


def test_the_prior_of_votes_names_the_commonest_genre_and_is_rounded() -> None:
    found = prior_of_votes(votes(800), {"cheap": EVEN})
    assert found.tracks == 800
    assert found.shares["Jazz"] > 0.65
    assert all(round(share, 2) == share for share in found.shares.values())
    assert found.sentence().startswith("Jazz ")
    assert "800 tracks" in found.sentence()
    both = prior_of_votes([*votes(400), *votes(400, stage="costly")], {"cheap": EVEN, "costly": EVEN})
    assert both.shares["Jazz"] == pytest.approx(found.shares["Jazz"], abs=0.05)


def test_votes_of_a_stage_trained_on_other_frequencies_are_put_right() -> None:
    skewed = {"Jazz": 0.6, "Pop": 0.2, "Rock": 0.2}
    rows = np.array([[one.probabilities[genre] for genre in GENRES] for one in votes(800)])
    weighed = rows * np.array([skewed[genre] for genre in GENRES])
    weighed /= weighed.sum(axis=1, keepdims=True)
    costly = [Vote("costly", dict(zip(GENRES, row.tolist(), strict=True))) for row in weighed]
    mixed = prior_of_votes([*votes(801), *costly], {"cheap": EVEN, "costly": skewed})
    assert mixed.shares["Jazz"] == pytest.approx(prior_of_votes(votes(800), {"cheap": EVEN}).shares["Jazz"], abs=0.04)


def test_a_genre_that_is_not_named_keeps_its_part_of_the_rest() -> None:
    trained = {"Jazz": 0.2, "Pop": 0.2, "Rock": 0.6}
    vote = ClassPrior({"Jazz": 0.6}).vote(GENRES, trained)
    shares = {genre: vote.probabilities[genre] * trained[genre] for genre in GENRES}
    total = sum(shares.values())
    assert shares["Jazz"] / total == pytest.approx(0.6, abs=0.01)
    assert shares["Rock"] / shares["Pop"] == pytest.approx(3.0)


def test_the_prior_of_the_training_changes_nothing_and_none_makes_a_genre_impossible() -> None:
    trained = {"Jazz": 0.2, "Pop": 0.2, "Rock": 0.6}
    same = ClassPrior(trained).vote(GENRES, trained).probabilities
    assert list(same.values()) == pytest.approx([1 / 3] * 3)
    assert min(ClassPrior({"Jazz": 1.0}).vote(GENRES, trained).probabilities.values()) > 0.0
    assert ClassPrior({"Jazz": 3.0, "Pop": 3.0}).vote(GENRES, trained).probabilities["Rock"] > 0.0


@pytest.mark.parametrize(
    "frequency",
    [{"Jazz": 0.5}, {"Jazz": "x", "Pop": 0, "Rock": 0}, 5, dict.fromkeys(GENRES, -1), dict.fromkeys(GENRES, 0)],
)
def test_a_frequency_that_makes_no_sense_is_refused(frequency: Any) -> None:
    with pytest.raises(BundleError, match="makes no sense"):
        trained_frequency({"frequency": frequency}, GENRES, GENRES)


def test_without_a_frequency_all_labels_were_equally_frequent_and_labels_of_one_genre_add_up() -> None:
    assert trained_frequency({}, GENRES, GENRES) == pytest.approx(EVEN)
    assert trained_frequency({}, GENRES, ("Jazz", "Jazz", "Rock")) == pytest.approx({"Jazz": 2 / 3, "Rock": 1 / 3})
