"""Scales and key-free inputs."""

from pathlib import Path

import numpy as np
import pytest

import music_reclass
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.dataset import Table
from music_reclass.models.transforms import (
    AUDIOSET_FAMILIES,
    INPUTS,
    QuantileScale,
    audioset_families,
    key_free,
    medians,
    transpositions,
)

DATA = Path(music_reclass.__file__).parent / "data"


def _rows(count: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 518)).astype(np.float32)


def test_key_free_inputs_do_not_change_when_the_music_is_transposed() -> None:
    rows = _rows(5)
    for turned in transpositions():
        assert np.allclose(key_free(rows[:, turned]), key_free(rows), atol=1e-5)


def test_transposing_moves_pitch_classes_and_nothing_else() -> None:
    moved = transpositions()[3] != np.arange(518)
    assert all(name.startswith("chroma") for name, turned in zip(COLUMNS, moved, strict=True) if turned)
    assert moved.sum() == 252
    assert sorted(transpositions()[7].tolist()) == list(range(518))


def test_every_input_has_the_same_width_for_one_row_and_for_many() -> None:
    for made in INPUTS.values():
        assert made(_rows(1)).shape[1] == made(_rows(7)).shape[1]
        assert made(_rows(7)).dtype == np.float32


def test_a_scaled_column_is_close_to_normal_whatever_its_shape() -> None:
    rows = np.exp(3 * _rows(2000)[:, :6])
    scaled = QuantileScale.fit(rows)(rows)
    assert np.abs(scaled.mean(axis=0)).max() < 0.05
    assert np.abs(scaled.std(axis=0) - 1).max() < 0.1


def test_scaling_keeps_the_order_and_bounds_what_was_never_seen() -> None:
    rows = _rows(300)[:, :4]
    scale = QuantileScale.fit(rows)
    line = np.repeat(np.linspace(-1e6, 1e6, 999, dtype=np.float32)[:, None], 4, axis=1)
    assert (np.diff(scale(line), axis=0) >= 0).all()
    assert np.abs(scale(line)).max() < 2.5


def test_a_constant_column_scales_to_finite_numbers() -> None:
    rows = np.ones((50, 3), dtype=np.float32)
    scale = QuantileScale.fit(rows)
    assert np.isfinite(scale(rows)).all()
    assert np.isfinite(scale(rows + 1)).all()


def test_scaling_many_rows_equals_scaling_each() -> None:
    rows = _rows(150)
    scale = QuantileScale.fit(rows)
    assert np.array_equal(scale(rows)[77:78], scale(rows[77:78]))


def test_medians_of_a_part_of_the_columns_stand_in_their_places() -> None:
    rows = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    count = np.zeros((9, 0), dtype=bool)
    found = medians(Table(COLUMNS[7:10], rows, (), count, np.arange(9), np.full(9, "")))
    assert len(found) == 518
    assert found[7:10] == pytest.approx(np.median(rows, axis=0), abs=1e-4)
    assert not any(found[:7] + found[10:])


def test_families_of_audioset_hold_the_labels_that_their_names_say() -> None:
    labels = np.array((DATA / "audioset.txt").read_text(encoding="utf-8").splitlines())
    named = {
        name: {str(label) for part in parts for label in labels[part]} for name, parts in AUDIOSET_FAMILIES.items()
    }
    for family, label in (("music", "Music"), ("singing", "Rapping"), ("speech", "Narration, monologue"),
                          ("animals", "Whale vocalization"), ("instruments", "Piano"), ("silence", "Silence"),
                          ("pure tones", "Sine wave"), ("noise and hum", "Mains hum"), ("vehicles", "Train"),
                          ("genres and moods", "Heavy metal"), ("alarms and telephones", "Dial tone")):  # fmt: skip
        assert label in named[family]
    assert sum(map(len, named.values())) == len(set().union(*named.values()))  # no label twice


def test_faint_tags_of_audioset_say_nothing_and_the_likeliest_of_a_family_counts() -> None:
    rows = np.zeros((3, 527), dtype=np.float32)
    rows[0, [72, 73]] = 0.002, 0.04
    rows[1, [137, 216]] = 0.5, 0.9
    found = audioset_families(rows)
    np.testing.assert_array_equal(found[0], found[2])
    names = list(AUDIOSET_FAMILIES)
    assert found[1, names.index("music")] == pytest.approx(0.0, abs=1e-5)
    assert found[1, -1] == found[1, names.index("genres and moods")] == pytest.approx(np.log(9), abs=1e-4)
