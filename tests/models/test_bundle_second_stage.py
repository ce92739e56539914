"""The second stage: what it adds, and the bundle inside the package."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.bundle import embedded, load, save
from music_reclass.models.dataset import TableFile, fma518, read_table
from music_reclass.models.mlp import EMBEDDING_RECIPE, mlp_estimator
from music_reclass.training import npz
from music_reclass.training.train import StageRecipe, train

CLASSES = np.array(["Jazz", "Rock"])


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "no models"))


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


def test_what_only_the_embedding_tells_is_learned_and_survives_the_disk(tmp_path: Path) -> None:
    path = written(tmp_path / "table.npz")
    recipe = replace(EMBEDDING_RECIPE, members=("embedding", "key_free_and_embedding"), epochs=15, hidden=(8,))
    data = npz.read(path, ("fma518", "musicnn"))
    bundle = train(data, StageRecipe("musicnn-ensemble", ("fma518", "musicnn"), (mlp_estimator(recipe=recipe),))).bundle
    assert bundle.stage == "musicnn"
    assert bundle.kinds == (fma518("mid30"), npz.MUSICNN)
    assert bundle.manifest["metrics"]["hit@1 clean"] > 0.9
    assert len(bundle.manifest["profile"]["columns"]) == 518
    save(bundle, tmp_path / "bundle")
    rows = npz.rows_for(bundle.kinds, TableFile.read(path), read_table(path))
    loaded = load(tmp_path / "bundle")
    assert loaded.digest == bundle.digest
    assert np.array_equal(loaded.predict_proba(rows), bundle.predict_proba(rows))


def test_the_shipped_bundle_wants_the_published_weights_and_keeps_its_word() -> None:
    bundle = embedded("musicnn")
    assert bundle.kinds[1] == npz.MUSICNN
    assert bundle.labels == embedded().labels
    assert bundle.manifest["metrics"]["hit@1 clean"] >= 0.69
    assert bundle.manifest["metrics"]["ece clean"] <= 0.05
    assert 0 < bundle.thresholds["likely"] <= bundle.thresholds["confident"] <= 1


def test_a_first_stage_bundle_asks_for_the_518_columns_only(tmp_path: Path) -> None:
    path = written(tmp_path / "table.npz")
    assert npz.rows_for(embedded().kinds, TableFile.read(path), read_table(path)).shape == (
        60,
        518,
    )
