"""DistilHuBERT's ten genres: the names of its checkpoint, its loudness, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from music_reclass.errors import ReclassError  # noqa: E402
from music_reclass.extractors import taggers  # noqa: E402
from music_reclass.extractors.mert import standardised  # noqa: E402
from music_reclass.extractors.weights import catalogue, install, store  # noqa: E402
from music_reclass.extractors.weights.checkpoint import read_safetensors, write_safetensors  # noqa: E402
from tests.extractors.small_models import GENRE_HUBERT, ON_CPU, arrays, random_genre_hubert, small_genre_hubert  # noqa: E402

SMALL = {key: value for key, value in GENRE_HUBERT.items() if key != "id2label"}


@pytest.fixture(autouse=True)
def _models(tmp_path, monkeypatch):
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))


def noise(seconds, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * 16000))).astype(np.float32)


def old_names(tensors):
    back = {new: old for old, new in taggers._HUBERT_RENAMED.items()}
    return {back.get(name, name): tensor for name, tensor in tensors.items()}


def test_the_strengths_are_the_softmax_of_what_transformers_computes():
    samples = noise(4)
    model = random_genre_hubert(mask_time_prob=0.0, mask_feature_prob=0.0)
    with torch.inference_mode():
        wanted = model(torch.from_numpy(standardised(samples[None]))).logits.softmax(dim=-1)[0].numpy()
    strengths = small_genre_hubert().vector(samples)
    assert np.allclose(strengths, wanted, atol=1e-6)
    assert strengths.sum() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("names", ["old", "new"])
def test_a_checkpoint_is_installed_without_the_part_that_only_training_needs(names, tmp_path, monkeypatch):
    monkeypatch.setattr(taggers, "HUBERT_PUBLISHED", SMALL)
    tensors = arrays(random_genre_hubert())
    assert "hubert.masked_spec_embed" in tensors
    kept = {name: tensor for name, tensor in tensors.items() if name != "hubert.masked_spec_embed"}
    write_safetensors(tmp_path / "model.safetensors", old_names(tensors) if names == "old" else tensors)
    small = dataclasses.replace(catalogue.model("hubert"), tensors=len(kept), values=sum(t.size for t in kept.values()))
    installed = install.from_disk(small, tmp_path, trust=True)
    assert set(read_safetensors(installed.weights)) == set(kept)
    extractor = taggers.genre_hubert("mid30", ON_CPU)
    assert extractor.names == tuple(f"gtzan---{genre}" for genre in taggers.HUBERT_GENRES)
    fine = {check.name: check.fine for check in install.self_check(small, ON_CPU)}
    assert fine["tensors"]
    assert fine["distilhubert-genre repeats"]


def test_the_catalogue_counts_what_the_architecture_has():
    with torch.device("meta"):
        config = transformers.HubertConfig(**taggers.HUBERT_PUBLISHED, num_labels=10, mask_time_prob=0.0)
        state = transformers.HubertForSequenceClassification(config).state_dict()
    model = catalogue.model("hubert")
    assert (model.tensors, model.values) == (len(state), sum(tensor.numel() for tensor in state.values()))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"config.json": {"num_hidden_layers": 12}}, "num_hidden_layers is 12"),
        ({"config.json": {"id2label": {"0": "rock", "1": "pop"}}}, "GTZAN's ten genres"),
        ({"preprocessor_config.json": {"sampling_rate": 24000}}, "24000"),
        ({}, "no classifier"),
    ],
)
def test_another_classifier_is_refused_in_one_sentence(settings, words):
    with pytest.raises(ReclassError, match=words):
        taggers.canonical_hubert({"weight": np.zeros(3, np.float32)}, settings)


def test_a_tensor_that_does_not_fit_is_an_error():
    tensors = arrays(random_genre_hubert(mask_time_prob=0.0, mask_feature_prob=0.0))
    del tensors["projector.bias"]
    with pytest.raises(ReclassError, match="do not fit DistilHuBERT"):
        taggers.GenreHubert.build(tensors, GENRE_HUBERT, "fp32")


def test_half_a_minute_is_one_window_and_a_whole_file_three():
    assert small_genre_hubert("mid30").windows(noise(30)).shape == (1, 480_000)
    assert small_genre_hubert("full").windows(noise(100)).shape == (3, 480_000)
    assert small_genre_hubert("mid30").windows(noise(0.01)).shape == (1, 3200)


def test_a_model_that_is_not_installed_is_named_with_the_cure():
    with pytest.raises(store.MissingWeights, match="reclass models download hubert"):
        taggers.genre_hubert("mid30", ON_CPU)
