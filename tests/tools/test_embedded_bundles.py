"""The ladder inside the package is certified as a ladder, and small."""

from __future__ import annotations

from pathlib import Path

import pytest

import music_reclass
from music_reclass.models.bundle import embedded
from music_reclass.models.early_exit import exit_rules, exit_rules_of, upper_bound
from tools import embedded_bundles as shipped

DATA = Path(music_reclass.__file__).parent / "data"


def test_the_first_stage_lets_tracks_go_by_a_certificate_against_the_second() -> None:
    first, second = embedded(), embedded("musicnn")

    exit_rule = exit_rules([first, second])[0]

    assert exit_rule is not None
    assert exit_rule.threshold is not None
    assert (exit_rule.epsilon, exit_rule.delta, exit_rule.labels) == (0.02, 0.1, True)
    assert upper_bound(exit_rule.lost, exit_rule.count, exit_rule.delta) <= exit_rule.epsilon
    assert sum(name.startswith("view") for name in exit_rule.held_on) == 6
    assert sum(name.startswith("collection") for name in exit_rule.held_on) == 2
    assert exit_rule.threshold == max(one["threshold"] for one in exit_rule.held_on.values())
    assert exit_rules_of(second.manifest) == ()


def test_both_learned_from_the_same_table_and_say_their_licence() -> None:
    first, second = embedded().manifest, embedded("musicnn").manifest

    assert first["training"]["artists"] == second["training"]["artists"] == 554
    assert first["licence"] == second["licence"] == shipped.LICENCE


@pytest.mark.parametrize("folder", shipped.FOLDERS)
def test_a_bundle_takes_little_room(folder: str) -> None:
    assert sum(file.stat().st_size for file in (DATA / folder).iterdir()) < 3_000_000
