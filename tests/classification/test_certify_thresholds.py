"""A stage that nobody trained says `confident` only from a threshold that the library's own tags certify."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from music_reclass.classification import certify
from music_reclass.classification.voter import Stage
from music_reclass.domain import Outcome
from music_reclass.features.results import LibraryCalibrations
from music_reclass.models.precision import Certificate
from tests.classification.fakes import GENRES
from tests.classification.small_library import SmallLibrary, Tune
from tests.classification.test_certify import artists

UNTRAINED = {"model": {"type": "tag-head"}, "certificates": {"likely": {"certified": False}}}


class UntrainedLibrary(SmallLibrary):
    """The first of its two stages is a tag head, `likely` from 0.6 on."""

    def __init__(self, folder: Path, tunes: list[Tune]) -> None:
        super().__init__(folder, tunes)
        first, second = self.cascade.stages
        bundle = replace(first.bundle, manifest=UNTRAINED, thresholds={"likely": 0.6})
        self.cascade = replace(self.cascade, stages=(replace(first, bundle=bundle), second))

    def certified(self) -> dict[str, dict[str, Certificate]]:
        sample = certify.draw(self.database, self.cascade, by_tags=True)
        return certify.certify_thresholds(self.database, self.cascade, sample)

    def stage(self) -> Stage:
        bundle = certify.with_library_thresholds(self.cascade.stages[0].bundle, self.database)
        return Stage(bundle, GENRES)


def test_tags_certify_a_threshold_and_the_stage_is_confident_from_there(tmp_path: Path) -> None:
    library = UntrainedLibrary(tmp_path, artists(400, wrong_below=0.7))
    assert library.stage().thresholds.outcome(0.99) is Outcome.LIKELY
    found = library.certified()
    assert list(found) == ["digest of cheap"], "a trained stage keeps its thresholds"
    confident, likely = found["digest of cheap"]["confident"], found["digest of cheap"]["likely"]
    assert confident.certified
    assert likely.certified
    certify.store_thresholds(library.database, found)
    limits = library.stage().thresholds
    assert limits.confident == confident.threshold
    assert limits.confident < 0.8
    assert limits.outcome(0.99) is Outcome.CONFIDENT
    assert library.stage().digest == "digest of cheap"


def test_too_few_artists_leave_it_likely(tmp_path: Path) -> None:
    library = UntrainedLibrary(tmp_path, artists(8, wrong_below=0.0))
    found = library.certified()
    assert not any(one.certified for one in found["digest of cheap"].values())
    certify.store_thresholds(library.database, found)
    assert library.stage().thresholds.confident == math.inf
    assert library.stage().thresholds.outcome(0.99) is Outcome.LIKELY


def test_a_stage_that_is_mostly_wrong_is_certified_for_nothing(tmp_path: Path) -> None:
    library = UntrainedLibrary(tmp_path, artists(400, wrong_below=1.0))
    assert not any(one.certified for one in library.certified()["digest of cheap"].values())


def test_what_was_certified_can_be_forgotten(tmp_path: Path) -> None:
    library = UntrainedLibrary(tmp_path, artists(400, wrong_below=0.7))
    certify.store_thresholds(library.database, library.certified())
    stored = LibraryCalibrations(library.database)
    assert stored.count() == 1
    assert stored.forget() == 1
    assert stored.of(stored.thresholds_of("digest of cheap")) is None
    assert library.stage().thresholds.confident == math.inf


def test_a_trained_stage_keeps_its_own_thresholds(tmp_path: Path) -> None:
    library = UntrainedLibrary(tmp_path, artists(8, wrong_below=0.0))
    trained = library.cascade.stages[1].bundle
    stored = LibraryCalibrations(library.database)
    stored.save({stored.thresholds_of(trained.digest): {"thresholds": {"likely": 0.99}, "certificates": {}}})
    assert certify.with_library_thresholds(trained, library.database) is trained


@pytest.mark.parametrize("subject", ["styles", "thresholds of x"])
def test_a_newer_result_takes_the_place_of_the_older(tmp_path: Path, subject: str) -> None:
    stored = LibraryCalibrations(UntrainedLibrary(tmp_path, artists(2, wrong_below=0.0)).database)
    stored.save({subject: {"a": 1}})
    stored.save({subject: {"b": 2}})
    assert stored.of(subject) == {"b": 2}
    assert stored.count() == 1
