"""The bundles inside the package are certified as cascades, and small."""

from __future__ import annotations

from pathlib import Path

import pytest

import music_reclass
from music_reclass.models.bundle import EMBEDDED, embedded
from music_reclass.models.early_exit import exit_rules, exit_rules_of, upper_bound
from tools import embedded_bundles as shipped

DATA = Path(music_reclass.__file__).parent / "data"


@pytest.mark.parametrize("stage", ["efficientat", "musicnn"])
def test_the_first_stage_states_what_may_exit_before_each_stage_that_may_follow(stage: str) -> None:
    first, second = embedded(), embedded(stage)

    exit_rule = exit_rules([first, second])[0]

    assert exit_rule is not None
    assert (exit_rule.epsilon, exit_rule.delta, exit_rule.labels) == (0.02, 0.1, True)
    assert upper_bound(exit_rule.lost, exit_rule.count, exit_rule.delta) <= exit_rule.epsilon
    assert sum(name.startswith("view") for name in exit_rule.held_on) == 6
    assert sum(name.startswith("collection") for name in exit_rule.held_on) == 2
    if exit_rule.threshold is not None:
        assert exit_rule.threshold == max(one["threshold"] for one in exit_rule.held_on.values())
    assert exit_rules_of(second.manifest) == ()


def test_all_learned_from_the_same_table_and_say_their_licence() -> None:
    for stage in EMBEDDED:
        manifest = embedded(stage).manifest

        assert manifest["training"]["artists"] == 554
        assert manifest["licence"] == shipped.LICENCE


@pytest.mark.parametrize("folder", EMBEDDED.values())
def test_a_bundle_takes_little_room(folder: str) -> None:
    assert sum(file.stat().st_size for file in (DATA / folder).iterdir()) < 3_000_000
