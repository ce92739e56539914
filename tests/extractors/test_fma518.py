"""The 518 features against real librosa 0.5.0, and what they do with sound that is hardly any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from music_reclass.errors import SkipTrack
from music_reclass.extractors.audio.load import load
from music_reclass.extractors.fma518 import COLUMNS, FAMILIES, Fma518, frame_features
from tests.extractors.synthetic_signals import RATE, signals

DATA = Path(__file__).resolve().parents[1] / "data"
GOLDEN = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "golden"
MUSIC = ("sweet_waltz", "pistachio_ragtime", "hungarian_dance", "lets_go_fishin", "humpback")


def golden(path: Path) -> dict[str, NDArray[np.float64]]:
    if not path.is_file():
        pytest.skip(f"{path.name} is not beside the checkout")
    with np.load(path) as data:
        return dict(zip(data["names"].tolist(), data["vectors"], strict=True))


def share_equal(ours: NDArray[np.float32], theirs: NDArray[np.float64]) -> float:
    """Share of numbers within 1e-3 relative, or 1e-6 absolute where they are tiny: the literal reading."""
    close = np.abs(ours.astype(np.float64) - theirs) <= np.maximum(1e-3 * np.abs(theirs), 1e-6)
    return float(close.mean())


def worst_of_scale(samples: NDArray[np.float32], ours: NDArray[np.float32], theirs: NDArray[np.float64]) -> float:
    """The largest error relative to the value or, where that is nearly zero, to 1e-4 of the family's largest."""
    frames = frame_features(samples)
    floor = np.empty(len(COLUMNS))
    for family, columns in FAMILIES.items():
        floor[columns] = 1e-4 * np.abs(frames[family]).max()
    return float((np.abs(ours - theirs) / np.maximum(np.abs(theirs), floor)).max())


@pytest.mark.parametrize("name", MUSIC)
def test_music_gives_the_numbers_of_librosa_0_5_0(name: str) -> None:
    theirs = golden(GOLDEN / "librosa_0_5_0.npz")[name]
    samples = load(GOLDEN / f"{name}.flac").samples
    ours = Fma518("mid30").vector(samples)
    assert share_equal(ours, theirs) >= 0.995
    assert worst_of_scale(samples, ours, theirs) <= 1e-3


@pytest.mark.parametrize("name", ["chord", "noise", "mix", "short"])
def test_synthetic_signals_give_the_numbers_of_librosa_0_5_0(name: str) -> None:
    theirs = golden(DATA / "fma_golden_synthetic.npz")[name]
    samples = signals()[name]
    ours = Fma518("mid30").vector(samples)
    assert share_equal(ours, theirs) >= 0.99
    assert worst_of_scale(samples, ours, theirs) <= 1e-3


def test_a_pure_sweep_differs_only_where_the_constant_q_transform_hears_nothing() -> None:
    # Octaves far from a lone sine hold rounding noise, and chroma normalises each frame to its loudest bin.
    theirs = golden(DATA / "fma_golden_synthetic.npz")["chirp"]
    ours = Fma518("mid30").vector(signals()["chirp"])
    assert share_equal(ours, theirs) >= 0.9
    for family in FAMILIES.keys() - {"chroma_cqt", "chroma_cens", "tonnetz"}:
        assert share_equal(ours[FAMILIES[family]], theirs[FAMILIES[family]]) == 1.0


def test_columns_have_the_names_and_the_order_of_features_csv() -> None:
    with np.load(DATA / "fma_golden_synthetic.npz") as data:
        assert tuple(data["columns"].tolist()) == COLUMNS


def test_families_cover_every_column_once_in_order() -> None:
    covered = [index for columns in FAMILIES.values() for index in range(columns.start, columns.stop)]
    assert covered == list(range(518))
    for family, columns in FAMILIES.items():
        assert all(name.rsplit("_", 2)[0] == family for name in COLUMNS[columns])


@pytest.mark.parametrize("length", [1, 2, 3, 100, 511, 512, 2047, 2048, 2049, 4096, 4097, 8820])
def test_any_length_gives_518_finite_numbers(length: int) -> None:
    vector = Fma518("mid30").vector(signals()["noise"][:length])
    assert vector.shape == (518,)
    assert np.isfinite(vector).all()


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(RATE, np.float32),
        np.full(RATE, 0.25, np.float32),
        np.full(RATE, -1.0, np.float32),
        np.r_[np.zeros(RATE // 2), signals()["chord"][: RATE // 2]].astype(np.float32),
        np.eye(1, RATE, 1000, dtype=np.float32)[0],
        np.full(RATE, np.nan, np.float32),
        np.r_[signals()["noise"][:RATE], np.inf, -np.inf, 1e30].astype(np.float32),
    ],
    ids=["silence", "dc", "full-scale-dc", "half-silent", "click", "nan", "infinite"],
)
def test_nothing_but_finite_numbers_leaves_the_extractor(samples: NDArray[np.float32]) -> None:
    with np.errstate(all="raise", under="ignore"):
        assert np.isfinite(Fma518("full").vector(samples)).all()


def test_no_sample_at_all_is_a_skip() -> None:
    with pytest.raises(SkipTrack) as caught:
        Fma518("mid30").vector(np.zeros(0, np.float32))
    assert caught.value.reason == "no_audio"


def test_the_two_excerpts_are_two_feature_kinds() -> None:
    assert Fma518("mid30").kind.key == "fma518/1/mid30"
    assert Fma518("full").kind.key == "fma518/1/full"
    assert Fma518("full").rate == RATE


def test_input_is_left_as_it_was() -> None:
    samples = signals()["mix"].copy()
    Fma518("mid30").vector(samples)
    np.testing.assert_array_equal(samples, signals()["mix"])
