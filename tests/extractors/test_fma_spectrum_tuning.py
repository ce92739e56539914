"""Tuning is estimated from the peaks of a spectrogram."""

from __future__ import annotations

import numpy as np
import pytest

from music_reclass.extractors.fma_spectrum import Tuning, spectral_frames
from tests.extractors.synthetic_signals import RATE


def tone(semitones: float) -> np.ndarray:
    time = np.arange(2 * RATE) / RATE
    partials = [440.0 * 2 ** ((note + semitones) / 12) for note in (0, 4, 7, 12)]
    return (0.1 * sum(np.sin(2 * np.pi * f * time) for f in partials)).astype(np.float32)


@pytest.mark.parametrize("semitones", [-0.3, 0.0, 0.2])
def test_a_detuned_chord_is_heard_as_detuned(semitones: float) -> None:
    _, tuning = spectral_frames(tone(semitones))
    assert tuning == pytest.approx(semitones, abs=0.05)


def test_nothing_to_hear_is_in_tune() -> None:
    tuning = Tuning()
    tuning.add(np.zeros((3, 1025), np.float32))
    assert tuning.magnitude() == 0.0
    assert tuning.power() == 0.0


def test_blocks_do_not_change_what_is_heard() -> None:
    magnitudes = np.random.default_rng(2).random((60, 1025)).astype(np.float32)
    whole, parts = Tuning(), Tuning()
    whole.add(magnitudes)
    for start in range(0, 60, 7):
        parts.add(magnitudes[start : start + 7])
    assert (whole.magnitude(), whole.power()) == (parts.magnitude(), parts.power())
