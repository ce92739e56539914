"""Does an installed model do what it should? Digest, counts, and two sounds that must not sound the same to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from music_reclass.extractors.registry import extractor
from music_reclass.extractors.weights import safetensors, store
from music_reclass.extractors.weights.catalogue import Model

if TYPE_CHECKING:
    from numpy.typing import NDArray

SECONDS = 6
TOO_ALIKE = 0.9999  # cosine


@dataclass(frozen=True, slots=True)
class Check:
    """One finding of the self-check."""

    name: str
    fine: bool
    detail: str


def self_check(model: Model) -> Iterator[Check]:
    """The findings in turn; MissingWeights if the model is not installed, ReclassError if it cannot be loaded."""
    installed = store.needed(model.name)
    tensors = safetensors.read(installed.weights)
    digest = store.tensors_digest(tensors)
    yield Check("digest", digest == installed.manifest.digest, f"{digest[:16]}... since {installed.manifest.installed}")
    values = sum(tensor.size for tensor in tensors.values())
    yield Check(
        "tensors",
        (len(tensors), values) == (model.tensors, model.values),
        f"{len(tensors)} tensors, {values:,} values (expected {model.tensors} and {model.values:,})",
    )
    for kind in model.kinds:
        yield from _heard(kind)


def _heard(kind: str) -> Iterator[Check]:
    listener = extractor(kind, "mid30")
    chord, again, drums = (listener.vector(sound(listener.rate)) for sound in (_chord, _chord, _drums))
    fine = chord.shape == (listener.kind.dimension,) and chord.dtype == np.float32 and bool(np.isfinite(chord).all())
    yield Check(f"{kind} shape", fine, f"{chord.shape[0]} finite numbers ({listener.kind.key})")
    same = float(np.abs(chord - again).max())
    yield Check(f"{kind} repeats", same == 0.0, f"the same sound twice differs by {same:.1g}")
    alike = float(chord @ drums / max(np.linalg.norm(chord) * np.linalg.norm(drums), 1e-12))
    yield Check(f"{kind} hears", alike < TOO_ALIKE, f"a chord and drums have cosine {alike:.4f}")


def _chord(rate: int) -> NDArray[np.float32]:
    time = np.arange(SECONDS * rate) / rate
    notes = (0.2 / n * np.sin(2 * np.pi * pitch * n * time) for pitch in (220.0, 277.2, 329.6) for n in (1, 2, 3))
    return np.asarray(sum(notes), dtype=np.float32)


def _drums(rate: int) -> NDArray[np.float32]:
    time = np.arange(SECONDS * rate) / rate
    noise = np.random.default_rng(7).uniform(-0.6, 0.6, len(time))
    return np.asarray(noise * np.exp(-12 * (time % 0.5)), dtype=np.float32)
