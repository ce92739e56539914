"""Metrics of predictions: by hand on tiny cases, intervals by artist, quick for many artists."""

import json
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from music_reclass.models.metrics import Evaluation, balanced_accuracy, evaluate, mean_over_groups

CLASSES = ("Rock", "Jazz", "Folk")


def sure(*genres: int, confidence: float = 0.8) -> NDArray[np.float64]:
    """Predictions that give the named genres this confidence."""
    rows = np.full((len(genres), len(CLASSES)), (1 - confidence) / 2)
    rows[np.arange(len(genres)), genres] = confidence
    return rows


def sets(*genres: tuple[int, ...]) -> NDArray[np.bool_]:
    labels = np.zeros((len(genres), len(CLASSES)), dtype=np.bool_)
    for row, carried in zip(labels, genres, strict=True):
        row[list(carried)] = True
    return labels


def metrics(predicted: tuple[int, ...], labels: NDArray[np.bool_]) -> Evaluation:
    return evaluate(sure(*predicted), labels, CLASSES, np.arange(len(predicted)), title="a test")


def test_precision_recall_and_confusions_are_those_counted_by_hand() -> None:
    found = metrics((0, 0, 1, 1), sets((0,), (1,), (1,), (1,)))

    rock, jazz, folk = found.genres
    assert (rock.support, rock.predicted, rock.precision, rock.recall) == (1, 2, 0.5, 1.0)
    assert (jazz.support, jazz.predicted, jazz.precision, jazz.recall) == (3, 2, 1.0, pytest.approx(2 / 3))
    assert np.isnan(folk.f1)
    assert found.confusions == (("Jazz", "Rock", 1),)
    assert found.accuracy.value == 0.75
    assert found.macro_f1.value == pytest.approx((2 / 3 + 0.8) / 2)
    assert found.ece.value == pytest.approx(0.05)
    assert found.matrix == ((1, 0, 0), (1, 2, 0), (0, 0, 0))


def test_a_prediction_within_the_label_set_is_right_and_counts_under_it() -> None:
    found = metrics((1, 2), sets((0, 1), (0, 1)))

    assert found.accuracy.value == 0.5
    assert found.genres[1].recall == 1.0
    assert found.genres[0].carried == 2
    assert found.genres[0].support == 1  # the miss counts under the likeliest of its genres


def test_intervals_are_wider_where_few_artists_made_all_rows() -> None:
    generator = np.random.default_rng(0)
    right = np.repeat(generator.random(20) < 0.6, 10)
    labels = sets(*((0,) if one else (1,) for one in right))
    probabilities = sure(*([0] * 200))

    alone = evaluate(probabilities, labels, CLASSES, np.arange(200)).accuracy
    grouped = evaluate(probabilities, labels, CLASSES, np.repeat(np.arange(20), 10)).accuracy

    assert alone.value == grouped.value
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_scarce_and_absent_genres_are_warned_of() -> None:
    warnings = metrics((0, 1), sets((0,), (1,))).warnings

    assert "fewer than 20 rows: Rock, Jazz" in warnings[0]
    assert "no row of Folk" in warnings[1]


def test_rare_genres_are_named_once() -> None:
    notes = ("a sample", "fewer than 20 rows carry Rock: figures for them mean little")
    found = evaluate(sure(0, 1), sets((0,), (1,)), CLASSES, np.arange(2), warnings=notes).warnings

    assert [text.split(":")[0] for text in found][:2] == ["a sample", "fewer than 20 rows"]


def test_json_holds_no_nan() -> None:
    text = json.dumps(metrics((0,), sets((0,))).as_json(), allow_nan=False)

    assert json.loads(text)["genres"][2]["precision"] is None


def test_the_balanced_accuracy_gives_each_genre_the_same_weight() -> None:
    labels = np.repeat(np.eye(2, dtype=bool), [95, 5], axis=0)
    always_first = np.tile([0.9, 0.1], (100, 1))
    assert evaluate(always_first, labels, ("Pop", "Jazz"), np.arange(100)).accuracy.value == 0.95
    assert balanced_accuracy(always_first, labels) == pytest.approx(0.5)
    assert np.isnan(balanced_accuracy(always_first[:4], labels[:4]))


def test_coverage_falls_as_more_confidence_is_asked() -> None:
    generator = np.random.default_rng(1)
    curve = evaluate(generator.dirichlet(np.ones(3), 90), sets(*([(0,)] * 90)), CLASSES, np.arange(90)).curve
    coverages = [point.coverage for point in curve]
    assert coverages[0] == 1.0
    assert coverages == sorted(coverages, reverse=True)


def test_many_rows_of_many_artists_take_no_time() -> None:
    generator = np.random.default_rng(0)
    labels = np.eye(16, dtype=bool)[generator.integers(0, 16, 20_000)]
    begun = time.process_time()
    evaluate(
        generator.dirichlet(np.ones(16), 20_000), labels, tuple("abcdefghijklmnop"), generator.integers(0, 5000, 20_000)
    )
    assert time.process_time() - begun < 2.0


def test_a_mean_over_groups_is_as_uncertain_as_its_groups_are_few() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(0.2, 1.0, 400)
    alone = mean_over_groups(values, np.arange(400))
    together = mean_over_groups(np.repeat(values[:40], 10), np.repeat(np.arange(40), 10))
    assert alone.value == pytest.approx(values.mean())
    assert alone.low < alone.value < alone.high
    assert alone.high - alone.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.15)
    assert together.high - together.low > 2 * (alone.high - alone.low)
