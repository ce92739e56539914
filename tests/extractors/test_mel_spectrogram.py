"""The spectrogram of a plot shows a tone at its frequency and silence as silence."""

import numpy as np
import pytest

from music_reclass.extractors.mel import PLOT_FLOOR, PLOT_HOP, PLOT_MELS, plot_spectrogram

RATE = 44100


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(RATE * seconds)) / RATE)).astype(np.float32)


@pytest.mark.parametrize("hertz", [220.0, 1000.0, 6000.0])
def test_a_tone_lies_in_the_row_of_its_frequency(hertz: float) -> None:
    levels, bands = plot_spectrogram(tone(hertz), RATE)
    middle = levels[:, levels.shape[1] // 2]
    assert abs(int(middle.argmax()) - np.interp(hertz, bands, np.arange(len(bands)))) <= 1
    assert middle.max() == pytest.approx(0.0, abs=1.0)


def test_silence_is_all_at_the_floor() -> None:
    assert (plot_spectrogram(np.zeros(RATE, np.float32), RATE)[0] == PLOT_FLOOR).all()


def test_levels_stay_within_their_range() -> None:
    levels, bands = plot_spectrogram(tone(440.0, 2.5) * np.float32(1e-3), RATE)
    assert levels.shape == (PLOT_MELS, 1 + int(2.5 * RATE) // PLOT_HOP)
    assert levels.min() >= PLOT_FLOOR
    assert levels.max() <= 0.0
    assert (np.diff(bands) > 0).all()


def test_a_single_sample_is_enough() -> None:
    assert np.isfinite(plot_spectrogram(np.ones(1, np.float32), RATE)[0]).all()
