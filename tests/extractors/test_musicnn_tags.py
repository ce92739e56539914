"""MusiCNN's tags as a feature kind, and how near to them the tags of a stored embedding come."""

from __future__ import annotations

import numpy as np
import pytest

from music_reclass.extractors.musicnn import TAGS, approximate, musicnn_tags
from music_reclass.extractors.registry import vectors
from music_reclass.extractors.weights import catalogue, install, store
from tests.extractors import small_models

DATA = small_models.WEIGHTS.parents[1]


@pytest.fixture(autouse=True)
def _models(tmp_path, monkeypatch):
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path))


def noise(seconds=9.0):
    return np.random.default_rng(0).uniform(-0.3, 0.3, int(16000 * seconds)).astype(np.float32)


def test_the_vector_holds_the_strengths_in_the_order_of_the_tags():
    extractor = small_models.small_musicnn_tags()
    strengths = small_models.small_musicnn().tags(noise())
    assert extractor.vector(noise()).tolist() == [strengths[tag] for tag in TAGS]


def test_the_kind_names_the_weights():
    first, embedding = small_models.small_musicnn_tags().kind, small_models.small_musicnn().kind
    assert (first.name, first.dimension, first.version) == ("musicnn-tags", 50, embedding.version)
    small_models.install("musicnn", small_models.random_musicnn(seed=1))
    assert musicnn_tags("mid30").kind.version != first.version


def test_a_model_that_is_not_installed_is_named_with_the_cure():
    with pytest.raises(store.MissingWeights, match="reclass models download musicnn"):
        musicnn_tags("mid30")


def test_tags_of_an_embedding_of_one_window_are_the_tags_of_the_window():
    installed = small_models.install("musicnn", small_models.random_musicnn())
    embedding = small_models.small_musicnn().vector(noise(3.0))
    wanted = small_models.small_musicnn_tags().vector(noise(3.0))
    assert np.allclose(approximate(embedding[None], installed)[0], wanted, atol=1e-6)


def test_real_tags_of_stored_embeddings_are_near_the_tags_of_the_whole():
    if not small_models.WEIGHTS.is_file():
        pytest.skip("needs ../shared/data/weights/musicnn_jamendo.pth")
    installed = install.from_disk(catalogue.model("musicnn"), small_models.WEIGHTS)
    golden = np.load(DATA / "golden" / "musicnn.npz")
    off = approximate(golden["embeddings"], installed) - golden["tags"]
    assert np.abs(off).max() < 0.05
    assert np.abs(off).mean() < 0.004
    assert off.mean() < 0


def test_one_pass_gives_embedding_and_tags_by_their_kinds():
    embedding, tags = small_models.small_musicnn(), small_models.small_musicnn_tags()
    for made in (embedding, tags):
        found = vectors(made, noise())
        assert found.keys() == {embedding.kind, tags.kind}
        assert np.array_equal(found[embedding.kind], embedding.vector(noise()))
        assert np.array_equal(found[tags.kind], tags.vector(noise()))
