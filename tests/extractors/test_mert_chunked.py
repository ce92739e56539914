"""Chunk by chunk MERT computes what it computes at once, with less memory."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from music_reclass.extractors import mert  # noqa: E402
from music_reclass.extractors.audio.synthesis import song  # noqa: E402
from music_reclass.extractors.device import Placement  # noqa: E402
from music_reclass.extractors.mert import chunked_convolutions  # noqa: E402
from tests.extractors.small_models import CONFIG, random_hubert, small_mert  # noqa: E402


@pytest.fixture(autouse=True)
def _models(tmp_path, monkeypatch):
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path))


@pytest.mark.parametrize("chunks", [1, 2, 4, 7, 16, 1000])
@pytest.mark.parametrize("samples", [mert.WINDOW, mert.SHORTEST, 31_337])
def test_the_features_are_those_of_the_whole_window(chunks, samples):
    model = random_hubert()
    waves = torch.from_numpy(np.stack([song(seed=n, seconds=5, rate=mert.RATE).mean(axis=1) for n in range(2)]))
    waves = waves[:, :samples].float()
    with torch.inference_mode():
        whole = model.feature_extractor(waves)
        with chunked_convolutions(model, chunks):
            again = model.feature_extractor(waves)
        assert torch.equal(model.feature_extractor(waves), whole)
    assert again.shape == whole.shape
    assert torch.allclose(again, whole, atol=1e-5)


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


def test_a_model_with_another_norm_counts_as_not_fitting():
    model = random_hubert(CONFIG | {"feat_extract_norm": "layer", "conv_bias": True})
    with pytest.raises(MemoryError), chunked_convolutions(model, 4):
        pass
