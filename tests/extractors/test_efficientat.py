"""EfficientAT in NumPy: what the authors' code gives, one pass for both kinds, and sounds of any length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from music_reclass.errors import ReclassError
from music_reclass.extractors import efficientat
from music_reclass.extractors.audio import load as audio
from music_reclass.extractors.mel import efficientat_input
from music_reclass.extractors.registry import extractor, same_pass, vectors
from music_reclass.extractors.weights import catalogue, install, store
from music_reclass.training.npz import PUBLISHED
from tests.extractors import small_models

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
NOISE = np.random.default_rng(3).uniform(-0.3, 0.3, 31 * 32000).astype(np.float32)


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path))


@pytest.fixture
def small(models):
    return small_models.small_efficientat()


def cosine(one, other):
    one, other = one.astype(np.float64), other.astype(np.float64)
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


def test_real_weights_give_what_the_authors_code_gives(models):
    if not small_models.EFFICIENTAT_WEIGHTS.is_file():
        pytest.skip("needs ../shared/data/weights/mn04_as_mAP_432.pt")
    install.from_disk(catalogue.model("efficientat"), small_models.EFFICIENTAT_WEIGHTS)
    golden = np.load(DATA / "golden" / "mn04.npz")
    assert tuple(golden["labels"]) == efficientat.audioset_labels()
    made = extractor("efficientat-tags", "mid30")
    for name, embedding, logits in zip(golden["names"], golden["embeddings"], golden["logits"], strict=True):
        folder = DATA / ("golden" if name.endswith(".flac") else "fma/clips")
        samples = audio.load(folder / str(name), "mid30", made.rate).samples
        found = {kind.name: vector for kind, vector in made.vectors(samples).items()}
        tags = found["efficientat-tags"].astype(np.float64)
        assert cosine(found["efficientat"], embedding) >= 0.9999, name
        assert cosine(np.log(tags / (1 - tags)), logits) >= 0.9999, name
        if name == golden["mel_name"][0]:
            mel = efficientat_input(samples[: 10 * made.rate])
            assert np.abs(mel - golden["mel_first_window"][0]).max() < 0.01


def test_the_published_weights_have_the_version_that_tables_are_read_with(models):
    if not small_models.EFFICIENTAT_WEIGHTS.is_file():
        pytest.skip("needs ../shared/data/weights/mn04_as_mAP_432.pt")
    install.from_disk(catalogue.model("efficientat"), small_models.EFFICIENTAT_WEIGHTS)
    for name in ("efficientat", "efficientat-tags"):
        assert extractor(name, "mid30").kind == PUBLISHED[name]


@pytest.mark.parametrize("name", ["efficientat", "efficientat-tags", "musicnn", "musicnn-tags"])
def test_one_pass_gives_the_kinds_that_the_registry_says_come_together(models, name):
    small_models.small_efficientat()
    small_models.small_musicnn()
    made = extractor(name, "mid30")
    samples = NOISE[: 4 * made.rate]
    found = vectors(made, samples)
    assert sorted(kind.name for kind in found) == sorted(same_pass(name))
    assert made.kind.name == same_pass(name)[0]
    for kind, vector in found.items():
        alone = extractor(kind.name, "mid30")
        assert alone.kind == kind
        assert np.array_equal(alone.vector(samples), vector)


def test_the_tags_are_probabilities_and_have_names(small):
    made = extractor("efficientat-tags", "mid30")
    tags = made.vector(NOISE)
    assert len(made.names) == len(set(made.names)) == len(tags) == 527
    assert (made.names[0], made.names[137]) == ("Speech", "Music")
    assert 0 <= tags.min() <= tags.max() <= 1


def test_windows_of_ten_seconds_stand_side_by_side_from_the_first_sample(small):
    rate = small.rate
    mean = np.mean([small.vector(NOISE[start : start + 10 * rate]) for start in (0, 10 * rate)], axis=0)
    assert np.allclose(small.vector(NOISE[: 29 * rate]), mean, atol=1e-6)


def test_a_clip_shorter_than_a_window_is_taken_whole_and_one_below_a_second_repeated(small):
    rate = small.rate
    assert not np.allclose(small.vector(NOISE[: 7 * rate]), small.vector(NOISE[: 9 * rate]))
    assert np.array_equal(small.vector(NOISE[: rate // 2]), small.vector(np.tile(NOISE[: rate // 2], 2)))


@pytest.mark.parametrize("tensor", ["features.4.block.2.conc_se_layers.0.fc1.bias", "classifier.5.weight"])
def test_a_checkpoint_with_a_tensor_of_another_shape_or_without_one_is_refused(tensor):
    whole = small_models.random_efficientat()
    assert efficientat.canonical_mn04(whole, {}) == (whole, {})
    for changed in ({**whole, tensor: whole[tensor][:-1]}, {n: t for n, t in whole.items() if n != tensor}):
        with pytest.raises(ReclassError, match=f"no EfficientAT mn04: {tensor} do not fit"):
            efficientat.canonical_mn04(changed, {})


def test_the_wider_model_runs_by_the_same_code(models):
    tensors = small_models.random_efficientat(width=1.0)
    assert len(tensors) == catalogue.model("efficientat-mn10").tensors
    assert sum(tensor.size for tensor in tensors.values()) == catalogue.model("efficientat-mn10").values
    with pytest.raises(ReclassError, match="no EfficientAT mn04"):
        efficientat.canonical_mn04(tensors, {})
    kept, _ = efficientat.canonical_mn10(tensors, {})
    small_models.install("efficientat-mn10", kept)
    found = vectors(extractor("efficientat-mn10", "mid30"), NOISE[: 6 * 32000])
    assert {kind.name: vector.shape for kind, vector in found.items()} == {
        "efficientat-mn10": (960,),
        "efficientat-mn10-tags": (527,),
    }
    assert all(np.isfinite(vector).all() for vector in found.values())


def test_a_model_that_is_not_installed_is_named_with_the_cure(models):
    with pytest.raises(store.MissingWeights, match="reclass models download efficientat"):
        extractor("efficientat", "mid30")
