"""MERT's weights, old names and new, from the files of the model page to the states that transformers computes."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from music_reclass.errors import ReclassError  # noqa: E402
from music_reclass.extractors import hubert, mert  # noqa: E402
from music_reclass.extractors.weights import catalogue, install  # noqa: E402
from music_reclass.extractors.weights.checkpoint import read_safetensors  # noqa: E402
from tests.extractors.small_models import CONFIG, arrays, hidden_means, random_hubert  # noqa: E402

NEW_G = "encoder.pos_conv_embed.conv.parametrizations.weight.original0"
WAVES = 24_000


def waves(seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((2, WAVES)).astype(np.float32))


def old_names(tensors):
    back = {new: old for old, new in mert._OLD_NAMES.items()}
    return {back.get(name, name): tensor for name, tensor in tensors.items()}


def write_checkpoint(folder, tensors, config):
    """A model folder as the model page has it."""
    torch.save({name: torch.from_numpy(np.array(t)) for name, t in tensors.items()}, folder / "pytorch_model.bin")
    extra = {"model_type": "mert_model", "architectures": ["MERTModel"], "deepnorm": False, "cqt_bins": 336}
    (folder / "config.json").write_text(json.dumps(config | extra | {"feature_extractor_cqt": False}))
    (folder / "preprocessor_config.json").write_text('{"do_normalize": true, "sampling_rate": 24000}')


def test_the_checkpoint_of_211_tensors_gives_the_same_13_hidden_states(tmp_path, monkeypatch):
    reference = random_hubert()
    tensors = old_names(arrays(reference))
    assert len(tensors) == 211
    assert "encoder.pos_conv_embed.conv.weight_g" in tensors
    write_checkpoint(tmp_path, tensors, CONFIG)
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(mert, "CONFIG_95M", CONFIG)
    installed = install.from_disk(catalogue.model("mert"), tmp_path, trust=True)
    assert installed.tensors == 211
    config = json.loads((installed.folder / "config.json").read_text())
    loaded = hubert.load(read_safetensors(installed.weights), config, tuple(range(13)), "fp32")
    assert torch.allclose(loaded(waves()), hidden_means(reference, waves()), atol=2e-6)


@pytest.mark.parametrize("names", ["old", "new"])
def test_both_names_of_the_weight_norm_are_understood(names):
    reference = random_hubert()
    tensors = arrays(reference) if names == "new" else old_names(arrays(reference))
    assert (NEW_G in tensors) == (names == "new")
    canonical, _ = mert.canonical(tensors, {}, CONFIG, normalise=True)
    assert NEW_G in canonical
    loaded = hubert.load(canonical, CONFIG, (12,), "fp32")
    assert torch.allclose(loaded(waves())[:, 0], hidden_means(reference, waves())[:, 12], atol=2e-6)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"config.json": CONFIG | {"feature_extractor_cqt": True}}, "CQT"),
        ({"config.json": CONFIG | {"deepnorm": True}}, "deep norm"),
        ({"config.json": CONFIG | {"hidden_size": 1024}}, "another MERT"),
        ({"preprocessor_config.json": {"sampling_rate": 16000}}, "16000 Hz"),
    ],
)
def test_another_mert_is_refused_in_one_sentence(settings, words):
    with pytest.raises(ReclassError, match=words):
        mert.canonical(arrays(random_hubert()), settings, CONFIG, normalise=True)


def test_a_file_of_something_else_is_refused():
    with pytest.raises(ReclassError, match=r"pytorch_model\.bin"):
        mert.canonical_95m({"weight": np.zeros(3, np.float32)}, {})


def test_without_json_files_the_published_settings_stand_in():
    _, settings = mert.canonical_330m({"encoder.pos_conv_embed.conv.bias": np.zeros(3, np.float32)}, {})
    assert settings["config.json"]["num_hidden_layers"] == 24
    assert settings["preprocessor_config.json"]["do_normalize"] is False


@pytest.mark.parametrize(("name", "config"), [("mert", mert.CONFIG_95M), ("mert-330m", mert.CONFIG_330M)])
def test_the_catalogue_counts_what_the_architecture_has(name, config):
    from transformers import HubertConfig, HubertModel

    with torch.device("meta"):
        state = HubertModel(HubertConfig(**config)).state_dict()
    model = catalogue.model(name)
    assert (model.tensors, model.values) == (len(state), sum(tensor.numel() for tensor in state.values()))
