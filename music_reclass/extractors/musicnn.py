"""MusiCNN in NumPy: the penultimate layer (200 numbers) and 50 Jamendo tags, means over up to 16 windows of 3 s."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.domain import FeatureKind
from music_reclass.errors import ReclassError, SkipTrack
from music_reclass.extractors import windows
from music_reclass.extractors.mel import centred_frames, power
from music_reclass.extractors.weights.checkpoint import read_safetensors
from music_reclass.extractors.weights.store import Installed, needed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

HOP = 256
MELS = 96
_EPSILON = 1e-5  # of every batch normalisation
_WIDTH = 7  # frames that the two-dimensional filters span
_VERTICAL, _HORIZONTAL, _MIDDLE = (
    ("layers.0", "layers.1"),
    ("layers.2", "layers.3", "layers.4"),
    ("layer1", "layer2", "layer3"),
)
_BATCH_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


# A convolution or a dense layer with its batch normalisation folded in: weights (out, in * taps) with the taps last,
# bias (out, 1), number of taps.
_Layer = tuple["Array", "Array", int]


class MusicnnNet:
    """The network with the weights of a checkpoint (Pons et al. 2018; training by Won et al. 2020)."""

    def __init__(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        scale, shift = _affine(tensors, "spec_bn")
        self._scale, self._shift = np.float32(scale[0]), np.float32(shift[0])
        self._window = np.array(tensors["spec.spectrogram.window"], dtype=np.float32)
        self._filters = np.array(tensors["spec.mel_scale.fb"], dtype=np.float32)
        self._vertical = [_folded(tensors, f"{name}.conv", f"{name}.bn") for name in _VERTICAL]
        self._horizontal = [_folded(tensors, f"{name}.conv", f"{name}.bn") for name in _HORIZONTAL]
        self._middle = [_folded(tensors, f"{name}.conv", f"{name}.bn") for name in _MIDDLE]
        self._dense = _folded(tensors, "dense1", "bn")
        self._tags = head(tensors)

    def embed(self, windows: Array) -> Array:
        """The 200 values behind the tags, shape (n, 200), none negative; input (n, 48000) at 16 kHz, |x| <= 1."""
        front = self._front(self._mel(windows))
        first = _convolved(front, self._middle[0])
        second = _convolved(first, self._middle[1]) + first
        third = _convolved(second, self._middle[2]) + second
        layers = (front, first, second, third)
        pooled = np.concatenate([layer.max(axis=2) for layer in layers] + [layer.mean(axis=2) for layer in layers])
        weight, bias, _ = self._dense
        values: Array = np.maximum(weight @ pooled + bias, 0).T
        return values

    def tags(self, embeddings: Array) -> Array:
        """The 50 tag activations in [0, 1] of embeddings (n, 200): shape (n, 50)."""
        weight, bias = self._tags
        return sigmoid(embeddings @ weight.T + bias)

    def _mel(self, windows: Array) -> Array:
        """Normalised mel levels, shape (96, n, frames)."""
        size = len(self._window)
        mel = power(centred_frames(windows, size, HOP), self._window, size) @ self._filters
        level = 10 * np.log10(np.maximum(mel, np.float32(1e-10)))
        return np.ascontiguousarray((level * self._scale + self._shift).transpose(2, 0, 1))

    def _front(self, mel: Array) -> Array:
        """Timbre (vertical) and rhythm (horizontal) filters, shape (561, n, frames)."""
        columns = _columns(mel, _WIDTH)  # row f * 7 + t: band f, t frames on
        parts = []
        for weight, bias, _ in self._vertical:
            height = weight.shape[1] // _WIDTH
            best = weight @ columns[: height * _WIDTH]
            for band in range(1, MELS - height + 1):
                # ReLU and the folded scale keep the order, so the maximum over bands may come first
                np.maximum(best, weight @ columns[band * _WIDTH : (band + height) * _WIDTH], out=best)
            parts.append(np.maximum(best + bias, 0).reshape(-1, *mel.shape[1:]))
        envelope = mel.mean(axis=0, keepdims=True)
        return np.concatenate(parts + [_convolved(envelope, layer) for layer in self._horizontal])


def head(tensors: Mapping[str, NDArray[Any]]) -> tuple[Array, Array]:
    """The layer from the 200 values to the 50 tags: weights (50, 200) and bias (50,)."""
    return np.array(tensors["dense2.weight"]), np.array(tensors["dense2.bias"])


def sigmoid(scores: Array) -> Array:
    """Scores as strengths in [0, 1], same shape."""
    return np.asarray(1 / (1 + np.exp(-scores)), dtype=np.float32)


def _columns(signal: Array, taps: int) -> Array:
    """Neighbouring frames as rows, (channels, n, frames) to (channels * taps, n * frames); zeros at the edges."""
    channels, count, frames = signal.shape
    padded = np.pad(signal, ((0, 0), (0, 0), (taps // 2, taps // 2)))
    columns = np.empty((channels, taps, count, frames), dtype=np.float32)
    for tap in range(taps):
        columns[:, tap] = padded[:, :, tap : tap + frames]
    return columns.reshape(channels * taps, count * frames)


def _convolved(signal: Array, layer: _Layer) -> Array:
    """ReLU of the convolution over time, shape (out, n, frames)."""
    weight, bias, taps = layer
    values = weight @ _columns(signal, taps) + bias
    result: Array = np.maximum(values, 0, out=values).reshape(-1, *signal.shape[1:])
    return result


def _affine(tensors: Mapping[str, NDArray[Any]], name: str) -> tuple[Array, Array]:
    """The factor and the summand that a batch normalisation comes to."""
    scale = tensors[f"{name}.weight"] / np.sqrt(tensors[f"{name}.running_var"] + np.float32(_EPSILON))
    return scale, tensors[f"{name}.bias"] - tensors[f"{name}.running_mean"] * scale


def _folded(tensors: Mapping[str, NDArray[Any]], layer: str, norm: str) -> _Layer:
    weight, bias = tensors[f"{layer}.weight"], tensors[f"{layer}.bias"]
    scale, shift = _affine(tensors, norm)
    flat = (weight.reshape(len(weight), -1) * scale[:, None]).astype(np.float32)
    # The published weights hold 10,000 subnormal numbers, which change no result and make products 30 times slower.
    flat[np.abs(flat) < np.finfo(np.float32).tiny] = 0
    taps = weight.shape[-1] if weight.ndim > 2 else 1
    return np.ascontiguousarray(flat), (bias * scale + shift)[:, None].astype(np.float32), taps


def shapes() -> dict[str, tuple[int, ...]]:
    """The 72 tensors of a checkpoint with their shapes."""
    layers = {
        "layers.0": (204, 1, 67, 7), "layers.1": (204, 1, 38, 7), "layers.2": (51, 1, 129), "layers.3": (51, 1, 65),
        "layers.4": (51, 1, 33), "layer1": (64, 561, 7), "layer2": (64, 64, 7), "layer3": (64, 64, 7),
    }  # fmt: skip
    known: dict[str, tuple[int, ...]] = {"spec.spectrogram.window": (512,), "spec.mel_scale.fb": (257, MELS)}
    norms = {"spec_bn": 1, "bn": 200} | {f"{name}.bn": shape[0] for name, shape in layers.items()}
    weights = {f"{name}.conv": shape for name, shape in layers.items()} | {"dense1": (200, 1506), "dense2": (50, 200)}
    for name, shape in weights.items():
        known |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name, size in norms.items():
        known |= {f"{name}.{part}": (size,) for part in _BATCH_NORM[:4]} | {f"{name}.num_batches_tracked": ()}
    return known


def canonical(
    tensors: dict[str, NDArray[Any]], settings: Mapping[str, dict[str, Any]]
) -> tuple[dict[str, NDArray[Any]], Mapping[str, dict[str, Any]]]:
    """The checkpoint as it is, if every tensor is there in its shape and no other; ReclassError if not."""
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if found != shapes():
        wrong = sorted(name for name in found.keys() | shapes().keys() if found.get(name) != shapes().get(name))
        raise ReclassError(f"This file is no MusiCNN with 50 tags: {', '.join(wrong[:4])} do not fit.")
    return tensors, settings


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

    def __init__(self, excerpt: str, installed: Installed) -> None:
        self.kind = FeatureKind("musicnn", f"{VERSION}-{installed.short_digest}", 200, excerpt)
        self._tags = FeatureKind("musicnn-tags", self.kind.version, len(TAGS), excerpt)
        self._installed = installed
        self._net: MusicnnNet | None = None

    def vector(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The mean of the embeddings of up to 16 windows, (200,) float32; SkipTrack for no samples at all."""
        mean: NDArray[np.float32] = self._embeddings(samples).mean(axis=0)
        return mean

    def vectors(self, samples: NDArray[np.float32]) -> dict[FeatureKind, NDArray[np.float32]]:
        """The vectors of kinds `musicnn` and `musicnn-tags` from one pass; SkipTrack for no samples at all."""
        embeddings = self._embeddings(samples)
        tags = self._loaded().tags(embeddings)
        return {self.kind: embeddings.mean(axis=0), self._tags: tags.mean(axis=0)}

    def strengths(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The activation of each of TAGS, in their order, (50,) in [0, 1]: the mean over the windows."""
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
            self._net = MusicnnNet(read_safetensors(self._installed.weights))
        return self._net


def musicnn(excerpt: str) -> Musicnn:
    """The extractor for one excerpt; MissingWeights where the model is not installed."""
    return Musicnn(excerpt, needed("musicnn"))


class MusicnnTags:
    """The extractor of feature kind `musicnn-tags`; input mono float32 at 16 kHz, full scale 1."""

    rate = Musicnn.rate

    def __init__(self, excerpt: str, installed: Installed) -> None:
        self._musicnn = Musicnn(excerpt, installed)
        self.kind = FeatureKind("musicnn-tags", f"{VERSION}-{installed.short_digest}", len(TAGS), excerpt)

    def vector(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The strengths of TAGS in their order, (50,) float32 in [0, 1]; SkipTrack for no samples at all."""
        return self._musicnn.strengths(samples)

    def vectors(self, samples: NDArray[np.float32]) -> dict[FeatureKind, NDArray[np.float32]]:
        """The vectors of kinds `musicnn` and `musicnn-tags` from one pass; SkipTrack for no samples at all."""
        return self._musicnn.vectors(samples)


def musicnn_tags(excerpt: str) -> MusicnnTags:
    """The extractor for one excerpt; MissingWeights where the model is not installed."""
    return MusicnnTags(excerpt, needed("musicnn"))


def approximate(embeddings: NDArray[np.float32], installed: Installed) -> NDArray[np.float32]:
    """The strengths (n, 50) that vectors of kind `musicnn` (n, 200) come to: tags of the mean, not the mean of tags.

    They must be of the same weights. On fifteen recordings 0.003 off on average, 0.04 at most, and mostly too low.
    """
    weight, bias = _head_in(installed.weights, installed.digest)
    return sigmoid(embeddings @ weight.T + bias)


@lru_cache(maxsize=1)
def _head_in(weights: Path, digest: str) -> tuple[Array, Array]:
    """The head in a file, read once as long as it is of this digest."""
    return head(read_safetensors(weights))
