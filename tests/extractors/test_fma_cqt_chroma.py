"""The families that stand on the constant-Q transform: ranges, and what a chord looks like."""

from __future__ import annotations

import numpy as np

from music_reclass.extractors.fma_cqt import constant_q_frames
from tests.extractors.synthetic_signals import RATE, signals


def test_a_minor_chord_sounds_in_its_three_pitch_classes() -> None:
    time = np.arange(3 * RATE) / RATE
    samples = (0.1 * sum(np.sin(2 * np.pi * f * time) for f in (220.0, 261.63, 329.63))).astype(np.float32)
    frames = constant_q_frames(samples, 0.0)
    loudest = np.argsort(frames["chroma_cqt"][50:-50].mean(axis=0))[-3:]
    assert set(loudest.tolist()) == {9, 0, 4}  # A, C and E, counted from C


def test_shares_lie_where_their_definitions_put_them() -> None:
    frames = constant_q_frames(signals()["mix"], 0.0)
    assert frames["chroma_cqt"].shape[1] == frames["chroma_cens"].shape[1] == 12
    assert frames["tonnetz"].shape[1] == 6
    np.testing.assert_allclose(frames["chroma_cqt"].max(axis=1), 1.0, rtol=1e-6)
    norms = np.sqrt((frames["chroma_cens"] ** 2).sum(axis=1))
    np.testing.assert_allclose(norms[norms > 0], 1.0, rtol=1e-9)
    assert (np.abs(frames["tonnetz"]) <= 1.0).all()


def test_silence_has_no_pitch() -> None:
    frames = constant_q_frames(np.zeros(RATE, np.float32), 0.0)
    assert not any(values.any() for values in frames.values())
