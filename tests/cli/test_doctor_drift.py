"""`reclass doctor skew` on a library of spoiled recordings."""

from pathlib import Path

import numpy as np

from music_reclass.domain import Track, TrackTags
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.features.database import Database
from music_reclass.features.library import Library
from music_reclass.models import bundle as bundles
from music_reclass.training.drift import reference_of
from tests.library import Shell


def test_hiss_is_found_and_said(shell: Shell, tmp_path: Path) -> None:
    reference, kind = reference_of(bundles.embedded()), bundles.embedded().kinds[0]
    rows = np.random.default_rng(0).normal(reference.mean, reference.spread, size=(120, 518)).astype(np.float32)
    rows[:, COLUMNS.index("spectral_bandwidth_mean_01")] += (
        3 * reference.spread[COLUMNS.index("spectral_bandwidth_mean_01")]
    )
    rows[:, COLUMNS.index("mfcc_mean_02")] -= 2 * reference.spread[COLUMNS.index("mfcc_mean_02")]
    database = Database(shell.db)
    readings = [Track(f"/m/{n}.mp3", 1, 1, bytes([n]), 9.0, TrackTags(), (), row) for n, row in enumerate(rows)]
    Library(database).save(readings, kind)
    database.close()

    assert shell("doctor", "skew") == 0
    assert "hiss or noise" in shell.out
    assert shell("doctor", "skew", "--json") == 0
    families = {row["family"]: row for row in shell.objects() if "family" in row}
    assert families["spectral_bandwidth"]["shift"] > 1.5
    assert any("hiss" in row.get("finding", "") for row in shell.objects())


def test_without_a_library_it_says_what_to_do(shell: Shell) -> None:
    assert shell("doctor", "skew") == 3
    Database(shell.db).close()
    assert shell("doctor", "skew") == 3
    assert "scan a folder first" in shell.err
