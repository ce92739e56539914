"""MusiCNN with its real weights says what an independent implementation says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from music_reclass.extractors.audio import load as audio
from music_reclass.extractors.musicnn import TAGS, musicnn
from music_reclass.extractors.weights import catalogue, install, store
from tests.extractors import small_models

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def test_there_are_fifty_tags_in_sorted_order():
    assert len(TAGS) == 50
    assert list(TAGS) == sorted(TAGS)


def test_tags_come_strongest_first(tmp_path, monkeypatch):
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path))
    tags = small_models.small_musicnn().tags(np.random.default_rng(0).uniform(-0.3, 0.3, 64000).astype(np.float32))
    assert set(tags) == set(TAGS)
    assert list(tags.values()) == sorted(tags.values(), reverse=True)
    assert all(0.0 <= strength <= 1.0 for strength in tags.values())


def test_other_weights_are_another_feature_kind(tmp_path, monkeypatch):
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path))
    first = small_models.small_musicnn().kind
    small_models.install("musicnn", small_models.random_musicnn(seed=1))
    assert musicnn("mid30").kind != first


def test_a_model_that_is_not_installed_is_named_with_the_cure(tmp_path, monkeypatch):
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path))
    with pytest.raises(store.MissingWeights, match="reclass models download musicnn"):
        musicnn("mid30")


def test_real_weights_agree_with_an_independent_implementation(tmp_path, monkeypatch):
    if not small_models.WEIGHTS.is_file():
        pytest.skip("needs ../shared/data/weights/musicnn_jamendo.pth")
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path))
    install.from_disk(catalogue.model("musicnn"), small_models.WEIGHTS)
    golden = np.load(DATA / "golden" / "musicnn.npz")
    assert tuple(golden["tag_names"]) == TAGS
    extractor = musicnn("full")
    for name, embedding, tags in zip(golden["names"], golden["embeddings"], golden["tags"], strict=True):
        samples = audio.load(DATA / str(name), "full", extractor.rate).samples
        rows = extractor._embeddings(samples)  # computed once for both
        vector, activations = rows.mean(axis=0), extractor._loaded().tags(rows).mean(axis=0)
        cosine = vector @ embedding / np.linalg.norm(vector) / np.linalg.norm(embedding)
        assert cosine >= 0.999, name
        assert np.abs(activations - tags).max() <= 0.01, name
    assert np.array_equal(extractor.vector(samples), vector)
    assert list(extractor.tags(samples)) == [TAGS[i] for i in np.argsort(-activations)]
