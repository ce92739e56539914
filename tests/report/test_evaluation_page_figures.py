"""The page of an evaluation shows its figures, and a dash where there is nothing to say."""

from __future__ import annotations

from typing import Any

from music_reclass.models.metrics import Evaluation, GenreRow, Interval, Point
from music_reclass.report.evaluation_page import page

NAN = float("nan")
WHOLE = Interval(0.5, 0.4, 0.6)


def made(**changes: Any) -> str:
    """The page of an evaluation of nothing, but for `changes`."""
    nothing: dict[str, Any] = {
        "title": "fma-mlp", "count": 0, "artists": 0, "classes": (), "accuracy": WHOLE, "macro_f1": WHOLE,
        "ece": WHOLE, "genres": (), "confusions": (), "reliability": (), "curve": (), "matrix": (),
    }  # fmt: skip
    return page(Evaluation(**nothing | changes))


def test_every_figure_stands_with_its_interval() -> None:
    text = made(count=12_345, artists=1_234, accuracy=Interval(0.71234, 0.69, 0.73), ece=Interval(0.01, NAN, NAN))
    assert "12,345 rows of 1,234 artists" in text
    assert "<td>accuracy</td><td>0.712</td><td>[0.690, 0.730]</td>" in text
    assert "<td>ECE</td><td>0.010</td>" in text


def test_a_genre_that_was_never_predicted_has_a_dash_for_its_precision() -> None:
    text = made(genres=(GenreRow("Folk", 7, 5, 0, NAN, 0.0, NAN), GenreRow("Rock", 9, 9, 11, 0.818, 1.0, 0.9)))
    assert "<td>Folk</td><td>7</td><td>5</td><td>0</td><td>–</td><td>0.00</td><td>–</td>" in text
    assert "<td>Rock</td><td>9</td><td>9</td><td>11</td><td>0.82</td><td>1.00</td><td>0.90</td>" in text


def test_points_of_the_curve_without_a_row_are_left_out() -> None:
    text = made(curve=(Point(0.5, 10, 1.0, 0.7), Point(0.99, 0, 0.0, NAN)))
    assert text.count("<circle") == 1
    assert "nan" not in text


def test_dots_of_the_reliability_curve_say_how_many_rows_they_are() -> None:
    text = made(reliability=(Point(0.55, 40, 0.4, 0.5), Point(0.95, 60, 0.6, 0.9)))
    assert "<title>40 rows</title>" in text
    assert "<title>60 rows</title>" in text
    assert text.count("stroke-dasharray") == 1  # the diagonal, in this drawing alone


def test_thresholds_confusions_and_warnings_are_named() -> None:
    text = made(
        thresholds=(("confident", Point(0.8, 5, 0.25, 0.95)), ("likely", Point(0.99, 0, 0.0, NAN))),
        confusions=(("Rock", "Pop <3>", 12),),
        warnings=("few artists",),
    )
    assert "<td>confident</td><td>0.80</td><td>0.25</td><td>0.95</td>" in text
    assert "<td>likely</td><td>0.99</td><td>0.00</td><td>–</td>" in text
    assert "<td>Rock</td><td>Pop &lt;3&gt;</td><td>12</td>" in text
    assert "<p class='warn'>few artists</p>" in text


def test_without_thresholds_and_warnings_there_are_no_empty_tables() -> None:
    text = made()
    assert "<table></table>" not in text
    assert "class='warn'" not in text
    assert "<td>confident" not in text
