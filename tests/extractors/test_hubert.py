"""HuBERT in plain torch computes what transformers computes, in float32 and in short formats."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from music_reclass.errors import ReclassError  # noqa: E402
from music_reclass.extractors import hubert  # noqa: E402
from music_reclass.extractors.audio.synthesis import song  # noqa: E402
from tests.extractors.small_models import CONFIG, PRE_NORM, arrays, hidden_means, random_hubert  # noqa: E402

BOTH = pytest.mark.parametrize("config", [CONFIG, PRE_NORM], ids=["post-norm", "pre-norm"])
EVERY = tuple(range(13))
OLD_NAMES = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}


def music(seconds=1.0, count=2):
    sounds = [song(seed=seed, seconds=seconds, rate=24000).mean(axis=1) for seed in range(count)]
    return torch.from_numpy(np.stack(sounds)).float()


def means(tensors, config, layers, waves, precision="fp32", chunks=1):
    with torch.inference_mode():
        return hubert.load(tensors, config, layers, precision)(waves, chunks)


def furthest(ours, theirs):
    """One less the smallest cosine of a layer's mean."""
    return float(1 - torch.nn.functional.cosine_similarity(ours.double(), theirs.double(), dim=-1).min())


@BOTH
def test_every_layer_is_that_of_transformers(config):
    model = random_hubert(config)
    assert torch.allclose(means(arrays(model), config, EVERY, music()), hidden_means(model, music()), atol=2e-6)


@BOTH
@pytest.mark.parametrize("layer", [0, 1, 7, 12])
def test_a_model_that_ends_at_a_layer_computes_it_as_the_whole_one_does(config, layer):
    tensors = arrays(random_hubert(config))
    whole = means(tensors, config, EVERY, music())
    assert torch.equal(means(tensors, config, (layer,), music())[:, 0], whole[:, layer])
    assert len(hubert.load(tensors, config, (layer,), "fp32").layers) == layer


def test_the_names_of_old_torch_are_understood_and_a_form_without_the_first_norm():
    config = CONFIG | {"feat_proj_layer_norm": False}
    model = random_hubert(config)
    old = {}
    for name, tensor in arrays(model).items():
        for new_part, old_part in OLD_NAMES.items():
            name = name.replace(new_part, old_part)
        old[f"hubert.{name}"] = tensor
    assert "hubert.encoder.pos_conv_embed.conv.weight_g" in old
    assert torch.allclose(means(old, config, EVERY, music()), hidden_means(model, music()), atol=2e-6)


def test_the_folded_weights_of_the_position_convolution_are_those_that_torch_computes():
    convolution = random_hubert().encoder.pos_conv_embed.conv
    parts = convolution.parametrizations.weight
    ours = hubert.weight_normalised(parts.original0.detach().numpy(), parts.original1.detach().numpy())
    assert np.allclose(ours, convolution.weight.detach().numpy(), rtol=1e-6, atol=0)


@BOTH
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize(
    ("loudness", "offset"), [(1.0, 0.0), (1.0, 0.5), (4.0, -3.0), (1e-3, 0.0), (1e-3, 0.5)],
    ids=["as it is", "DC", "loud", "quiet", "quiet with DC"],
)  # fmt: skip
def test_a_short_format_gives_what_float32_gives_whatever_the_sound(config, precision, loudness, offset):
    model, waves = random_hubert(config), loudness * music()
    ours = means(arrays(model), config, EVERY, waves + offset, precision)
    assert ours.dtype == torch.float32
    assert furthest(ours, hidden_means(model, waves.double().float())) < 1e-4


def test_treble_is_heard_in_a_short_format_under_bass_a_thousand_times_louder():
    time = torch.arange(24000) / 24000
    waves = (torch.sin(2 * torch.pi * 55 * time) + 1e-3 * torch.randn(24000, generator=torch.manual_seed(0)))[None]
    tensors = arrays(random_hubert())
    first = "feature_extractor.conv_layers.0.conv.weight"
    # filters that cut the bass off: differences of differences
    tensors[first] = np.diff(np.pad(tensors[first][..., :6], ((0, 0), (0, 0), (4, 4))), 4, axis=-1)
    features = []
    for precision in ("fp32", "bf16"):
        model = hubert.load(tensors, CONFIG, (0,), precision)
        with torch.inference_mode():
            features.append(hubert.convolved(model.convolutions, model.over_time, waves).float())
    exact, short = features
    assert (short - exact).norm() / exact.norm() < 0.03


@pytest.mark.parametrize("layers", [(7,), (0,), (12,), EVERY])
@BOTH
def test_only_what_the_layers_need_is_read(layers, config):
    read = []

    class Watched(dict):
        def __getitem__(self, name):
            read.append(name)
            return super().__getitem__(name)

    hubert.load(Watched(arrays(random_hubert(config))), config, layers, "bf16")
    deepest = max((int(name.split(".")[2]) for name in read if name.startswith("encoder.layers.")), default=-1)
    assert deepest == max(layers) - 1
    assert "masked_spec_embed" not in read
    assert ("encoder.layer_norm.weight" in read) == (config is CONFIG or 12 in layers)


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_a_tensor_that_does_not_fit_is_an_error(change):
    tensors = arrays(random_hubert())
    if change == "missing":
        del tensors["encoder.layers.3.attention.k_proj.bias"]
    elif change == "extra":
        tensors["encoder.more.bias"] = np.zeros(3, np.float32)
    else:
        tensors["feature_projection.projection.bias"] = np.zeros(5, np.float32)
    with pytest.raises(ReclassError, match="do not fit HuBERT"):
        hubert.load(tensors, CONFIG, (7,), "fp32")


@pytest.mark.parametrize("key", ["encoder.pos_conv_embed.conv.parametrizations.weight.original0", "norm"])
def test_a_half_of_the_weight_norm_that_is_missing_is_an_error(key):
    tensors = arrays(random_hubert())
    tensors.pop(key, None)
    if key == "norm":
        del tensors["encoder.pos_conv_embed.conv.parametrizations.weight.original1"]
    with pytest.raises(ReclassError, match="do not fit HuBERT"):
        hubert.load(tensors, CONFIG, (7,), "fp32")


@pytest.mark.parametrize("setting", [{"feat_extract_norm": "layer"}, {"conv_bias": True}, {"hidden_act": "relu"}])
def test_another_form_of_hubert_is_refused_in_one_sentence(setting):
    with pytest.raises(ReclassError, match="HuBERT is not supported"):
        hubert.hubert(CONFIG | setting, (7,))


@pytest.mark.parametrize(
    ("key", "value"),
    [("num_hidden_layers", None), ("conv_dim", None), ("hidden_size", "x"), ("conv_stride", 2), ("conv_kernel", [3])],
)
def test_a_config_without_sizes_is_a_sentence(key, value):
    config = {name: setting for name, setting in CONFIG.items() if name != key} | ({key: value} if value else {})
    with pytest.raises(ReclassError, match=key if value is None else "sizes that are none"):
        hubert.load({}, config, (7,), "fp32")


@pytest.mark.parametrize(("parts", "most"), [(1, 6000), (4, 1500)])
def test_never_more_than_a_part_of_a_window_has_left_the_first_convolution(parts, most):
    model = hubert.load(arrays(random_hubert()), CONFIG, (0,), "fp32")
    frames = []
    model.convolutions[1].register_forward_pre_hook(lambda _, inputs: frames.append(inputs[0].shape[-1]))
    with torch.inference_mode():
        model(music(5, count=1), parts)
    assert len(frames) == 4 * parts
    assert max(frames) < 1.1 * most


@pytest.mark.parametrize("chunks", [2, 4, 7, 16, 1000])
@pytest.mark.parametrize("samples", [24_000, 4_800, 31_337])
def test_chunk_by_chunk_the_features_are_those_of_the_whole_window(chunks, samples):
    model = hubert.load(arrays(random_hubert()), CONFIG, (0,), "fp32")
    waves = music(2)[:, :samples]
    with torch.inference_mode():
        whole, again = (hubert.convolved(model.convolutions, model.over_time, waves, n) for n in (1, chunks))
    assert again.shape == whole.shape
    assert torch.allclose(again, whole, atol=1e-5)
