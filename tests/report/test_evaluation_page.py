"""The page of an evaluation stands alone."""

import numpy as np

from music_reclass.models.metrics import evaluate
from music_reclass.report.evaluation_page import page


def test_the_page_needs_nothing_from_elsewhere_and_escapes_names() -> None:
    probabilities, labels = np.full((2, 3), 0.1) + np.eye(3)[:2] * 0.7, np.eye(3, dtype=bool)[:2]
    found = evaluate(
        probabilities, labels, ("R&B", "<i>", "Folk"), np.arange(2), title="me & <you>", warnings=("watch <out>",)
    )
    text = page(found)

    assert text.count("<svg") == 3
    assert "R&amp;B" in text
    assert "<i>" not in text
    assert "watch &lt;out&gt;" in text
    assert not any(word in text for word in ("<script", "http://", "https://", "src=", "<link", "@import"))


def test_figures_are_shown_with_their_intervals_and_undefined_ones_as_a_dash() -> None:
    # three tracks of three artists; Folk is predicted for none and carried by none
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.7, 0.2, 0.1]])
    labels = np.eye(3, dtype=bool)[[0, 1, 1]]
    found = evaluate(probabilities, labels, ("Jazz", "Rock", "Folk"), np.arange(3), title="small")
    text = page(found)

    assert "3 rows of 3 artists" in text
    low, high = found.accuracy.low, found.accuracy.high
    assert f"<td>accuracy</td><td>0.667</td><td>[{low:.3f}, {high:.3f}]</td>" in text
    cells = ("Jazz", "1", "1", "2", "0.50", "1.00", "0.67")
    assert "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>" in text
    assert "<td>Folk</td><td>0</td><td>0</td><td>0</td><td>–</td><td>–</td><td>–</td>" in text
    assert "<td>Rock</td><td>Jazz</td><td>1</td>" in text  # the one confusion
