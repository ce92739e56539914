"""The ladder inside the package is certified as a ladder, and small."""

from __future__ import annotations

from pathlib import Path

import pytest

import music_reclass
from music_reclass.training import bundles, exits, musicnn_ensemble, shipped

DATA = Path(music_reclass.__file__).parent / "data"


def test_the_first_stage_lets_tracks_go_by_a_certificate_against_the_second() -> None:
    first, second = bundles.embedded(), musicnn_ensemble.embedded()

    leave = exits.fitting(exits.of_manifest(first.manifest), [second.digest])

    assert leave is not None
    assert leave.threshold is not None
    assert (leave.epsilon, leave.delta, leave.labels) == (0.02, 0.1, True)
    assert exits.upper_bound(leave.lost, leave.count, leave.delta) <= leave.epsilon
    assert sum(name.startswith("view") for name in leave.held_on) == 6
    assert sum(name.startswith("collection") for name in leave.held_on) == 2
    assert leave.threshold == max(one["threshold"] for one in leave.held_on.values())
    assert exits.of_manifest(second.manifest) == ()


def test_both_learned_from_the_same_table_and_say_their_licence() -> None:
    first, second = bundles.embedded().manifest, musicnn_ensemble.embedded().manifest

    assert first["training"]["artists"] == second["training"]["artists"] == 554
    assert first["licence"] == second["licence"] == shipped.LICENCE


@pytest.mark.parametrize("folder", shipped.FOLDERS)
def test_a_bundle_takes_little_room(folder: str) -> None:
    assert sum(file.stat().st_size for file in (DATA / folder).iterdir()) < 3_000_000
