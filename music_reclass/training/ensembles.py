"""An ensemble of small networks, some on plain and some on key-free columns; the mean of their log-probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.training.networks import Layers, forward, log_softmax
from music_reclass.training.transforms import INPUTS, Floats, QuantileScale

TYPE = "mlp-ensemble"


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Networks by the name of the input they see (a key of `transforms.INPUTS`), with one scale an input."""

    scales: Mapping[str, QuantileScale]
    members: tuple[tuple[str, Layers], ...]

    def log_probabilities(self, rows: Floats) -> NDArray[np.float64]:
        """Uncalibrated, shape (n, labels), of raw `rows`, shape (n, columns)."""
        scaled = {name: scale(INPUTS[name](rows)) for name, scale in self.scales.items()}
        total = sum(forward(layers, scaled[name]) for name, layers in self.members)
        return log_softmax(np.asarray(total, dtype=np.float64) / len(self.members))

    def description(self) -> dict[str, Any]:
        """What the manifest must say for `restored` to put the arrays together again."""
        members = [{"input": name, "layers": len(layers)} for name, layers in self.members]
        return {"type": TYPE, "inputs": sorted(self.scales), "members": members}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All numbers by name; weights as float16, which `rounded` has made them already."""
        found: dict[str, NDArray[Any]] = {f"{name}.knots": scale.knots for name, scale in self.scales.items()}
        for number, (_, layers) in enumerate(self.members):
            for depth, (weights, bias) in enumerate(layers):
                found[f"{number}.{depth}.weights"] = weights.astype(np.float16)
                found[f"{number}.{depth}.bias"] = bias.astype(np.float16)
        return found


def rounded(layers: Layers) -> Layers:
    """`layers` as they are after a trip through float16, so that what was measured is what is shipped."""
    return tuple(
        (weights.astype(np.float16).astype(np.float32), bias.astype(np.float16).astype(np.float32))
        for weights, bias in layers
    )


def restored(description: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], columns: int, labels: int) -> Ensemble:
    """The ensemble of a bundle; ValueError or KeyError unless every array is there, fits and is finite."""
    used: set[str] = set()

    def array(name: str, shape: tuple[int | None, ...]) -> Floats:
        values = arrays[name]
        fits = values.ndim == len(shape) and all(
            want in (None, have) for want, have in zip(shape, values.shape, strict=True)
        )
        if not fits or values.dtype.kind != "f" or not np.isfinite(values).all():
            raise ValueError(f"the array {name} has the shape {values.shape} of {values.dtype} or is not finite")
        used.add(name)
        return values.astype(np.float32)

    scales: dict[str, QuantileScale] = {}
    for name in description["inputs"]:
        width = INPUTS[name](np.zeros((1, columns), dtype=np.float32)).shape[1]
        knots = array(f"{name}.knots", (None, width))
        if len(knots) < 2 or (np.diff(knots, axis=0) < 0).any():
            raise ValueError(f"the knots of {name} do not rise")
        scales[name] = QuantileScale(knots)
    members: list[tuple[str, Layers]] = []
    for number, member in enumerate(description["members"]):
        width, layers = scales[member["input"]].knots.shape[1], []
        for depth in range(int(member["layers"])):
            last = depth == int(member["layers"]) - 1
            weights = array(f"{number}.{depth}.weights", (width, labels if last else None))
            width = weights.shape[1]
            layers.append((weights, array(f"{number}.{depth}.bias", (width,))))
        if not layers:
            raise ValueError(f"member {number} has no layers")
        members.append((member["input"], tuple(layers)))
    if not members or used != set(arrays):
        raise ValueError("the arrays are not those that the manifest names")
    return Ensemble(scales, tuple(members))
