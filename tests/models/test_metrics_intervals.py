"""The account of predictions: figures by hand on tiny cases, intervals by artist, a page that stands alone."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from music_reclass.models.metrics import Evaluation, evaluate
from music_reclass.report.evaluation_page import page

CLASSES = ("Rock", "Jazz", "Folk")


def sure(*genres: int, confidence: float = 0.8) -> NDArray[np.float64]:
    """Predictions that give the named genres this confidence."""
    rows = np.full((len(genres), len(CLASSES)), (1 - confidence) / 2)
    rows[np.arange(len(genres)), genres] = confidence
    return rows


def sets(*genres: tuple[int, ...]) -> NDArray[np.bool_]:
    labels = np.zeros((len(genres), len(CLASSES)), dtype=np.bool_)
    for row, own in zip(labels, genres, strict=True):
        row[list(own)] = True
    return labels


def account(predicted: tuple[int, ...], labels: NDArray[np.bool_]) -> Evaluation:
    return evaluate(sure(*predicted), labels, CLASSES, np.arange(len(predicted)), "a test")


def test_precision_recall_and_confusions_are_those_counted_by_hand() -> None:
    found = account((0, 0, 1, 1), sets((0,), (1,), (1,), (1,)))

    rock, jazz, folk = found.genres
    assert (rock.support, rock.predicted, rock.precision, rock.recall) == (1, 2, 0.5, 1.0)
    assert (jazz.support, jazz.predicted, jazz.precision, jazz.recall) == (3, 2, 1.0, pytest.approx(2 / 3))
    assert np.isnan(folk.f1)
    assert [(own.genre, own.called, own.count) for own in found.confusions] == [("Jazz", "Rock", 1)]
    assert found.accuracy.value == 0.75
    assert found.macro_f1.value == pytest.approx((2 / 3 + 0.8) / 2)
    assert found.ece.value == pytest.approx(0.05)
    assert found.matrix == ((1, 0, 0), (1, 2, 0), (0, 0, 0))


def test_a_prediction_within_the_label_set_is_right_and_counts_under_it() -> None:
    found = account((1, 2), sets((0, 1), (0, 1)))

    assert found.accuracy.value == 0.5
    assert found.genres[1].recall == 1.0
    assert found.genres[0].carried == 2
    assert found.genres[0].support == 1  # the miss counts under the likeliest of its own genres


def test_intervals_are_wider_where_few_artists_made_all_rows() -> None:
    generator = np.random.default_rng(0)
    right = np.repeat(generator.random(20) < 0.6, 10)
    labels = sets(*((0,) if own else (1,) for own in right))
    probabilities = sure(*([0] * 200))

    alone = evaluate(probabilities, labels, CLASSES, np.arange(200)).accuracy
    grouped = evaluate(probabilities, labels, CLASSES, np.repeat(np.arange(20), 10)).accuracy

    assert alone.value == grouped.value
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_scarce_and_absent_genres_are_warned_of() -> None:
    warnings = account((0, 1), sets((0,), (1,))).warnings

    assert "fewer than 20 rows: Rock, Jazz" in warnings[0]
    assert "no row of Folk" in warnings[1]


def test_json_holds_no_nan() -> None:
    text = json.dumps(account((0,), sets((0,))).as_json(), allow_nan=False)

    assert json.loads(text)["genres"][2]["precision"] is None


def test_the_page_needs_nothing_from_elsewhere_and_escapes_names() -> None:
    found = evaluate(sure(0, 1), sets((0,), (1,)), ("R&B", "<i>", "Folk"), np.arange(2), "me & <you>", ("watch <out>",))
    text = page(found)

    assert text.count("<svg") == 3
    assert "R&amp;B" in text
    assert "<i>" not in text
    assert "watch &lt;out&gt;" in text
    assert not any(word in text for word in ("<script", "http://", "https://", "src=", "<link", "@import"))
