"""MusiCNN, the small listener: 200 numbers of a track and 50 tags in words, on any machine, without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from music_reclass.domain import FeatureKind
from music_reclass.errors import SkipTrack
from music_reclass.extractors import windows
from music_reclass.extractors.musicnn_net import MusicnnNet
from music_reclass.extractors.weights import safetensors, store

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Bump it with every change that moves the numbers; the weights are part of the version by their digest.
VERSION = "1"
RATE = 16000
WINDOW = 3 * RATE
MOST_WINDOWS = 16
_AT_ONCE = 8  # windows computed together, 25 MB of intermediate values

_GENRES = (
    "alternative ambient atmospheric chillout classical dance downtempo easylistening electronic experimental folk "
    "funk hiphop house indie instrumentalpop jazz lounge metal newage orchestral pop popfolk poprock reggae rock "
    "soundtrack techno trance triphop world"
)
_INSTRUMENTS = (
    "acousticguitar bass computer drummachine drums electricguitar electricpiano guitar keyboard piano strings "
    "synthesizer violin voice"
)
_MOODS = "emotional energetic film happy relaxing"
# In the order of the checkpoint: MTG-Jamendo's fifty most frequent tags by their full names, sorted.
TAGS: tuple[str, ...] = tuple(
    f"{group}---{word}"
    for group, words in (("genre", _GENRES), ("instrument", _INSTRUMENTS), ("mood/theme", _MOODS))
    for word in words.split()
)


class Musicnn:
    """The extractor of feature kind `musicnn`; input mono float32 at 16 kHz, full scale 1."""

    rate = RATE

    def __init__(self, excerpt: str, installed: store.Installed) -> None:
        self.kind = FeatureKind("musicnn", f"{VERSION}-{installed.short_digest}", 200, excerpt)
        self._installed = installed
        self._net: MusicnnNet | None = None

    def vector(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mean of the embeddings of up to 16 windows, (200,) float32; SkipTrack for no samples at all."""
        mean: NDArray[np.float32] = self._embeddings(samples).mean(axis=0)
        return mean

    def strengths(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """How strongly each of TAGS is heard, in their order, (50,) in [0, 1]: the mean over the windows."""
        mean: NDArray[np.float32] = self._loaded().tags(self._embeddings(samples)).mean(axis=0)
        return mean

    def tags(self, samples: NDArray[np.float32]) -> dict[str, float]:
        """The strengths by tag, strongest first."""
        strengths = self.strengths(samples)
        order = np.argsort(-strengths, kind="stable")
        return {TAGS[i]: float(strengths[i]) for i in order}

    def _embeddings(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        if not len(samples):
            raise SkipTrack("no_audio", "there is not a single sample to analyse")
        cut = windows.spread(windows.finite(samples), WINDOW, MOST_WINDOWS)
        net = self._loaded()
        return np.concatenate([net.embed(cut[i : i + _AT_ONCE]) for i in range(0, len(cut), _AT_ONCE)])

    def _loaded(self) -> MusicnnNet:
        if self._net is None:
            self._net = MusicnnNet(safetensors.read(self._installed.weights))
        return self._net


def musicnn(excerpt: str) -> Musicnn:
    """The extractor for one excerpt; MissingWeights where the model is not installed."""
    return Musicnn(excerpt, store.needed("musicnn"))
