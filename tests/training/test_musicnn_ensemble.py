"""The second stage: its table, its bundle, and what it adds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from music_reclass.errors import UsageError
from music_reclass.extractors.fma import COLUMNS
from music_reclass.training import bundles, fma_mlp, kinds, musicnn_ensemble, networks, tables

CLASSES = np.array(["Jazz", "Rock"])


def written(path: Path, **arrays: np.ndarray) -> Path:
    """A table whose genre shows in the embedding alone."""
    random = np.random.default_rng(0)
    genre = np.arange(60) % 2
    held: dict[str, np.ndarray] = {
        "fma518": random.standard_normal((60, 518)).astype(np.float32), "columns": np.array(COLUMNS),
        "labels": np.eye(2, dtype=bool)[genre], "classes": CLASSES, "group": np.arange(60),
        "musicnn": (random.standard_normal((60, 200)) + 2 * genre[:, None]).astype(np.float32), **arrays,
    }  # fmt: skip
    np.savez(path, **held)
    return path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(networks.Recipe(), epochs=15, hidden=(8,))
    plan = replace(musicnn_ensemble.PLAN, members=("embedding", "key_free_and_embedding"), recipe=recipe)
    monkeypatch.setattr(musicnn_ensemble, "PLAN", plan)


def test_what_only_the_embedding_tells_is_learned_and_survives_the_disk(tmp_path: Path, quick: None) -> None:
    path = written(tmp_path / "table.npz")
    table = tables.read(path)
    bundle = musicnn_ensemble.train(table, kinds.vectors(path, "musicnn", len(table)))
    assert bundle.stage == "musicnn"
    assert bundle.kinds == (fma_mlp.KIND, musicnn_ensemble.KIND)
    assert bundle.manifest["metrics"]["hit@1 clean"] > 0.9
    bundles.save(bundle, tmp_path / "bundle")
    rows = kinds.rows_for(bundle.kinds, path, table)
    loaded = bundles.load(tmp_path / "bundle")
    assert loaded.digest == bundle.digest
    assert np.array_equal(loaded.predict_proba(rows), bundle.predict_proba(rows))


@pytest.mark.parametrize(
    ("array", "sentence"),
    [(np.zeros((60, 199), np.float32), "belong there"), (np.full((60, 200), np.nan, np.float32), "not finite")],
)
def test_an_embedding_that_does_not_fit_is_one_sentence(tmp_path: Path, array: np.ndarray, sentence: str) -> None:
    path = written(tmp_path / "table.npz", musicnn=array)
    with pytest.raises(UsageError, match=sentence):
        kinds.vectors(path, "musicnn", 60)


def test_the_shipped_bundle_wants_the_published_weights_and_keeps_its_word() -> None:
    bundle = musicnn_ensemble.embedded()
    assert bundle.kinds[1] == musicnn_ensemble.KIND
    assert bundle.labels == bundles.embedded().labels
    assert bundle.manifest["metrics"]["hit@1 clean"] >= 0.69
    assert bundle.manifest["metrics"]["ece clean"] <= 0.05
    assert 0 < bundle.thresholds["likely"] <= bundle.thresholds["confident"] <= 1


def test_a_first_stage_bundle_asks_for_the_518_columns_only(tmp_path: Path) -> None:
    path = written(tmp_path / "table.npz")
    assert kinds.rows_for(bundles.embedded().kinds, path, tables.read(path)).shape == (60, 518)
