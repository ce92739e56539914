"""Spectra and filters of neural front ends equal librosa's."""

from __future__ import annotations

import numpy as np
import pytest

from music_reclass.extractors import mel as frames


def test_power_frames_equal_librosas():
    librosa = pytest.importorskip("librosa")
    samples = np.random.default_rng(0).standard_normal(20_000).astype(np.float32)
    ours = frames.power_frames(samples, frames.hann(400), 160)
    theirs = np.abs(librosa.stft(samples, n_fft=400, hop_length=160, pad_mode="reflect")).T ** 2
    assert ours.dtype == np.float32
    assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_long_sounds_are_transformed_in_blocks_without_a_seam(monkeypatch):
    samples = np.random.default_rng(0).standard_normal((2, 9_000)).astype(np.float32)
    whole = frames.power_frames(samples, frames.hann(512), 256)
    monkeypatch.setattr(frames, "_BLOCK", 5)
    assert np.array_equal(frames.power_frames(samples, frames.hann(512), 256), whole)


def test_mel_filters_equal_librosas():
    librosa = pytest.importorskip("librosa")
    theirs = librosa.filters.mel(sr=16000, n_fft=400, n_mels=80, fmin=50, fmax=8000, htk=False, norm="slaney")
    assert np.allclose(frames.slaney_mel(16000, 400, 80, 50.0, 8000.0), theirs.T, atol=1e-7)
