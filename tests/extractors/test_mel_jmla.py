"""OpenJMLA's log-mel: librosa's mel with the authors' arguments, their scaling, and their way with short clips."""

from __future__ import annotations

import numpy as np
import pytest

from music_reclass.extractors.mel import JMLA, centred_in_circle, jmla_input, log_mel


def noise(seconds, seed=0):
    return (0.2 * np.random.default_rng(seed).standard_normal(int(seconds * JMLA.rate))).astype(np.float32)


def test_the_log_mel_equals_librosas_with_the_authors_arguments():
    librosa = pytest.importorskip("librosa")
    time = np.arange(5 * JMLA.rate) / JMLA.rate
    samples = (0.5 * np.sin(2 * np.pi * 440 * time * (1 + time)) + 0.01 * noise(5)).astype(np.float32)
    theirs = librosa.feature.melspectrogram(
        y=samples, sr=16000, n_fft=400, win_length=400, hop_length=160, n_mels=80, fmin=50, fmax=8000, center=True,
        power=2.0, pad_mode="reflect", htk=False, norm="slaney",
    )  # fmt: skip
    assert np.abs(log_mel(samples, JMLA).T - np.log(theirs + 1.1920929e-07)).max() < 1e-4


def test_half_a_minute_is_cut_to_2992_frames():
    samples = noise(30)
    assert log_mel(samples, JMLA).T.shape == (80, 3001)
    assert np.allclose(jmla_input(samples), (log_mel(samples, JMLA).T[:, :2992] + 4.5) / 4.5)


def test_a_short_clip_equals_its_tiled_form_around_the_middle():
    mel = np.arange(80 * 700, dtype=np.float32).reshape(80, 700)
    missing = 2992 - 700
    wanted = np.pad(mel, ((0, 0), (missing // 2, missing - missing // 2)), mode="wrap")
    assert np.array_equal(centred_in_circle(mel, 2992), wanted)


def test_loud_noise_lies_in_the_range_that_music_has():
    normalised = jmla_input(noise(10))
    assert normalised.dtype == np.float32
    assert -2.5 < normalised.min() < normalised.max() < 2.5
