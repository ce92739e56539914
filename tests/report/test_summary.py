"""A report of a library is complete, cut to a length that stays usable, and plain JSON."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from music_reclass.models.exit_policy import ExitPolicy
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


def test_exit_policies_are_compared_by_the_votes_on_the_library(tmp_path: Path) -> None:
    tunes = [Tune(f"/m/{n}.mp3", sure("Rock", level), sure("Rock", 0.95)) for n, level in enumerate((0.55, 0.7, 0.95))]
    library = SmallLibrary(tmp_path, tunes)
    library.decide()
    policy = ExitPolicy("fixed", confidence=0.8, measured={"cheap": 0.5, "costly": 4.0})
    cascade = replace(library.cascade, policy=policy)
    found = report_of(library.database, cascade)
    shown = {one.policy: one for one in found.policies}
    assert list(shown) == ["certified", "expected (quick)", "expected (balanced)", "expected (thorough)", "fixed:0.8"]
    fixed = shown["fixed:0.8"]
    assert fixed.chosen
    assert dict(fixed.asked) == {"cheap": 1.0, "costly": pytest.approx(2 / 3, abs=1e-4)}
    assert fixed.seconds == pytest.approx(0.5 + 4.0 * 2 / 3)
    assert fixed.accuracy == pytest.approx(0.95, abs=1e-3)
    stated = found.as_json()
    assert stated["exit_policy"] == "fixed:0.8"
    assert stated["policies"][-1]["asked"]["costly"] == pytest.approx(2 / 3, abs=1e-4)
    alone = replace(cascade, stages=cascade.stages[:1])
    assert report_of(library.database, alone).policies == ()
