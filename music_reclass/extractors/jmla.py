"""OpenJMLA's audio encoder: a vision transformer over a 30 s log-mel; the mean of its patch tokens, 768 numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.domain import FeatureKind
from music_reclass.errors import ReclassError
from music_reclass.extractors import windows
from music_reclass.extractors.batching import Slope
from music_reclass.extractors.mel import JMLA, JMLA_SAMPLES, jmla_input
from music_reclass.extractors.network import (
    Blueprint,
    Network,
    NetworkExtractor,
    check_packages,
    slopes_file,
)
from music_reclass.extractors.transformer import in_format, load_exactly, vision_transformer, without_memory
from music_reclass.extractors.weights.checkpoint import read_safetensors
from music_reclass.extractors.weights.store import Installed, needed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from music_reclass.extractors.device import Placement

    Tensors = dict[str, NDArray[Any]]
    Settings = Mapping[str, dict[str, Any]]

PATCHES = 5 * 187  # of a log-mel of 80 x 2992


def canonical(tensors: Tensors, settings: Settings) -> tuple[Tensors, Settings]:
    """The encoder's 150 tensors without the prefix `backbone.`; ReclassError for a file that is something else."""
    plain = {name.removeprefix("backbone."): tensor.astype("<f4", copy=False) for name, tensor in tensors.items()}
    if "patch_embed.projection.weight" not in plain:
        raise ReclassError(
            "This file has no audio encoder (the 1.3 GB file of OpenJMLA holds the language model's adapters); "
            "use the 330 MiB epoch_20.pth."
        )
    if len(plain) != 150:
        raise ReclassError(f"This is not OpenJMLA's epoch_20.pth: it has {len(plain)} tensors, not 150.")
    return plain, settings


def encoder(tensors: Mapping[str, NDArray[Any]], heads: int, precision: str = "fp32") -> Any:
    """The transformer with exactly these tensors, in evaluation mode; ReclassError for a missing or extra one."""
    model = without_memory(
        lambda: transformer(
            width=tensors["pos_embed"].shape[-1],
            tokens=tensors["pos_embed"].shape[-2],
            depth=len({name.split(".")[1] for name in tensors if name.startswith("layers.")}),
            hidden=len(tensors["layers.0.ffn.layers.0.0.weight"]),
            heads=heads,
        )
    )
    return load_exactly(in_format(model, precision), tensors.items(), "OpenJMLA")


def transformer(
    *, width: int = 768, depth: int = 12, heads: int = 12, hidden: int = 3072, tokens: int = 1 + PATCHES
) -> Any:
    """The transformer without weights, of the published size or another: images (n, 3, height, width) to tokens."""
    return vision_transformer(width=width, depth=depth, heads=heads, hidden=hidden, tokens=tokens, channels=3)


def patch_mean(model: Any, mels: Any) -> Any:
    """The mean of the patch tokens after the final norm, float32 (n, width), of log-mels (n, 80, frames)."""
    tokens = model(mels.unsqueeze(1).expand(-1, 3, -1, -1))
    return tokens[:, 1:].float().mean(dim=1)  # the first token is untrained in a masked autoencoder


# Bump it with every change that moves the numbers; the weights are part of the version.
VERSION = "1"
MOST_WINDOWS = 3  # of a whole file
WINDOW_BYTES = 32e6  # a window takes in float32, half of it in a short format (measured)


class Jmla(NetworkExtractor):
    """The extractor of feature kind `jmla`; input mono float32 at 16 kHz."""

    rate = JMLA.rate
    width, heads = 768, 12

    def __init__(self, excerpt: str, installed: Installed, placement: Placement) -> None:
        self.kind = FeatureKind("jmla", f"{VERSION}-{installed.short_digest}", self.width, excerpt)
        self._installed = installed
        name, slope = f"jmla-{self.kind.version}", Slope(0, WINDOW_BYTES)
        weights = installed.weights.stat().st_size
        blueprint = Blueprint(name, self._build, patch_mean, slope, slopes_file(installed), weights=weights)
        self.network = Network(blueprint, placement)

    def cut(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-mels (n, 80, 2992): one of half a minute, up to three of a whole file, silent windows left out."""
        if self.kind.excerpt != "full" or len(samples) <= JMLA_SAMPLES:
            return jmla_input(samples)[None]
        parts = windows.audible(windows.spread(samples, JMLA_SAMPLES, MOST_WINDOWS))
        return np.stack([jmla_input(part) for part in parts])

    def _build(self, precision: str) -> Any:
        return encoder(read_safetensors(self._installed.weights), self.heads, precision)


def jmla(excerpt: str, placement: Placement) -> Jmla:
    """The extractor for one excerpt; MissingWeights where the model is not installed."""
    check_packages("torch")
    return Jmla(excerpt, needed("jmla"), placement)
