"""The mel of Discogs-EffNet and MAEST is essentia's, of which a few numbers stand here, with librosa's filters."""

from __future__ import annotations

import numpy as np
import pytest

from music_reclass.extractors import mel
from music_reclass.extractors.mel import discogs_mel

BANDS = [0, 5, 10, 20, 30, 40, 60, 95]


def chirp():
    time = np.arange(16000) / 16000
    fading = 1 - 0.9 * (time % 0.25) * 4
    return (0.5 * np.sin(2 * np.pi * (200 * time + 1500 * time * time)) * fading).astype(np.float32)


def test_frames_of_a_chirp_are_those_of_essentia():
    """What TensorflowInputMusiCNN of essentia 2.1b6.dev1389 gives, to five digits."""
    found = discogs_mel(chirp())
    assert (found.dtype, found.shape) == (np.float32, (63, 96))
    at_the_edge = [4.15075, 5.36325, 3.63894, 2.1577, 1.44737, 0.89226, 0.20635, 0.01327]
    within = [0.0, 0.0, 0.00001, 0.00039, 0.43302, 0.78654, 0.0, 0.0]
    assert np.allclose(found[0, BANDS], at_the_edge, atol=3e-4)
    assert np.allclose(found[20, BANDS], within, atol=3e-4)


def test_the_filters_are_slaneys_and_the_compression_is_log10_of_one_and_ten_thousand_times_the_power():
    librosa = pytest.importorskip("librosa")
    from scipy.signal.windows import hann

    samples = chirp()
    power = librosa.feature.melspectrogram(
        y=samples, sr=16000, n_fft=512, hop_length=256, window=hann(512, sym=True), pad_mode="constant", n_mels=96,
        fmax=8000,
    )  # fmt: skip
    assert np.allclose(discogs_mel(samples), np.log10(1 + 1e4 * power).T, atol=1e-4)


def test_a_long_recording_is_computed_in_blocks_to_the_same_numbers(monkeypatch):
    whole = discogs_mel(chirp())
    monkeypatch.setattr(mel, "_LARGE_BLOCK", 7)
    assert np.array_equal(discogs_mel(chirp()), whole)


def test_silence_is_zero():
    assert not discogs_mel(np.zeros(1000, np.float32)).any()
