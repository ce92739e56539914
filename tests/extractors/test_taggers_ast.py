"""AST with its published names, old and new, its tags by the names of config.json, and what is refused."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from music_reclass.errors import ReclassError  # noqa: E402
from music_reclass.extractors import taggers  # noqa: E402
from music_reclass.extractors.efficientat import audioset_labels  # noqa: E402
from music_reclass.extractors.mel import ast_input  # noqa: E402
from music_reclass.extractors.weights import catalogue, install, store  # noqa: E402
from tests.extractors.small_models import AST, ON_CPU, arrays, random_ast, small_ast  # noqa: E402

NAMES = {str(number): f"class {number}" for number in range(527)} | {"0": "Speech", "137": "Music", "147": "Banjo"}
SMALL = {key: value for key, value in AST.items() if key != "id2label"}
OLD = "audio_spectrogram_transformer.encoder.layer.0.attention.attention.query.weight"


@pytest.fixture(autouse=True)
def _models(tmp_path, monkeypatch):
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))


def noise(seconds, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * 16000))).astype(np.float32)


def published(tensors):
    return {taggers.ast_published_name(name): tensor for name, tensor in tensors.items()}


def new_name(name):
    """As transformers 5 calls a tensor."""
    for old, new in taggers._RENAMED:
        name = name.replace(old, new)
    return name


def checkpoint(folder, tensors, config):
    """A folder as the model page has it, with the weights as torch saves them."""
    folder.mkdir()
    torch.save({name: torch.from_numpy(np.array(t)) for name, t in tensors.items()}, folder / "model.safetensors")
    if config:
        (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text('{"sampling_rate": 16000, "max_length": 1024, "mean": -4.27}')
    return folder


def test_the_strengths_are_the_sigmoid_of_what_transformers_computes():
    samples = noise(20)
    mels = np.stack([ast_input(half) for half in samples.reshape(2, -1)])
    with torch.inference_mode():
        wanted = random_ast()(torch.from_numpy(mels)).logits.sigmoid().mean(dim=0).numpy()
    assert np.allclose(small_ast().vector(samples), wanted, atol=1e-6)
    assert np.ptp(wanted) > 0.01


def test_a_downloaded_folder_is_installed_and_computes_with_the_names_of_its_config(tmp_path, monkeypatch):
    monkeypatch.setattr(taggers, "AST_PUBLISHED", SMALL)
    config = SMALL | {"id2label": NAMES, "architectures": ["ASTForAudioClassification"]}
    tensors = published(arrays(random_ast(config=config)))
    assert OLD in tensors
    small = dataclasses.replace(
        catalogue.model("ast"), tensors=len(tensors), values=sum(tensor.size for tensor in tensors.values())
    )
    installed = install.from_disk(small, checkpoint(tmp_path / "page", tensors, config), trust=True)
    assert taggers.tag_names(installed)[147] == "Banjo"
    extractor = taggers.ast_tags("mid30", ON_CPU)
    assert extractor.names == tuple(NAMES[str(number)] for number in range(527))
    assert (extractor.kind.name, extractor.kind.dimension) == ("ast-tags", 527)
    assert extractor.kind.version == f"2-{installed.short_digest}"
    checks = {check.name: check.fine for check in install.self_check(small, ON_CPU)}
    assert set(checks) == {"digest", "tensors", "ast-tags shape", "ast-tags repeats", "ast-tags hears"}
    assert all(
        fine for name, fine in checks.items() if name != "ast-tags hears"
    )  # random weights may tell nothing apart


def test_new_names_of_the_weights_are_installed_under_the_published_ones(monkeypatch):
    monkeypatch.setattr(taggers, "AST_PUBLISHED", SMALL)
    tensors = published(arrays(random_ast()))
    renamed = {new_name(name): tensor for name, tensor in tensors.items()}
    assert "audio_spectrogram_transformer.layers.1.mlp.fc2.bias" in renamed
    config = {"config.json": SMALL | {"id2label": NAMES}}
    for form in (tensors, renamed):
        assert set(taggers.canonical_ast(dict(form), config)[0]) == set(tensors)


def test_without_its_config_the_tags_are_named_by_the_class_list_of_audioset(monkeypatch):
    monkeypatch.setattr(taggers, "AST_PUBLISHED", SMALL)
    _, settings = taggers.canonical_ast(published(arrays(random_ast())), {})
    assert settings["config.json"]["hidden_size"] == SMALL["hidden_size"]
    assert taggers.labels(settings["config.json"]) == audioset_labels()


def test_the_catalogue_counts_what_the_architecture_has():
    with torch.device("meta"):
        config = transformers.ASTConfig(**taggers.AST_PUBLISHED, num_labels=527)
        state = transformers.ASTForAudioClassification(config).state_dict()
    model = catalogue.model("ast")
    assert (model.tensors, model.values) == (len(state), sum(tensor.numel() for tensor in state.values()))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"config.json": {"hidden_size": 1024}}, "hidden_size is 1024"),
        ({"config.json": {}}, "id2label"),
        ({"config.json": {"id2label": {"1": "Speech"}}}, "id2label"),
        ({"config.json": {"id2label": {str(n): f"LABEL_{n}" for n in range(527)}}}, "AudioSet's 527"),
        ({"config.json": {"id2label": NAMES}, "preprocessor_config.json": {"sampling_rate": 44100}}, "44100"),
        ({"config.json": {"id2label": NAMES}}, "no AST in"),
    ],
)
def test_what_is_not_the_published_ast_is_refused_in_one_sentence(settings, words):
    with pytest.raises(ReclassError, match=words):
        taggers.canonical_ast({"weight": np.zeros(3, np.float32)}, settings)


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_a_tensor_that_does_not_fit_is_an_error(change):
    tensors = published(arrays(random_ast()))
    if change == "missing":
        del tensors[OLD]
    elif change == "extra":
        tensors["classifier.more"] = np.zeros(3, np.float32)
    else:
        tensors["classifier.dense.bias"] = np.zeros(5, np.float32)
    with pytest.raises(ReclassError, match="do not fit AST"):
        taggers.AstTagger.build(tensors, AST, "fp32")


def test_windows_are_ten_seconds_three_of_thirty_six_of_a_whole_file():
    assert small_ast("mid30").windows(noise(30)).shape == (3, 1024, 128)
    assert small_ast("mid30").windows(noise(29.98)).shape == (3, 1024, 128)
    assert small_ast("full").windows(noise(80)).shape == (6, 1024, 128)
    assert small_ast("mid30").windows(noise(1)).shape == (1, 1024, 128)
    half_silent = np.concatenate([noise(10), np.zeros(160000, np.float32)])
    assert small_ast("mid30").windows(half_silent).shape == (1, 1024, 128)


def test_a_config_that_was_lost_is_named_with_the_cure():
    (small_ast()._installed.folder / "config.json").unlink()
    with pytest.raises(ReclassError, match="install the model again"):
        taggers.ast_tags("mid30", ON_CPU)


def test_a_model_that_is_not_installed_is_named_with_the_cure():
    with pytest.raises(store.MissingWeights, match="reclass models download ast"):
        taggers.ast_tags("mid30", ON_CPU)
