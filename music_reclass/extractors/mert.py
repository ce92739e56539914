"""MERT-v1, a HuBERT: one hidden layer (7 of 12, or 10 of 24), its mean over time and 5 s windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.domain import FeatureKind
from music_reclass.errors import ReclassError
from music_reclass.extractors import hubert, windows
from music_reclass.extractors.batching import Slope
from music_reclass.extractors.network import (
    Blueprint,
    Network,
    NetworkExtractor,
    check_packages,
    slopes_file,
)
from music_reclass.extractors.weights.checkpoint import read_safetensors
from music_reclass.extractors.weights.store import Installed, needed, read_json

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


# Bump it with every change that moves the numbers; weights and layers are part of the version.
VERSION = "2"  # 2: clips of 29.98 s have six windows (registry.comparable)
RATE = 24000
WINDOW = 5 * RATE  # the length MERT was trained on
MOST_WINDOWS = 6
SHORTEST = RATE // 5  # 14 frames; what is shorter still is repeated
WINDOW_BYTES = 32e6  # a window takes in float32, half of it in a short format, of either size of MERT (measured)


@dataclass(frozen=True, slots=True)
class Variant:
    """One published size of MERT."""

    model: str
    hidden: int
    layer: int  # the best for genres in MARBLE's configurations (GTZAN)


BASE = Variant("mert", 768, 7)
LARGE = Variant("mert-330m", 1024, 10)


class Mert(NetworkExtractor):
    """The extractor of the feature kinds `mert*`; input mono float32 at 24 kHz."""

    rate = RATE

    def __init__(self, variant: Variant, excerpt: str, installed: Installed, placement: Placement) -> None:
        self._layer = variant.layer
        settings = read_json(installed.folder / "preprocessor_config.json") or {}
        self._normalise = bool(settings.get("do_normalize", variant is BASE))
        self._installed = installed
        loudness = "norm" if self._normalise else "raw"
        version = f"{VERSION}-l{variant.layer}-{loudness}-{installed.short_digest}"
        self.kind = FeatureKind(variant.model, version, variant.hidden, excerpt)
        blueprint = Blueprint(
            f"{variant.model}-{self.kind.version}",
            self._build,
            self._forward,
            Slope(0, WINDOW_BYTES),
            slopes_file(installed),
            self._in_parts,
            weights=installed.weights.stat().st_size,
        )
        self.network = Network(blueprint, placement)

    def cut(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Up to six windows of 5 s, (n, 120000), silent ones left out; a shorter recording is one window, (1, n).

        From the middle 30 s they are cut end to end, from a whole file they are spread over its inner 70 %. Where less
        than a second is wanting for one more, they overlap by it: clips such as FMA's are 29.98 s long.
        """
        if self.kind.excerpt == "full" and 0.7 * len(samples) >= WINDOW:
            samples = windows.between(samples, 0.15, 0.85)
        length = min(WINDOW, max(SHORTEST, len(samples)))
        cut = windows.audible(windows.spread(samples, length, MOST_WINDOWS, short=RATE - 1))
        return standardised(cut) if self._normalise else cut

    def _build(self, precision: str) -> Any:
        config = read_json(self._installed.folder / "config.json")
        if config is None:
            raise ReclassError(f"{self._installed.folder} has lost its config.json; install the model again.")
        return hubert.load(read_safetensors(self._installed.weights), config, (self._layer,), precision, title="MERT")

    def _forward(self, model: Any, waves: Any) -> Any:
        return model(waves).flatten(1)

    def _in_parts(self, model: Any, waves: Any, parts: int) -> Any:
        return model(waves, parts).flatten(1)


def standardised(cut: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each window (n, length) with mean 0 and variance 1, as Wav2Vec2FeatureExtractor does it; silence stays zero."""
    mean, variance = cut.mean(axis=1, keepdims=True), cut.var(axis=1, keepdims=True)
    result: NDArray[np.float32] = (cut - mean) / np.sqrt(variance + np.float32(1e-7))
    return result


def _mert(variant: Variant, excerpt: str, placement: Placement) -> Mert:
    check_packages("torch")
    return Mert(variant, excerpt, needed(variant.model), placement)


def mert(excerpt: str, placement: Placement) -> Mert:
    """MERT-v1-95M, layer 7: 768 numbers. MissingWeights where it is not installed."""
    return _mert(BASE, excerpt, placement)


def mert_330m(excerpt: str, placement: Placement) -> Mert:
    """MERT-v1-330M, layer 10: 1024 numbers."""
    return _mert(LARGE, excerpt, placement)
