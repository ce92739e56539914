"""The second stage inside the package: what MusiCNN hears beside the 518 features."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from music_reclass.training import bundles

_EMBEDDED = Path(__file__).resolve().parent.parent / "data" / "embedded-musicnn"


@lru_cache(maxsize=1)
def embedded() -> bundles.Bundle:
    """The second stage's bundle, shipped inside the package. MusiCNN's own weights are not: they are installed."""
    return bundles.load(_EMBEDDED)
