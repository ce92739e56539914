"""Attribution finds what points to a genre where it was planted, in models of any make."""

import numpy as np
import pytest

from music_reclass.classification.voter import Stage
from music_reclass.domain import FeatureKind
from music_reclass.explain.attribution import FEATURE_GROUPS, Attribution, attribute
from music_reclass.extractors.fma518 import FAMILIES
from music_reclass.models.base import Model
from music_reclass.models.bundle import Bundle, make
from music_reclass.models.linear import LinearModel
from music_reclass.models.stacking import Stack
from music_reclass.models.transforms import QuantileScale
from music_reclass.models.trees import TreesModel

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
    """Jazz depends on the mean of each of these families, by its weight."""
    matrix = np.zeros((columns, 2), dtype=np.float32)
    for family, weight in weights.items():
        place = slice(518, 522) if family == "costly" else FAMILIES[family]
        matrix[place, 0] = weight / (place.stop - place.start)
    return LinearModel("unchanged", QuantileScale.fit(ROWS[:, :columns]), matrix, np.zeros(2, dtype=np.float32))


def attributed(to: Stage, row: np.ndarray, genre: str = "Jazz") -> Attribution:
    found = attribute(to, row.astype(np.float32), genre)
    assert found is not None
    return found


@pytest.mark.parametrize("group", FEATURE_GROUPS)
def test_a_genre_that_depends_on_one_group_is_attributed_to_it(group: str) -> None:
    found = attributed(stage(planted(dict.fromkeys(FEATURE_GROUPS[group], 2.0))), np.full(518, 2.0))
    assert [one.group for one in found.groups if one.mark] == [group]
    best = found.groups[0]
    assert best.mark == "+++"
    assert best.without == pytest.approx(found.baseline) == pytest.approx(0.5)
    assert best.alone == pytest.approx(found.probability)


def test_what_points_against_a_genre_is_separate_from_what_points_to_it() -> None:
    found = attributed(stage(planted({"mfcc": 2.0, "zcr": -0.9})), np.full(518, 2.0))
    assert [(one.group, one.mark) for one in found.groups[:2]] == [("tone colour", "+++"), ("noisiness", "--")]
    assert found.sentence() == "tone colour points to Jazz, noisiness against it"
    other = attributed(stage(planted({"mfcc": 2.0, "zcr": -0.9})), np.full(518, 2.0), "Rock")
    assert other.sentence() == "noisiness points to Rock, tone colour against it"


def test_a_typical_track_owes_its_genre_to_nothing() -> None:
    found = attributed(stage(planted({"mfcc": 2.0})), np.zeros(518))
    assert not any(one.mark for one in found.groups)
    assert found.sentence() == "nothing in particular points to Jazz: the track is typical in every respect"


def test_the_features_of_a_network_are_one_group() -> None:
    found = attributed(stage(planted({"costly": 2.0, "rmse": 0.3}, 522), (FMA, COSTLY)), np.full(522, 2.0))
    assert [one.group for one in found.groups[:2]] == ["costly features", "loudness"]
    assert [group["name"] for group in found.as_json()["sides"][:2]] == ["what costly hears", "loudness"]
    assert {one.group for one in found.families} == set(FAMILIES)


def test_two_kinds_of_one_network_are_one_group() -> None:
    kinds = (FMA, FeatureKind("costly", "1", 3, "mid30"), FeatureKind("costly-tags", "1", 1, "mid30"))
    found = attributed(stage(planted({"costly": 2.0}, 522), kinds), np.full(522, 2.0))
    assert [one.group for one in found.groups if one.mark] == ["costly features"]
    assert found.groups[0].without == pytest.approx(found.baseline)


def test_every_family_has_its_contribution() -> None:
    found = attributed(stage(planted({"chroma_cqt": 2.0})), np.full(518, 2.0))
    strong = [one.group for one in found.families if one.mark]
    assert strong == ["chroma_cqt"]
    assert found.groups[0].families == FEATURE_GROUPS["harmony"]
    assert sorted(family for families in FEATURE_GROUPS.values() for family in families) == sorted(FAMILIES)


def test_a_model_without_medians_has_no_attribution() -> None:
    node = np.zeros((1, 3), dtype=np.int16)
    trees = TreesModel(node, node.astype(np.float32), node, node, np.zeros(1, np.int16), np.zeros(2, np.float32), 1)
    assert attribute(stage(trees), np.zeros(518, dtype=np.float32), "Jazz") is None
    with_trees = Stack((trees, planted({"mfcc": 2.0})), (0.5, 1.0))
    assert attributed(stage(with_trees), np.full(518, 2.0)).groups[0].group == "tone colour"


def test_a_genre_the_stage_does_not_know_has_no_attribution() -> None:
    assert attribute(stage(planted({"mfcc": 2.0})), np.zeros(518, dtype=np.float32), "Polka") is None


def test_the_attribution_is_plain_json() -> None:
    import json

    found = attributed(stage(planted({"mfcc": 9.0})), np.full(518, 2.0))
    text = json.dumps(found.as_json(), allow_nan=False)
    assert json.loads(text)["sides"][0]["name"] == "tone colour"


def test_the_tags_that_a_model_counts_for_the_genre_are_told_with_their_strengths() -> None:
    from music_reclass.extractors.efficientat import audioset_labels
    from music_reclass.models.mlp import Ensemble
    from music_reclass.models.tag_prior import tag_priors
    from music_reclass.taxonomy import load

    names, network = audioset_labels(), FeatureKind("efficientat", "1", 4, "mid30")
    tagger = FeatureKind("efficientat-tags", "1", len(names), "mid30")
    columns = [f"{kind.name}_{number}" for kind in (network, tagger) for number in range(kind.dimension)]
    layers = ((np.zeros((4, 2), dtype=np.float32), np.zeros(2, dtype=np.float32)),)
    model = Ensemble(
        {"unchanged": QuantileScale.fit(ROWS[:, :4])},
        (("unchanged", layers),),
        tag_priors(columns, ("Jazz", "Rock"), load()),
        (np.ones(1, dtype=np.float32),),
    )
    row = np.zeros(4 + len(names), dtype=np.float32)
    row[4 + names.index("Jazz")], row[4 + names.index("Swing music")], row[4 + names.index("Piano")] = 0.6, 0.3, 0.9
    found = attributed(stage(model, (network, tagger)), row)
    assert [tag for tag, _ in found.strongest] == ["Jazz", "Swing music"]
    assert found.strongest[0][1] == pytest.approx(0.6)
    assert found.tags is not None
    assert found.tags.mark == "+++"
    assert found.tags.without < 0.6 < found.probability
    told = found.as_json()["tags"]
    assert set(told["strongest"]) == {"Jazz", "Swing music"}
    assert told["without"] == pytest.approx(found.tags.without, abs=1e-4)
    assert found.sentence() == "efficientat features point to Jazz"


def test_a_model_without_tags_tells_of_none() -> None:
    assert attributed(stage(planted({"mfcc": 2.0})), np.full(518, 2.0)).as_json()["tags"] is None
