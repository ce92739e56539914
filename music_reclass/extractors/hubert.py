"""HuBERT in plain torch (arXiv 2106.07447): convolutions over the samples, then transformer layers; means over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.errors import ReclassError
from music_reclass.extractors.transformer import in_format, joined, layer, load_exactly, renamer, without_memory
from music_reclass.utils.lazy import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Config = Mapping[str, Any]

# The one form of HuBERT that is built here; sizes are free.
SUPPORTED = {
    "feat_extract_norm": "group", "conv_bias": False, "feat_extract_activation": "gelu", "hidden_act": "gelu",
    "conv_pos_batch_norm": False,
}  # fmt: skip
# The sizes: whole numbers, or lists of them, one for each convolution.
_NUMBERS = (
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "num_conv_pos_embeddings",
    "num_conv_pos_embedding_groups",
)  # fmt: skip
_LISTS = ("conv_dim", "conv_kernel", "conv_stride")
PIECE = 2048  # frames of the first convolution that are float32 at a time
# Samples that the convolutions see at once. What leaves the first of them is nearly all the memory a window takes:
# five seconds in four parts take a quarter of it, in the same time (benchmarks/neural.py).
CHUNK = 30_000

_POSITION = "encoder.pos_conv_embed.conv."
_SIZES, _DIRECTIONS = "position.sizes", "position.directions"  # of the position convolution, which is weight-normalised
_NAMED = renamer(
    (
        ("hubert.", ""),
        (f"{_POSITION}weight_g", _SIZES),
        (f"{_POSITION}weight_v", _DIRECTIONS),
        (f"{_POSITION}parametrizations.weight.original0", _SIZES),  # torch renamed its two parts
        (f"{_POSITION}parametrizations.weight.original1", _DIRECTIONS),
        (_POSITION, "position."),
        ("feature_extractor.conv_layers.0.layer_norm.", "over_time."),
        ("feature_extractor.conv_layers.", "convolutions."),
        (".conv.weight", ".weight"),
        ("feature_projection.layer_norm.", "feature_norm."),
        ("feature_projection.projection.", "projection."),
        ("encoder.layer_norm.", "norm."),
        ("encoder.layers.", "layers."),
        (".attention.out_proj.", ".attn.proj."),
        (".feed_forward.intermediate_dense.", ".ffn.layers.0.0."),
        (".feed_forward.output_dense.", ".ffn.layers.1."),
        (".final_layer_norm.", ".ln2."),
        (".layer_norm.", ".ln1."),
        *(
            (f".attention.{name}_proj.{part}", f".attn.qkv.{part}#{number}")
            for number, name in enumerate("qkv")
            for part in ("weight", "bias")
        ),
    )
)


def hubert(config: Config, layers: tuple[int, ...], precision: str = "fp32") -> Any:
    """A HuBERT in a number format, weights yet to come, that knows its layers up to the highest of `layers` only.

    Called with samples, float32 (n, samples), it gives the means over time of these layers, float32
    (n, len(layers), width). Layer 0 is what enters the first transformer layer, layer i what leaves the i-th; the last
    of a pre-norm model is taken after the final norm, as `last_hidden_state` is. Called with `parts` as well, its
    convolutions see that many times fewer samples at once, which takes less memory yet, and more time.
    """
    torch = require("torch", "neural")
    nn, gelu = torch.nn, torch.nn.functional.gelu
    _check(config)
    width, depth, pre_norm = config["hidden_size"], config["num_hidden_layers"], config["do_stable_layer_norm"]
    epsilon, channels, kernel = config["layer_norm_eps"], config["conv_dim"], config["num_conv_pos_embeddings"]

    class Hubert(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            shapes = zip([1, *channels[:-1]], channels, config["conv_kernel"], config["conv_stride"], strict=True)
            self.convolutions = nn.ModuleList(nn.Conv1d(*shape, bias=False) for shape in shapes)
            self.over_time = nn.GroupNorm(channels[0], channels[0])
            if config["feat_proj_layer_norm"]:
                self.feature_norm = nn.LayerNorm(channels[-1], eps=epsilon)
            else:
                self.feature_norm = nn.Identity()
            self.projection = nn.Linear(channels[-1], width)
            groups = config["num_conv_pos_embedding_groups"]
            self.position = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=groups)
            if not pre_norm or depth in layers:
                self.norm = nn.LayerNorm(width, eps=epsilon)
            sizes = {"width": width, "hidden": config["intermediate_size"], "heads": config["num_attention_heads"]}
            self.layers = nn.ModuleList(
                layer(**sizes, epsilon=epsilon, post_norm=not pre_norm) for _ in range(max(layers))
            )

        def forward(self, waves: Any, parts: int = 1) -> Any:
            chunks = parts * -(-waves.shape[-1] // CHUNK)
            x = convolved(self.convolutions, self.over_time, waves, chunks).transpose(1, 2)
            x = self.projection(self.feature_norm(x))
            # an even kernel gives one frame too many
            x = x + gelu(self.position(x.transpose(1, 2))[..., : x.shape[1]]).transpose(1, 2)
            if not pre_norm:
                x = self.norm(x)
            means = {0: x.mean(dim=1, dtype=torch.float32)}
            for number, each in enumerate(self.layers, start=1):
                x = each(x)
                if number in layers:
                    states = self.norm(x) if pre_norm and number == depth else x
                    means[number] = states.mean(dim=1, dtype=torch.float32)
            return torch.stack([means[number] for number in layers], dim=1)

    model = in_format(Hubert(), precision)
    # These take 0.3 % of the work and see sound as it is: bass may be a thousand times louder than treble, and its
    # rounding in a short format would drown what the filters of the treble are to find.
    model.convolutions[0].float()
    model.over_time.float()
    return model


def _check(config: Config) -> None:
    for key in (*_NUMBERS, *_LISTS, "layer_norm_eps", "do_stable_layer_norm", "feat_proj_layer_norm"):
        if key not in config:
            raise ReclassError(f"The config.json of this HuBERT does not say its {key}; install the model again.")
    lists = {key: config[key] for key in _LISTS}
    sizes = {key: [config[key]] for key in _NUMBERS} | lists
    if any(not isinstance(each, list | tuple) or len(each) != len(lists["conv_dim"]) for each in lists.values()) or any(
        type(size) is not int or size < 1 for each in sizes.values() for size in each
    ):
        raise ReclassError("The config.json of this HuBERT gives sizes that are none; install the model again.")
    for key, value in SUPPORTED.items():
        if config.get(key, value) != value:
            raise ReclassError(f"This HuBERT is not supported: its {key} is {config[key]}, not {value}.")


def load(
    tensors: Mapping[str, NDArray[Any]],
    config: Config,
    layers: tuple[int, ...],
    precision: str,
    *,
    title: str = "HuBERT",
) -> Any:
    """`hubert` with the tensors of a checkpoint in transformers' names, old or new.

    Only what these layers need is read; ReclassError where any of it is missing or misshapen, or the file holds more.
    """
    model = without_memory(lambda: hubert(config, layers, precision))
    return load_exactly(model, named(tensors, config, layers), title)


def named(
    tensors: Mapping[str, NDArray[Any]], config: Config, layers: tuple[int, ...]
) -> Iterator[tuple[str, NDArray[Any]]]:
    """The tensors that `hubert` wants, one at a time, under its own names."""
    depth = config["num_hidden_layers"]
    past = tuple(f"layers.{number}." for number in range(max(layers), depth))
    if config["do_stable_layer_norm"] and depth not in layers:
        past = (*past, "norm.")

    def wanted(name: str) -> str | None:
        ours = _NAMED(name)
        # the mask is for training only
        return None if ours == "masked_spec_embed" or ours.startswith(past) else ours

    halves = {}
    for name, tensor in joined(tensors, wanted):
        if name in (_SIZES, _DIRECTIONS):
            halves[name] = tensor
        else:
            yield name, tensor
    if len(halves) == 2:
        yield "position.weight", weight_normalised(halves[_SIZES], halves[_DIRECTIONS])


def weight_normalised(sizes: NDArray[Any], directions: NDArray[Any]) -> NDArray[Any]:
    """The weights of a convolution with one size for each place of its kernel (weight norm over the other two axes)."""
    lengths = np.sqrt(np.square(directions, dtype=np.float32).sum(axis=(0, 1), keepdims=True, dtype=np.float64))
    result: NDArray[Any] = directions * (sizes / lengths).astype(np.float32)
    return result


def convolved(convolutions: Any, over_time: Any, waves: Any, chunks: int = 1) -> Any:
    """The features (n, channels, frames) of waves (n, samples), float32; in chunks they take less memory, more time.

    The norm over time that follows the first convolution is a constant factor and shift of each channel of a window.
    Both follow from the waves alone, so that one product gives what convolution and norm would.
    """
    torch = require("torch", "neural")
    gelu = torch.nn.functional.gelu
    first, *rest = convolutions
    waves = waves - waves.mean(
        dim=-1, keepdim=True
    )  # the norm removes a constant, but in short numbers it costs digits
    weight, shift = _first(first, over_time, waves)
    kind = rest[0].weight.dtype
    done = []
    for chunk in _cut(convolutions, waves, chunks):
        frames = chunk.unfold(-1, first.kernel_size[0], first.stride[0]).transpose(1, 2)
        x = torch.empty((len(waves), len(first.weight), frames.shape[-1]), dtype=kind, device=waves.device)
        for start in range(0, frames.shape[-1], PIECE):
            piece = slice(start, start + PIECE)
            x[..., piece] = gelu(torch.baddbmm(shift, weight, frames[..., piece]))
        for convolution in rest:
            x = gelu(convolution(x))
        done.append(x)
    return done[0] if len(done) == 1 else torch.cat(done, dim=-1)


def _first(convolution: Any, norm: Any, waves: Any) -> tuple[Any, Any]:
    """Weights (n, channels, kernel) and shifts (n, channels, 1) that make convolution and norm over time one, float32.

    A channel's mean and variance over time are a linear and a quadratic form of its filter: of the mean and the
    covariance of the samples under it. Music is so smooth that the covariance is nearly singular: float64.
    """
    exact = (waves.cpu() if waves.device.type == "mps" else waves).double()  # Apple's chips have no float64
    weight = convolution.weight[:, 0].to(exact)
    frames = exact.unfold(-1, convolution.kernel_size[0], convolution.stride[0])
    mean = frames.mean(dim=1, keepdim=True)
    centred = frames - mean
    covariance = centred.transpose(1, 2) @ centred / frames.shape[1]
    variance = ((weight @ covariance) * weight).sum(dim=-1)
    scale = norm.weight.to(exact) / (variance + norm.eps).sqrt()
    shift = norm.bias.to(exact) - scale * (mean @ weight.T)[:, 0]
    folded = scale[..., None] * weight
    return folded.float().to(waves.device), shift[..., None].float().to(waves.device)


def _cut(convolutions: Any, waves: Any, chunks: int) -> Iterator[Any]:
    """The samples behind equal parts of what `convolutions` put out, one after the other; neighbours overlap."""
    stride, field = 1, 1
    for convolution in reversed(convolutions):
        stride, field = stride * convolution.stride[0], (field - 1) * convolution.stride[0] + convolution.kernel_size[0]
    frames = (waves.shape[-1] - field) // stride + 1
    step = -(-frames // chunks)
    for start in range(0, frames, step):
        end = min(start + step, frames)
        yield waves[..., start * stride : (end - 1) * stride + field]
