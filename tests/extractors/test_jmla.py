"""OpenJMLA as an extractor: one window of half a minute, three of a whole file."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from music_reclass.extractors.mel import JMLA
from tests.extractors.small_models import small_jmla


@pytest.fixture(autouse=True)
def _models(tmp_path, monkeypatch):
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path))


def noise(seconds):
    return (0.1 * np.random.default_rng(0).standard_normal(int(seconds * JMLA.rate))).astype(np.float32)


@pytest.mark.parametrize(("excerpt", "seconds", "windows"), [("mid30", 30, 1), ("mid30", 2, 1), ("full", 40, 1),
                                                              ("full", 200, 3)])  # fmt: skip
def test_the_number_of_windows(excerpt, seconds, windows):
    assert small_jmla(excerpt).windows(noise(seconds)).shape == (windows, 80, 2992)


def test_the_vector_is_the_mean_over_windows():
    extractor = small_jmla("full")
    cut = extractor.windows(noise(100))
    rows = np.stack(list(extractor.network.map(cut)))
    assert np.allclose(extractor.vector(noise(100)), rows.mean(axis=0), atol=1e-6)
