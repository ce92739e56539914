"""The spectral families against librosa 0.11, called with the arguments that keep 0.5.0's meaning."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from music_reclass.extractors import fma_spectrum
from music_reclass.extractors.fma518 import frame_features
from music_reclass.extractors.fma_spectrum import spectral_frames, zero_crossings
from tests.extractors.synthetic_signals import RATE, signals

UNCHANGED = (
    "chroma_stft",
    "mfcc",
    "spectral_bandwidth",
    "spectral_centroid",
    "spectral_contrast",
    "spectral_rolloff",
    "zcr",
)


@pytest.fixture(scope="module", params=["mix", "noise", "chord"])
def pair(request: pytest.FixtureRequest) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """Frame values of one signal, ours and librosa's, both (T, k)."""
    librosa = pytest.importorskip("librosa")
    samples = signals()[request.param]
    stft = np.abs(librosa.stft(samples, n_fft=2048, hop_length=512, pad_mode="reflect"))
    mel = librosa.feature.melspectrogram(sr=RATE, S=stft**2)
    theirs = {
        "chroma_stft": librosa.feature.chroma_stft(S=stft**2, n_chroma=12),
        "mfcc": librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=20),
        "spectral_bandwidth": librosa.feature.spectral_bandwidth(S=stft),
        "spectral_centroid": librosa.feature.spectral_centroid(S=stft),
        "spectral_contrast": librosa.feature.spectral_contrast(S=stft, n_bands=6),
        "spectral_rolloff": librosa.feature.spectral_rolloff(S=stft),
        "zcr": librosa.feature.zero_crossing_rate(samples, frame_length=2048, hop_length=512),
    }
    return frame_features(samples), {family: values.T for family, values in theirs.items()}


@pytest.mark.parametrize("family", UNCHANGED)
def test_seven_families_are_what_librosa_still_computes(
    pair: tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]], family: str
) -> None:
    ours, theirs = pair[0][family], pair[1][family]
    assert ours.shape == theirs.shape
    scale = 1e-3 * np.maximum(np.abs(theirs), 1e-3 * np.abs(theirs).max())
    assert (np.abs(ours - theirs) <= scale).mean() >= 0.999


def test_frames_beyond_those_kept_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = signals()["mix"]
    kept, tuning = spectral_frames(samples)
    monkeypatch.setattr(fma_spectrum, "_KEPT", 256)
    again, same_tuning = spectral_frames(samples)
    assert tuning == same_tuning
    for family, values in kept.items():
        np.testing.assert_allclose(again[family], values, rtol=1e-6, atol=1e-9)


def test_the_roll_off_sums_in_doubt_as_librosa_does() -> None:
    random = np.random.default_rng(1)
    block = np.zeros((500, fma_spectrum._PADDED), np.float32)
    block[3:, :1025] = random.random((497, 1025))
    block[1, :1025] = 1.0
    block[2, 1024] = 1.0
    running = np.cumsum(block[:, :1025], axis=1)
    expected = (running >= np.float32(0.85) * running[:, -1:]).argmax(axis=1)
    np.testing.assert_array_equal(fma_spectrum._rolloff(block, fma_spectrum._sums(block)[0]), expected)


def test_a_tone_crosses_zero_twice_a_period() -> None:
    time = np.arange(RATE) / RATE
    tone = np.sin(2 * np.pi * 1000 * time + 0.1).astype(np.float32)
    assert zero_crossings(tone)[4:-4].mean() == pytest.approx(2000 / RATE, rel=1e-2)


def test_silence_and_dither_below_1e_10_never_cross() -> None:
    almost = np.where(np.arange(5000) % 2, 5e-11, -5e-11).astype(np.float32)
    assert not zero_crossings(np.zeros(5000, np.float32)).any()
    assert not zero_crossings(almost).any()
