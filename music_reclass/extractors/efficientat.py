"""EfficientAT in NumPy: a MobileNetV3 trained on AudioSet; its embedding and the 527 tags from one pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from music_reclass.domain import FeatureKind
from music_reclass.errors import ReclassError, SkipTrack
from music_reclass.extractors import windows
from music_reclass.extractors.mel import EFFICIENTAT, EFFICIENTAT_SAMPLES, circular_to, efficientat_input
from music_reclass.extractors.weights.checkpoint import read_safetensors
from music_reclass.extractors.weights.store import Installed, needed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Tensors = dict[str, NDArray[Any]]

_EPSILON = 1e-3  # of every batch normalisation
_BATCH_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_CACHE = 1 << 17  # numbers of one group of channels: with the copies they stay in the second-level cache
TAGS = 527
# The inverted residual blocks of MobileNetV3-Large at width 1: expanded channels, channels out, kernel, stride,
# squeeze-and-excitation, hardswish. The first convolution and the first block have 16 channels.
_BLOCKS = (
    (16, 16, 3, 1, 0, 0), (64, 24, 3, 2, 0, 0), (72, 24, 3, 1, 0, 0), (72, 40, 5, 2, 1, 0), (120, 40, 5, 1, 1, 0),
    (120, 40, 5, 1, 1, 0), (240, 80, 3, 2, 0, 1), (200, 80, 3, 1, 0, 1), (184, 80, 3, 1, 0, 1), (184, 80, 3, 1, 0, 1),
    (480, 112, 3, 1, 1, 1), (672, 112, 3, 1, 1, 1), (672, 160, 5, 2, 1, 1), (960, 160, 5, 1, 1, 1),
    (960, 160, 5, 1, 1, 1),
)  # fmt: skip


class _Layer(NamedTuple):
    """A convolution and its batch normalisation, or a dense layer: weights (out, inputs) and bias (out, 1).

    A depthwise convolution has the weights (channels, rows out, kernel * rows in): one matrix a channel, see `_banded`.
    """

    weight: Array
    bias: Array


class _Block(NamedTuple):
    expand: _Layer | None
    depthwise: _Layer
    squeeze: tuple[_Layer, _Layer] | None
    project: _Layer
    kernel: int
    stride: int
    hardswish: bool


class EfficientatNet:
    """The network with the weights of a checkpoint (Schmid et al. 2023), of the width that the tensors have."""

    def __init__(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        self._first = _folded(tensors, "features.0")
        self._blocks, rows = [], EFFICIENTAT.mels // 2
        for number, (_, _, _, stride, _, _) in enumerate(_BLOCKS, 1):
            self._blocks.append(_block(tensors, number, rows))
            rows //= stride
        self._last = _folded(tensors, f"features.{len(_BLOCKS) + 1}")
        self._head = [_dense(tensors, f"classifier.{number}") for number in (2, 5)]

    def outputs(self, mel: Array) -> tuple[Array, Array]:
        """The embedding and the logits of the 527 tags, of one normalised log-mel (128, frames) of any length."""
        values = _first_convolution(mel, self._first)
        for block in self._blocks:
            values = _inverted_residual(values, block)
        embedding = _hardswish(self._last.weight @ _flat(values) + self._last.bias).mean(axis=1)
        return embedding, self.logits(embedding[None])[0]

    def logits(self, embeddings: Array) -> Array:
        """The logits of the 527 tags, (n, 527), of embeddings (n, numbers)."""
        hidden = _hardswish(self._head[0].weight @ embeddings.T + self._head[0].bias)
        found: Array = (self._head[1].weight @ hidden + self._head[1].bias).T
        return found


def _first_convolution(mel: Array, layer: _Layer) -> Array:
    """A 3x3 convolution of stride 2 and hardswish, (channels, rows, columns)."""
    padded = np.pad(mel, 1)
    rows, columns = (mel.shape[0] + 1) // 2, (mel.shape[1] + 1) // 2
    taps = np.empty((9, rows, columns), dtype=np.float32)
    for tap in range(9):
        row, column = divmod(tap, 3)
        taps[tap] = padded[row : row + 2 * rows - 1 : 2, column : column + 2 * columns - 1 : 2]
    return _hardswish(layer.weight @ _flat(taps) + layer.bias).reshape(-1, rows, columns)


def _inverted_residual(values: Array, block: _Block) -> Array:
    """One block, (channels, rows, columns) in and out."""
    _, rows, columns = values.shape
    flat, made = _flat(values), -(-columns // block.stride)
    channels, rows_made, height = block.depthwise.weight.shape
    found = np.empty((channels, rows_made * made), dtype=np.float32)
    for some in _groups(channels, height * made):
        part = flat[some]
        if block.expand is not None:
            part = block.expand.weight[some] @ flat
            part += block.expand.bias[some]
            part = _activate(part, block.hardswish)
        shifted = _shifted(part.reshape(-1, rows, columns), block.kernel, block.stride)
        result = _flat(block.depthwise.weight[some] @ shifted)
        result += block.depthwise.bias[some]
        found[some] = _activate(result, block.hardswish)
    weight = block.project.weight
    if block.squeeze is not None:
        inner, outer = block.squeeze
        hidden = np.maximum(inner.weight @ found.mean(axis=1, keepdims=True) + inner.bias, 0)
        weight = weight * sigmoid(outer.weight @ hidden + outer.bias).T
    projected = weight @ found
    projected += block.project.bias
    if block.stride == 1 and projected.shape == flat.shape:
        projected += flat
    return projected.reshape(-1, rows_made, made)


def _shifted(values: Array, kernel: int, stride: int) -> Array:
    """What each tap of a kernel sees in time, (channels, kernel * rows, columns / stride), zeros beyond the edges."""
    channels, rows, columns = values.shape
    made = -(-columns // stride)
    taps = np.empty((channels, kernel, rows, made), dtype=np.float32)
    for tap in range(kernel):
        shift = tap - kernel // 2
        first = -(shift // stride) if shift < 0 else 0
        seen = values[:, :, shift + first * stride :: stride][:, :, : made - first]
        taps[:, tap, :, :first] = 0
        taps[:, tap, :, first : first + seen.shape[2]] = seen
        taps[:, tap, :, first + seen.shape[2] :] = 0
    return taps.reshape(channels, kernel * rows, made)


def _banded(weight: Array, rows: int, stride: int) -> Array:
    """The kernels (channels, size, size) as one matrix a channel over all rows, (channels, rows out, size * rows).

    Few rows come into the depthwise convolutions, so that a product with mostly zeros in it is quicker than one
    multiplication and one addition of whole planes for each tap.
    """
    channels, size, _ = weight.shape
    made = -(-rows // stride)
    banded = np.zeros((channels, made, size, rows), dtype=np.float32)
    for row in range(made):
        for tap in range(size):
            if 0 <= (source := row * stride + tap - size // 2) < rows:
                banded[:, row, :, source] = weight[:, tap]
    return banded.reshape(channels, made, size * rows)


def _flat(values: Array) -> Array:
    return values.reshape(len(values), -1)


def _groups(channels: int, numbers: int) -> Iterator[slice]:
    """Runs of channels, of `numbers` each, that fit into the cache together."""
    step = max(1, min(channels, _CACHE // numbers))
    for start in range(0, channels, step):
        yield slice(start, min(start + step, channels))


def _activate(values: Array, hardswish: bool) -> Array:
    if hardswish:
        return _hardswish(values)
    np.maximum(values, 0, out=values)
    return values


def _hardswish(values: Array) -> Array:
    gate: Array = values + np.float32(3)
    np.maximum(gate, 0, out=gate)
    np.minimum(gate, 6, out=gate)
    gate *= np.float32(1 / 6)
    gate *= values
    return gate


def sigmoid(logits: Array) -> Array:
    """Logits as probabilities in [0, 1], same shape."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * logits), dtype=np.float32)


def _block(tensors: Mapping[str, NDArray[Any]], number: int, rows: int) -> _Block:
    """Block `number`, whose input has `rows`."""
    _, _, kernel, stride, squeezed, hardswish = _BLOCKS[number - 1]
    names = iter(f"features.{number}.block.{part}" for part in range(4))
    whole = f"features.{number}.block.{2 + squeezed}.0.weight" in tensors
    expand = _folded(tensors, next(names)) if whole else None
    depthwise = _folded(tensors, next(names))
    depthwise = _Layer(_banded(depthwise.weight.reshape(-1, kernel, kernel), rows, stride), depthwise.bias)
    squeeze = None
    if squeezed:
        inner = f"{next(names)}.conc_se_layers.0"
        squeeze = (_dense(tensors, f"{inner}.fc1"), _dense(tensors, f"{inner}.fc2"))
    project = _folded(tensors, next(names))
    return _Block(expand, depthwise, squeeze, project, kernel, stride, bool(hardswish))


def _folded(tensors: Mapping[str, NDArray[Any]], name: str) -> _Layer:
    """The convolution `name`.0 with the batch normalisation `name`.1 in it."""
    norm = {part: np.asarray(tensors[f"{name}.1.{part}"], dtype=np.float64) for part in _BATCH_NORM[:4]}
    scale = norm["weight"] / np.sqrt(norm["running_var"] + _EPSILON)
    weight = tensors[f"{name}.0.weight"]
    return _layer(weight.reshape(len(weight), -1) * scale[:, None], norm["bias"] - norm["running_mean"] * scale)


def _dense(tensors: Mapping[str, NDArray[Any]], name: str) -> _Layer:
    return _layer(tensors[f"{name}.weight"], tensors[f"{name}.bias"])


def _layer(weight: NDArray[Any], bias: NDArray[Any]) -> _Layer:
    flat = np.array(weight, dtype=np.float32, order="C")
    flat[np.abs(flat) < np.finfo(np.float32).tiny] = 0  # subnormal numbers change no result and are slow
    return _Layer(flat, np.array(bias, dtype=np.float32)[:, None])


def shapes(width: float) -> dict[str, tuple[int, ...]]:
    """The tensors of a checkpoint of `width` with their shapes: 312, whatever the width."""
    before = _divisible(16 * width)
    known = _convolution("features.0", (before, 1, 3, 3))
    for number, (expanded, out, size, _, squeezed, _) in enumerate(_BLOCKS, 1):
        inner, after, part = _divisible(expanded * width), _divisible(out * width), 0
        if inner != before or number > 1:
            known |= _convolution(f"features.{number}.block.0", (inner, before, 1, 1))
            part = 1
        known |= _convolution(f"features.{number}.block.{part}", (inner, 1, size, size))
        if squeezed:
            small, name = _divisible(inner // 4), f"features.{number}.block.{part + 1}.conc_se_layers.0"
            known |= _linear(f"{name}.fc1", (small, inner)) | _linear(f"{name}.fc2", (inner, small))
        known |= _convolution(f"features.{number}.block.{part + 1 + squeezed}", (after, inner, 1, 1))
        before = after
    last, hidden = 6 * before, _divisible(1280 * width)
    known |= _convolution(f"features.{len(_BLOCKS) + 1}", (last, before, 1, 1))
    return known | _linear("classifier.2", (hidden, last)) | _linear("classifier.5", (TAGS, hidden))


def _divisible(channels: float) -> int:
    """The nearest multiple of eight that is at least 0.9 of it, as MobileNet rounds its widths."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _convolution(name: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    norm: dict[str, tuple[int, ...]] = {f"{name}.1.{part}": shape[:1] for part in _BATCH_NORM}
    return {f"{name}.0.weight": shape} | norm | {f"{name}.1.num_batches_tracked": ()}


def _linear(name: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _check(tensors: Tensors, width: float, title: str) -> None:
    found, known = {name: tensor.shape for name, tensor in tensors.items()}, shapes(width)
    if found != known:
        wrong = sorted(name for name in found.keys() | known.keys() if found.get(name) != known.get(name))
        raise ReclassError(f"This file is no EfficientAT {title}: {', '.join(wrong[:4])} do not fit.")


def canonical_mn04(
    tensors: Tensors, settings: Mapping[str, dict[str, Any]]
) -> tuple[Tensors, Mapping[str, dict[str, Any]]]:
    """The checkpoint as it is, if every tensor of mn04 is there in its shape and no other; ReclassError if not."""
    _check(tensors, 0.4, "mn04")
    return tensors, settings


def canonical_mn10(
    tensors: Tensors, settings: Mapping[str, dict[str, Any]]
) -> tuple[Tensors, Mapping[str, dict[str, Any]]]:
    """The checkpoint as it is, if every tensor of mn10 is there in its shape and no other; ReclassError if not."""
    _check(tensors, 1.0, "mn10")
    return tensors, settings


@lru_cache(maxsize=1)
def audioset_labels() -> tuple[str, ...]:
    """The display names of AudioSet's 527 classes in the order of class_labels_indices.csv."""
    text = resources.files("music_reclass").joinpath("data/audioset.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


# Bump it with every change that moves the numbers; the weights are part of the version by their digest.
VERSION = "1"
RATE = EFFICIENTAT.rate
MOST_WINDOWS = {"mid30": 3, "full": 6}  # of ten seconds
SHORTEST = RATE  # shorter sounds are repeated to one second
WIDTHS = {"efficientat": 384, "efficientat-mn10": 960}  # model -> numbers of its embedding


class Efficientat:
    """The extractor of a model's embedding and of its tags; `kind` is the one that `vector` gives.

    Input mono float32 at 32 kHz, full scale 1.
    """

    rate = RATE

    def __init__(self, excerpt: str, installed: Installed, tags: bool = False) -> None:
        version = f"{VERSION}-{installed.short_digest}"
        self.embedding = FeatureKind(installed.model, version, WIDTHS[installed.model], excerpt)
        self.tags = FeatureKind(f"{installed.model}-tags", version, TAGS, excerpt)
        self.kind = self.tags if tags else self.embedding
        self.names = audioset_labels() if tags else ()
        self._installed = installed
        self._net: EfficientatNet | None = None

    def vector(self, samples: Array) -> Array:
        """The vector of `kind`; SkipTrack for no samples at all."""
        return self.vectors(samples)[self.kind]

    def vectors(self, samples: Array) -> dict[FeatureKind, Array]:
        """Embedding and tags from one pass: means over up to three windows, six of a whole file.

        The tags are probabilities in [0, 1]: the sigmoid of the mean logits. SkipTrack for no samples at all.
        """
        if not len(samples):
            raise SkipTrack("no_audio", "there is not a single sample to analyse")
        embeddings, logits = zip(*map(self._loaded().outputs, map(efficientat_input, self._cut(samples))), strict=True)
        return {
            self.embedding: np.mean(embeddings, axis=0, dtype=np.float32),
            self.tags: sigmoid(np.mean(logits, axis=0, dtype=np.float32)),
        }

    def _cut(self, samples: Array) -> Sequence[Array]:
        samples = windows.finite(samples)
        if len(samples) < EFFICIENTAT_SAMPLES:
            return [circular_to(samples, SHORTEST)]
        # Side by side from the first sample, as the tables of training data have them; spread where there are too many.
        most, whole = windows.most_in(self.embedding.excerpt, MOST_WINDOWS), len(samples) // EFFICIENTAT_SAMPLES
        return list(
            windows.spread(
                samples[: whole * EFFICIENTAT_SAMPLES] if whole <= most else samples, EFFICIENTAT_SAMPLES, most
            )
        )

    def _loaded(self) -> EfficientatNet:
        if self._net is None:
            self._net = EfficientatNet(read_safetensors(self._installed.weights))
        return self._net


def efficientat(excerpt: str) -> Efficientat:
    """The extractor of mn04's embedding for one excerpt; MissingWeights where the model is not installed."""
    return Efficientat(excerpt, needed("efficientat"))


def efficientat_tags(excerpt: str) -> Efficientat:
    """The extractor of mn04's tags for one excerpt; MissingWeights where the model is not installed."""
    return Efficientat(excerpt, needed("efficientat"), tags=True)


def efficientat_mn10(excerpt: str) -> Efficientat:
    """The extractor of mn10's embedding for one excerpt; MissingWeights where the model is not installed."""
    return Efficientat(excerpt, needed("efficientat-mn10"))


def efficientat_mn10_tags(excerpt: str) -> Efficientat:
    """The extractor of mn10's tags for one excerpt; MissingWeights where the model is not installed."""
    return Efficientat(excerpt, needed("efficientat-mn10"), tags=True)
