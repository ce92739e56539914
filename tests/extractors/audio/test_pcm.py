"""Sixteen bits a channel, then the mean."""

from __future__ import annotations

import numpy as np
import pytest

from music_reclass.errors import FailTrack
from music_reclass.extractors.audio.pcm import PEAKS, Slabs, check_format, int16, middle, mono, peaks


def test_the_middle_is_centred_and_never_longer_than_the_file() -> None:
    assert middle(100, 10, 4.0) == (30, 40)
    assert middle(101, 10, 4.0) == (30, 40)
    assert middle(39, 10, 4.0) == (0, 39)
    assert middle(0, 10, 4.0) == (0, 0)


def test_every_sample_type_becomes_int16() -> None:
    assert int16(np.array([-5, 7], np.int16)).tolist() == [-5, 7]
    assert int16(np.array([0, 128, 255], np.uint8)).tolist() == [-32768, 0, 32512]
    assert int16(np.array([-(1 << 31), 65535, 65536], np.int32)).tolist() == [-32768, 0, 1]
    for dtype in (np.float32, np.float64):
        values = np.array([-2.0, -1.0, 0.4 / 32768, 0.6 / 32768, 1.0, 9.0], dtype)
        assert int16(values).tolist() == [-32768, -32768, 0, 1, 32767, 32767]


def test_no_number_and_infinity_become_numbers() -> None:
    with np.errstate(all="raise"):
        assert int16(np.array([np.nan, np.inf, -np.inf, 3e38], np.float32)).tolist() == [0, 32767, -32768, 32767]


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_the_mean_is_exact(channels: int) -> None:
    values = np.random.default_rng(channels).integers(-32768, 32768, (channels, 1000)).astype(np.int16)
    expected = values.astype(np.float64).mean(axis=0) / 32768
    np.testing.assert_allclose(mono(values), expected, atol=1e-7)


@pytest.mark.parametrize(("rate", "channels"), [(0, 2), (999, 2), (2**31 - 1, 2), (44100, 0), (44100, 65535)])
def test_headers_that_cannot_be_true_are_refused(rate: int, channels: int) -> None:
    with pytest.raises(FailTrack):
        check_format(rate, channels)


def test_dsd_rates_and_wide_surround_are_believed() -> None:
    check_format(352_800, 2)
    check_format(8000, 16)


def test_slabs_hold_what_was_put_in_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("music_reclass.extractors.audio.pcm._SLAB", 100)
    slabs = Slabs()
    values = np.arange(1000, dtype=np.float32)
    for start, stop in ((0, 3), (3, 3), (3, 250), (250, 900), (900, 1000)):
        slabs.append(values[start:stop])
    parts = slabs.close()
    assert all(len(part) <= 100 for part in parts)
    np.testing.assert_array_equal(np.concatenate(parts), values)
    assert Slabs().close() == []


def test_an_excerpt_lies_at_a_share_of_the_room_it_leaves() -> None:
    assert [middle(100, 10, 4.0, place)[0] for place in (0.0, 0.1, 0.5, 0.9, 1.0)] == [0, 6, 30, 54, 60]
    assert middle(39, 10, 4.0, 0.9) == (0, 39)


@pytest.mark.parametrize("count", [0, 1, 3, 499, 500, 501, 44100])
def test_peaks_are_a_thousand_bytes_whatever_the_length(count: int) -> None:
    samples = np.linspace(-1, 1, count, dtype=np.float32)
    found = np.frombuffer(peaks(samples), dtype=np.int8).reshape(-1, 2)
    assert len(found) == PEAKS
    assert (found[:, 0] <= found[:, 1]).all()
    if count >= PEAKS:
        assert found.min() == -127
        assert found.max() == 127
