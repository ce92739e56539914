"""A report counts what was decided, at what cost, how that stands to people's tags, and lists what to look at."""

import json
from pathlib import Path

import pytest

from music_reclass.classification.agreement import tag_agreement
from music_reclass.domain import Track
from music_reclass.errors import FailTrack, SkipTrack
from music_reclass.features.results import ExitAudits, Scans, ScanStats, StageStats
from music_reclass.features.statistics import Outcomes
from music_reclass.report import listings
from music_reclass.report.page import page_of
from music_reclass.report.statistics import statistics_of
from music_reclass.report.summary import after_scan, report_of, store_scan
from tests.classification.fakes import CHEAP
from tests.classification.small_library import SmallLibrary, Tune, sure
from tests.features.test_library_labelled import wrote

HOSTILE = "/m/<script>alert('x')</script>&\udcff\x1b[31m.mp3"
ALBUM = [
    Tune(f"/m/One/{n}", sure("Rock", 0.95 - n / 100), sure("Rock"), ("Jazz",), "Ida <b>", "One & Two") for n in range(4)
]
TUNES = [
    *ALBUM,  # four that leave early, against their tag
    Tune("/m/agree", sure("Pop", 0.6), sure("Pop", 0.95), ("Pop",)),
    Tune("/m/finer", sure("Rock", 0.6), sure("Rock", 0.7), ("Shoegaze",)),
    Tune("/m/junk", sure("Rock", 0.6), sure("Rock", 0.7), ("Other",)),
    Tune("/m/none", sure("Jazz", 0.5), sure("Jazz", 0.45)),
    Tune(HOSTILE, sure("Jazz", 0.5), sure("Jazz", 0.4), ("<i>Zorblax</i>",)),
]


@pytest.fixture
def library(tmp_path: Path) -> SmallLibrary:
    made = SmallLibrary(tmp_path, TUNES)
    made.decide()
    return made


def test_every_figure_of_a_small_library_is_right(library: SmallLibrary) -> None:
    figures = statistics_of(Outcomes(library.database), library.cascade)

    assert figures.outcomes == {"confident": 5, "likely": 2, "unsure": 2}
    assert [(own.stage, own.tracks) for own in figures.settled] == [("cheap", 4), ("costly", 5)]
    assert figures.genres == {"Rock": 6, "Pop": 1}
    assert (figures.tagged, figures.borne_out) == (6, 2)
    assert [(own.genre, own.tag, own.tracks) for own in figures.confusions] == [("Rock", "Jazz", 4)]
    by_place = {(own.outcome, own.stage): own for own in figures.expected}
    assert by_place["confident", "cheap"].precision == pytest.approx((0.95 + 0.94 + 0.93 + 0.92) / 4, abs=1e-6)
    assert by_place["confident", "cheap"].promised == 0.85
    assert by_place["likely", "costly"].promised is None
    assert sum(map(sum, figures.histogram.values())) == 9
    assert [(own.count, own.right) for own in figures.reliability] == [(1, 1.0), (5, 0.2)]
    assert figures.matrix_names == ("Jazz", "Pop", "Rock")
    assert figures.matrix == ((0, 0, 4), (0, 1, 0), (0, 0, 1))
    json.dumps(figures.as_json())


def test_what_we_wrote_bears_nothing_out(library: SmallLibrary) -> None:
    wrote(library.database, b"/m/agree", '["Pop"]')

    assert statistics_of(Outcomes(library.database), library.cascade).tagged == 5


def test_conflicts_come_by_album_the_surest_first(library: SmallLibrary) -> None:
    (album,) = listings.conflicts(Outcomes(library.database), tag_agreement(library.cascade), 10).albums

    assert (album.name, album.folder, album.count) == ("Ida <b> – One & Two", "/m/One", 4)
    assert [track.path for track in album.tracks] == ["/m/One/0", "/m/One/1", "/m/One/2", "/m/One/3"]
    assert album.tracks[0].genres[0][0] == "Rock"


def test_whole_albums_in_doubt_come_before_single_tracks(tmp_path: Path) -> None:
    doubtful = [Tune(f"/m/A/{n}", sure("Rock", 0.41), sure("Rock", 0.4), None, "A", "A") for n in range(3)]
    library = SmallLibrary(tmp_path, [Tune("/m/x/1", sure("Jazz", 0.5), sure("Jazz", 0.49)), *doubtful])
    library.decide()

    listing = listings.unsure(Outcomes(library.database), library.cascade, 1)

    assert (listing.all_albums, listing.all_tracks) == (2, 4)
    (first,) = listing.albums
    assert (first.name, first.count) == ("A – A", 3)
    assert first.tracks[0].genres[0][0] == "Rock"


def test_a_track_that_a_stage_could_still_help_is_worth_what_asking_gains(tmp_path: Path) -> None:
    tunes = [Tune("/m/x/1", sure("Jazz", 0.45), None), Tune("/m/y/1", sure("Jazz", 0.35), None)]
    library = SmallLibrary(tmp_path, tunes)
    library.decide(extract=False)

    first, second = listings.unsure(Outcomes(library.database), library.cascade, 10).albums

    assert (first.folder, second.folder) == ("/m/y", "/m/x")  # the less sure gains more
    assert first.value == pytest.approx(0.65, abs=1e-3)


def test_a_scan_sums_itself_up_and_is_remembered(library: SmallLibrary) -> None:
    scope = library.decide()
    assert scope is not None
    done = ScanStats(
        found=9, new=9, read=9, decided=9, seconds={"discover": 0.5, "read": 4.5, "decide": 10.5},
        stages={"cheap": StageStats(9, 4.5), "costly": StageStats(5, 10.0)},
    )  # fmt: skip

    store_scan(scope, done, library.cascade, {"paths": ["/m"]})
    lines = list(after_scan(done, Outcomes(library.database, scope), library.cascade))

    assert lines == [
        ("stages", "cheap 4 (44%) · costly 5 (56%)"),
        ("cost", "cheap 0.5 s a track · costly 2 s a track"),
        ("expected", "94% of 5 confident right (promised: cheap 85%, costly nothing)"),
        ("expected", "70% of 2 likely right (promised: costly nothing)"),
        ("own tags", "bear out 33% of the decisions for 6 tracks that have one"),
        ("confused", "Rock tagged as Jazz 4"),
    ]
    scans = Scans(library.database)
    assert scans.seconds_per_track("costly") == 2
    (scan,) = scans.last()
    assert [(name, stage.settled, stage.extracted) for name, stage in scan.stages.items()] == [
        ("cheap", 4, 9),
        ("costly", 5, 5),
    ]


def test_the_page_shows_every_text_and_obeys_none(library: SmallLibrary) -> None:
    failed = [
        Track("/m/<b>bad", 1, 1, error=FailTrack("decode", "frame <1>")),
        Track("/m/quiet", 1, 1, error=SkipTrack("silence", "")),
    ]
    library.library.save(failed, CHEAP)
    ExitAudits(library.database).save(
        {"heard": 3, "early": 9, "judgements": [{"stage": "cheap", "alarm": True, "sentence": "9 % <lost>"}]}
    )

    page = page_of(report_of(library.database, library.cascade))

    page.encode()
    assert "<script" not in page
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;" in page
    assert "\\udcff\\x1b[31m" in page
    assert "<b>bad" not in page
    assert "/m/&lt;b&gt;bad" in page
    assert "ALARM cheap: 9 % &lt;lost&gt;" in page
    assert "http" not in page
    assert page.count("<details>") == page.count("</details>") > 3


def test_a_large_list_is_cut_and_says_how_much_is_left(tmp_path: Path) -> None:
    tunes = [
        Tune(f"/m/{n}/{k}", sure("Rock"), sure("Rock"), ("Jazz",), f"a{n}", "One") for n in range(12) for k in range(11)
    ]
    library = SmallLibrary(tmp_path, tunes)
    library.decide()

    report = report_of(library.database, library.cascade, most=10)
    page = page_of(report)

    assert (len(report.conflicts.albums), report.conflicts.all_albums, report.conflicts.all_tracks) == (10, 12, 132)
    assert "and 2 more albums" in page
    assert "and 3 more" in page
    assert "reclass export" in page


def test_a_library_without_decisions_has_a_report(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, TUNES)

    report = report_of(library.database, library.cascade)

    assert report.figures.outcomes == {}
    assert "No genre was decided yet" in page_of(report)
    json.dumps(report.as_json())
