"""Statistics count what was decided, by whom, and how it agrees with the user's tags."""

import json

import pytest

from music_reclass.features.results import Scans, ScanStats, StageStats
from music_reclass.features.statistics import Outcomes
from music_reclass.report.statistics import statistics_of, store_scan
from tests.classification.small_library import SmallLibrary
from tests.features.test_library_labelled import wrote


def test_every_figure_of_a_small_library_is_right(library: SmallLibrary) -> None:
    figures = statistics_of(Outcomes(library.database), library.cascade)

    assert figures.outcomes == {"confident": 5, "likely": 2, "unsure": 2}
    assert figures.decided_by == {"cheap": (4, 0), "costly": (5, 0)}
    assert figures.genres == {"Rock": 6, "Pop": 1}
    assert (figures.tagged, figures.agreeing) == (6, 2)
    assert figures.confusions == (("Rock", "Jazz", 4),)
    by_place = {(row.outcome, row.stage): row for row in figures.expected}
    assert by_place["confident", "cheap"].precision == pytest.approx((0.95 + 0.94 + 0.93 + 0.92) / 4, abs=1e-6)
    assert by_place["confident", "cheap"].certified == 0.85
    assert by_place["likely", "costly"].certified is None
    assert sum(map(sum, figures.histogram.values())) == 9
    assert [(step.count, step.precision) for step in figures.reliability] == [(1, 1.0), (5, 0.2)]
    assert figures.matrix_names == ("Jazz", "Pop", "Rock")
    assert figures.matrix == ((0, 0, 4), (0, 1, 0), (0, 0, 1))
    json.dumps(figures.as_json())


def test_tags_that_we_wrote_do_not_count_as_agreement(library: SmallLibrary) -> None:
    wrote(library.database, b"/m/agree", '["Pop"]')

    assert statistics_of(Outcomes(library.database), library.cascade).tagged == 5


def test_a_scan_is_stored_with_what_each_stage_decided_and_took(library: SmallLibrary) -> None:
    scope = library.decide()
    assert scope is not None
    done = ScanStats(
        found=9, new=9, read=9, decided=9, seconds={"discover": 0.5, "read": 4.5, "decide": 10.5},
        stages={"cheap": StageStats(9, 4.5), "costly": StageStats(5, 10.0)},
    )  # fmt: skip

    store_scan(scope, done, library.cascade, {"paths": ["/m"]})

    scans = Scans(library.database)
    assert scans.seconds_per_track("costly") == 2
    (scan,) = scans.last()
    assert [(name, stage.settled, stage.extracted) for name, stage in scan.stages.items()] == [
        ("cheap", 4, 9),
        ("costly", 5, 5),
    ]
