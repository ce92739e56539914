"""Each version changes what it says and nothing else, the same way every time."""

import numpy as np
import pytest
from numpy.typing import NDArray

from music_reclass.extractors.audio.synthesis import song
from music_reclass.training.augment import AUGMENTATIONS, augment

RATE = 44100
TUNE = song(seed=1, seconds=6).mean(axis=1).astype(np.float32)


def tone(seconds: float = 4.0, pitch: float = 440.0) -> NDArray[np.float32]:
    return (0.3 * np.sin(2 * np.pi * pitch * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def pitch_of(samples: NDArray[np.float32]) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * RATE / len(samples))


def loudness(samples: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_version_is_the_same_every_time_and_in_int16_steps(name: str) -> None:
    first, again, other = (augment(name, TUNE, RATE, source) for source in ("a", "a", "b"))

    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, np.rint(first * 32768) / 32768)
    assert np.isfinite(first).all()
    assert loudness(other) > 0


def test_stretching_keeps_the_pitch_and_changes_the_length() -> None:
    out = augment("stretch", tone(), RATE, "a")

    assert pitch_of(out) == pytest.approx(440, abs=2)
    assert 0.9 <= len(out) / len(tone()) <= 1.12
    assert len(out) != len(tone())
    assert loudness(out) == pytest.approx(loudness(tone()), rel=0.1)


def test_shifting_the_pitch_keeps_the_length() -> None:
    out = augment("pitch", tone(), RATE, "a")
    semitones = 12 * np.log2(pitch_of(out) / 440)

    assert abs(len(out) - len(tone())) < 0.02 * len(tone())
    assert abs(semitones) == pytest.approx(round(abs(semitones)), abs=0.1)
    assert round(abs(semitones)) in (1, 2)


def test_noise_gain_and_excerpt_do_as_they_say() -> None:
    noise = augment("noise", TUNE, RATE, "a") - TUNE
    assert -36 < 20 * np.log10(loudness(noise) / loudness(TUNE)) < -19
    assert -12.1 < 20 * np.log10(loudness(augment("gain", TUNE, RATE, "a")) / loudness(TUNE)) < -2.9
    assert len(augment("excerpt", tone(20), RATE, "a")) == 10 * RATE
    assert len(augment("excerpt", tone(6), RATE, "a")) == 5 * RATE


def test_a_low_pass_and_an_mp3_take_the_top_away() -> None:
    hiss = (0.1 * np.random.default_rng(0).standard_normal(4 * RATE)).astype(np.float32)

    def above(samples: NDArray[np.float32], frequency: float) -> float:
        spectrum = np.abs(np.fft.rfft(samples)) ** 2
        return float(spectrum[int(frequency * len(samples) / RATE) :].sum() / spectrum.sum())

    assert above(augment("lowpass", hiss, RATE, "a"), 11500) < 0.01 < above(hiss, 11500)
    out = augment("mp3", hiss, RATE, "a")
    assert above(out, 18000) < 0.01 < above(hiss, 18000)
    assert abs(len(out) - len(hiss)) <= 2304
