"""Calibrated confidences foretell hits."""

import numpy as np
import pytest

from music_reclass.models.calibration import Calibration, fit, hits
from music_reclass.models.metrics import expected_calibration_error


def _overconfident(count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(count, 4)) * 1.5
    honest = Calibration()(scores)
    truth = (honest.cumsum(axis=1) > generator.random((count, 1))).argmax(axis=1)
    return 3.0 * scores, np.eye(4, dtype=bool)[truth]


def test_an_overconfident_model_is_cooled_until_its_confidence_is_true() -> None:
    scores, labels = _overconfident()
    found = fit(scores, labels)
    assert 2.5 < found.temperature < 3.5
    before, after = Calibration()(scores), found(scores)
    right = hits(after, labels)
    assert expected_calibration_error(before.max(axis=1), right) > 0.1
    assert expected_calibration_error(after.max(axis=1), right) < 0.03


def test_calibration_never_changes_the_first_label() -> None:
    scores = np.random.default_rng(1).normal(size=(100, 5))
    for calibration in (Calibration(0.5, 0.2), Calibration(3.0), Calibration()):
        assert np.array_equal(calibration(scores).argmax(axis=1), scores.argmax(axis=1))
        assert np.allclose(calibration(scores).sum(axis=1), 1.0)


def test_the_uniform_floor_caps_the_confidence() -> None:
    sure = np.array([[50.0, 0.0]])
    assert Calibration(1.0, 0.1)(sure).max() == pytest.approx(0.95)


def test_impossible_labels_keep_only_the_uniform_floor() -> None:
    assert Calibration(2.0)(np.array([[0.0, -np.inf]])).tolist() == [[1.0, 0.0]]


def test_a_hit_is_any_label_of_the_set() -> None:
    probabilities = np.array([[0.6, 0.4], [0.6, 0.4], [0.6, 0.4]])
    labels = np.array([[True, True], [True, False], [False, True]])
    assert hits(probabilities, labels).tolist() == [True, True, False]


def test_the_calibration_error_of_a_known_case() -> None:
    confidence = np.array([0.95, 0.95, 0.55, 0.55])
    right = np.array([True, False, True, False])
    assert expected_calibration_error(confidence, right) == pytest.approx((0.45 + 0.05) / 2)
    assert expected_calibration_error(np.array([1.0]), np.array([True])) == 0.0


@pytest.mark.parametrize(("temperature", "floor"), [(0.0, 0.0), (-1.0, 0.0), (float("nan"), 0.0), (1.0, 1.0)])
def test_a_senseless_calibration_cannot_be_made(temperature: float, floor: float) -> None:
    with pytest.raises(ValueError, match="temperature"):
        Calibration(temperature, floor)


def test_a_calibration_survives_its_manifest_under_the_words_that_it_always_had() -> None:
    calibration = Calibration(1.5, 0.04)
    assert calibration.as_manifest() == {"temperature": 1.5, "doubt": 0.04}
    assert Calibration.from_manifest(calibration.as_manifest()) == calibration
    assert Calibration.from_manifest({}) == Calibration()
    with pytest.raises(ValueError, match="uniform floor"):
        Calibration.from_manifest({"temperature": 1.0, "floor": 0.1})
