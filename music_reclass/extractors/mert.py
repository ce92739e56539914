"""MERT-v1 in transformers' HubertModel: one hidden layer (7 of 12, or 10 of 24), its mean over time and 5 s windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.domain import FeatureKind
from music_reclass.errors import ReclassError
from music_reclass.extractors import windows
from music_reclass.extractors.batching import Slope
from music_reclass.extractors.network import (
    Blueprint,
    Network,
    NetworkExtractor,
    check_packages,
    in_format,
    like_weights,
    slopes_file,
)
from music_reclass.extractors.weights.checkpoint import read_safetensors
from music_reclass.extractors.weights.store import Installed, needed, read_json
from music_reclass.utils.lazy import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from music_reclass.extractors.device import Placement

    Tensors = dict[str, NDArray[Any]]
    Settings = Mapping[str, dict[str, Any]]

_SHARED = {
    "feat_extract_norm": "group", "conv_dim": [512] * 7, "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2], "conv_bias": False, "feat_extract_activation": "gelu",
    "hidden_act": "gelu", "feat_proj_layer_norm": True, "layer_norm_eps": 1e-5, "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16, "vocab_size": 32,
}  # fmt: skip
# What the published config.json files say, for those who have only the weights.
CONFIG_95M = _SHARED | {
    "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
    "do_stable_layer_norm": False,
}  # fmt: skip
CONFIG_330M = _SHARED | {
    "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096,
    "do_stable_layer_norm": True,
}  # fmt: skip
# Keys of config.json that mean something else to HubertConfig, or nothing.
_NOT_FOR_HUBERT = frozenset(("model_type", "architectures", "auto_map", "transformers_version", "torch_dtype", "dtype"))
# The position convolution is weight-normalised; torch renamed its two parts.
_OLD_NAMES = {
    "encoder.pos_conv_embed.conv.weight_g": "encoder.pos_conv_embed.conv.parametrizations.weight.original0",
    "encoder.pos_conv_embed.conv.weight_v": "encoder.pos_conv_embed.conv.parametrizations.weight.original1",
}


def canonical_95m(tensors: Tensors, settings: Settings) -> tuple[Tensors, Settings]:
    """Tensors under today's names, and the settings completed; ReclassError if this is no MERT-v1-95M."""
    return canonical(tensors, settings, CONFIG_95M, normalise=True)


def canonical_330m(tensors: Tensors, settings: Settings) -> tuple[Tensors, Settings]:
    """Tensors under today's names, and the settings completed; ReclassError if this is no MERT-v1-330M."""
    return canonical(tensors, settings, CONFIG_330M, normalise=False)


def canonical(
    tensors: Tensors, settings: Settings, published: Mapping[str, Any], normalise: bool
) -> tuple[Tensors, Settings]:
    """What the loader wants: float32 under today's names, config.json and preprocessor_config.json.

    `published` stands in for a config.json that is absent and must agree with one that is there.
    """
    config = settings.get("config.json") or dict(published)
    if config.get("feature_extractor_cqt") or config.get("deepnorm"):
        raise ReclassError("This MERT has a CQT branch or deep norm, which reclass does not support.")
    for key in ("hidden_size", "num_hidden_layers", "do_stable_layer_norm"):
        if config.get(key) != published[key]:
            raise ReclassError(
                f"This is another MERT: its config.json says {key} {config.get(key)}, not {published[key]}."
            )
    preprocessor = settings.get("preprocessor_config.json") or {"do_normalize": normalise, "sampling_rate": 24000}
    if preprocessor.get("sampling_rate", 24000) != 24000:
        raise ReclassError(f"This is another MERT: it takes {preprocessor['sampling_rate']} Hz, not 24000.")
    if "encoder.pos_conv_embed.conv.bias" not in tensors:
        raise ReclassError("This file is no MERT in transformers' layout; use the pytorch_model.bin of the model page.")
    renamed = {_OLD_NAMES.get(name, name): tensor.astype("<f4", copy=False) for name, tensor in tensors.items()}
    return renamed, {"config.json": config, "preprocessor_config.json": preprocessor}


def hubert(tensors: Mapping[str, NDArray[Any]], config: Mapping[str, Any]) -> Any:
    """A HubertModel in evaluation mode that holds exactly these tensors; ReclassError for a missing or extra one."""
    torch = require("torch", "neural")
    transformers = transformers_package()
    known = set(transformers.HubertConfig().to_dict()) - _NOT_FOR_HUBERT
    model = transformers.HubertModel(transformers.HubertConfig(**{k: v for k, v in config.items() if k in known}))
    wanted = model.state_dict().keys()
    state = {}
    for name, tensor in tensors.items():
        old = {new: old for old, new in _OLD_NAMES.items()}.get(name)
        state[old if old in wanted else name] = torch.tensor(tensor)
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        missing, extra = sorted(wanted - state.keys()), sorted(state.keys() - wanted)
        what = (
            f"missing {missing[:3]}"
            if missing
            else f"unknown {extra[:3]}"
            if extra
            else str(error).split("\n")[-1].strip()
        )
        raise ReclassError(f"These weights do not fit MERT ({what}); install the model again.") from error
    return model.eval()


def transformers_package() -> Any:
    """The package transformers; ReclassError says what to do where it is broken, MissingExtra where it is absent."""
    try:
        package = require("transformers", "neural")
        package.logging.set_verbosity_error()
        _ = package.HubertModel  # imported at the first mention
    except (ImportError, OSError, RuntimeError) as error:
        raise ReclassError(
            f"Transformers cannot be loaded ({type(error).__name__}: {error}); the usual cause is a torchaudio "
            "that does not fit torch: pip uninstall torchaudio."
        ) from error
    return package


def layer_means(model: Any, waves: Any, layers: tuple[int, ...]) -> Any:
    """The mean over time of some hidden states, float32 (n, len(layers), hidden), of waves (n, samples).

    Layer 0 is what enters the first transformer layer, layer i what leaves the i-th; the last is `last_hidden_state`.
    They are taken by hooks: what `output_hidden_states` calls the last layer of a pre-norm model differs
    between transformers 4 and 5, and keeping all states costs memory.
    """
    torch = require("torch", "neural")
    depth = len(model.encoder.layers)
    means: dict[int, Any] = {}

    def keep(layer: int, states: Any) -> None:
        means[layer] = states.float().mean(dim=1)

    with _hooked(model.encoder.layers, [layer for layer in layers if layer < depth], keep):
        last = model(like_weights(model, waves)).last_hidden_state
    if depth in layers:
        keep(depth, last)
    return torch.stack([means[layer] for layer in layers], dim=1)


@contextmanager
def _hooked(modules: Any, layers: list[int], keep: Callable[[int, Any], None]) -> Iterator[None]:
    """Within the block call keep(layer, states) with the hidden states of these layers, in each forward pass."""
    handles = []
    for layer in layers:
        if layer == 0:
            handles.append(modules[0].register_forward_pre_hook(lambda _, inputs: keep(0, inputs[0])))
        else:
            handles.append(
                modules[layer - 1].register_forward_hook(
                    lambda _, __, out, layer=layer: keep(layer, out[0] if isinstance(out, tuple) else out)
                )
            )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def shorten(model: Any, layers: tuple[int, ...]) -> Any:
    """Drop the transformer layers behind the last one of interest; what remains computes the same states.

    One more stays in a pre-norm model, where a final norm would follow the last.
    """
    keep = max(layers) + (1 if model.config.do_stable_layer_norm else 0)
    model.encoder.layers = model.encoder.layers[: max(1, keep)]
    return model


@contextmanager
def chunked_convolutions(model: Any, chunks: int) -> Iterator[None]:
    """Within the block the HubertModel `model` computes its convolutions in so many chunks.

    MemoryError, as if it had not fitted, for a model whose first norm is none over time.
    """
    nn = require("torch", "neural").nn
    whole = model.feature_extractor
    first = whole.conv_layers[0]
    norm = getattr(first, "layer_norm", None)
    if not isinstance(norm, nn.GroupNorm) or norm.num_groups != norm.num_channels:
        raise MemoryError("these convolutions cannot be computed in chunks")

    class InChunks(nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, waves: Any) -> Any:
            return _features(whole.conv_layers, like_weights(model, waves)[:, None], chunks)

    model.feature_extractor = InChunks()
    try:
        yield
    finally:
        model.feature_extractor = whole


def _features(layers: Any, waves: Any, chunks: int) -> Any:
    """What the convolutions make of waves (n, 1, samples): (n, channels, frames)."""
    torch = require("torch", "neural")
    first, rest = layers[0], list(layers[1:])
    mean, variance = _statistics(first.conv, waves, chunks)
    scale = first.layer_norm.weight[:, None] / torch.sqrt(variance + first.layer_norm.eps)
    shift = first.layer_norm.bias[:, None] - mean * scale
    done = []
    for chunk in _cut([layer.conv for layer in layers], waves, chunks):
        hidden = first.activation((first.conv(chunk).float() * scale + shift).to(chunk.dtype))
        for layer in rest:
            hidden = layer(hidden)
        done.append(hidden)
    return torch.cat(done, dim=-1)


def _statistics(conv: Any, waves: Any, chunks: int) -> tuple[Any, Any]:
    """Mean and variance over time of each channel that leaves `conv`, both (n, channels, 1)."""
    torch = require("torch", "neural")
    count, mean, spread = 0, 0.0, 0.0  # spread: the sum of squared distances from the mean
    for chunk in _cut([conv], waves, chunks):
        hidden = conv(chunk).float()
        chunk_mean = hidden.mean(dim=-1, keepdim=True)
        chunk_count = hidden.shape[-1]
        gap = chunk_mean - mean
        total = count + chunk_count
        # Chan, Golub, LeVeque 1979: a sum of squares would lose the digits that matter.
        spread = (
            spread + torch.square(hidden - chunk_mean).sum(-1, keepdim=True) + gap**2 * (count * chunk_count / total)
        )
        mean = mean + gap * (chunk_count / total)
        count = total
    return mean, spread / count


def _cut(convs: list[Any], waves: Any, chunks: int) -> Iterator[Any]:
    """The samples behind equal parts of what `convs` put out, one after the other; neighbours overlap."""
    stride, field = 1, 1
    for conv in reversed(convs):
        stride, field = stride * conv.stride[0], (field - 1) * conv.stride[0] + conv.kernel_size[0]
    frames = (waves.shape[-1] - field) // stride + 1
    step = -(-frames // chunks)
    for start in range(0, frames, step):
        end = min(start + step, frames)
        yield waves[..., start * stride : (end - 1) * stride + field]


# Bump it with every change that moves the numbers; weights and layers are part of the version.
VERSION = "1"
RATE = 24000
WINDOW = 5 * RATE  # the length MERT was trained on
MOST_WINDOWS = 6
SHORTEST = RATE // 5  # 14 frames; what is shorter still is repeated
WINDOW_BYTES = 123e6  # a window takes in float32, of either size: the convolutions in front are the same (measured)


@dataclass(frozen=True, slots=True)
class Variant:
    """One published size of MERT."""

    model: str
    hidden: int
    depth: int
    layer: int  # the best for genres in MARBLE's configurations (GTZAN)


BASE = Variant("mert", 768, 12, 7)
LARGE = Variant("mert-330m", 1024, 24, 10)


class Mert(NetworkExtractor):
    """The extractor of the feature kinds `mert*`; input mono float32 at 24 kHz.

    With `all_layers` the vector holds the means of all layers one after the other, the lowest first, so that
    `vector.reshape(depth + 1, hidden)[7]` is layer 7.
    """

    rate = RATE

    def __init__(
        self, variant: Variant, excerpt: str, installed: Installed, placement: Placement, *, all_layers: bool = False
    ) -> None:
        self._layers = tuple(range(variant.depth + 1)) if all_layers else (variant.layer,)
        settings = read_json(installed.folder / "preprocessor_config.json") or {}
        self._normalise = bool(settings.get("do_normalize", variant is BASE))
        self._installed = installed
        loudness = "norm" if self._normalise else "raw"
        version = f"{VERSION}-{{}}-{loudness}-{installed.short_digest}".format
        self._plain = FeatureKind(variant.model, version(f"l{variant.layer}"), variant.hidden, excerpt)
        self._plain_part = slice(variant.hidden * variant.layer, variant.hidden * (variant.layer + 1))
        every = FeatureKind(f"{variant.model}-layers", version("all"), variant.hidden * len(self._layers), excerpt)
        self.kind = every if all_layers else self._plain
        blueprint = Blueprint(
            f"{variant.model}-{self.kind.version}",
            self._build,
            self._forward,
            Slope(0, WINDOW_BYTES),
            slopes_file(installed),
            self._in_chunks,
        )
        self.network = Network(blueprint, placement)

    def cut(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Up to six windows of 5 s, (n, 120000), silent ones left out; a shorter recording is one window, (1, n).

        From the middle 30 s they are cut end to end, from a whole file they are spread over its inner 70 %.
        """
        if self.kind.excerpt == "full" and 0.7 * len(samples) >= WINDOW:
            samples = windows.between(samples, 0.15, 0.85)
        length = min(WINDOW, max(SHORTEST, len(samples)))
        cut = windows.audible(windows.spread(samples, length, MOST_WINDOWS))
        return standardised(cut) if self._normalise else cut

    def parts(self, vector: NDArray[np.float32]) -> dict[FeatureKind, NDArray[np.float32]]:
        """The vector by its kind, after it that of the single layer if it is one of all layers."""
        whole = {self.kind: vector}
        return whole if self.kind == self._plain else {**whole, self._plain: vector[self._plain_part]}

    def _build(self, precision: str) -> Any:
        config = read_json(self._installed.folder / "config.json")
        if config is None:
            raise ReclassError(f"{self._installed.folder} has lost its config.json; install the model again.")
        model = shorten(hubert(read_safetensors(self._installed.weights), config), self._layers)
        return in_format(model, precision)

    def _forward(self, model: Any, batch: Any) -> Any:
        return layer_means(model, batch, self._layers).flatten(1)

    def _in_chunks(self, model: Any, batch: Any, chunks: int) -> Any:
        with chunked_convolutions(model, chunks):
            return self._forward(model, batch)


def standardised(cut: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each window (n, length) with mean 0 and variance 1, as Wav2Vec2FeatureExtractor does it; silence stays zero."""
    mean, variance = cut.mean(axis=1, keepdims=True), cut.var(axis=1, keepdims=True)
    result: NDArray[np.float32] = (cut - mean) / np.sqrt(variance + np.float32(1e-7))
    return result


def _mert(variant: Variant, excerpt: str, placement: Placement, *, all_layers: bool = False) -> Mert:
    check_packages("torch", "transformers")
    return Mert(variant, excerpt, needed(variant.model), placement, all_layers=all_layers)


def mert(excerpt: str, placement: Placement) -> Mert:
    """MERT-v1-95M, layer 7: 768 numbers. MissingWeights where it is not installed."""
    return _mert(BASE, excerpt, placement)


def mert_layers(excerpt: str, placement: Placement) -> Mert:
    """MERT-v1-95M, all 13 layers: 13 x 768 numbers, for a head that learns the mix."""
    return _mert(BASE, excerpt, placement, all_layers=True)


def mert_330m(excerpt: str, placement: Placement) -> Mert:
    """MERT-v1-330M, layer 10: 1024 numbers."""
    return _mert(LARGE, excerpt, placement)


def mert_330m_layers(excerpt: str, placement: Placement) -> Mert:
    """MERT-v1-330M, all 25 layers: 25 x 1024 numbers."""
    return _mert(LARGE, excerpt, placement, all_layers=True)
