"""MERT's weights, old names and new, loaded strictly into transformers' own model and read layer by layer."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from music_reclass.errors import ReclassError  # noqa: E402
from music_reclass.extractors import mert  # noqa: E402
from music_reclass.extractors.weights import catalogue, install  # noqa: E402
from music_reclass.extractors.weights.checkpoint import read_safetensors  # noqa: E402
from tests.extractors.small_models import CONFIG, PRE_NORM, arrays, random_hubert  # noqa: E402

NEW_G = "encoder.pos_conv_embed.conv.parametrizations.weight.original0"
WAVES = 24_000


def waves(seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((2, WAVES)).astype(np.float32))


def states_of(model, batch):
    with torch.inference_mode():
        out = model(batch, output_hidden_states=True)
    return [*out.hidden_states[:-1], out.last_hidden_state]


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
    installed = install.from_disk(catalogue.model("mert"), tmp_path)
    assert installed.tensors == 211
    config = json.loads((installed.folder / "config.json").read_text())
    loaded = mert.hubert(read_safetensors(installed.weights), config)
    ours, theirs = states_of(loaded, waves()), states_of(reference, waves())
    assert len(ours) == 13
    assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("names", ["old", "new"])
def test_both_names_of_the_weight_norm_are_understood(names):
    reference = random_hubert()
    tensors = arrays(reference) if names == "new" else old_names(arrays(reference))
    assert (NEW_G in tensors) == (names == "new")
    canonical, _ = mert.canonical(tensors, {}, CONFIG, normalise=True)
    loaded = mert.hubert(canonical, CONFIG)
    assert torch.equal(states_of(loaded, waves())[-1], states_of(reference, waves())[-1])


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_a_tensor_that_does_not_fit_is_an_error(change):
    tensors = arrays(random_hubert())
    if change == "missing":
        del tensors["encoder.layers.3.attention.k_proj.bias"]
    elif change == "extra":
        tensors["encoder.layers.12.bias"] = np.zeros(3, np.float32)
    else:
        tensors["masked_spec_embed"] = np.zeros(5, np.float32)
    with pytest.raises(ReclassError, match="do not fit MERT"):
        mert.hubert(tensors, CONFIG)


@pytest.mark.parametrize("config", [CONFIG, PRE_NORM], ids=["post-norm", "pre-norm"])
def test_layer_means_are_the_means_of_the_hidden_states(config):
    model = random_hubert(config)
    wanted = torch.stack([states.mean(dim=1) for states in states_of(model, waves())], dim=1)
    with torch.inference_mode():
        ours = mert.layer_means(model, waves(), tuple(range(13)))
    assert torch.allclose(ours, wanted, atol=1e-6)


@pytest.mark.parametrize("config", [CONFIG, PRE_NORM], ids=["post-norm", "pre-norm"])
@pytest.mark.parametrize("layer", [0, 1, 7, 12])
def test_a_shortened_model_computes_the_same_layer(config, layer):
    model = random_hubert(config)
    with torch.inference_mode():
        whole = mert.layer_means(model, waves(), (layer,))
        short = mert.layer_means(mert.shorten(model, (layer,)), waves(), (layer,))
    assert torch.equal(whole, short)
    assert len(model.encoder.layers) <= layer + 2


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
