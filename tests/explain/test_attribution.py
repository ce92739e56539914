"""What spoke for a genre is found where it was put, in models of any make."""

import numpy as np
import pytest

from music_reclass.classification.voter import Stage
from music_reclass.domain import FeatureKind
from music_reclass.explain.attribution import FEATURE_GROUPS, Attribution, attribute, described
from music_reclass.extractors.fma518 import FAMILIES
from music_reclass.models.base import Model
from music_reclass.models.bundle import Bundle, make
from music_reclass.models.linear import LinearModel
from music_reclass.models.stacking import Stack
from music_reclass.models.transforms import QuantileScale
from music_reclass.models.xgb import TreesModel

FMA = FeatureKind("fma518", "1", 518, "mid30")
COSTLY = FeatureKind("costly", "1", 4, "mid30")
ROWS = np.random.default_rng(5).normal(size=(99, 522)).astype(np.float32)


def bundle(model: Model, kinds: tuple[FeatureKind, ...] = (FMA,)) -> Bundle:
    return make(
        {
            "name": "planted", "version": "1", "stage": "s", "labels": ["Jazz", "Rock"], "thresholds": {},
            "kinds": [{"name": k.name, "version": k.version, "dimension": k.dimension, "excerpt": k.excerpt}
                      for k in kinds],
            "calibration": {"temperature": 1.0, "doubt": 0.02},
        },
        model,
    )  # fmt: skip


def stage(model: Model, kinds: tuple[FeatureKind, ...] = (FMA,)) -> Stage:
    return Stage(bundle(model, kinds), ("Jazz", "Rock"))


def planted(weights: dict[str, float], columns: int = 518) -> LinearModel:
    """Jazz hangs on the mean of each of these families, by its weight."""
    matrix = np.zeros((columns, 2), dtype=np.float32)
    for family, weight in weights.items():
        place = slice(518, 522) if family == "costly" else FAMILIES[family]
        matrix[place, 0] = weight / (place.stop - place.start)
    return LinearModel("unchanged", QuantileScale.fit(ROWS[:, :columns]), matrix, np.zeros(2, dtype=np.float32))


def weighed(own: Stage, row: np.ndarray, genre: str = "Jazz") -> Attribution:
    found = attribute(own, row.astype(np.float32), genre)
    assert found is not None
    return found


@pytest.mark.parametrize("side", FEATURE_GROUPS)
def test_a_genre_that_hangs_on_one_side_is_put_down_to_it(side: str) -> None:
    own = stage(planted(dict.fromkeys(FEATURE_GROUPS[side], 2.0)))
    found = weighed(own, np.full(518, 2.0))
    assert [push.side for push in found.sides if push.mark] == [side]
    best = found.sides[0]
    assert best.mark == "+++"
    assert best.without == pytest.approx(found.ordinary) == pytest.approx(0.5)
    assert best.alone == pytest.approx(found.now)


def test_what_speaks_against_is_told_from_what_speaks_for() -> None:
    found = weighed(stage(planted({"mfcc": 2.0, "zcr": -0.9})), np.full(518, 2.0))
    assert [(push.side, push.mark) for push in found.sides[:2]] == [("tone colour", "+++"), ("noisiness", "--")]
    assert described(found) == "tone colour speaks for Jazz, noisiness against it"
    other = weighed(stage(planted({"mfcc": 2.0, "zcr": -0.9})), np.full(518, 2.0), "Rock")
    assert described(other) == "noisiness speaks for Rock, tone colour against it"


def test_an_ordinary_track_owes_its_genre_to_nothing() -> None:
    found = weighed(stage(planted({"mfcc": 2.0})), np.zeros(518))
    assert not any(push.mark for push in found.sides)
    assert described(found) == "nothing in particular speaks for Jazz: it is ordinary in every respect"


def test_what_a_later_listener_heard_is_a_side_of_its_own() -> None:
    found = weighed(stage(planted({"costly": 2.0, "rmse": 0.3}, 522), (FMA, COSTLY)), np.full(522, 2.0))
    assert [push.side for push in found.sides[:2]] == ["what costly hears", "loudness"]
    assert {push.side for push in found.families} == set(FAMILIES)


def test_what_one_listener_brings_in_two_kinds_is_one_side() -> None:
    kinds = (FMA, FeatureKind("costly", "1", 3, "mid30"), FeatureKind("costly-tags", "1", 1, "mid30"))
    found = weighed(stage(planted({"costly": 2.0}, 522), kinds), np.full(522, 2.0))
    assert [push.side for push in found.sides if push.mark] == ["what costly hears"]
    assert found.sides[0].without == pytest.approx(found.ordinary)


def test_every_family_is_weighed_by_itself() -> None:
    found = weighed(stage(planted({"chroma_cqt": 2.0})), np.full(518, 2.0))
    strong = [push.side for push in found.families if push.mark]
    assert strong == ["chroma_cqt"]
    assert found.sides[0].families == FEATURE_GROUPS["harmony"]
    assert sorted(family for families in FEATURE_GROUPS.values() for family in families) == sorted(FAMILIES)


def test_a_model_that_keeps_no_medians_gets_no_account() -> None:
    node = np.zeros((1, 3), dtype=np.int16)
    trees = TreesModel(node, node.astype(np.float32), node, node, np.zeros(1, np.int16), np.zeros(2, np.float32), 1)
    assert attribute(stage(trees), np.zeros(518, dtype=np.float32), "Jazz") is None
    with_trees = Stack((trees, planted({"mfcc": 2.0})), (0.5, 1.0))
    assert weighed(stage(with_trees), np.full(518, 2.0)).sides[0].side == "tone colour"


def test_a_genre_the_stage_does_not_know_gets_no_account() -> None:
    assert attribute(stage(planted({"mfcc": 2.0})), np.zeros(518, dtype=np.float32), "Polka") is None


def test_the_account_is_plain_json() -> None:
    import json

    found = weighed(stage(planted({"mfcc": 9.0})), np.full(518, 2.0))
    text = json.dumps(found.as_json(), allow_nan=False)
    assert json.loads(text)["sides"][0]["name"] == "tone colour"
