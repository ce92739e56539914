"""The recipe of the small networks, on a small table."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from music_reclass.models.bundle import Bundle, embedded
from music_reclass.models.dataset import Augmentations, read_augmentations, read_table
from music_reclass.models.mlp import MlpRecipe, mlp_estimator
from music_reclass.models.precision import PLAIN
from music_reclass.training import npz
from music_reclass.training.train import guarantee_lines, train
from tests.training.synthetic import CLASSES, SMALL, arrays, stage, views_of, written

LONGER = replace(SMALL, epochs=30)


def _bundle(
    folder: Path,
    recipe: MlpRecipe = SMALL,
    augmentations: Augmentations | None = None,
    seed: int = 0,
    **changes: object,
) -> Bundle:
    content = {name: value for name, value in {**arrays(90), **changes}.items() if value is not None}
    data = npz.read(written(folder, "t.npz", content))
    return train(data.with_augmentations(augmentations), stage(mlp_estimator(seed, recipe)), seed=seed).bundle


def test_equal_seeds_give_equal_bundles_and_other_seeds_others(tmp_path: Path) -> None:
    content = arrays(60)
    table = read_table(written(tmp_path, "t.npz", content))
    augmentations = read_augmentations(written(tmp_path, "v.npz", views_of(content)), table)
    first, again, other = (_bundle(tmp_path, augmentations=augmentations, seed=seed, **content) for seed in (1, 1, 2))
    assert first.digest == again.digest
    assert first.digest != other.digest


def test_a_trained_bundle_knows_the_genres_of_artists_it_never_saw(tmp_path: Path) -> None:
    bundle = _bundle(tmp_path, LONGER)
    new = arrays(60, seed=77)
    best = bundle.predict_proba(new["fma518"]).argmax(axis=1)
    assert new["labels"][np.arange(60), best].mean() > 0.8
    assert bundle.labels == CLASSES
    assert bundle.manifest["metrics"]["hit@1 clean"] > 0.8


def test_without_artists_collections_or_views_it_trains_and_says_what_that_means(tmp_path: Path) -> None:
    origin = _bundle(tmp_path, group=None, dataset=None).manifest["training"]
    assert any("names no artists" in text for text in origin["notes"])
    assert origin["collections"] == []


def test_other_genres_and_one_that_nobody_carries_are_fine(tmp_path: Path) -> None:
    labels = np.concatenate([arrays(90)["labels"], np.zeros((90, 1), dtype=bool)], axis=1)
    names = ("Fado", "Gamelan", "Salsa", "Ska", "Zydeco")
    assert _bundle(tmp_path, labels=labels, classes=np.array(names)).labels == names


def test_a_threshold_that_cannot_be_certified_is_cautious_and_the_manifest_says_so(tmp_path: Path) -> None:
    bundle = _bundle(tmp_path, **arrays(90, apart=0.0))
    assert bundle.thresholds["confident"] == PLAIN["confident"]
    assert bundle.manifest["certificates"]["confident"]["certified"] is False
    assert any("not certified" in text for _, text in guarantee_lines(bundle))


def test_likely_is_never_stricter_than_confident(tmp_path: Path) -> None:
    values = _bundle(tmp_path, LONGER).thresholds
    assert values.get("likely", 0.0) <= values.get("confident", 1.0)


def test_every_view_has_its_figures_in_the_manifest(tmp_path: Path) -> None:
    content = arrays(90)
    table = read_table(written(tmp_path, "t.npz", content))
    augmentations = read_augmentations(written(tmp_path, "v.npz", views_of(content)), table)
    metrics = _bundle(tmp_path, augmentations=augmentations).manifest["metrics"]
    assert {"hit@1 clean", "hit@1 quiet", "ece quiet", "hit@1 bright", "ece bright"} <= set(metrics)


SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "training"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the training table ../shared/data/training is not here")
def test_the_embedded_bundle_was_trained_on_the_table_at_hand_and_fits_it() -> None:
    bundle = embedded()
    table = read_table(SHARED / "genre_clips.npz")
    assert bundle.manifest["training"]["table"] == table.digest
    best = bundle.predict_proba(table.rows).argmax(axis=1)
    # Not a figure of merit (these rows trained it): it shows that weights, scales and labels belong together.
    assert table.labels[np.arange(len(table)), best].mean() > 0.8
