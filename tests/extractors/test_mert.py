"""MERT as an extractor: equal windows, the right layer, the right loudness."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from music_reclass.errors import FailTrack
from music_reclass.extractors import mert
from music_reclass.extractors.weights import store
from tests.extractors.small_models import CONFIG, ON_CPU, arrays, hidden_means, install, random_hubert, small_mert


@pytest.fixture(autouse=True)
def _models(tmp_path, monkeypatch):
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path))


def noise(seconds, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * mert.RATE))).astype(np.float32)


def test_the_vector_is_the_mean_of_layer_seven_over_frames_and_windows():
    import torch

    samples = noise(10)
    cut = mert.standardised(samples.reshape(2, mert.WINDOW))
    wanted = hidden_means(random_hubert(), torch.from_numpy(cut))[:, 7].mean(dim=0).numpy()
    assert np.allclose(small_mert().vector(samples), wanted, atol=1e-5)


def test_windows_have_mean_zero_and_variance_one_as_transformers_makes_them():
    from transformers import Wav2Vec2FeatureExtractor

    cut = 0.3 * noise(10).reshape(2, -1) + 0.1
    theirs = Wav2Vec2FeatureExtractor(feature_size=1, sampling_rate=24000, do_normalize=True)(
        list(cut), sampling_rate=24000, return_tensors="np"
    ).input_values
    assert np.allclose(mert.standardised(cut.astype(np.float32)), theirs, atol=1e-5)


def test_the_330m_takes_the_sound_as_it_is():
    settings = {"config.json": CONFIG, "preprocessor_config.json": {"do_normalize": False}}
    installed = install("mert", arrays(random_hubert()), settings)
    extractor = mert.Mert(mert.Variant("mert", 32, 7), "mid30", installed, ON_CPU)
    samples = noise(5)
    assert np.array_equal(extractor.windows(samples)[0], samples)
    assert "raw" in extractor.kind.version


def test_thirty_seconds_are_six_windows_and_a_whole_file_leaves_its_ends_out():
    assert small_mert().windows(noise(30)).shape == (6, mert.WINDOW)
    samples = np.full(100 * mert.RATE, 0.5, np.float32)
    samples[: 15 * mert.RATE] = samples[-15 * mert.RATE :] = -0.5
    extractor = small_mert("full")
    extractor._normalise = False
    assert (extractor.windows(samples) == 0.5).all()


def test_a_clip_a_little_short_of_half_a_minute_has_six_windows_as_a_whole_half_minute_has():
    extractor = small_mert()
    extractor._normalise = False
    clip = np.linspace(0.1, 0.9, round(29.98 * mert.RATE), dtype=np.float32)
    cut = extractor.windows(clip)
    assert cut.shape == (6, mert.WINDOW)
    assert (cut[0, 0], cut[-1, -1]) == (clip[0], clip[-1])
    assert extractor.windows(clip[: 29 * mert.RATE]).shape == (5, mert.WINDOW)
    assert extractor.windows(clip[: round(9.5 * mert.RATE)]).shape == (2, mert.WINDOW)


def test_a_sound_shorter_than_a_window_is_one_shorter_window_without_zeros():
    assert small_mert().windows(noise(3)).shape == (1, 3 * mert.RATE)
    assert small_mert().windows(noise(0.01)).shape == (1, mert.SHORTEST)


def test_silent_windows_do_not_count():
    samples = np.concatenate([noise(5), np.zeros(5 * mert.RATE, np.float32)])
    assert np.allclose(small_mert().vector(samples), small_mert().vector(samples[: mert.WINDOW]), atol=1e-6)


def test_numbers_that_are_not_finite_fail_the_track():
    with pytest.raises(FailTrack, match="unsupported"):
        small_mert().pool(np.full((2, 32), np.nan, np.float32))


def test_the_published_sizes_are_in_the_registry(monkeypatch):
    with pytest.raises(store.MissingWeights, match="mert-330m"):
        mert.mert_330m("mid30", ON_CPU)
    install("mert", {"any": np.zeros(1, np.float32)})
    install("mert-330m", {"any": np.zeros(1, np.float32)})
    kinds = [make("mid30", ON_CPU).kind for make in (mert.mert, mert.mert_330m)]
    assert [kind.dimension for kind in kinds] == [768, 1024]
    assert [kind.name for kind in kinds] == ["mert", "mert-330m"]
    assert kinds[0].version.startswith("2-l7-norm-")
    assert kinds[1].version.startswith("2-l10-raw-")
