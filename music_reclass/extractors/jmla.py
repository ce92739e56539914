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
    in_format,
    like_weights,
    load_exactly,
    slopes_file,
)
from music_reclass.extractors.weights.checkpoint import read_safetensors
from music_reclass.extractors.weights.store import Installed, needed
from music_reclass.utils.lazy import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from music_reclass.extractors.device import Placement

    Tensors = dict[str, NDArray[Any]]
    Settings = Mapping[str, dict[str, Any]]

_NORM_EPSILON = 1e-6
PATCH = 16
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


def encoder(tensors: Mapping[str, NDArray[Any]], heads: int) -> Any:
    """The transformer with exactly these tensors, in evaluation mode; ReclassError for a missing or extra one."""
    model = transformer(
        width=tensors["pos_embed"].shape[-1],
        tokens=tensors["pos_embed"].shape[-2],
        depth=len({name.split(".")[1] for name in tensors if name.startswith("layers.")}),
        hidden=len(tensors["layers.0.ffn.layers.0.0.weight"]),
        heads=heads,
    )
    return load_exactly(model, tensors, "OpenJMLA")


def patch_mean(model: Any, mels: Any) -> Any:
    """The mean of the patch tokens after the final norm, float32 (n, width), of log-mels (n, 80, frames)."""
    tokens = model(like_weights(model, mels).unsqueeze(1).expand(-1, 3, -1, -1))
    return tokens[:, 1:].float().mean(dim=1)  # the first token is untrained in a masked autoencoder


def transformer(
    *, width: int = 768, depth: int = 12, heads: int = 12, hidden: int = 3072, tokens: int = 1 + PATCHES
) -> Any:
    """An untrained transformer of the published size or another: (n, 3, height, width) to (n, tokens, width)."""
    torch = require("torch", "neural")
    nn = torch.nn

    class Patches(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.projection = nn.Conv2d(3, width, PATCH, stride=PATCH)

        def forward(self, x: Any) -> Any:
            return self.projection(x).flatten(2).transpose(1, 2)

    class Transformer(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
            # Comes from the file: the authors' sine-cosine grid has a quirk that a fresh one would not have.
            self.pos_embed = nn.Parameter(torch.zeros(1, tokens, width))
            self.patch_embed = Patches()
            self.layers = nn.ModuleList(_layer(nn, width, hidden, heads) for _ in range(depth))
            self.ln1 = nn.LayerNorm(width, eps=_NORM_EPSILON)

        def forward(self, mels: Any) -> Any:
            x = self.patch_embed(mels)
            x = torch.cat([self.cls_token.to(x.dtype).expand(len(x), -1, -1), x], dim=1) + self.pos_embed
            for layer in self.layers:
                x = layer(x)
            return self.ln1(x)

    return Transformer()


def _layer(nn: Any, width: int, hidden: int, heads: int) -> Any:
    """One untrained layer: tokens (n, count, width) to tokens of the same shape."""

    def norm() -> Any:
        return nn.LayerNorm(width, eps=_NORM_EPSILON)

    class Attention(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(width, 3 * width)
            self.proj = nn.Linear(width, width)

        def forward(self, x: Any) -> Any:
            n, tokens, _ = x.shape
            split = self.qkv(x).reshape(n, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
            mixed = nn.functional.scaled_dot_product_attention(*split)
            return self.proj(mixed.transpose(1, 2).reshape(n, tokens, width))

    class Feedforward(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            widen = nn.Sequential(nn.Linear(width, hidden), nn.GELU())
            self.layers = nn.Sequential(widen, nn.Linear(hidden, width))

        def forward(self, x: Any) -> Any:
            return self.layers(x)

    class Layer(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.ln1, self.attn, self.ln2, self.ffn = norm(), Attention(), norm(), Feedforward()

        def forward(self, x: Any) -> Any:
            x = x + self.attn(self.ln1(x))
            return x + self.ffn(self.ln2(x))

    return Layer()


# Bump it with every change that moves the numbers; the weights are part of the version.
VERSION = "1"
MOST_WINDOWS = 3  # of a whole file
WINDOW_BYTES = 32e6  # a window takes in float32 (measured)


class Jmla(NetworkExtractor):
    """The extractor of feature kind `jmla`; input mono float32 at 16 kHz."""

    rate = JMLA.rate
    width, heads = 768, 12

    def __init__(self, excerpt: str, installed: Installed, placement: Placement) -> None:
        self.kind = FeatureKind("jmla", f"{VERSION}-{installed.short_digest}", self.width, excerpt)
        self._installed = installed
        name, slope = f"jmla-{self.kind.version}", Slope(0, WINDOW_BYTES)
        self.network = Network(Blueprint(name, self._build, patch_mean, slope, slopes_file(installed)), placement)

    def cut(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-mels (n, 80, 2992): one of half a minute, up to three of a whole file, silent windows left out."""
        if self.kind.excerpt != "full" or len(samples) <= JMLA_SAMPLES:
            return jmla_input(samples)[None]
        parts = windows.audible(windows.spread(samples, JMLA_SAMPLES, MOST_WINDOWS))
        return np.stack([jmla_input(part) for part in parts])

    def _build(self, precision: str) -> Any:
        return in_format(encoder(read_safetensors(self._installed.weights), self.heads), precision)


def jmla(excerpt: str, placement: Placement) -> Jmla:
    """The extractor for one excerpt; MissingWeights where the model is not installed."""
    check_packages("torch")
    return Jmla(excerpt, needed("jmla"), placement)
