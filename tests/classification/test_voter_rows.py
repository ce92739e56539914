"""Rows go through the cascade as tracks do: one that reaches a certified exit goes no further."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.classification.voter import Cascade, row_votes
from music_reclass.domain import FeatureKind, Vote
from music_reclass.models.early_exit import ExitRule, exit_as_manifest
from music_reclass.taxonomy import load
from tests.classification.fakes import CHEAP, COSTLY, Echo, Vectors


def last_votes(*arguments: Any, **options: Any) -> list[Vote]:
    """The last vote for each row."""
    return [votes[-1] for votes in row_votes(*arguments, **options)]


LABELS = ("Jazz", "Rock")
TREE = load()


def bundle(stage: str, sure: list[float], exits: list[ExitRule]) -> Any:
    """A bundle that is `sure` of Rock, row by row; it keeps the rows it was asked about."""
    asked: list[int] = []

    def predict_proba(rows: np.ndarray) -> np.ndarray:
        asked.extend(rows[:, 0].astype(int).tolist())
        high = np.array(sure)[rows[:, 0].astype(int)]
        return np.stack([1 - high, high], axis=1)

    manifest = {"exits": [exit_as_manifest(one) for one in exits]}
    return SimpleNamespace(
        stage=stage, digest=f"digest of {stage}", labels=LABELS, thresholds={}, manifest=manifest,
        predict_proba=predict_proba, asked=asked, kinds=(FeatureKind(stage, "1", 1, "mid30"),),
    )  # fmt: skip


def rows_of(_: Any) -> np.ndarray:
    return np.arange(3, dtype=np.float32)[:, None]


CERTIFIED = ExitRule(0.8, count=1000, against=("digest of musicnn",))


def test_a_sure_row_never_reaches_the_later_stage() -> None:
    first = bundle("fma518", [0.9, 0.7, 0.1], [CERTIFIED])
    second = bundle("musicnn", [0.2, 0.2, 0.6], [])

    votes = last_votes([first, second], rows_of, 3)

    assert [(vote.stage, vote.genre) for vote in votes] == [
        ("fma518", "Rock"),
        ("musicnn", "Jazz"),
        ("fma518", "Jazz"),
    ]
    assert second.asked == [1]


def test_a_later_stage_is_not_asked_about_rows_whose_vectors_are_not_known() -> None:
    first, second = bundle("fma518", [0.9, 0.7, 0.6], []), bundle("musicnn", [0.2, 0.2, 0.2], [])

    def partial(of: Any) -> np.ndarray:
        rows = rows_of(of)
        return np.where(rows == 1, np.nan, rows).astype(np.float32) if of is second else rows

    votes = last_votes([first, second], partial, 3)

    assert [vote.stage for vote in votes] == ["musicnn", "fma518", "musicnn"]
    assert second.asked == [0, 2]


def test_exit_rules_certified_on_the_library_come_before_those_of_the_bundles() -> None:
    first, second = bundle("fma518", [0.95, 0.85, 0.1], [CERTIFIED]), bundle("musicnn", [0.2, 0.2, 0.6], [])
    stricter = {first.digest: (replace(CERTIFIED, threshold=0.93),)}

    assert [vote.stage for vote in last_votes([first, second], rows_of, 3)] == ["fma518", "fma518", "fma518"]
    votes = last_votes([first, second], rows_of, 3, library_exits=stricter)
    assert [vote.stage for vote in votes] == ["fma518", "musicnn", "musicnn"]


def test_without_a_certificate_for_just_this_cascade_every_row_goes_on() -> None:
    other = replace(CERTIFIED, against=("digest of another",))
    first, second = bundle("fma518", [1.0, 1.0, 1.0], [other]), bundle("musicnn", [0.2, 0.2, 0.2], [])

    assert {vote.stage for vote in last_votes([first, second], rows_of, 3)} == {"musicnn"}


def test_a_threshold_that_was_not_certified_lets_no_row_exit() -> None:
    refused = replace(CERTIFIED, threshold=None, why="too few")
    first, second = bundle("fma518", [1.0, 1.0, 1.0], [refused]), bundle("musicnn", [0.2, 0.2, 0.2], [])

    assert {vote.stage for vote in last_votes([first, second], rows_of, 3)} == {"musicnn"}


def test_a_single_stage_answers_for_every_row() -> None:
    votes = last_votes([bundle("musicnn", [0.9, 0.7, 0.1], [CERTIFIED])], rows_of, 3)

    assert [vote.stage for vote in votes] == ["musicnn"] * 3


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from([0.05, 0.5, 0.79, 0.81, 0.95])] * 2), max_size=8))
def test_rows_get_the_last_votes_of_tracks_that_are_on_no_album(sure: list[tuple[float, float]]) -> None:
    kinds = [(CHEAP,), (COSTLY,)]
    exits = {"exits": [exit_as_manifest(ExitRule(0.8, count=1000, against=("d2",)))]}
    bundles: list[Any] = [Echo("cheap", kinds[0], manifest=exits), Echo("costly", kinds[1], digest="d2")]
    rows = {kind[0]: [[1 - pair[place], 0.0, pair[place]] for pair in sure] for place, kind in enumerate(kinds)}
    source: Any = Vectors({kind: dict(enumerate(row)) for kind, row in rows.items()})
    cascade = Cascade.from_bundles(bundles, TREE)

    of_tracks = cascade.predict(range(len(sure)), source, [])
    of_rows = last_votes(bundles, lambda bundle: np.array(rows[bundle.kinds[0]], np.float32), len(sure))

    assert of_rows == [votes[-1] for votes in of_tracks.values()]
