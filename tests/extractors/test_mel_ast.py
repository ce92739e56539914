"""The log-mel equals the one that transformers' own feature extractor makes without torchaudio."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from music_reclass.extractors.mel import AST, AST_SAMPLES, ast_input


def noise(count, seed=0):
    time = np.arange(count) / AST.rate
    tone = 0.3 * np.sin(2 * np.pi * 440 * time)
    return (tone + np.random.default_rng(seed).uniform(-0.2, 0.2, count)).astype(np.float32)


@pytest.mark.parametrize("count", [400, 50_000, 160_000, 200_000])
def test_it_is_what_transformers_makes(count):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("torch")
    if importlib.util.find_spec("torchaudio") is not None:
        pytest.skip("transformers would use torchaudio, which is installed here")
    theirs = transformers.ASTFeatureExtractor()(noise(count), sampling_rate=16000, return_tensors="np").input_values[0]
    np.testing.assert_allclose(ast_input(noise(count)), theirs, atol=1e-5)


def test_ten_seconds_fill_998_frames_and_the_rest_is_what_zeros_come_to():
    mel = ast_input(noise(AST_SAMPLES))
    assert mel.shape == (1024, 128)
    assert mel.dtype == np.float32
    assert np.ptp(mel[997]) > 0
    assert np.ptp(mel[998:]) == 0
    assert mel[998, 0] == pytest.approx(4.2677393 / (2 * 4.5689974))


def test_a_constant_offset_does_not_matter():
    np.testing.assert_allclose(ast_input(noise(16000) + np.float32(0.25)), ast_input(noise(16000)), atol=1e-3)
