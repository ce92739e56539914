"""Chunk by chunk MERT computes what it computes at once, with less memory."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from music_reclass.extractors import mert
from music_reclass.extractors.audio.synthesis import song
from music_reclass.extractors.device import Placement
from tests.extractors.small_models import small_mert


@pytest.fixture(autouse=True)
def _models(tmp_path, monkeypatch):
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_vector_computed_in_chunks_is_the_vector(precision):
    extractor = small_mert(placement=Placement("cpu", "", precision))
    windows = list(extractor.windows(song(seed=3, seconds=10, rate=mert.RATE).mean(axis=1)))
    whole = np.stack(list(extractor.network.map(windows)))
    for chunks in (4, 16):
        rows = np.stack(extractor.network._in_chunks(chunks, windows))
        cosines = (rows * whole).sum(1) / np.linalg.norm(rows, axis=1) / np.linalg.norm(whole, axis=1)
        assert (cosines > (0.999999 if precision == "fp32" else 0.9999)).all()
    assert extractor.network.chunked == 4
