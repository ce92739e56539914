"""Front ends obey the physics of sound: loudness adds, energy is kept, a tone lies where its frequency does."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.extractors import windows
from music_reclass.extractors.mel import (
    AST,
    AST_SAMPLES,
    JMLA,
    JMLA_SAMPLES,
    LogMel,
    ast_input,
    centred_frames,
    centred_in_circle,
    circular_to,
    hann,
    jmla_input,
    log_mel,
    mel_filters,
    plot_spectrogram,
    power,
)


def tone(hertz: float, seconds: float = 1.0, rate: int = 16000, level: float = 0.4) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def noise(count: int, seed: int = 0) -> np.ndarray:
    return (0.2 * np.random.default_rng(seed).standard_normal(count)).astype(np.float32)


@pytest.mark.parametrize("front", [JMLA, AST], ids=["slaney", "kaldi"])
def test_twice_the_level_adds_twice_the_logarithm_of_two_in_every_band(front: LogMel) -> None:
    once, twice = log_mel(noise(8000), front), log_mel(2 * noise(8000), front)
    loud = once > np.log(1e-3)  # Kaldi's lowest bands are so narrow that next to nothing lies in them
    assert np.allclose((twice - once)[loud], 2 * np.log(2), atol=1e-3)
    assert loud.mean() > 0.9


@pytest.mark.parametrize("hertz", [300.0, 700.0, 2500.0, 6000.0])
def test_kaldis_pre_emphasis_lifts_high_tones_by_its_filters_response(hertz: float) -> None:
    def energy(at: float) -> float:
        return float(np.exp(log_mel(tone(at), AST)[20].astype(np.float64)).sum())  # neighbouring filters add up to one

    def response(at: float) -> float:
        return float(abs(1 - 0.97 * np.exp(-2j * np.pi * at / AST.rate)) ** 2)

    assert energy(hertz) / energy(1500.0) == pytest.approx(response(hertz) / response(1500.0), rel=0.05)


@pytest.mark.parametrize("front", [JMLA, AST], ids=["slaney", "kaldi"])
@pytest.mark.parametrize("hertz", [150.0, 440.0, 1000.0, 3000.0, 7000.0])
def test_a_tone_is_loudest_in_a_band_that_holds_its_frequency(front: LogMel, hertz: float) -> None:
    mel = log_mel(tone(hertz), front)
    band = int(mel[len(mel) // 2].argmax())
    filters = mel_filters(front.scale, front.rate, front.fft, (front.mels, front.low, front.high))
    bins = np.flatnonzero(filters[:, band]) * front.rate / front.fft
    resolution = front.rate / front.size
    assert bins.min() - resolution <= hertz <= bins.max() + resolution


@pytest.mark.parametrize("front", [JMLA, AST], ids=["slaney", "kaldi"])
def test_the_sign_of_the_signal_is_of_no_matter(front: LogMel) -> None:
    assert np.array_equal(log_mel(noise(4000), front), log_mel(-noise(4000), front))


@pytest.mark.parametrize("front", [JMLA, AST], ids=["slaney", "kaldi"])
def test_a_shift_by_one_hop_shifts_the_frames_by_one(front: LogMel) -> None:
    samples = noise(8000)
    whole, later = log_mel(samples, front), log_mel(samples[front.hop :], front)
    edge = 2  # frames whose samples are reflected at the start
    assert np.allclose(whole[1 + edge : 40], later[edge:39], atol=1e-4)


@pytest.mark.parametrize(("front", "floor"), [(JMLA, 1.1920929e-07), (AST, 1.1920929e-07)], ids=["slaney", "kaldi"])
def test_silence_has_the_logarithm_of_the_floor(front: LogMel, floor: float) -> None:
    mel = log_mel(np.zeros(4000, np.float32), front)
    assert np.allclose(mel, np.log(floor), atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 6000))
def test_any_length_gives_the_networks_shape(count: int) -> None:
    made = jmla_input(noise(count))
    assert (made.shape, made.dtype) == ((80, 2992), np.float32)
    assert np.isfinite(made).all()
    if count >= AST.size:
        assert ast_input(noise(count)).shape == (1024, 128)


def test_what_lies_behind_the_last_frame_of_a_network_does_not_matter() -> None:
    long = noise(JMLA_SAMPLES + 16000)
    changed = long.copy()
    changed[JMLA_SAMPLES + JMLA.size :] = 0
    assert np.array_equal(jmla_input(long), jmla_input(changed))
    assert AST_SAMPLES == 160_000
    frames_of_ast = AST.hop * (AST.frames - 1) + AST.size
    assert np.array_equal(ast_input(long), ast_input(long[:frames_of_ast]))


@settings(max_examples=60, deadline=None)
@given(columns=st.integers(1, 40), frames=st.integers(1, 90))
def test_a_short_spectrogram_goes_round_with_its_beginning_in_the_middle(columns: int, frames: int) -> None:
    mel = np.arange(2 * columns, dtype=np.float32).reshape(2, columns)
    made = centred_in_circle(mel, frames)
    start = max(0, frames - columns) // 2
    for column in range(frames):
        assert np.array_equal(made[:, column], mel[:, (column - start) % columns])


@settings(max_examples=40, deadline=None)
@given(size=st.integers(2, 64), count=st.integers(1, 6))
def test_the_power_of_a_frame_is_its_energy(size: int, count: int) -> None:
    frames = np.random.default_rng(size).standard_normal((count, size))
    spectrum = power(frames, np.ones(size), size)
    weights = np.full(spectrum.shape[-1], 2.0)
    weights[0] = 1.0
    if size % 2 == 0:
        weights[-1] = 1.0
    assert spectrum @ weights == pytest.approx(size * (frames**2).sum(axis=1))


@pytest.mark.parametrize("size", [8, 400, 2048])
def test_half_overlapping_windows_add_up_to_one(size: int) -> None:
    window = hann(size)
    assert np.allclose(window[: size // 2] + window[size // 2 :], 1.0)
    assert np.allclose(hann(size + 1, periodic=False)[:-1], window)
    assert window[0] == 0.0


@settings(max_examples=40, deadline=None)
@given(count=st.integers(9, 200), hop=st.integers(1, 20))
def test_frames_are_centred_on_every_hop_and_reflected_at_the_ends(count: int, hop: int) -> None:
    samples = np.arange(count)
    frames = centred_frames(samples, 8, hop)
    assert frames.shape == (1 + count // hop, 8)
    for number, frame in enumerate(frames):
        for offset, value in enumerate(frame):
            at = abs(number * hop - 4 + offset)
            assert value == min(at, 2 * (count - 1) - at)


def test_slaneys_bands_lie_a_mel_apart() -> None:
    edges = [200 / 3 * mel if mel <= 15 else 1000 * 6.4 ** ((mel - 15) / 27) for mel in range(43)]  # 0 to 6400 Hz
    filters = mel_filters("slaney", 16000, 16000, (41, 0.0, 6400.0))
    assert np.allclose(filters.argmax(axis=0), edges[1:-1], atol=1)
    assert np.flatnonzero(filters[:, -1]).max() == 6399


def test_filters_follow_the_scale_that_their_authors_drew() -> None:
    slaney = mel_filters("slaney", 16000, 16000, (80, 50.0, 8000.0))  # a bin for every hertz
    assert slaney.sum(axis=0) == pytest.approx(1.0, abs=0.05)  # area one
    centres = slaney.argmax(axis=0)
    low = centres[centres < 950]
    assert np.ptp(np.diff(low)) <= 1  # linear below 1 kHz
    ratios = centres[centres > 1100][1:] / centres[centres > 1100][:-1]
    assert np.ptp(ratios) < 5e-3  # and logarithmic above

    kaldi = mel_filters("kaldi", 16000, 16000, (128, 20.0, 8000.0))
    mels = 1127 * np.log1p(kaldi.argmax(axis=0) / 700)
    assert np.allclose(np.diff(mels), (1127 * np.log1p(8000 / 700) - 1127 * np.log1p(20 / 700)) / 129, atol=1.6)
    assert kaldi.max(axis=0) == pytest.approx(1.0, abs=0.05)
    with pytest.raises(ValueError, match="read-only"):
        kaldi[0, 0] = 1.0  # cached: nobody may change it for others


@given(st.integers(1, 50), st.integers(1, 120))
def test_samples_are_repeated_only_where_there_are_too_few(count: int, least: int) -> None:
    samples = np.arange(count, dtype=np.float32)
    made = circular_to(samples, least)
    assert len(made) == max(count, least)
    assert np.array_equal(made, np.resize(samples, len(made)))
    assert np.array_equal(windows.circular(samples, least), np.resize(samples, least))


@settings(max_examples=20, deadline=None)
@given(st.floats(1e-5, 1.0), st.integers(100, 12000))
def test_a_plot_does_not_depend_on_the_volume(level: float, hertz: int) -> None:
    samples = tone(float(hertz), 0.2, 44100) + noise(8820)
    loud, _ = plot_spectrogram(samples, 44100)
    quiet, _ = plot_spectrogram(samples * np.float32(level), 44100)
    assert np.allclose(loud, quiet, atol=0.05)
    assert loud.max() == 0.0


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 400), parts=st.lists(st.floats(0, 1), max_size=5))
def test_parts_between_shares_of_a_recording_lose_no_sample(count: int, parts: list[float]) -> None:
    samples = np.arange(count, dtype=np.float32)
    cuts = [0.0, *sorted(parts), 1.0]
    pieces = [windows.between(samples, low, high) for low, high in pairwise(cuts)]
    assert np.array_equal(np.concatenate(pieces), samples)


@given(st.lists(st.floats(-15.0, 15.0, width=32), min_size=1, max_size=20))
def test_values_that_are_tame_are_left_as_they_are(values: list[float]) -> None:
    samples = np.array(values, np.float32)
    assert np.array_equal(windows.finite(samples), samples)
    assert np.array_equal(windows.finite(samples.astype(np.float64)[::-1]), samples[::-1])


@given(st.lists(st.one_of(st.floats(width=32), st.floats(-40, 40, width=32)), max_size=3))
def test_no_value_that_breaks_a_network_passes(values: list[float]) -> None:
    made = windows.finite(np.array(values, np.float32))
    assert made.dtype == np.float32
    assert np.isfinite(made).all()
    assert len(made) == len(values)
    assert (np.abs(made) < 16).all()
