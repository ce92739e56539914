"""A report of a library is complete, cut to a length that stays usable, and plain JSON."""

import json
from pathlib import Path

from music_reclass.report.summary import report_of
from tests.classification.small_library import SmallLibrary, Tune, sure
from tests.report.conftest import TUNES


def test_a_large_list_is_cut_and_says_how_much_there_is(tmp_path: Path) -> None:
    tunes = [Tune(f"/m/{n}/1", sure("Rock"), sure("Rock"), ("Jazz",), f"a{n}", "One") for n in range(12)]
    library = SmallLibrary(tmp_path, tunes)
    library.decide()

    conflicts = report_of(library.database, library.cascade, most=10).conflicts

    assert (len(conflicts.albums), conflicts.all_albums, conflicts.all_tracks) == (10, 12, 12)


def test_a_library_without_decisions_has_a_report(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, TUNES)

    report = report_of(library.database, library.cascade)

    assert report.figures.outcomes == {}
    json.dumps(report.as_json())


def test_the_keys_of_the_report_stay_those_of_its_first_version(library: SmallLibrary) -> None:
    found = report_of(library.database, library.cascade).as_json()

    assert found["figures"]["borne_out"] == 2
    assert found["figures"]["expected"][0]["promised"] == 0.85
    assert found["figures"]["settled"][0] == {"stage": "cheap", "tracks": 4, "by_album": 0}
    assert set(found["conflicts"]["albums"][0]["tracks"][0]) == {"path", "tags", "genres", "confidence"}
