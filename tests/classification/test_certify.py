"""Exits are certified on the user's own tracks, one an artist; too few certify nothing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from music_reclass.classification import certify
from music_reclass.classification.extract import missing_vectors
from music_reclass.classification.voter import Cascade, Stage
from music_reclass.errors import NothingToDo
from music_reclass.features.library import Library
from music_reclass.features.results import LibraryExits
from music_reclass.features.user_decisions import UserDecisions, keys_of
from music_reclass.models.bundle import artist_digests
from music_reclass.models.early_exit import ExitRule, RiskTarget
from tests.classification.small_library import SmallLibrary, Tune, silent, sure


def artists(count: int, wrong_below: float, tags: Sequence[str] = ("Rock",)) -> list[Tune]:
    """Tracks of as many artists, all Rock; the cheap stage is wrong up to the confidence `wrong_below`."""
    generator = np.random.default_rng(0)
    found = []
    for number in range(count):
        confidence = float(generator.uniform(0.4, 0.99))
        said = "Pop" if confidence < wrong_below else "Rock"
        found.append(Tune(f"/m/{number}", sure(said, confidence), sure("Rock"), tuple(tags), f"artist {number}"))
    return found


def calibrate(library: SmallLibrary, labels: bool = True) -> dict[str, ExitRule]:
    sample = certify.draw(library.database, library.cascade, by_tags=labels)
    return certify.certify_exits(
        library.database, library.cascade, sample, library.runner, target=RiskTarget(labels=labels), bar=silent
    )


@pytest.mark.parametrize("labels", [True, False])
def test_a_stage_exits_from_where_it_is_right(tmp_path: Path, labels: bool) -> None:
    library = SmallLibrary(tmp_path, artists(300, wrong_below=0.7))

    found = calibrate(library, labels)

    rule = found["digest of cheap"]
    assert (rule.count, rule.labels, rule.against) == (300, labels, ("digest of costly",))
    assert rule.threshold == pytest.approx(0.7, abs=0.02)
    assert rule.lost <= 2  # of 300: the bound at 90 % is then 1.8 %


def test_tags_that_reclass_does_not_know_are_no_evidence(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, artists(5, 0.0, ["Zorblax"]))

    with pytest.raises(NothingToDo, match="label-free"):
        certify.draw(library.database, library.cascade, by_tags=True)
    assert len(certify.draw(library.database, library.cascade, by_tags=False).genres) == 5


def test_too_few_artists_certify_nothing_and_are_told_how_many_are_missing(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, artists(50, wrong_below=0.0))

    found = calibrate(library)

    rule = found["digest of cheap"]
    assert rule.threshold is None
    assert certify.more_artists(rule) == RiskTarget(0.02, 0.1).fewest - 50 == 64


def test_one_track_an_artist_is_drawn_whatever_later_stages_have_extracted(tmp_path: Path) -> None:
    tunes = [
        Tune(f"/m/{n}", sure("Rock", 0.5 if n % 2 else 0.95), sure("Rock"), ("Rock",), f"artist {n // 4}")
        for n in range(80)
    ]
    library = SmallLibrary(tmp_path, tunes)
    library.decide()  # the costly stage has features of the uncertain half only

    sample = certify.draw(library.database, library.cascade, by_tags=True)

    assert (len(sample.genres), sample.artists, sample.tracks) == (20, 20, 80)
    assert len({(track - 1) // 4 for track in sample.genres}) == 20
    assert 3 < sum(track % 2 for track in sample.genres) < 17
    assert len(certify.draw(library.database, library.cascade, by_tags=True, most=7).genres) == 7


def test_tracks_that_a_stage_cannot_extract_are_left_out(tmp_path: Path) -> None:
    tunes = [Tune(f"/m/{n}", sure("Rock"), None if n < 3 else sure("Rock"), ("Rock",), f"a{n}") for n in range(10)]
    library = SmallLibrary(tmp_path, tunes)

    found = calibrate(library)

    assert found["digest of cheap"].count == 7


def test_what_was_certified_is_stored_and_shown(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, artists(300, wrong_below=0.7), exit_rule=None)
    certified = LibraryExits(library.database)
    assert certified.dates() == {}

    certify.store_exits(library.database, calibrate(library))
    stored = certified.of(["digest of cheap", "digest of costly"])

    assert stored["digest of cheap"][0]["threshold"] == pytest.approx(0.7, abs=0.02)
    (shown,) = certify.certificates_of(library.database, library.cascade)
    assert (shown.stage, shown.from_library) == ("cheap", True)
    assert shown.as_json().keys() == {"stage", "sentence", "own", "made"}
    assert "never exits" in shown.sentence  # this cascade was made without it


def test_a_single_stage_has_nothing_to_certify(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, artists(3, 0.0))

    with pytest.raises(NothingToDo, match="one stage only"):
        certify.draw(library.database, Cascade(library.cascade.stages[:1], library.cascade.taxonomy), by_tags=True)


def test_artists_that_taught_a_model_are_no_evidence(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, artists(10, 0.0))
    cheap, costly = library.cascade.stages

    def taught(count: int) -> Stage:
        seen = artist_digests(f"artist artist {n}" for n in range(count))
        return replace(costly, bundle=replace(costly.bundle, manifest={"training": {"artists_seen": seen}}))

    cascade = Cascade((cheap, taught(4)), library.cascade.taxonomy)

    sample = certify.draw(library.database, cascade, by_tags=True)

    assert (sample.artists, sample.known) == (6, 4)
    assert sorted(sample.genres) == library.ids[4:]

    cascade = Cascade((cheap, taught(10)), library.cascade.taxonomy)
    with pytest.raises(NothingToDo, match="learned from all 10 artists"):
        certify.draw(library.database, cascade, by_tags=False)


def test_a_sample_is_drawn_from_a_read_only_library(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, artists(10, 0.0))
    library.database.connection.execute("PRAGMA query_only = ON")

    assert len(certify.draw(library.database, library.cascade, by_tags=True).genres) == 10
    assert missing_vectors(library.database, library.cascade.stages, library.ids) == {"costly": 10}
    assert len(certify.certificates_of(library.database, library.cascade)) == 1


def test_exits_share_the_risk_of_failure_and_a_stop_certifies_nothing(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, artists(20, 0.0))
    sample = certify.draw(library.database, library.cascade, by_tags=True)
    target = RiskTarget(0.2, 0.1)

    def certified(stop: bool) -> dict[str, ExitRule]:
        return certify.certify_exits(
            library.database, library.cascade, sample, library.runner, target=target, stop=lambda: stop, bar=silent
        )

    assert certified(stop=True) == {}
    assert certified(stop=False)["digest of cheap"].delta == 0.1


def test_what_the_user_decided_is_evidence_in_the_place_of_a_tag(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, artists(4, 0.0, ["Zorblax"]))
    track = next(Library(library.database).tracks([2]))
    UserDecisions(library.database).set("artist", keys_of(track.digest, track.tags)["artist"], ["Jazz"], "decide")
    assert certify.draw(library.database, library.cascade, by_tags=True).genres == {2: ("Jazz",)}
