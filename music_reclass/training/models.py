"""What a bundle holds: a model that scores rows with NumPy alone and can be written down as JSON and arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Model(Protocol):
    """Scores for raw rows, and the way to write itself down."""

    def log_probabilities(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Uncalibrated, shape (n, labels)."""
        ...

    def description(self) -> dict[str, Any]:
        """Goes into the manifest under `model`; `type` says which function brings it back."""
        ...

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All numbers of the model by name."""
        ...


# How a type of model comes back: (description, arrays, columns, labels) -> model; ValueError or KeyError if damaged.
Restore = Callable[[Mapping[str, Any], Mapping[str, NDArray[Any]], int, int], Model]
