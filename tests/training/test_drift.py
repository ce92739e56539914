"""Drift is seen where there is some, and named by what causes it."""

from pathlib import Path

import numpy as np
import pytest

from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.bundle import embedded
from music_reclass.models.dataset import Table
from music_reclass.models.transforms import profile
from music_reclass.training.drift import MUCH, SOME, DriftReference, drift, population_stability, reference_of

CLIPS = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "training"


def reference_to(rows: np.ndarray) -> DriftReference:
    count = len(rows)
    table = Table(COLUMNS, rows, ("Rock",), np.ones((count, 1), dtype=bool), np.arange(count), np.full(count, ""))
    kept = profile(table)
    return DriftReference(COLUMNS, *(np.array(kept[name]) for name in ("deciles", "mean", "spread")))


def test_rows_of_the_same_kind_show_no_drift_and_shifted_ones_do() -> None:
    generator = np.random.default_rng(0)
    reference = reference_to(generator.normal(size=(2000, 518)).astype(np.float32))

    same = drift(generator.normal(size=(1000, 518)).astype(np.float32), reference)
    moved = drift((generator.normal(size=(1000, 518)) + 1).astype(np.float32), reference)

    assert same.worst < SOME
    assert not same.findings
    assert min(moved.psi.values()) > MUCH
    assert all(shift == pytest.approx(1, abs=0.1) for shift in moved.shift.values())


def test_a_column_that_hardly_varies_is_no_drift() -> None:
    rows = np.zeros((1000, 1))
    rows[:50] = 1.0
    edges = np.quantile(rows, np.arange(1, 10) / 10, axis=0)

    assert population_stability(rows, edges)[0] < 0.05


def test_few_tracks_are_said_to_be_few() -> None:
    generator = np.random.default_rng(0)
    reference = reference_to(generator.normal(size=(500, 518)).astype(np.float32))

    assert "30 tracks are few" in drift(generator.normal(size=(30, 518)).astype(np.float32), reference).findings[-1]


def test_the_embedded_bundle_keeps_its_rows_as_the_knots_of_its_scale() -> None:
    reference = reference_of(embedded())

    assert reference.edges.shape == (9, 518)
    assert (np.diff(reference.edges, axis=0) >= 0).all()


@pytest.mark.skipif(not (CLIPS / "genre_clips_views.npz").exists(), reason="the training views of ../shared are absent")
def test_each_way_to_spoil_a_recording_is_named_and_clean_music_is_not() -> None:
    with np.load(CLIPS / "genre_clips.npz") as stored:
        clean = stored["fma518"]
    with np.load(CLIPS / "genre_clips_views.npz") as stored:
        augmentations = dict(zip(stored["views"].tolist(), np.moveaxis(stored["fma518"], 1, 0), strict=True))
    half = np.random.default_rng(0).permutation(len(clean))
    known, other = half[::2], half[1::2]
    reference = reference_to(clean[known])
    words = {
        "lp16": "little above 8 kHz", "lp22": "little above 11 kHz", "noise25": "hiss", "gain-9": "quieter",
        "mp3_64": "heavily compressed",
    }  # fmt: skip

    assert not drift(clean[other], reference).findings
    for name, word in words.items():
        findings = drift(augmentations[name][other], reference).findings
        assert len(findings) == 1, (name, findings)
        assert word in findings[0]
