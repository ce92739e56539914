"""Transformer layers equal torch's own; checkpoints are read into them part by part."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from music_reclass.errors import ReclassError  # noqa: E402
from music_reclass.extractors.transformer import (  # noqa: E402
    FORMATS,
    in_format,
    joined,
    layer,
    load_exactly,
    renamer,
    vision_transformer,
    without_memory,
)

SIZES = {"width": 32, "hidden": 48, "heads": 4}


@pytest.mark.parametrize("post_norm", [False, True])
def test_a_layer_is_torchs_own(post_norm):
    torch.manual_seed(0)
    theirs = torch.nn.TransformerEncoderLayer(
        32, 4, 48, activation="gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=not post_norm
    ).eval()
    names = {
        "self_attn.in_proj_weight": "attn.qkv.weight", "self_attn.in_proj_bias": "attn.qkv.bias",
        "self_attn.out_proj.weight": "attn.proj.weight", "self_attn.out_proj.bias": "attn.proj.bias",
    }  # fmt: skip
    parts = renamer((("linear1", "ffn.layers.0.0"), ("linear2", "ffn.layers.1"), ("norm", "ln")))
    with torch.no_grad():
        for tensor in theirs.parameters():
            tensor.add_(0.1 * torch.randn_like(tensor))
    ours = layer(**SIZES, epsilon=1e-6, post_norm=post_norm)
    ours.load_state_dict({names.get(name, parts(name)): tensor for name, tensor in theirs.state_dict().items()})
    tokens = torch.randn(2, 7, 32)
    with torch.no_grad():  # torch's inference mode would take a fused path of its own
        assert torch.allclose(ours(tokens), theirs(tokens), atol=1e-5)


def test_a_module_without_memory_has_names_and_shapes_only():
    model = without_memory(lambda: vision_transformer(depth=2, tokens=9, summaries=2, **SIZES))
    assert all(tensor.is_meta for tensor in model.parameters())
    assert model.cls_token.shape == (1, 2, 32)
    assert model.state_dict().keys() == vision_transformer(depth=2, tokens=9, **SIZES).state_dict().keys()


class Read(dict):
    """Tensors that note down which of them are read."""

    def __init__(self, *names):
        super().__init__((name, np.full((2, 3), number, np.float32)) for number, name in enumerate(names))
        self.read = []

    def __getitem__(self, name):
        self.read.append(name)
        return super().__getitem__(name)


def test_parts_of_a_tensor_are_joined_and_what_is_not_wanted_is_never_read():
    tensors = Read("key", "training", "query", "norm", "value")
    ours = {"query": "qkv#0", "key": "qkv#1", "value": "qkv#2", "norm": "ln"}
    whole = dict(joined(tensors, ours.get))
    assert whole.keys() == {"qkv", "ln"}
    assert whole["qkv"][:, 0].tolist() == [2, 2, 0, 0, 4, 4]
    assert "training" not in tensors.read


def test_tokens_are_joined_one_after_the_other():
    tokens = {"cls": np.zeros((1, 1, 4), np.float32), "distillation": np.ones((1, 1, 4), np.float32)}
    (whole,) = dict(joined(tokens, {"cls": "t#0", "distillation": "t#1"}.get)).values()
    assert whole[0, :, 0].tolist() == [0, 1]


def test_a_tensor_of_which_a_part_is_missing_is_left_out():
    assert dict(joined(Read("query", "value"), {"query": "qkv#0", "value": "qkv#2"}.get)) == {}


def linear(**kind):
    return torch.nn.Linear(3, 2, **kind)


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_weights_are_loaded_exactly_or_not_at_all(change):
    tensors = {"weight": np.ones((2, 3), np.float32), "bias": np.zeros(2, np.float32)}
    model = load_exactly(linear(), tensors.items(), "a layer")
    assert not model.training
    assert model(torch.ones(1, 3)).tolist() == [[3.0, 3.0]]
    if change == "missing":
        del tensors["bias"]
    elif change == "extra":
        tensors["more"] = np.zeros(1, np.float32)
    else:
        tensors["bias"] = np.zeros(3, np.float32)
    with pytest.raises(ReclassError, match="do not fit a layer"):
        load_exactly(linear(), tensors.items(), "a layer")


@pytest.mark.parametrize(
    "bias",
    [np.array([0, np.nan], np.float32), np.array([np.inf, 0], np.float32), np.zeros(2, np.int64), np.zeros(2, bool)],
    ids=["nan", "infinite", "integers", "truth values"],
)
def test_weights_that_are_no_finite_numbers_are_the_fault_of_the_file_and_not_of_every_recording(bias):
    tensors = {"weight": np.ones((2, 3), np.float32), "bias": bias}
    with pytest.raises(ReclassError, match=r"do not fit a layer \(bias is no tensor of finite numbers\); install"):
        load_exactly(torch.nn.Linear(3, 2), tensors.items(), "a layer")


def test_of_many_tensors_that_are_missing_a_sentence_names_the_first():
    model = torch.nn.Sequential(*(torch.nn.Linear(3, 2) for _ in range(50)))
    with pytest.raises(ReclassError, match="Missing key") as failure:
        load_exactly(model, (), "a stack")
    assert len(str(failure.value)) < 300


def test_weights_come_one_at_a_time_each_into_the_format_of_its_place():
    held = []

    def tensors():
        for name, shape in (("weight", (2, 3)), ("bias", (2,))):
            array = np.ones(shape, np.float32)
            assert all(former() is None for former in held)
            held.append(weakref.ref(array))
            yield name, array
            del array

    model = load_exactly(linear(device="meta", dtype=torch.bfloat16), tensors(), "a layer")
    assert {tensor.dtype for tensor in model.parameters()} == {torch.bfloat16}
    assert not any(tensor.is_meta or tensor.requires_grad for tensor in model.parameters())
    assert model(torch.ones(1, 3).bfloat16()).tolist() == [[4.0, 4.0]]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_format_is_that_of_all_weights(precision):
    made = in_format(linear(), precision)
    assert {tensor.dtype for tensor in made.parameters()} == {getattr(torch, FORMATS[precision])}
