"""The encoder of OpenJMLA is a plain vision transformer: transformers' own gives the same numbers."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from music_reclass.errors import ReclassError  # noqa: E402
from music_reclass.extractors import jmla  # noqa: E402
from music_reclass.extractors.weights import catalogue  # noqa: E402
from tests.extractors.small_models import SMALL_JMLA, random_encoder  # noqa: E402


def vit_state(tensors, depth, new):
    """The tensors under the names of ViTModel, of transformers 5 (`new`) or 4."""
    t = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
    state = {
        "embeddings.cls_token": t["cls_token"],
        "embeddings.position_embeddings": t["pos_embed"],
    }
    for part in ("weight", "bias"):
        state[f"embeddings.patch_embeddings.projection.{part}"] = t[f"patch_embed.projection.{part}"]
        state[f"layernorm.{part}"] = t[f"ln1.{part}"]
        for i in range(depth):
            ours, theirs = f"layers.{i}.", f"layers.{i}." if new else f"encoder.layer.{i}."
            heads = ("q_proj", "k_proj", "v_proj") if new else ("attention.query", "attention.key", "attention.value")
            for name, piece in zip(heads, t[f"{ours}attn.qkv.{part}"].chunk(3), strict=True):
                state[f"{theirs}attention.{name}.{part}"] = piece
            names = {
                "attention.o_proj" if new else "attention.output.dense": "attn.proj",
                "mlp.fc1" if new else "intermediate.dense": "ffn.layers.0.0",
                "mlp.fc2" if new else "output.dense": "ffn.layers.1",
                "layernorm_before": "ln1",
                "layernorm_after": "ln2",
            }
            state |= {f"{theirs}{name}.{part}": t[f"{ours}{ours_name}.{part}"] for name, ours_name in names.items()}
    return state


def test_it_equals_transformers_own_vit():
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=SMALL_JMLA["width"], num_hidden_layers=SMALL_JMLA["depth"], intermediate_size=SMALL_JMLA["hidden"],
        num_attention_heads=SMALL_JMLA["heads"], image_size=(80, 2992), patch_size=16, layer_norm_eps=1e-6,
        qkv_bias=True,
    )  # fmt: skip
    reference = transformers.ViTModel(config, add_pooling_layer=False).eval()
    tensors = random_encoder()
    new = any(name.startswith("layers.") for name in reference.state_dict())
    reference.load_state_dict(vit_state(tensors, SMALL_JMLA["depth"], new), strict=True)
    mels = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 80, 2992)).astype(np.float32))
    with torch.inference_mode():
        wanted = reference(mels.unsqueeze(1).expand(-1, 3, -1, -1)).last_hidden_state
        model = jmla.encoder(tensors, SMALL_JMLA["heads"])
        ours = model(mels.unsqueeze(1).expand(-1, 3, -1, -1))
        mean = jmla.patch_mean(model, mels)
    assert ours.shape == (2, 936, SMALL_JMLA["width"])
    assert torch.allclose(ours, wanted, atol=1e-5)
    assert torch.allclose(mean, wanted[:, 1:].mean(dim=1), atol=1e-5)


def full_size_names():
    with torch.device("meta"):
        return jmla.transformer().state_dict()


def test_at_full_size_it_holds_150_tensors_and_86_366_208_parameters():
    state = full_size_names()
    model = catalogue.model("jmla")
    assert (len(state), sum(t.numel() for t in state.values())) == (150, 86_366_208) == (model.tensors, model.values)
    assert tuple(state["pos_embed"].shape) == (1, 936, 768)
    assert tuple(state["layers.11.attn.qkv.weight"].shape) == (2304, 768)
    assert tuple(state["layers.0.ffn.layers.0.0.weight"].shape) == (3072, 768)


def test_the_prefix_of_the_training_code_is_taken_off():
    tensors = {f"backbone.{name}": np.zeros(1, np.float32) for name in full_size_names()}
    plain, _ = jmla.canonical(tensors, {})
    assert plain.keys() == full_size_names().keys()


def test_the_adapter_file_is_refused_with_the_name_of_the_right_one():
    with pytest.raises(ReclassError, match=r"epoch_20\.pth"):
        jmla.canonical({"lm.adapter.weight": np.zeros(3, np.float16)}, {})


@pytest.mark.parametrize("change", ["missing", "extra"])
def test_a_tensor_that_does_not_fit_is_an_error(change):
    tensors = random_encoder()
    if change == "missing":
        del tensors["ln1.bias"]
    else:
        tensors["head.bias"] = np.zeros(3, np.float32)
    with pytest.raises(ReclassError, match="do not fit OpenJMLA"):
        jmla.encoder(tensors, SMALL_JMLA["heads"])
