"""The constant tables and the walk through frames."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from music_reclass.extractors.fma_tables import (
    BINS,
    chroma_filters,
    contrast_bands,
    dct,
    decibel,
    frame_blocks,
    hann,
    mel_blocks,
    tonnetz_axes,
)


@pytest.mark.parametrize("n", [1, 2, 5, 31, 32, 33, 64, 65, 100, 1000, 1001])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_blocks_are_the_frames_of_the_padded_signal(n: int, size: int) -> None:
    length, hop = 32, 8
    samples = np.random.default_rng(n).random(n).astype(np.float32)
    padded = np.pad(samples, length // 2, mode="reflect")
    expected = np.lib.stride_tricks.sliding_window_view(padded, length)[::hop]
    seen = 0
    for at, frames in frame_blocks(samples, length, hop, size):
        assert at.start == seen
        np.testing.assert_array_equal(frames, expected[at])
        seen = at.stop
    assert seen == 1 + n // hop == len(expected)


def test_blocks_can_begin_later() -> None:
    samples = np.arange(500, dtype=np.float32)
    whole = np.concatenate([frames for _, frames in frame_blocks(samples, 32, 8, 7)])
    later = list(frame_blocks(samples, 32, 8, 7, first=20))
    assert later[0][0].start == 20
    np.testing.assert_array_equal(np.concatenate([frames for _, frames in later]), whole[20:])


def test_mel_blocks_are_librosas_filters() -> None:
    librosa = pytest.importorskip("librosa")
    dense = np.zeros((128, BINS), np.float32)
    for block in mel_blocks():
        dense[block.first_mel : block.first_mel + 16, block.low : block.high] = block.weights.T
    np.testing.assert_allclose(dense, librosa.filters.mel(sr=44100, n_fft=2048), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("tuning", [-0.5, 0.0, 0.23])
def test_chroma_filters_are_librosas(tuning: float) -> None:
    librosa = pytest.importorskip("librosa")
    theirs = librosa.filters.chroma(sr=22050, n_fft=2048, tuning=tuning)
    np.testing.assert_allclose(chroma_filters(tuning).T, theirs, rtol=1e-4, atol=1e-7)


def test_windows_and_transforms_are_scipys() -> None:
    scipy_signal = pytest.importorskip("scipy.signal")
    scipy_fft = pytest.importorskip("scipy.fft")
    np.testing.assert_allclose(hann(2048), scipy_signal.get_window("hann", 2048), atol=1e-12)
    random = np.random.default_rng(0).random((3, 128))
    np.testing.assert_allclose(random @ dct(), scipy_fft.dct(random, norm="ortho")[:, :20], atol=1e-12)


def test_contrast_bands_overlap_by_one_bin_and_reach_the_top() -> None:
    bands = contrast_bands()
    assert len(bands) == 7
    assert bands[0].low == 0
    assert bands[-1].high == BINS
    assert [band.quantile for band in bands] == [1, 1, 1, 2, 3, 6, 9]
    assert all(after.low == before.high for before, after in pairwise(bands))


def test_levels_are_floored_at_eighty_decibels_below_the_loudest() -> None:
    np.testing.assert_allclose(decibel(np.array([1.0, 0.1, 1e-9, 0.0])), [0.0, -10.0, -80.0, -80.0])
    assert (decibel(np.zeros(3)) == -100.0).all()


def test_the_tonnetz_puts_a_fifth_close_to_its_root() -> None:
    axes = tonnetz_axes()
    assert axes.shape == (12, 6)
    fifth, tritone = np.linalg.norm(axes[7] - axes[0]), np.linalg.norm(axes[6] - axes[0])
    assert fifth < tritone
