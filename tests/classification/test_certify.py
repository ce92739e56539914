"""Exits are certified on the user's own tracks, one an artist, and hold for later scans; too few certify nothing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from music_reclass.classification import certify as calibrating
from music_reclass.classification.certify import CertifiedExits, Guarantee
from music_reclass.classification.voter import Cascade, Stage
from music_reclass.errors import NothingToDo
from music_reclass.models.bundle import artist_digests
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


def calibrate(library: SmallLibrary, labels: bool = True, most: int = 1000, epsilon: float = 0.02) -> CertifiedExits:
    sample = calibrating.draw(library.database, library.cascade, labels, most)
    return calibrating.certify_exits(
        library.database, library.cascade, sample, Guarantee(labels, epsilon), library.extractor, lambda: False, silent
    )


@pytest.mark.parametrize("labels", [True, False])
def test_a_stage_exits_from_where_it_is_right(tmp_path: Path, labels: bool) -> None:
    library = SmallLibrary(tmp_path, artists(300, wrong_below=0.7))

    found = calibrate(library, labels)

    own = found.exits["digest of cheap"]
    assert (found.count, own.labels, own.against) == (300, labels, ("digest of dear",))
    assert own.threshold == pytest.approx(0.7, abs=0.02)
    assert own.lost <= 2  # of 300: the bound at 90 % is then 1.8 %


def test_tags_that_reclass_does_not_know_are_no_evidence(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, artists(5, 0.0, ["Zorblax"]))

    with pytest.raises(NothingToDo, match="label-free"):
        calibrating.draw(library.database, library.cascade, labels=True)
    assert len(calibrating.draw(library.database, library.cascade, labels=False).genres) == 5


def test_too_few_artists_certify_nothing_and_are_told_how_many_are_missing(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, artists(50, wrong_below=0.0))

    found = calibrate(library)

    assert found.exits["digest of cheap"].threshold is None
    assert found.missing("digest of cheap") == calibrating.least(0.02, 0.1) - 50 == 64


def test_one_track_an_artist_is_drawn_and_whether_it_was_heard_plays_no_part(tmp_path: Path) -> None:
    tunes = [
        Tune(f"/m/{n}", sure("Rock", 0.5 if n % 2 else 0.95), sure("Rock"), ("Rock",), f"artist {n // 4}")
        for n in range(80)
    ]
    library = SmallLibrary(tmp_path, tunes)
    library.decide()  # the dear stage has heard the doubtful half only

    sample = calibrating.draw(library.database, library.cascade, labels=True)

    assert (len(sample.genres), sample.artists, sample.tracks) == (20, 20, 80)
    assert len({(track - 1) // 4 for track in sample.genres}) == 20
    assert 3 < sum(track % 2 for track in sample.genres) < 17
    assert len(calibrating.draw(library.database, library.cascade, True, most=7).genres) == 7


def test_tracks_that_cannot_be_heard_are_left_out_and_said(tmp_path: Path) -> None:
    tunes = [Tune(f"/m/{n}", sure("Rock"), None if n < 3 else sure("Rock"), ("Rock",), f"a{n}") for n in range(10)]
    library = SmallLibrary(tmp_path, tunes)

    found = calibrate(library)

    assert (found.count, found.unheard) == (7, 3)


def test_what_was_certified_holds_for_the_ladder_until_it_is_forgotten(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, artists(300, wrong_below=0.7), exit_rule=None)
    assert calibrating.library_exits(library.database, ["digest of cheap"]) == {}

    calibrating.store_exits(library.database, calibrate(library))
    own = calibrating.library_exits(library.database, ["digest of cheap", "digest of dear"])

    assert own["digest of cheap"][0].threshold == pytest.approx(0.7, abs=0.02)
    (shown,) = calibrating.certificates_of(library.database, library.cascade)
    assert (shown.stage, shown.own) == ("cheap", True)
    assert "never exits" in shown.sentence  # this ladder was made without it


def test_a_single_stage_has_nothing_to_certify(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, artists(3, 0.0))

    with pytest.raises(NothingToDo, match="one stage only"):
        calibrating.draw(library.database, Cascade(library.cascade.stages[:1], library.cascade.taxonomy), labels=True)


def test_artists_that_taught_a_model_are_no_evidence(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, artists(10, 0.0))
    cheap, dear = library.cascade.stages

    def taught(count: int) -> Stage:
        seen = artist_digests(f"artist artist {n}" for n in range(count))
        return replace(dear, bundle=replace(dear.bundle, manifest={"training": {"artists_seen": seen}}))

    cascade = Cascade((cheap, taught(4)), library.cascade.taxonomy)

    sample = calibrating.draw(library.database, cascade, labels=True)

    assert (sample.artists, sample.known) == (6, 4)
    assert sorted(sample.genres) == library.ids[4:]

    cascade = Cascade((cheap, taught(10)), library.cascade.taxonomy)
    with pytest.raises(NothingToDo, match="learned from all 10 artists"):
        calibrating.draw(library.database, cascade, labels=False)
