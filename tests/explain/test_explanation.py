"""An explanation holds what a scan would decide: from the library, or from features extracted now."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from music_reclass.classification.voter import Cascade, Stage
from music_reclass.domain import FeatureKind, OnExisting, Track
from music_reclass.explain.explanation import ASKED, EARLY_EXIT, LAST, NOT_EXTRACTED, Explanation, explain
from music_reclass.extractors.fma518 import FAMILIES, Fma518
from music_reclass.features.database import Database
from music_reclass.features.library import Library
from music_reclass.features.results import Scans, ScanStats, StageStats
from music_reclass.models.bundle import make
from music_reclass.models.early_exit import ExitRule
from music_reclass.models.linear import LinearModel
from music_reclass.models.transforms import QuantileScale
from music_reclass.tagging.apply import WritePlan
from music_reclass.taxonomy import load

TREE = load()
PLAN = WritePlan(lambda: iter(()), TREE, OnExisting.REPLACE_JUNK)
CHEAP, COSTLY = Fma518("mid30").kind, Fma518("full").kind
EXIT = ExitRule(0.8, count=400, lost=2, exits=0.4, gain=((0.4, 0.2), (0.9, 0.01)))


def model(columns: int, weight: float) -> LinearModel:
    """Jazz is likely where the tone colour is above the median, Rock where it is below; by `weight`."""
    rows = np.random.default_rng(1).normal(size=(33, columns)).astype(np.float32)
    matrix = np.zeros((columns, 2), dtype=np.float32)
    matrix[FAMILIES["mfcc"], 0] = weight / 140
    matrix[518:, 1] = 9.0 / 518  # what the second stage measures besides points to Rock
    return LinearModel("unchanged", QuantileScale.fit(rows), matrix, np.zeros(2, dtype=np.float32))


def made_stage(name: str, kinds: tuple[FeatureKind, ...], weight: float, **changes: Any) -> Stage:
    bundle = make(
        {
            "name": name, "version": "1", "stage": name, "labels": ["Jazz", "Rock"],
            "thresholds": {"likely": 0.6, "confident": 0.9}, "calibration": {"temperature": 1.0, "doubt": 0.01},
            "kinds": [{"name": k.name, "version": k.version, "dimension": k.dimension, "excerpt": k.excerpt}
                      for k in kinds],
        },
        model(sum(kind.dimension for kind in kinds), weight),
    )  # fmt: skip
    return replace(Stage.from_bundle(bundle, TREE), **changes)


def cascade(weight: float = 0.0, exit_rule: ExitRule | None = EXIT) -> Cascade:
    """Two stages on real kinds; the first is uncertain unless `weight` is large."""
    first = made_stage("measured", (CHEAP,), weight, exit_rule=exit_rule)
    return Cascade((first, made_stage("costly", (CHEAP, COSTLY), 0.0)), TREE, absent={"mert": "it is not installed."})


@pytest.fixture(scope="module")
def tune(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import soundfile

    path = tmp_path_factory.mktemp("explaining") / "tune.flac"
    sound = 0.2 * np.sin(np.arange(22050 * 8) * 2 * np.pi * 440 / 22050)
    soundfile.write(path, sound, 22050, subtype="PCM_16")
    return path


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "library.sqlite3")
    yield opened
    opened.close()


def keep(database: Database, path: Path, *kinds: FeatureKind) -> int:
    """Store the file with vectors of ones of these kinds."""
    status = os.stat(path)
    ones = np.ones(518, dtype=np.float32)
    reading = Track(str(path), status.st_size, status.st_mtime_ns, b"digest", 8.0, vector=ones)
    (number,) = Library(database).save([reading], kinds[0])
    for kind in kinds[1:]:
        Library(database).add_vectors({number: ones}, kind)
    return number


def strict_json(explanation: Explanation) -> dict[str, Any]:
    """The explanation's JSON as a strict reader takes it."""

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    found: dict[str, Any] = json.loads(json.dumps(explanation.as_json()), parse_constant=refuse)
    return found


def test_an_unknown_file_gets_the_features_of_every_stage_that_is_needed(tune: Path) -> None:
    explanation = explain(str(tune), cascade(), PLAN)
    assert [step.after for step in explanation.steps] == [ASKED, LAST]
    assert [vote.stage for vote in explanation.votes] == ["measured", "costly"]
    assert explanation.seconds["costly"] > 0
    assert "measured" not in explanation.seconds  # no further cost: its features are made in any case
    assert not explanation.in_library
    assert explanation.track.decision is not None
    assert explanation.track.decision.stage == "costly"


def test_a_confident_track_skips_the_costly_stage_unless_all_are_asked(tune: Path) -> None:
    # mfcc of a tone: most coefficients are far from those of noise, so a large weight makes it sure either way
    confident = cascade(weight=60.0)
    explanation = explain(str(tune), confident, PLAN)
    assert [step.after for step in explanation.steps] == [EARLY_EXIT]
    assert not explanation.seconds
    every = explain(str(tune), confident, PLAN, all_stages=True)
    assert [vote.stage for vote in every.extra_votes] == ["costly"]
    assert every.seconds["costly"] > 0
    assert every.track.decision is not None
    assert every.track.decision.stage == "measured"
    assert every.track.decision.votes == explanation.votes


def test_the_library_answers_without_extraction(tune: Path, database: Database) -> None:
    keep(database, tune, CHEAP, COSTLY)
    Scans(database).save(ScanStats(stages={"costly": StageStats(10, 5.0)}))
    explanation = explain(str(tune), cascade(), PLAN, database=database)
    assert explanation.in_library
    assert [step.after for step in explanation.steps] == [ASKED, LAST]
    assert not explanation.seconds
    assert explanation.usual_seconds == {"costly": 0.5}


def test_a_stage_without_features_is_left_alone_or_asked_on_demand(tune: Path, database: Database) -> None:
    number = keep(database, tune, CHEAP)
    explanation = explain(str(tune), cascade(), PLAN, database=database)
    assert [step.after for step in explanation.steps] == [NOT_EXTRACTED]
    asked = explain(str(tune), cascade(), PLAN, database=database, all_stages=True)
    assert [step.after for step in asked.steps] == [ASKED, LAST]
    assert Library(database).vectors([number], COSTLY) == {}  # explaining stores nothing


def test_features_of_a_changed_file_are_extracted_again(tune: Path, database: Database, tmp_path: Path) -> None:
    path = tmp_path / "tune.flac"
    path.write_bytes(tune.read_bytes())
    keep(database, path, CHEAP, COSTLY)
    os.utime(path, ns=(1, 1))
    assert not explain(str(path), cascade(), PLAN, database=database).in_library


def test_the_attribution_is_that_of_the_vote_that_counts(tune: Path, database: Database) -> None:
    keep(database, tune, CHEAP, COSTLY)
    explanation = explain(str(tune), cascade(), PLAN, database=database)
    assert explanation.attribution is not None
    assert explanation.attribution.stage == "costly"
    assert explanation.attribution.genre == explanation.votes[-1].genre


def test_a_file_without_sound_has_an_explanation_too(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp3"
    path.write_bytes(b"")
    explanation = explain(str(path), cascade(), PLAN)
    found = strict_json(explanation)
    assert (found["outcome"], found["reason"]) == ("skipped", "no_audio")
    assert found["stages"] == []


def test_json_holds_no_number_that_is_none(tune: Path) -> None:
    found = strict_json(explain(str(tune), cascade(exit_rule=None), PLAN))
    assert found["thresholds"]["measured"] == {"confident": None, "likely": 0.6, "exit": None}
    assert found["absent"] == {"mert": "it is not installed."}
    first = found["stages"][0]
    assert (first["stage"], first["after"], first["following"], first["exit"]) == ("measured", "asked", "costly", None)
    assert len(first["top"]) == 2
    assert found["stages"][1]["seconds"] > 0
    assert {side["name"] for side in found["evidence"]["sides"]} >= {"harmony", "tone colour"}


def test_json_states_the_certificate(tune: Path) -> None:
    found = strict_json(explain(str(tune), cascade(weight=60.0), PLAN))
    (only,) = found["stages"]
    assert only["after"] == "settled"
    assert (only["exit"]["threshold"], only["exit"]["count"], only["exit"]["lost"]) == (0.8, 400, 2)
    assert 0.0 <= only["gain"] <= 0.2
