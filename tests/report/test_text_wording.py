"""The lines for people: singular and plural, units, thousands, and what is left out where there is nothing to say."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.features.results import ScanStats, StageStats
from music_reclass.report import text
from music_reclass.report.statistics import ExpectedPrecision, Statistics
from music_reclass.tagging.apply import WriteReport


def figures(**changes: Any) -> Statistics:
    """Statistics of nothing, but for `changes`."""
    nothing: dict[str, Any] = {
        "outcomes": {}, "expected": (), "decided_by": {}, "genres": {}, "histogram": {}, "tagged": 0, "agreeing": 0,
        "confusions": (), "reliability": (), "matrix_names": (), "matrix": (),
    }  # fmt: skip
    return Statistics(**nothing | changes)


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 tracks"), (1, "1 track"), (2, "2 tracks"), (1000, "1,000 tracks"), (50_000, "50,000 tracks")],
)
def test_one_is_singular_and_none_is_plural(count: int, words: str) -> None:
    assert text.counted(count, "track") == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (89.9, "89.9 s"),
        (90, "2 min"),
        (3600, "60 min"),
        (5340, "89 min"),
        (7200, "2 h 0 min"),
        (90_000, "25 h 0 min"),
    ],
)
def test_minutes_begin_at_ninety_seconds_and_hours_at_ninety_minutes(seconds: float, words: str) -> None:
    assert text.duration(seconds) == words


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1e7))
def test_a_duration_is_never_off_by_more_than_half_of_its_smallest_unit(seconds: float) -> None:
    shown = text.duration(seconds)
    numbers = [float(word) for word in shown.split()[::2]]
    units = [{"s": 1, "min": 60, "h": 3600}[word] for word in shown.split()[1::2]]
    slack = 0.0501 if units[-1] == 1 else 30.001
    assert abs(sum(n * unit for n, unit in zip(numbers, units, strict=True)) - seconds) <= slack


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1))
def test_only_all_is_100_percent_and_only_next_to_nothing_is_0(share: float) -> None:
    shown = text.percent(share)
    assert (shown == "100 %") == (share == 1.0)
    assert (shown == "0 %") == (share <= 0.005)


def test_what_is_left_out_is_counted_by_reason_in_words() -> None:
    lines = list(text.outcome_lines({"skipped": 1200, "failed": 1}, {"skipped: too_short": 1200, "failed: odd_one": 1}))
    assert lines == [
        "     0 recognised",
        " 1,201 could not be used  -> see why: reclass status --failed",
        "       1,200 too short",
        "           1 odd one",
    ]


def test_all_sure_is_one_line() -> None:
    assert list(text.outcome_lines({"confident": 2, "likely": 1}, {})) == ["     3 recognised"]


def test_arrows_stand_below_each_other_and_a_long_text_pushes_its_own_alone() -> None:
    rows = [(0, 5, "a", "x"), (1, 1234, "bcd", "y"), (0, 1, "long " * 20, "z"), (0, 1, "none", "")]
    lines = list(text.row_lines(rows))
    places = [line.find("->") for line in lines]
    assert places[0] == places[1] == len("       1,234 bcd") + 1 + 1 + 0
    assert places[2] > 100
    assert places[3] == -1


@pytest.mark.parametrize(
    ("decided", "right", "words"),
    [
        (5, 4.6, "about 5 of these should be right"),
        (5, 5.6, "about 5 of these should be right"),  # never more than there are
        (4, 2.0, "such genres are right about 5 times in 10"),
        (1, 0.97, "such genres are right about 10 times in 10"),
        (1000, 849.6, "about 850 of these should be right"),
    ],
)
def test_few_decisions_get_a_share_and_many_a_number(decided: int, right: float, words: str) -> None:
    (line,) = text.outcome_lines({"likely": decided}, {}, right)
    assert line.endswith(f"recognised ({words})")


def test_relations_stand_in_one_order_whatever_was_counted_first() -> None:
    report = WriteReport(
        relations={"conflict": 1, "refine": 2, "agree": 1, "junk": 1, "fill": 1}, changes={"refine": 1, "fill": 1}
    )
    report.outcomes["likely"] = 6
    assert [" ".join(line.split()) for line in text.plan_lines(report)][1:] == [
        "1 has no genre yet -> to be filled in",
        "1 has a genre that says nothing, such as Other -> left alone",
        "1 says the same, or something finer -> nothing to do",
        "1 says something wider, as Rock for Shoegaze -> to be replaced",
        "1 says something wider, as Rock for Shoegaze -> left alone",
        "1 says something else -> left alone; see them: reclass report",
    ]


def test_a_genre_that_says_too_little_leaves_the_field_empty() -> None:
    report = WriteReport(relations={"fill": 3}, changes={"fill": 1})
    report.outcomes["likely"] = 3
    assert [" ".join(line.split()) for line in text.plan_lines(report)][1:] == [
        "1 has no genre yet -> to be filled in",
        "2 have no genre yet -> left empty, as what was found says too little",
    ]


def test_a_library_that_went_away_is_counted_as_gone() -> None:
    assert list(text.music_lines(ScanStats(found=0, gone=3), "/m")) == ["/m: 0 tracks, 3 gone."]
    assert list(text.music_lines(ScanStats(found=2, new=2, gone=1), "/m")) == ["/m: 2 tracks, 2 new, 1 gone."]


def test_the_first_stage_reads_every_file_and_is_not_called_a_second_look() -> None:
    stats = ScanStats(found=1, new=1, stages={"fma518": StageStats(1, 1.0, unreached=1, failed=1)})
    assert list(text.music_lines(stats, "/m")) == ["/m: 1 track, new."]


def test_tips_are_one_for_each_stage_that_is_absent_in_the_right_number() -> None:
    absent = {"musicnn": "the model musicnn is not installed.", "mert": "torch is not installed."}
    assert [text.tip_line(stage, why, 1) for stage, why in absent.items()] == [
        "1 uncertain track might be decided by the stage musicnn, but the model musicnn is not installed",
        "1 uncertain track might be decided by the stage mert, but torch is not installed",
    ]


def test_without_decisions_there_are_no_lines_of_statistics() -> None:
    nothing = figures(decided_by={"cheap": (0, 0)})
    for lines in (text.stage_lines(nothing), text.precision_lines(nothing), text.agreement_lines(nothing, 5)):
        assert list(lines) == []
    assert list(text.detail_lines(nothing, ScanStats())) == []


def test_the_share_of_a_stage_names_those_that_the_album_decided() -> None:
    assert list(text.stage_lines(figures(decided_by={"cheap": (1500, 12), "costly": (500, 0)}))) == [
        ("stages", "cheap 1,500 (75%, 12 by album) · costly 500 (25%)")
    ]


def test_the_expected_precision_of_several_stages_is_weighed_by_their_tracks() -> None:
    rows = (ExpectedPrecision("likely", "a", 30, 0.9, None), ExpectedPrecision("likely", "b", 10, 0.5, 0.44))
    assert list(text.precision_lines(figures(expected=rows))) == [
        ("expected", "80% of 40 likely decisions right (certified: a nothing, b at least 44%)")
    ]


def test_disagreements_are_cut_to_as_many_as_asked_for() -> None:
    found = figures(tagged=1, agreeing=0, confusions=(("Rock", "Jazz", 1200), ("Pop", "Folk", 2), ("Jazz", "Pop", 1)))
    (_, share), (label, differ) = text.agreement_lines(found, 2)
    assert share == "agree with the decision on 0 of 1 decided track whose genre was not written by reclass"
    assert (label, differ) == ("differ", "Rock where the tag says Jazz 1,200 · Pop where the tag says Folk 2")


def test_a_scan_is_one_line_that_says_whether_it_was_stopped() -> None:
    scan = ScanStats(found=1, decided=0, stopped=True)
    assert text.scan_text(scan) == "1 file, 0 decided, stopped: nothing new to read"
    scan = ScanStats(found=2000, decided=1500, stages={"a": StageStats(1, 0.5), "b": StageStats()})
    assert text.scan_text(scan) == "2,000 files, 1,500 decided: a 0.5 s for 1 track, 0.5 s each"


def test_a_stage_that_extracted_nothing_has_no_cost_a_track() -> None:
    assert text.cost_text("mert", StageStats(0, 3.0)) == "mert 3.0 s for 0 tracks"


@pytest.mark.parametrize(("from_library", "end"), [(True, " (certified on this library)"), (False, "never exits")])
def test_a_certificate_says_whether_it_is_of_this_library(from_library: bool, end: str) -> None:
    found = SimpleNamespace(stage="fma518", sentence="never exits", from_library=from_library)
    ((label, line),) = text.certificate_lines([found])  # type: ignore[list-item]
    assert label == "exit"
    assert line.startswith("fma518 never exits")
    assert line.endswith(end)


def test_an_audit_is_dated_and_an_alarm_stands_in_front() -> None:
    at = time.mktime((2026, 11, 21, 12, 0, 0, 0, 0, -1))
    judged = [{"stage": "a", "alarm": True, "sentence": "9 % lost"}, {"stage": "b", "alarm": False, "sentence": "fine"}]
    assert list(text.audit_lines([(at, {"heard": 1200, "early": 9000, "judgements": judged})])) == [
        ("audit", "2026-11-21: 1,200 of about 9,000 early exits checked by every stage"),
        ("", "ALARM a: 9 % lost"),
        ("", "b: fine"),
    ]
