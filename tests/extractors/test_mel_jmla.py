"""OpenJMLA's picture: librosa's mel with the authors' arguments, their scaling, and their way with short clips."""

from __future__ import annotations

import numpy as np
import pytest

from music_reclass.extractors import mel as jmla_mel


def noise(seconds, seed=0):
    return (0.2 * np.random.default_rng(seed).standard_normal(int(seconds * jmla_mel.JMLA_RATE))).astype(np.float32)


def test_the_log_mel_equals_librosas_with_the_authors_arguments():
    librosa = pytest.importorskip("librosa")
    time = np.arange(5 * jmla_mel.JMLA_RATE) / jmla_mel.JMLA_RATE
    samples = (0.5 * np.sin(2 * np.pi * 440 * time * (1 + time)) + 0.01 * noise(5)).astype(np.float32)
    theirs = librosa.feature.melspectrogram(
        y=samples, sr=16000, n_fft=400, win_length=400, hop_length=160, n_mels=80, fmin=50, fmax=8000, center=True,
        power=2.0, pad_mode="reflect", htk=False, norm="slaney",
    )  # fmt: skip
    assert np.abs(jmla_mel.jmla_log_mel(samples) - np.log(theirs + 1.1920929e-07)).max() < 1e-4


def test_half_a_minute_is_cut_to_2992_frames():
    samples = noise(30)
    assert jmla_mel.jmla_log_mel(samples).shape == (80, 3001)
    assert np.allclose(jmla_mel.jmla_input(samples), (jmla_mel.jmla_log_mel(samples)[:, :2992] + 4.5) / 4.5)


def test_a_short_clip_equals_its_tiled_form_around_the_middle():
    mel = np.arange(80 * 700, dtype=np.float32).reshape(80, 700)
    missing = 2992 - 700
    wanted = np.pad(mel, ((0, 0), (missing // 2, missing - missing // 2)), mode="wrap")
    assert np.array_equal(jmla_mel.jmla_fitted(mel), wanted)


def test_loud_noise_lies_in_the_range_that_music_has():
    picture = jmla_mel.jmla_input(noise(10))
    assert picture.dtype == np.float32
    assert -2.5 < picture.min() < picture.max() < 2.5
