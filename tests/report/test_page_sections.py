"""Every section of the page says what it shows, how much it leaves out, and where there is nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

import pytest

from music_reclass.domain import Decision, Outcome, Track, TrackTags, Vote
from music_reclass.features.results import ScanStats, StageStats
from music_reclass.features.statistics import BINS, Cause
from music_reclass.models.metrics import Point
from music_reclass.report.listings import ListedAlbum, Listing
from music_reclass.report.page import page_of
from music_reclass.report.statistics import ExpectedPrecision
from music_reclass.report.summary import Report
from tests.report.test_text_wording import figures

EMPTY = Listing((), 0, 0)


def made(library: Mapping[str, int] = {"tracks": 0, "missing": 0}, **changes: Any) -> str:
    """The page of a library that holds nothing but what `changes` says."""
    statistics = {name: changes.pop(name) for name in list(changes) if name not in Report.__dataclass_fields__}
    nothing: dict[str, Any] = {
        "library": library, "figures": figures(**statistics), "scans": (), "costs": {}, "certificates": (),
        "audits": (), "conflicts": EMPTY, "unsure": EMPTY, "failures": (),
        "policy": "certified", "policies": (), "prior": None,
    }  # fmt: skip
    page = page_of(Report(**nothing | changes))
    Balanced().feed(page)
    return page


class Balanced(HTMLParser):
    """Fails where a tag is closed that is not the last one opened."""

    VOID = ("meta",)

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        """Opened and closed in one."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def section(page: str, name: str) -> str:
    """From the heading of this name to the next one."""
    return re.split(r"<h2 ", page.partition(f"<h2 id='{name}'>")[2])[0]


def tune(number: int, genres: tuple[str, ...] = (), tags: tuple[str, ...] | None = ("Jazz",), path: str = "") -> Track:
    votes = (Vote("s", {"Rock": 0.62, "Pop": 0.3, "Jazz": 0.08}),)
    outcome = Outcome.LIKELY if genres else Outcome.UNSURE
    decision = Decision(outcome, "x", genres, 0.62, "s", votes)
    return Track(path or f"/m/One/{number}.mp3", 1, 1, tags=TrackTags(tags), decision=decision, id=number + 1)


def album(tracks: list[Track], name: str = "One", folder: str = "/m/One") -> ListedAlbum:
    return ListedAlbum(name, folder, len(tracks), 1.0, tuple(tracks[:8]))


def test_an_empty_library_has_every_section_and_each_says_that_there_is_nothing() -> None:
    page = made()
    for name in ("outcomes", "genres", "conflicts", "unsure", "failures", "tags", "stages", "scans"):
        assert f"<a href='#{name}'>" in page
        assert section(page, name)
    assert "No genre was decided yet." in section(page, "genres")
    assert "None." in section(page, "unsure")
    assert "None." in section(page, "failures")
    assert "No decided track carries a known genre" in section(page, "tags")
    assert "None was kept." in section(page, "scans")
    assert "missing" not in page


def test_the_tiles_add_up_what_belongs_together_and_missing_files_get_one_of_theirs() -> None:
    page = made(
        {"tracks": 12_345, "missing": 7},
        outcomes={"confident": 1000, "likely": 234, "unsure": 5, "skipped": 1, "failed": 2},
        conflicts=Listing((), 2, 41),
    )
    tiles = re.findall(r"<b>([\d,]+)</b>([^<]+)", page)
    assert tiles == [
        ("12,345", "tracks"), ("1,234", "with a genre"), ("5", "not sure"), ("3", "left out"),
        ("41", "with another genre in the tag"), ("7", "missing"),
    ]  # fmt: skip


def test_the_share_of_an_outcome_is_of_all_tracks() -> None:
    page = section(made(outcomes={"confident": 3, "failed": 1}), "outcomes")
    assert "3 (75.0%)" in page
    assert "1 (25.0%)" in page


def test_an_outcome_without_tracks_is_not_in_the_histogram() -> None:
    counts = {"confident": (0,) * BINS, "unsure": (2,) + (0,) * (BINS - 1)}
    page = section(made(histogram=counts), "outcomes")
    assert "unsure, 0.00 to 0.05: 2" in page
    assert ">confident<" not in page


def test_what_should_be_right_stands_beside_what_is_certified() -> None:
    rows = (
        ExpectedPrecision("confident", "musicnn", 1200, 0.934, 0.9),
        ExpectedPrecision("likely", "musicnn", 1, 0.6, None),
    )
    page = section(made(expected=rows), "outcomes")
    assert "<td>1,200</td><td>93.4%</td><td>at least 90%</td>" in page
    assert "<td>1</td><td>60.0%</td><td>nothing</td>" in page


@pytest.mark.parametrize(("count", "words"), [(30, ""), (31, "and 1 more genre<"), (34, "and 4 more genres<")])
def test_a_long_list_of_genres_is_cut_and_says_how_many_are_left(count: int, words: str) -> None:
    page = section(made(genres={f"Genre {n:02}": 100 - n for n in range(count)}), "genres")
    assert "Genre 29" in page
    assert "Genre 30" not in page
    assert words in page
    assert ("more genre" in page) == bool(words)


def test_one_track_of_one_album_is_singular_and_two_are_not() -> None:
    one = section(made(conflicts=Listing((album([tune(0, ("Rock",))]),), 1, 1)), "conflicts")
    assert "1 track of 1 album, the surest decision first" in one
    assert "Jazz → Rock 62 %, 1 track<" in one
    two = section(made(unsure=Listing((album([tune(0), tune(1)]),), 2, 2)), "unsure")
    assert "2 tracks of 2 albums, left alone" in two
    assert "and 1 more album;" in two


def test_an_uncertain_track_shows_its_two_likeliest_genres() -> None:
    page = section(made(unsure=Listing((album([tune(0, tags=None)]),), 1, 1)), "unsure")
    assert "<td>0.mp3</td><td></td><td>Rock 62 %, Pop 30 %</td>" in page
    assert "no genre → Rock 62 %" in page
    assert "likeliest" in page


def test_tracks_without_an_album_are_named_by_their_folder() -> None:
    page = section(made(unsure=Listing((album([tune(0)], "", "/m/音楽 & more"),), 1, 1)), "unsure")
    assert "<summary>音楽 &amp; more <span>" in page
    assert "<small>/m/音楽 &amp; more</small>" in page
    assert "<summary>/ <span>" in section(made(unsure=Listing((album([tune(0)], "", "/"),), 1, 1)), "unsure")


def test_a_long_album_shows_its_best_tracks_and_counts_the_rest() -> None:
    page = section(made(conflicts=Listing((album([tune(n, ("Rock",)) for n in range(11)]),), 1, 11)), "conflicts")
    assert page.count(".mp3</td>") == 8
    assert "<small>and 3 more</small>" in page
    assert "11 tracks</span>" in page


def test_hostile_names_are_shown_and_not_obeyed_wherever_they_stand() -> None:
    evil = "<img src=x>\x1b]0;\n\udcff"
    listed = album([tune(0, ("Rock",), (evil,), f"/m/{evil}/{evil}.mp3")], evil, f"/m/{evil}")
    page = made(
        conflicts=Listing((listed,), 1, 1),
        unsure=Listing((listed,), 1, 1),
        failures=(Cause("failed", evil, 1, ((f"/m/{evil}", evil),)),),
        confusions=((evil, evil, 3),), tagged=3, matrix_names=(evil,), matrix=((3,),), genres={evil: 1},
        reliability=(Point(0.5, 3, 1.0, 1.0),),
    )  # fmt: skip
    page.encode()
    assert "<img" not in page
    assert "\x1b" not in page
    assert page.count("&lt;img src=x&gt;\\x1b]0;\\n\\udcff") >= 9


@pytest.mark.parametrize(("count", "words"), [(2, ""), (3, "and 1 more: <code>reclass status --failed</code>")])
def test_a_cause_of_failure_names_some_files_and_says_how_many_more(count: int, words: str) -> None:
    examples = (("/m/a", "frame 1"), ("/m/b", ""))
    page = section(made(failures=(Cause("failed", "decode", count, examples),)), "failures")
    assert f"<summary>damaged <span>{count}</span></summary>" in page
    assert "<td>/m/a</td><td>frame 1</td>" in page
    assert words in page
    assert ("more:" in page) == bool(words)
    assert "None." not in page


def test_agreement_with_tags_is_a_share_a_curve_and_a_table() -> None:
    page = section(
        made(
            tagged=8, agreeing=6, confusions=(("Rock", "Jazz", 2),), reliability=(Point(0.55, 8, 1.0, 0.75),),
            matrix_names=("Jazz", "Rock"), matrix=((0, 2), (0, 6)),
        ),
        "tags",
    )  # fmt: skip
    assert "8 decided tracks with a known genre" in page
    assert "75.0% of the decisions agree" in page
    assert "<td>Rock</td><td>Jazz</td><td>2</td>" in page
    assert "8 rows" in page
    assert "Jazz decided as Rock: 2" in page


def test_agreement_without_an_exception_has_no_table_of_confusions() -> None:
    page = section(made(tagged=1, agreeing=1, matrix_names=("Rock",), matrix=((1,),)), "tags")
    assert "1 decided track with" in page
    assert "Largest confusions</h3>none" in page


def test_stages_show_who_decided_and_what_each_costs() -> None:
    page = section(made(decided_by={"cheap": (3, 1), "costly": (1, 0)}, costs={"costly": StageStats(4, 2.0)}), "stages")
    assert "3 (75.0%), 1 by album" in page
    assert "1 (25.0%)<" in page
    assert "0.5 s a track" in page
    assert "Early exits" not in page


def test_without_costs_there_is_no_drawing_of_time() -> None:
    assert "<h3>Time</h3>" not in made(decided_by={"cheap": (1, 0)})


def test_a_scan_that_was_stopped_says_so() -> None:
    scans = (
        ScanStats(started=1e9, found=2000, decided=1, seconds={"read": 60.0, "decide": 31.0}, stopped=True),
        ScanStats(started=1e9, found=1, decided=1, stages={"a": StageStats(1, 2.0)}, seconds={"read": 2.0}),
    )
    page = section(made(scans=scans), "scans")
    assert "<td>2,000</td><td>1</td><td>2 min (stopped)</td><td>nothing new to read</td>" in page
    assert "<td>2.0 s</td><td>a 2.0 s for 1 track, 2 s each</td>" in page
