"""Spectra and filters of neural front ends equal librosa's."""

from __future__ import annotations

import numpy as np
import pytest

from music_reclass.extractors import mel
from music_reclass.extractors.mel import centred_frames, hann, mel_filters, power


def power_frames(samples, size, hop):
    return power(centred_frames(samples, size, hop), hann(size).astype(np.float32), size)


def test_power_frames_equal_librosas():
    librosa = pytest.importorskip("librosa")
    samples = np.random.default_rng(0).standard_normal(20_000).astype(np.float32)
    ours = power_frames(samples, 400, 160)
    theirs = np.abs(librosa.stft(samples, n_fft=400, hop_length=160, pad_mode="reflect")).T ** 2
    assert ours.dtype == np.float32
    assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_long_sounds_are_transformed_in_blocks_without_a_seam(monkeypatch):
    samples = np.random.default_rng(0).standard_normal((2, 9_000)).astype(np.float32)
    whole = power_frames(samples, 512, 256)
    monkeypatch.setattr(mel, "_BLOCK", 5)
    assert np.array_equal(power_frames(samples, 512, 256), whole)


def test_mel_filters_equal_librosas():
    librosa = pytest.importorskip("librosa")
    theirs = librosa.filters.mel(sr=16000, n_fft=400, n_mels=80, fmin=50, fmax=8000, htk=False, norm="slaney")
    assert np.allclose(mel_filters("slaney", 16000, 400, (80, 50.0, 8000.0)), theirs.T, atol=1e-7)


def test_the_symmetric_window_is_numpys():
    assert np.allclose(hann(400, periodic=False), np.hanning(400), atol=1e-15)


def test_kaldis_filters_have_height_one_and_leave_out_the_last_bin():
    filters = mel_filters("kaldi", 16000, 512, (128, 20.0, 8000.0))
    assert filters.shape == (257, 128)
    assert filters.max() <= 1.0
    assert (filters[-1] == 0).all()
