"""A precision asked for is certified, or it is said how far away it is; and what is certified holds."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from music_reclass.models.calibration import hits
from music_reclass.models.crossval import cross_calibrated, folds_of, out_of_fold
from music_reclass.models.linear import linear_estimator
from music_reclass.models.precision import (
    Certificate,
    PrecisionTarget,
    certified_threshold,
    certified_thresholds,
)
from music_reclass.training import npz

CLIPS = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "training" / "genre_clips.npz"


def world(count: int, seed: int, ceiling: float = 1.0) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Predictions whose confidence is true, up to `ceiling`."""
    generator = np.random.default_rng(seed)
    confidence = generator.beta(3, 1.5, count) * ceiling
    return confidence, generator.random(count) < confidence


def test_the_promised_precision_is_broken_no_more_often_than_promised() -> None:
    truth_confidence, truth_right = world(200_000, seed=999)
    broken = made = 0
    for seed in range(200):
        confidence, right = world(400, seed)
        found = certified_threshold(confidence, right, np.arange(400), 0.8, delta=0.1)
        if found.threshold is not None:
            made += 1
            above = truth_confidence >= found.threshold
            broken += bool(truth_right[above].mean() < 0.8)

    assert made > 150
    assert broken <= 0.1 * 200


@pytest.mark.skipif(not CLIPS.exists(), reason="the training table of ../shared is not there")
def test_over_200_splits_of_the_real_table_the_other_half_breaks_it_no_more_often_than_promised() -> None:
    """A linear model, quick to fit; `benchmarks/table_studies.py promises` does the same with the networks."""
    table = npz.read(CLIPS).table
    folds = folds_of(table, 0)
    scores = out_of_fold(table, None, linear_estimator().fit, folds)
    probabilities = cross_calibrated(scores, table.labels, folds)[:, 0]
    confidence, right = probabilities.max(axis=1), hits(probabilities, table.labels)
    weight = 1.0 / np.bincount(table.groups)[table.groups]  # an artist counts once
    broken = made = 0
    for seed in range(200):
        artists = np.random.default_rng(seed).permutation(np.unique(table.groups))
        own = np.isin(table.groups, artists[: len(artists) // 2])
        found = certified_threshold(confidence[own], right[own], table.groups[own], 0.6, delta=0.1, seed=seed)
        if found.threshold is not None:
            made += 1
            others = ~own & (confidence >= found.threshold)
            broken += bool(np.average(right[others], weights=weight[others]) < 0.6)

    assert made > 60
    assert broken <= 0.1 * 200


def test_with_too_few_tracks_it_says_how_many_more_and_twice_as_many_mostly_do() -> None:
    reached = asked = 0
    for seed in range(20):
        short = certified_threshold(*world(90, seed), np.arange(90), 0.85)
        if not short.certified and short.more is not None:
            assert f"{short.more:,} more labelled tracks" in short.sentence()
            asked += 1
            count = 90 + 2 * short.more
            reached += certified_threshold(*world(count, seed + 500), np.arange(count), 0.85).certified

    assert asked >= 8
    assert reached > asked / 2


def test_where_no_number_of_tracks_would_do_it_says_so() -> None:
    found = certified_threshold(*world(500, seed=1, ceiling=0.6), np.arange(500), 0.95)

    assert not found.certified
    assert found.more is None
    assert "err too often" in found.as_manifest()["why"]


def test_rows_of_one_artist_count_once() -> None:
    confidence, right = world(400, seed=3)

    assert certified_threshold(confidence, right, np.arange(400), 0.8).certified
    found = certified_threshold(confidence, right, np.arange(400) // 40, 0.8)
    assert not found.certified
    assert found.count == 10


def test_one_number_of_the_user_sets_both_aims() -> None:
    aim = PrecisionTarget.of(0.95)

    assert (aim.confident, aim.strict) == (0.95, True)
    assert aim.likely == pytest.approx(0.9)
    assert PrecisionTarget.of(None) == PrecisionTarget()


def test_a_threshold_that_is_lowered_after_its_certificate_is_said_to_be_not_certified() -> None:
    confidence = np.repeat([0.95, 0.87], 200)
    right = np.arange(400) % 400 < 200
    right[200::2] = True
    target = PrecisionTarget(confident=0.999, likely=0.97)

    alone = certified_threshold(confidence, right, np.arange(400), 0.97)
    found = certified_thresholds([(confidence, right)], np.arange(400), target)

    assert alone.certified
    assert alone.threshold == 0.88
    assert found["confident"].threshold == found["likely"].threshold == 0.85
    assert found["likely"].as_manifest()["certified"] is False
    assert found["likely"].sentence() == (
        "from 0.85, not certified at 97%: lowered from 0.88 to the threshold of `confident`"
    )


def test_the_certificate_of_a_bundle_whose_threshold_is_another_one_is_not_printed() -> None:
    stored = Certificate(0.8, 0.1, 200, 0.7, 12).as_manifest()

    assert "at least 80% right" in Certificate.from_manifest(stored, 0.7).sentence()
    assert "not certified at 80%" in Certificate.from_manifest(stored, 0.6).sentence()
    assert Certificate.from_manifest(stored, None).sentence().startswith("never: not certified")
