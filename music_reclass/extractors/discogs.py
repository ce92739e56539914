"""Discogs-EffNet by ONNX Runtime: 400 styles of Discogs and 1,280 numbers, means over patches of two seconds."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.domain import FeatureKind
from music_reclass.errors import MissingExtra, ReclassError, SkipTrack
from music_reclass.extractors import windows
from music_reclass.extractors.mel import MAEST, discogs_mel
from music_reclass.extractors.weights.store import Installed, needed
from music_reclass.utils.lazy import require

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

# Bump it with every change that moves the numbers; the weights are part of the version by their digest.
VERSION = "1"
PATCH = 128  # frames of 16 ms that the network takes
PATCH_HOP = 62  # frames from patch to patch, the default of essentia's TensorflowPredictEffnetDiscogs
_AT_ONCE = 16  # patches computed together, 60 MB of intermediate values
_INPUT = "melspectrogram"
_OUTPUTS = {"activations": 400, "embeddings": 1280}
_KINDS = {"discogs": "embeddings", "discogs-styles": "activations"}


@lru_cache(maxsize=1)
def style_table() -> Mapping[str, Mapping[str, Any]]:
    """data/discogs.toml: `styles`, the genre of each of the 400 by its name, `genres`, that of each of Discogs' genres,
    and `labels`, whose `names` a stage of styles chooses from."""
    content: dict[str, dict[str, Any]]
    content = tomllib.loads(files("music_reclass").joinpath("data/discogs.toml").read_text(encoding="utf-8"))
    return content


def style_names() -> tuple[str, ...]:
    """The 400 styles as Discogs writes them ("Rock---Ska"), in the order of the outputs."""
    return tuple(style_table()["styles"])


def check_graph(path: Path) -> str:
    """What the network in an ONNX file takes and gives, in words; ReclassError unless it is Discogs-EffNet's.

    Names, types and shapes must be the published ones, with any number of patches at once. MissingExtra.
    """
    session = _session(path)
    found = {
        "input": {one.name: (one.type, _sizes(one.shape)) for one in session.get_inputs()},
        "output": {one.name: (one.type, _sizes(one.shape)) for one in session.get_outputs()},
    }
    wanted = {
        "input": {_INPUT: ("tensor(float)", (None, PATCH, MAEST.mels))},
        "output": {name: ("tensor(float)", (None, size)) for name, size in _OUTPUTS.items()},
    }
    for side, tensors in wanted.items():
        if found[side] != tensors:
            shown = ", ".join(f"{name} {kind} {sizes}" for name, (kind, sizes) in sorted(found[side].items()))
            raise ReclassError(
                f"{path.name} is no Discogs-EffNet with any number of patches at once: its {side} is {shown}; take "
                "discogs-effnet-bsdynamic-1.onnx."
            )
    return f"{_INPUT} (n, {PATCH}, {MAEST.mels}) -> " + ", ".join(f"{n} (n, {size})" for n, size in _OUTPUTS.items())


def _sizes(shape: list[Any]) -> tuple[int | None, ...]:
    """A shape with None where any size will do: ONNX gives such an axis a name or nothing."""
    return tuple(size if isinstance(size, int) else None for size in shape)


def _session(path: Path) -> Any:
    """An inference session on the processor with one thread: as many files are computed at once as there are workers.

    ReclassError for a file that is no graph; MissingExtra.
    """
    runtime = require("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own classes have no base but this
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ReclassError(f"{path.name} cannot be run by ONNX Runtime ({line}); install the model again.") from error


def patches(samples: Array) -> Array:
    """The network's inputs for at least one sample at 16 kHz, (n, 128, 96), n >= 1: every 62 frames a patch.

    What is left behind the last whole patch is not used; a recording shorter than one is repeated, where essentia gives
    no answer at all.
    """
    mel = discogs_mel(windows.circular(samples, _SHORTEST) if len(samples) < _SHORTEST else samples)
    starts = np.arange(0, len(mel) - PATCH + 1, PATCH_HOP)
    return np.stack([mel[start : start + PATCH] for start in starts])


_SHORTEST = (PATCH - 1) * MAEST.hop  # samples that make a whole patch


class DiscogsEffnet:
    """The extractor of both outputs of the network; input mono float32 at 16 kHz, full scale 1.

    `kind` is the one that `vector` gives.
    """

    rate = MAEST.rate

    def __init__(self, name: str, excerpt: str, installed: Installed) -> None:
        version = f"{VERSION}-{installed.short_digest}"
        self._kinds = {output: FeatureKind(kind, version, _OUTPUTS[output], excerpt) for kind, output in _KINDS.items()}
        self.kind = self._kinds[_KINDS[name]]
        self.names = style_names() if _KINDS[name] == "activations" else ()
        self._path = installed.weights
        self._network: Any = None

    def vector(self, samples: Array) -> Array:
        """The vector of `kind`; SkipTrack for no samples at all."""
        return self.vectors(samples)[self.kind]

    def vectors(self, samples: Array) -> dict[FeatureKind, Array]:
        """Both from one pass, means over the patches: activations (400,) in [0, 1], and embedding (1280,)."""
        if not len(samples):
            raise SkipTrack("no_audio", "there is not a single sample to analyse")
        cut = patches(windows.finite(samples))
        if self._network is None:
            self._network = _session(self._path)
        batches = (cut[first : first + _AT_ONCE] for first in range(0, len(cut), _AT_ONCE))
        parts = zip(*(self._network.run(list(self._kinds), {_INPUT: batch}) for batch in batches), strict=True)
        rows = (np.concatenate(part).mean(axis=0, dtype=np.float64).astype(np.float32) for part in parts)
        return dict(zip(self._kinds.values(), rows, strict=True))


def discogs(excerpt: str) -> DiscogsEffnet:
    """The extractor of feature kind `discogs`; MissingWeights where the model is not installed, MissingExtra."""
    return _extractor("discogs", excerpt)


def discogs_styles(excerpt: str) -> DiscogsEffnet:
    """The extractor of feature kind `discogs-styles`; MissingWeights where the model is not installed, MissingExtra."""
    return _extractor("discogs-styles", excerpt)


def _extractor(name: str, excerpt: str) -> DiscogsEffnet:
    installed = needed("discogs-effnet")
    if importlib.util.find_spec("onnxruntime") is None:
        raise MissingExtra("This needs the package onnxruntime: pip install 'music_reclass[onnx]'.")
    return DiscogsEffnet(name, excerpt, installed)
