"""What a stage costs a track is known from the scans that listened for it."""

from pathlib import Path

import pytest

from music_reclass.features.database import Database
from music_reclass.features.statistics import ScanRecord, Scans, StageCost


@pytest.fixture
def scans(tmp_path: Path) -> Scans:
    return Scans(Database(tmp_path / "l.sqlite3"))


def test_the_newest_scan_comes_first_and_whole(scans: Scans) -> None:
    scans.save(ScanRecord(found=1))
    stages = (StageCost("fma518", 80, 100, 25.0), StageCost("musicnn", 20, 20, 30.0))
    scans.save(ScanRecord({"paths": ["/m"]}, {"read": 25.0, "decide": 31.5}, 100, 100, True, stages, 1000.0))

    newest, oldest = scans.last()

    assert newest == ScanRecord({"paths": ["/m"]}, {"read": 25.0, "decide": 31.5}, 100, 100, True, stages, 1000.0)
    assert oldest.found == 1
    assert oldest.started > 1000


def test_the_cost_of_a_track_is_taken_over_the_scans_that_listened(scans: Scans) -> None:
    scans.save(ScanRecord(stages=(StageCost("fma518", 10, 10, 1.0), StageCost("musicnn", 5, 5, 10.0))))
    scans.save(ScanRecord(stages=(StageCost("fma518", 10, 0, 0.0), StageCost("musicnn", 5, 15, 20.0))))

    assert scans.seconds_per_track("fma518") == pytest.approx(0.1)
    assert scans.seconds_per_track("musicnn") == pytest.approx(1.5)
    assert list(scans.costs(["musicnn", "mert"])) == ["musicnn", "fma518"]


def test_what_no_scan_has_done_costs_nobody_knows_what(scans: Scans) -> None:
    scans.save(ScanRecord(stages=(StageCost("mert", 0, 0, 0.0),)))

    assert scans.seconds_per_track("mert") is None
    assert scans.seconds_per_track("jmla") is None


def test_old_scans_are_not_looked_at(scans: Scans) -> None:
    scans.save(ScanRecord(stages=(StageCost("mert", 1, 1000, 99_000.0),)))
    for _ in range(20):
        scans.save(ScanRecord(stages=(StageCost("mert", 1, 1, 2.0),)))

    assert scans.seconds_per_track("mert") == pytest.approx(2.0)
