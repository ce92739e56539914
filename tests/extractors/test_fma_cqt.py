"""The constant-Q transform finds notes, and its decimator keeps what lies below its cut."""

from __future__ import annotations

import numpy as np
import pytest

from music_reclass.extractors.fma_cqt import cqt_magnitude, decimate
from tests.extractors.synthetic_signals import RATE, signals


@pytest.mark.parametrize("note", [12, 33, 45, 60, 80])
def test_a_note_is_loudest_in_its_own_bin(note: int) -> None:
    frequency = 440.0 * 2 ** ((note - 45) / 12)  # bin 45 is A4 when bin 0 is C1
    samples = (0.3 * np.sin(2 * np.pi * frequency * np.arange(4 * RATE) / RATE)).astype(np.float32)
    magnitudes = cqt_magnitude(samples, 0.0)
    assert magnitudes.shape == (1 + len(samples) // 512, 84)
    assert int(magnitudes[100:-100].mean(axis=0).argmax()) == note


def test_tuning_moves_the_bins_with_the_music() -> None:
    frequency = 440.0 * 2 ** (0.4 / 12)
    samples = (0.3 * np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE)).astype(np.float32)
    assert cqt_magnitude(samples, 0.4)[:, 45].mean() > cqt_magnitude(samples, 0.0)[:, 45].mean()


@pytest.mark.parametrize("n", [1, 2, 3, 62, 63, 64, 65, 127, 1000, 32768, 33001])
def test_decimation_halves_any_length_and_keeps_low_tones(n: int) -> None:
    samples = np.cos(2 * np.pi * 0.01 * np.arange(n)).astype(np.float32)
    half = decimate(samples, 1.0)
    assert half.shape == (-(-n // 2),)
    inner = slice(20, max(20, len(half) - 40))
    np.testing.assert_allclose(half[inner], samples[::2][inner], atol=2e-3)


def test_decimation_is_the_same_in_one_piece_and_in_many() -> None:
    samples = signals()["noise"][:100_001]
    taps_reach = 40
    whole = decimate(samples, 1.0)
    part = decimate(samples[:60_000], 1.0)
    np.testing.assert_allclose(part[: 30_000 - taps_reach], whole[: 30_000 - taps_reach], atol=1e-6)
