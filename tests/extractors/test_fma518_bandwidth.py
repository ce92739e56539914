"""What was sampled at 16 kHz is known by its 518 features; music that only fades out upwards is not taken for it."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from music_reclass.extractors.fma518 import Fma518, bandwidth_of, is_band_limited

RATE = 44100


def noise(slope: float, seconds: float = 6.0) -> NDArray[np.float32]:
    """Noise whose spectrum falls by `slope` dB every 1,000 Hz."""
    random = np.random.default_rng(0)
    spectrum = np.fft.rfft(random.standard_normal(int(RATE * seconds)))
    hertz = np.linspace(0, RATE / 2, len(spectrum))
    sound = np.fft.irfft(spectrum * 10 ** (-slope * hertz / 20000))
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


def rows(*sounds: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.stack([Fma518("mid30").vector(np.round(sound * 32768) / np.float32(32768)) for sound in sounds])


def through(sound: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """The sound after it was sampled at a lower rate."""
    back: NDArray[np.float32] = soxr.resample(soxr.resample(sound, RATE, rate), rate, RATE)
    return back


@pytest.mark.parametrize("slope", [0.0, 1.0, 3.0])
def test_the_bandwidth_is_that_of_the_rate_that_was_sampled_at(slope: float) -> None:
    found = bandwidth_of(rows(*(through(noise(slope), rate) for rate in (16000, 22050, 32000))))
    assert found == pytest.approx([8000, 11025, 16000], rel=0.08)


def test_what_was_sampled_at_a_low_rate_is_band_limited_and_the_whole_is_not() -> None:
    whole, loud = noise(1.0), noise(3.0)
    quiet = np.float32(0.05) * through(whole, 16000)
    found = is_band_limited(
        rows(whole, loud, through(whole, 22050), through(whole, 16000), through(loud, 16000), quiet)
    )
    assert found.tolist() == [False, False, False, True, True, True]


def test_sound_that_fades_out_is_not_band_limited() -> None:
    fading = rows(noise(6.0))
    assert bandwidth_of(fading)[0] < 14000
    assert not is_band_limited(fading)[0]


def test_each_row_is_judged_by_itself() -> None:
    together = rows(noise(1.0), through(noise(1.0), 16000))
    assert np.array_equal(bandwidth_of(together), [bandwidth_of(row[None])[0] for row in together])
    assert is_band_limited(together[:0]).shape == (0,)
