"""MAEST through AST's architecture: its published names, its mel, the styles, and what is refused."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from music_reclass.errors import ReclassError  # noqa: E402
from music_reclass.extractors import taggers  # noqa: E402
from music_reclass.extractors.discogs import style_names  # noqa: E402
from music_reclass.extractors.mel import discogs_mel  # noqa: E402
from music_reclass.extractors.weights import catalogue, install, store  # noqa: E402
from music_reclass.extractors.weights.checkpoint import write_safetensors  # noqa: E402
from music_reclass.models.tag_head import tag_head  # noqa: E402
from tests.extractors.small_models import MAEST, ON_CPU, arrays, random_ast, small_maest  # noqa: E402

SMALL = {key: value for key, value in MAEST.items() if key != "id2label"}
PREPROCESSOR = {
    "sampling_rate": 16000, "n_fft": 512, "hop_length": 256, "num_mel_bins": 96, "max_length": 1876,
    "mean": 2.06755686098554, "std": 1.268292820667291, "log_compression": "logC", "do_normalize": True,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _models(tmp_path, monkeypatch):
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))


def noise(seconds, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * 16000))).astype(np.float32)


def page(folder, config):
    """The model page's files with the published names of the tensors; how many tensors and values there are."""
    tensors = {taggers.ast_published_name(name): t for name, t in arrays(random_ast(config=MAEST)).items()}
    folder.mkdir()
    write_safetensors(folder / "model.safetensors", tensors)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR))
    return {"tensors": len(tensors), "values": sum(tensor.size for tensor in tensors.values())}


def test_the_strengths_are_the_sigmoid_of_what_transformers_computes_of_the_normalised_mel():
    samples = noise(30)
    mel = (discogs_mel(samples) - 2.06755686098554) / (2 * 1.268292820667291)
    assert mel.shape == (1876, 96)
    with torch.inference_mode():
        wanted = random_ast(config=MAEST)(torch.from_numpy(mel[None].astype(np.float32))).logits.sigmoid()[0].numpy()
    found = small_maest().vector(samples)
    assert np.allclose(found, wanted, atol=1e-5)
    assert np.ptp(wanted) > 0.01


def test_a_downloaded_folder_is_installed_and_gives_a_stage_of_styles(tmp_path, monkeypatch):
    monkeypatch.setattr(taggers, "MAEST_PUBLISHED", SMALL)
    counted = page(tmp_path / "page", MAEST | {"architectures": ["ASTForAudioClassification"]})
    small = dataclasses.replace(catalogue.model("maest"), **counted)
    installed = install.from_disk(small, tmp_path / "page", trust=True)
    extractor = taggers.maest_styles("mid30", ON_CPU)
    assert extractor.names == style_names()
    assert extractor.kind == tag_head("maest").kinds[0]
    assert extractor.kind.version == f"1-{installed.short_digest}"
    checks = {check.name: check.fine for check in install.self_check(small, ON_CPU)}
    assert checks["digest"]
    assert checks["tensors"]
    assert checks["maest-styles repeats"]


def test_the_catalogue_counts_what_the_architecture_has():
    with torch.device("meta"):
        config = transformers.ASTConfig(**taggers.MAEST_PUBLISHED, num_labels=400)
        state = transformers.ASTForAudioClassification(config).state_dict()
    model = catalogue.model("maest")
    assert (model.tensors, model.values) == (len(state), sum(tensor.numel() for tensor in state.values()))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"config.json": MAEST | {"num_mel_bins": 128}}, "num_mel_bins is 128"),
        ({"config.json": MAEST | {"max_length": 626}}, "max_length is 626"),
        ({"config.json": {"id2label": {str(n): f"LABEL_{n}" for n in range(400)}}}, "Discogs' 400 styles"),
        ({"config.json": {"id2label": {str(n): f"style {n}" for n in range(519)}}}, "another MAEST has 519"),
        ({"preprocessor_config.json": PREPROCESSOR | {"mean": 0.0}}, "its mean is 0.0"),
        ({}, "no MAEST in"),
    ],
)
def test_what_is_not_the_published_maest_is_refused_in_one_sentence(monkeypatch, settings, words):
    monkeypatch.setattr(taggers, "MAEST_PUBLISHED", SMALL)
    with pytest.raises(ReclassError, match=words):
        taggers.canonical_maest({"weight": np.zeros(3, np.float32)}, settings)


def test_a_tensor_that_does_not_fit_is_an_error():
    tensors = {taggers.ast_published_name(name): t for name, t in arrays(random_ast(config=MAEST)).items()}
    del tensors["classifier.dense.bias"]
    with pytest.raises(ReclassError, match="do not fit MAEST"):
        taggers.MaestTagger.build(tensors, MAEST, "fp32")


def test_windows_are_half_minutes_one_of_an_excerpt_six_of_a_whole_file():
    assert small_maest("mid30").windows(noise(30)).shape == (1, 1876, 96)
    assert small_maest("mid30").windows(noise(7)).shape == (1, 1876, 96)
    assert small_maest("full").windows(noise(70)).shape == (2, 1876, 96)


def test_a_model_that_is_not_installed_is_named_with_the_cure():
    with pytest.raises(store.MissingWeights, match="reclass models download maest"):
        taggers.maest_styles("mid30", ON_CPU)
