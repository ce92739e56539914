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
    """The lines with the blanks between their parts cut to one."""
    return "\n".join(" ".join(line.split()) for line in lines)


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
        "9 recognised (about 7 of these should be right)",
        "4 have no genre yet -> to be filled in",
        "3 say the same, or something finer -> nothing to do",
        "2 say something else -> left alone; see them: reclass report",
        "5 not sure enough -> left alone; see them: reclass status --unsure",
        "3 could not be used -> see why: reclass status --failed",
        "1 too short",
        "2 damaged",
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

    assert "1 recognised (such genres are right about 8 times in 10)" in found
    assert "1 has a genre that says nothing, such as Other -> to be replaced" in found
    assert "1 not sure enough -> left alone" in found
    assert "1 could not be used -> see why: reclass status --failed\n1 read error" in found


def test_what_a_person_decided_is_not_said_to_be_right_so_often() -> None:
    found = list(text.outcome_lines({"confident": 2}, {}, expected_right=2.0))
    assert found == ["     2 recognised"]


def test_what_the_policy_replaces_is_not_called_left_alone() -> None:
    found = said(text.plan_lines(report({"likely": 3}, relations={"conflict": 3}, changes={"conflict": 2})))

    assert "2 say something else -> to be replaced" in found
    assert "1 says something else -> left alone" in found


def test_nothing_decided_is_said() -> None:
    assert list(text.plan_lines(WriteReport())) == ["Nothing was decided yet."]


def test_the_music_is_counted_with_what_later_stages_took_on() -> None:
    stats = ScanStats(
        found=9, new=9, read=9, seconds={"read": 4.5},
        stages={"fma518": StageStats(9, 4.5), "musicnn": StageStats(1, 0.4, unreached=2, failed=1)},
    )  # fmt: skip

    assert list(text.music_lines(stats, "~/Music")) == [
        "~/Music: 9 tracks, all new. Analysed in 4.5 s.",
        "1 track once more with the stage musicnn in 0.4 s.",
        "2 uncertain tracks did not get to the stage musicnn; the next scan goes on there.",
        "1 uncertain track could not be read by the stage musicnn.",
    ]


def test_a_scan_that_was_stopped_does_not_claim_to_have_analysed_all() -> None:
    stats = ScanStats(found=200, new=200, read=46, seconds={"read": 4.0}, stopped=True)
    said_of = "~/Music: 200 tracks, all new."
    assert list(text.music_lines(stats, "~/Music")) == [f"{said_of} 46 analysed in 4.0 s; the next scan goes on there."]
    stats.read = 200  # stopped later, while writing
    assert list(text.music_lines(stats, "~/Music")) == [f"{said_of} Analysed in 4.0 s."]


def test_a_stage_that_asks_about_every_known_track_is_told_from_one_whose_features_came_with_the_reading() -> None:
    first = ScanStats(found=9, new=9, read=9, seconds={"read": 1.0}, stages={"a": StageStats(9)})
    first.stages["efficientat"] = StageStats(8, 0.8, at_reading=8)
    assert len(list(text.music_lines(first, "~/Music"))) == 1

    later = ScanStats(found=9, stages={"a": StageStats(), "efficientat": StageStats(9, 0.8)})
    assert list(text.music_lines(later, "~/Music"))[1:] == ["9 tracks once more with the stage efficientat in 0.8 s."]
    later.stages["efficientat"] = StageStats(9, 0.8, at_reading=2)
    assert list(text.music_lines(later, "~/Music"))[1:] == ["7 tracks once more with the stage efficientat."]


@pytest.mark.parametrize(
    ("stats", "words"),
    [
        (ScanStats(found=1, new=1), "1 track, new."),
        (ScanStats(found=1), "1 track, known."),
        (ScanStats(found=5), "5 tracks, all known."),
        (ScanStats(found=5, new=2, changed=1, gone=1), "5 tracks, 2 new, 2 known, 1 changed, 1 gone."),
    ],
)
def test_only_what_there_is_of_files_is_counted(stats: ScanStats, words: str) -> None:
    (line,) = text.music_lines(stats, "~/Music")

    assert line == f"~/Music: {words}"


def test_a_tip_says_how_to_get_what_is_missing_in_one_way() -> None:
    why = "the model musicnn is not installed: reclass models download musicnn, or, with the file, x."

    line = text.tip_line("musicnn", why, 5)
    assert line.startswith("5 uncertain tracks")
    assert line.endswith("not installed: reclass models download musicnn")


def test_what_is_no_music_is_counted_by_what_it_is() -> None:
    found = said(
        text.plan_lines(
            report(
                {"likely": 1, "skipped": 4},
                reasons={"skipped: not_music": 3, "skipped: silence": 1},
                sounds={"noise": 1, "speech": 2},
            )
        )
    )

    assert "3 not music: speech 2, noise 1 -> left alone; see them: reclass status --failed" in found
    assert "1 could not be used -> see why: reclass status --failed\n1 silent" in found


def test_what_cannot_be_written_is_neither_promised_nor_called_left_alone() -> None:
    found = said(
        text.plan_lines(
            report(
                {"likely": 5},
                relations={"fill": 4, "conflict": 1},
                changes={"fill": 1, "conflict": 0},
                unwritable={("fill", "unsupported"): 2, ("fill", "tags"): 1},
            )
        )
    )

    assert found.splitlines()[1:] == [
        "1 has no genre yet -> to be filled in",
        "1 says something else -> left alone; see them: reclass report",
        "3 cannot be written -> see them: reclass status --failed",
        "2 a kind of file that is read but not written",
        "1 damaged tag",
    ]


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
