"""OpenJMLA's audio encoder: a vision transformer over a 30 s log-mel, pooled by the mean patch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.domain import FeatureKind
from music_reclass.errors import ReclassError, SkipTrack
from music_reclass.extractors import mel as jmla_mel
from music_reclass.extractors import windows
from music_reclass.extractors.batching import Slope
from music_reclass.extractors.device import Placement
from music_reclass.extractors.network import Blueprint, Network, check_packages, finite_row
from music_reclass.extractors.weights import checkpoint as safetensors
from music_reclass.extractors.weights import store
from music_reclass.utils.lazy import require

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[Any]]
    Settings = Mapping[str, dict[str, Any]]

_NORM_EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of the transformer; the defaults are the published one."""

    width: int = 768
    depth: int = 12
    heads: int = 12
    hidden: int = 3072
    patch: int = 16
    patches: int = 5 * 187  # of a picture of 80 x 2992


def canonical(tensors: Tensors, settings: Settings) -> tuple[Tensors, Settings]:
    """The encoder's 150 tensors without the prefix `backbone.`; ReclassError for a file that is something else."""
    plain = {name.removeprefix("backbone."): tensor.astype("<f4", copy=False) for name, tensor in tensors.items()}
    if "patch_embed.projection.weight" not in plain:
        raise ReclassError(
            "this file has no audio encoder (the 1.3 GB file of OpenJMLA holds the language model's adapters); "
            "use the 330 MiB epoch_20.pth."
        )
    if len(plain) != 150:
        raise ReclassError(f"this is not OpenJMLA's epoch_20.pth: it has {len(plain)} tensors, not 150.")
    return plain, settings


def encoder(tensors: Mapping[str, NDArray[Any]], shape: Shape) -> Any:
    """The transformer with exactly these tensors, in evaluation mode; ReclassError for a missing or extra one."""
    torch = require("torch", "neural")
    model = _transformer(torch, shape)
    try:
        model.load_state_dict({name: torch.tensor(tensor) for name, tensor in tensors.items()}, strict=True)
    except RuntimeError as error:
        line = str(error).split("\n")[1 if "\n" in str(error) else 0].strip()
        raise ReclassError(f"these weights do not fit OpenJMLA ({line}); install the model again.") from error
    return model.eval()


def patch_mean(model: Any, pictures: Any) -> Any:
    """The mean of the patch tokens after the final norm, float32 (n, width), of pictures (n, 80, frames)."""
    tokens = model(pictures.unsqueeze(1).expand(-1, 3, -1, -1))
    return tokens[:, 1:].float().mean(dim=1)  # the first token is untrained in a masked autoencoder


def _transformer(torch: Any, shape: Shape) -> Any:
    """An untrained transformer: (n, 3, height, width) pictures to (n, 1 + patches, width) tokens."""
    nn = torch.nn

    class Patches(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.projection = nn.Conv2d(3, shape.width, shape.patch, stride=shape.patch)

        def forward(self, x: Any) -> Any:
            return self.projection(x).flatten(2).transpose(1, 2)

    class Transformer(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.cls_token = nn.Parameter(torch.zeros(1, 1, shape.width))
            # Comes from the file: the authors' sine-cosine grid has a quirk that a fresh one would not have.
            self.pos_embed = nn.Parameter(torch.zeros(1, 1 + shape.patches, shape.width))
            self.patch_embed = Patches()
            self.layers = nn.ModuleList(_layer(nn, shape) for _ in range(shape.depth))
            self.ln1 = nn.LayerNorm(shape.width, eps=_NORM_EPSILON)

        def forward(self, pictures: Any) -> Any:
            x = self.patch_embed(pictures)
            x = torch.cat([self.cls_token.to(x.dtype).expand(len(x), -1, -1), x], dim=1) + self.pos_embed
            for layer in self.layers:
                x = layer(x)
            return self.ln1(x)

    return Transformer()


def _layer(nn: Any, shape: Shape) -> Any:
    """One untrained layer: tokens (n, count, width) to tokens of the same shape."""

    def norm() -> Any:
        return nn.LayerNorm(shape.width, eps=_NORM_EPSILON)

    class Attention(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(shape.width, 3 * shape.width)
            self.proj = nn.Linear(shape.width, shape.width)

        def forward(self, x: Any) -> Any:
            n, tokens, width = x.shape
            split = self.qkv(x).reshape(n, tokens, 3, shape.heads, width // shape.heads).permute(2, 0, 3, 1, 4)
            mixed = nn.functional.scaled_dot_product_attention(*split)
            return self.proj(mixed.transpose(1, 2).reshape(n, tokens, width))

    class Feedforward(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            widen = nn.Sequential(nn.Linear(shape.width, shape.hidden), nn.GELU())
            self.layers = nn.Sequential(widen, nn.Linear(shape.hidden, shape.width))

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
MOST_PICTURES = 3  # of a whole file
PICTURE_BYTES = 32e6  # a picture takes in float32 (measured)


class Jmla:
    """The extractor of feature kind `jmla`; input mono float32 at 16 kHz."""

    rate = jmla_mel.JMLA_RATE

    def __init__(self, excerpt: str, installed: store.Installed, placement: Placement, shape: Shape) -> None:
        version = f"{VERSION}-{installed.short_digest}"
        self.kind = FeatureKind("jmla", version, shape.width, excerpt)
        self._installed = installed
        self._shape = shape
        self.network = Network(
            Blueprint(
                f"jmla-{version}",
                self._build,
                patch_mean,
                Slope(0, PICTURE_BYTES),
                installed.folder.parent / "slopes.json",
            ),
            placement,
        )

    def vector(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The vector of one recording, float32; SkipTrack for no samples at all."""
        return self.pool(np.stack(list(self.network.map(self.windows(samples)))))

    def windows(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mel pictures (n, 80, 2992): one of the middle excerpt, up to three spread over a whole file."""
        if not len(samples):
            raise SkipTrack("no_audio", "there is not a single sample to analyse")
        samples = windows.finite(samples)
        if len(samples) <= jmla_mel.JMLA_SAMPLES or self.kind.excerpt != "full":
            return jmla_mel.jmla_input(samples)[None]
        parts = windows.audible(windows.spread(samples, jmla_mel.JMLA_SAMPLES, MOST_PICTURES))
        return np.stack([jmla_mel.jmla_input(part) for part in parts])

    def pool(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mean over the pictures; FailTrack if it is not finite."""
        return finite_row(rows.mean(axis=0).astype(np.float32))

    def _build(self) -> Any:
        return encoder(safetensors.read_safetensors(self._installed.weights), self._shape)


def jmla(excerpt: str, placement: Placement | None = None) -> Jmla:
    """The extractor for one excerpt; MissingWeights where the model is not installed."""
    check_packages("torch")
    return Jmla(excerpt, store.needed("jmla"), placement or Placement.from_environment(), Shape())
