"""What a stage costs a track is known from the scans that extracted its vectors."""

from pathlib import Path

import pytest

from music_reclass.features.database import Database
from music_reclass.features.results import Scans, ScanStats, StageStats


@pytest.fixture
def scans(tmp_path: Path) -> Scans:
    return Scans(Database(tmp_path / "l.sqlite3"))


def test_the_newest_scan_comes_first_and_whole(scans: Scans) -> None:
    scans.save(ScanStats(found=1))
    stages = {"fma518": StageStats(100, 25.0, 80), "musicnn": StageStats(20, 30.0, 20)}
    saved = ScanStats(
        {"paths": ["/m"]}, 1000.0, seconds={"read": 25.0, "decide": 31.5}, found=100, decided=100, stopped=True,
        stages=stages,
    )  # fmt: skip
    scans.save(saved)

    newest, oldest = scans.last()

    assert newest == saved
    assert list(newest.stages) == ["fma518", "musicnn"]
    assert oldest.found == 1
    assert oldest.started > 1000


def test_the_cost_of_a_track_is_taken_over_the_scans_that_extracted(scans: Scans) -> None:
    scans.save(ScanStats(stages={"fma518": StageStats(10, 1.0, 10), "musicnn": StageStats(5, 10.0, 5)}))
    scans.save(ScanStats(stages={"fma518": StageStats(0, 0.0, 10), "musicnn": StageStats(15, 20.0, 5)}))

    assert scans.seconds_per_track("fma518") == pytest.approx(0.1)
    assert scans.seconds_per_track("musicnn") == pytest.approx(1.5)
    assert list(scans.costs(["musicnn", "mert"])) == ["musicnn", "fma518"]


def test_what_no_scan_has_done_costs_nobody_knows_what(scans: Scans) -> None:
    scans.save(ScanStats(stages={"mert": StageStats()}))

    assert scans.seconds_per_track("mert") is None
    assert scans.seconds_per_track("jmla") is None


def test_old_scans_are_not_looked_at(scans: Scans) -> None:
    scans.save(ScanStats(stages={"mert": StageStats(1000, 99_000.0, 1)}))
    for _ in range(20):
        scans.save(ScanStats(stages={"mert": StageStats(1, 2.0, 1)}))

    assert scans.seconds_per_track("mert") == pytest.approx(2.0)


def test_a_scan_counts_files_and_stages_while_it_runs() -> None:
    stats = ScanStats(found=10, new=3, changed=2)
    stats.stage("mert").extracted += 4
    stats.stage("mert").seconds += 8.0
    assert stats.known == 5
    assert stats.stages == {"mert": StageStats(4, 8.0)}
    assert stats.stage("mert").seconds_per_track == 2.0
    assert StageStats().seconds_per_track is None


def test_plain_values_of_a_scan_keep_their_names() -> None:
    plain = ScanStats({"paths": ["/m"]}, 1000.0, "1.0", stages={"mert": StageStats(4, 8.0, 2)}).as_json()
    assert list(plain) == ["arguments", "seconds", "found", "decided", "stopped", "stages", "started", "version"]
    assert plain["stages"] == [{"stage": "mert", "settled": 2, "heard": 4, "seconds": 8.0}]
