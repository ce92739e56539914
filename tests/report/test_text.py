"""What a scan prints is plain English, in the right number, and names the command that shows more."""

from __future__ import annotations

from typing import Any

import pytest

from music_reclass.features.results import ScanStats, StageStats
from music_reclass.features.statistics import Outcomes
from music_reclass.report import text
from music_reclass.report.statistics import statistics_of
from music_reclass.tagging.apply import WriteReport
from tests.classification.small_library import SmallLibrary

STATISTICS = ("promise", "precision", "certified", "expected", "stages", "calibrat", "epsilon", "%", "bear")


def report(outcomes: dict[str, int], **changes: Any) -> WriteReport:
    made = WriteReport(**changes)
    made.outcomes |= outcomes
    return made


def said(lines: Any) -> str:
    return "\n".join(f"{label}|{line}" for label, line in lines)


def test_the_result_is_said_without_statistics() -> None:
    found = said(
        text.plan_lines(
            report(
                {"confident": 4, "likely": 5, "unsure": 5, "skipped": 1, "failed": 2},
                reasons={"skipped: too_short": 1, "failed: decode": 2},
                relations={"conflict": 2, "fill": 4, "agree": 3},
                changes={"conflict": 0, "fill": 4, "agree": 0},
                expected_right=6.9,
            )
        )
    )

    assert found.splitlines() == [
        "result|a genre for 9 of 17 tracks; about 7 of these 9 should be right",
        "|4 have no genre yet: to be filled in",
        "|3 have the same genre already, or a finer one: nothing to do",
        "|2 have another genre: left alone; to see them: reclass report",
        "not sure|5 tracks: left alone; to see them: reclass status --unsure",
        "left out|3 files (too short 1, decode 2); to see why: reclass status --failed",
    ]
    assert not any(word in found for word in STATISTICS)


def test_one_track_is_one_track() -> None:
    found = said(
        text.plan_lines(
            report(
                {"likely": 1, "unsure": 1, "failed": 1},
                reasons={"failed: io": 1},
                relations={"junk": 1},
                changes={"junk": 1},
                expected_right=0.78,
            )
        )
    )

    assert "a genre for 1 of 3 tracks; such genres are right about 8 times in 10" in found
    assert "|1 has a genre that says nothing (such as Other or Unknown): to be replaced" in found
    assert "not sure|1 track: left alone" in found
    assert "left out|1 file (io 1)" in found


def test_what_the_policy_replaces_is_not_called_left_alone() -> None:
    found = said(text.plan_lines(report({"likely": 3}, relations={"conflict": 3}, changes={"conflict": 2})))

    assert "|2 have another genre: to be replaced" in found
    assert "|1 has another genre: left alone" in found


def test_nothing_decided_is_said() -> None:
    assert list(text.plan_lines(WriteReport())) == [("result", "nothing decided yet")]


def test_the_music_is_counted_with_what_later_stages_took_on() -> None:
    stats = ScanStats(
        found=9, new=9, read=9, seconds={"read": 4.5},
        stages={"fma518": StageStats(9, 4.5), "musicnn": StageStats(1, 0.4, unreached=2, failed=1)},
    )  # fmt: skip

    assert list(text.music_lines(stats, "~/Music")) == [
        ("music", "~/Music: 9 audio files (all new)"),
        ("read", "9 files in 4.5 s"),
        ("", "1 uncertain track once more with the stage musicnn in 0.4 s"),
        ("", "2 uncertain tracks did not get to the stage musicnn; the next scan goes on there"),
        ("", "1 uncertain track could not be read by the stage musicnn"),
    ]


@pytest.mark.parametrize(
    ("stats", "words"),
    [
        (ScanStats(found=1, new=1), "1 audio file (new)"),
        (ScanStats(found=5), "5 audio files (5 known and unchanged)"),
        (ScanStats(found=5, new=2, changed=1, gone=1), "(2 new, 2 known and unchanged, 1 changed, 1 gone)"),
    ],
)
def test_only_what_there_is_of_files_is_counted(stats: ScanStats, words: str) -> None:
    ((_, line),) = text.music_lines(stats, "~/Music")

    assert words in line


def test_a_stage_that_is_not_installed_is_a_tip_only_where_it_could_help() -> None:
    absent = {"musicnn": "the model musicnn is not installed: reclass models download musicnn, or, with the file, x."}

    assert list(text.tip_lines(absent, 0)) == []
    ((label, line),) = text.tip_lines(absent, 5)
    assert label == "tip"
    assert line.startswith("5 uncertain tracks")
    assert line.endswith("not installed: reclass models download musicnn")


def test_details_name_stages_seconds_certificates_and_agreement(library: SmallLibrary) -> None:
    figures = statistics_of(Outcomes(library.database), library.cascade)
    stats = ScanStats(stages={"cheap": StageStats(9, 4.5), "costly": StageStats(5, 10.0)}, in_pieces=3)

    assert list(text.detail_lines(figures, stats)) == [
        ("stages", "cheap 4 (44%) · costly 5 (56%)"),
        ("time", "cheap 4.5 s for 9 tracks, 0.5 s each · costly 10.0 s for 5 tracks, 2 s each"),
        ("memory", "3 windows computed in pieces, because other programs hold the rest"),
        ("expected", "94% of 5 confident decisions right (certified: cheap at least 85%, costly at least 85%)"),
        ("expected", "70% of 2 likely decisions right (certified: costly nothing)"),
        ("your tags", "agree with the decision on 2 of 6 decided tracks whose genre was not written by reclass"),
        ("differ", "Rock where the tag says Jazz 4"),
    ]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0 s"), (89.0, "89.0 s"), (91.0, "2 min"), (5400.0, "1 h 30 min")]
)
def test_a_duration_has_a_unit_of_its_size(seconds: float, words: str) -> None:
    assert text.duration(seconds) == words


@pytest.mark.parametrize(("share", "words"), [(0.654, "65 %"), (0.996, "over 99 %"), (1.0, "100 %")])
def test_what_is_less_than_certain_is_never_100_percent(share: float, words: str) -> None:
    assert text.percent(share) == words
