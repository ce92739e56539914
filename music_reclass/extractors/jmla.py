"""OpenJMLA's audio encoder: the mean patch of a mel picture of half a minute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.domain import FeatureKind
from music_reclass.errors import SkipTrack
from music_reclass.extractors import jmla_mel, windows
from music_reclass.extractors.jmla_vit import Shape, encoder, patch_mean
from music_reclass.extractors.network import Blueprint, Network, check_packages, finite_row
from music_reclass.extractors.weights import safetensors, store
from music_reclass.utils.batching import Slope
from music_reclass.utils.device import Placement

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Bump it with every change that moves the numbers; the weights are part of the version.
VERSION = "1"
MOST_PICTURES = 3  # of a whole file
PICTURE_BYTES = 32e6  # a picture takes in float32 (measured)


class Jmla:
    """The extractor of feature kind `jmla`; input mono float32 at 16 kHz."""

    rate = jmla_mel.RATE

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
        if len(samples) <= jmla_mel.SAMPLES or self.kind.excerpt != "full":
            return jmla_mel.picture(samples)[None]
        parts = windows.audible(windows.spread(samples, jmla_mel.SAMPLES, MOST_PICTURES))
        return np.stack([jmla_mel.picture(part) for part in parts])

    def pool(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mean over the pictures; FailTrack if it is not finite."""
        return finite_row(rows.mean(axis=0).astype(np.float32))

    def _build(self) -> Any:
        return encoder(safetensors.read(self._installed.weights), self._shape)


def jmla(excerpt: str, placement: Placement | None = None) -> Jmla:
    """The extractor for one excerpt; MissingWeights where the model is not installed."""
    check_packages("torch")
    return Jmla(excerpt, store.needed("jmla"), placement or Placement.from_environment(), Shape())
