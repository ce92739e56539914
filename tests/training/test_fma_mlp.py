"""The recipe of the first stage, on a small table."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from music_reclass.training import fma_mlp, tables
from tests.training.synthetic import CLASSES, SMALL, arrays, views_of, written


def _table(folder: Path, **changes: object) -> tables.Table:
    content = {name: value for name, value in {**arrays(90), **changes}.items() if value is not None}
    return tables.read(written(folder, "t.npz", content))


def test_equal_seeds_give_equal_bundles_and_other_seeds_others(tmp_path: Path) -> None:
    content = arrays(60)
    table = tables.read(written(tmp_path, "t.npz", content))
    views = tables.read_views(written(tmp_path, "v.npz", views_of(content)), table)
    first, again, other = (fma_mlp.train(table, views, seed, plan=SMALL) for seed in (1, 1, 2))
    assert first.digest == again.digest
    assert first.digest != other.digest


def test_a_trained_bundle_knows_the_genres_of_artists_it_never_saw(tmp_path: Path) -> None:
    bundle = fma_mlp.train(_table(tmp_path), plan=replace(SMALL, recipe=replace(SMALL.recipe, epochs=30)))
    new = arrays(60, seed=77)
    best = bundle.predict_proba(new["fma518"]).argmax(axis=1)
    assert new["labels"][np.arange(60), best].mean() > 0.8
    assert bundle.labels == CLASSES
    assert bundle.manifest["metrics"]["hit@1 clean"] > 0.8


def test_without_artists_collections_or_views_it_trains_and_says_what_that_means(tmp_path: Path) -> None:
    said: list[str] = []
    bundle = fma_mlp.train(_table(tmp_path, group=None, dataset=None), progress=said.append, plan=SMALL)
    notes = [text for label, text in fma_mlp.summary(bundle) if label == "note"]
    assert any("names no artists" in text for text in notes)
    assert bundle.manifest["training"]["collections"] == []
    assert sum(text.startswith("fold") for text in said) == 5


def test_other_genres_and_one_that_nobody_carries_are_fine(tmp_path: Path) -> None:
    labels = np.concatenate([arrays(90)["labels"], np.zeros((90, 1), dtype=bool)], axis=1)
    table = _table(tmp_path, labels=labels, classes=np.array(["Fado", "Gamelan", "Salsa", "Ska", "Zydeco"]))
    bundle = fma_mlp.train(table, plan=SMALL)
    assert bundle.labels == ("Fado", "Gamelan", "Salsa", "Ska", "Zydeco")


def test_a_threshold_that_cannot_be_certified_is_cautious_and_the_manifest_says_so(tmp_path: Path) -> None:
    noise = arrays(90, apart=0.0)
    bundle = fma_mlp.train(tables.read(written(tmp_path, "n.npz", noise)), plan=SMALL)
    assert bundle.thresholds["confident"] == fma_mlp.PLAIN["confident"]
    assert bundle.manifest["certificates"]["confident"]["certified"] is False
    assert any("not certified" in text for _, text in fma_mlp.summary(bundle))


def test_likely_is_never_stricter_than_confident(tmp_path: Path) -> None:
    bundle = fma_mlp.train(_table(tmp_path), plan=replace(SMALL, recipe=replace(SMALL.recipe, epochs=30)))
    values = bundle.thresholds
    assert values.get("likely", 0.0) <= values.get("confident", 1.0)


SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "training"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the training table ../shared/data/training is not here")
def test_the_embedded_bundle_was_trained_on_the_table_at_hand_and_fits_it() -> None:
    from music_reclass.training import bundles

    bundle = bundles.embedded()
    table = tables.read(SHARED / "genre_clips.npz")
    assert bundle.manifest["training"]["table"] == table.digest
    best = bundle.predict_proba(table.rows).argmax(axis=1)
    # Not a figure of merit (these rows trained it): it shows that weights, scales and labels belong together.
    assert table.labels[np.arange(len(table)), best].mean() > 0.8
