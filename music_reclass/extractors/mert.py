"""MERT, the large listener: the mean over time of one inner layer, over equal windows of five seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.domain import FeatureKind
from music_reclass.errors import ReclassError, SkipTrack
from music_reclass.extractors import windows
from music_reclass.extractors.mert_checkpoint import hubert, layer_means, shorten
from music_reclass.extractors.mert_pieces import convolutions_in_pieces
from music_reclass.extractors.network import Blueprint, Network, check_packages, finite_row
from music_reclass.extractors.weights import safetensors, store
from music_reclass.utils.batching import Slope
from music_reclass.utils.device import Placement

if TYPE_CHECKING:
    from numpy.typing import NDArray

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


class Mert:
    """The extractor of the feature kinds `mert*`; input mono float32 at 24 kHz.

    With `all_layers` the vector holds the means of all layers one after the other, the lowest first, so that
    `vector.reshape(depth + 1, hidden)[7]` is layer 7.
    """

    rate = RATE

    def __init__(
        self, variant: Variant, excerpt: str, installed: store.Installed, placement: Placement, all_layers: bool = False
    ) -> None:
        self._layers = tuple(range(variant.depth + 1)) if all_layers else (variant.layer,)
        settings = store.read_json(installed.folder / "preprocessor_config.json") or {}
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
            installed.folder.parent / "slopes.json",
            self._in_pieces,
        )
        self.network = Network(blueprint, placement)

    def vector(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The vector of one recording, float32; SkipTrack for no samples at all."""
        return self.pool(np.stack(list(self.network.map(self.windows(samples)))))

    def windows(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Up to six windows of 5 s, (n, 120000), silent ones left out; a shorter recording is one window, (1, n).

        From the middle 30 s they are cut end to end, from a whole file they are spread over its inner 70 %.
        """
        if not len(samples):
            raise SkipTrack("no_audio", "there is not a single sample to analyse")
        samples = windows.finite(samples)
        if self.kind.excerpt == "full" and 0.7 * len(samples) >= WINDOW:
            samples = windows.between(samples, 0.15, 0.85)
        length = min(WINDOW, max(SHORTEST, len(samples)))
        cut = windows.audible(windows.spread(samples, length, MOST_WINDOWS))
        return standardised(cut) if self._normalise else cut

    def pool(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mean over the windows; FailTrack if it is not finite."""
        return finite_row(rows.mean(axis=0).astype(np.float32))

    def parts(self, vector: NDArray[np.float32]) -> dict[FeatureKind, NDArray[np.float32]]:
        """The vector by its kind, after it that of the single layer if it is one of all layers."""
        whole = {self.kind: vector}
        return whole if self.kind == self._plain else {**whole, self._plain: vector[self._plain_part]}

    def _build(self) -> Any:
        config = store.read_json(self._installed.folder / "config.json")
        if config is None:
            raise ReclassError(f"{self._installed.folder} has lost its config.json; install the model again.")
        return shorten(hubert(safetensors.read(self._installed.weights), config), self._layers)

    def _forward(self, model: Any, batch: Any) -> Any:
        return layer_means(model, batch, self._layers).flatten(1)

    def _in_pieces(self, model: Any, batch: Any, pieces: int) -> Any:
        with convolutions_in_pieces(model, pieces):
            return self._forward(model, batch)


def standardised(cut: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each window (n, length) with mean 0 and variance 1, as Wav2Vec2FeatureExtractor does it; silence stays zero."""
    mean, variance = cut.mean(axis=1, keepdims=True), cut.var(axis=1, keepdims=True)
    result: NDArray[np.float32] = (cut - mean) / np.sqrt(variance + np.float32(1e-7))
    return result


def _made(variant: Variant, excerpt: str, all_layers: bool, placement: Placement | None) -> Mert:
    check_packages("torch", "transformers")
    return Mert(variant, excerpt, store.needed(variant.model), placement or Placement.from_environment(), all_layers)


def mert(excerpt: str, placement: Placement | None = None) -> Mert:
    """MERT-v1-95M, layer 7: 768 numbers. MissingWeights where it is not installed."""
    return _made(BASE, excerpt, False, placement)


def mert_layers(excerpt: str, placement: Placement | None = None) -> Mert:
    """MERT-v1-95M, all 13 layers: 13 x 768 numbers, for a head that learns the mix."""
    return _made(BASE, excerpt, True, placement)


def mert_330m(excerpt: str, placement: Placement | None = None) -> Mert:
    """MERT-v1-330M, layer 10: 1024 numbers."""
    return _made(LARGE, excerpt, False, placement)


def mert_330m_layers(excerpt: str, placement: Placement | None = None) -> Mert:
    """MERT-v1-330M, all 25 layers: 25 x 1024 numbers."""
    return _made(LARGE, excerpt, True, placement)
