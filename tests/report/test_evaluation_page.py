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
