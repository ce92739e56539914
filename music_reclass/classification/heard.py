"""Tags behind vectors: how strongly each tag of a tagger was heard, from vectors that are there already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from music_reclass.errors import ReclassError

if TYPE_CHECKING:
    from music_reclass.domain import FeatureKind, Vector


def tags_in(vectors: Mapping[FeatureKind, Vector]) -> dict[str, float]:
    """The strength of every tag by its name, in [0, 1]; {} where no vector is of a kind that holds tags.

    MusiCNN's tags are read off its embedding where they were not kept themselves. Vectors by other weights than those
    that are installed say nothing, as only the installed ones name their tags.
    """
    found: dict[str, float] = {}
    for kind, vector in vectors.items():
        if kind.name != "musicnn":
            names = _names(kind)
        elif any(other.name == "musicnn-tags" for other in vectors):
            continue
        else:
            names, vector = _read_off(kind, vector)
        found |= {name: float(value) for name, value in zip(names, vector, strict=False)}
    return found


def _read_off(kind: FeatureKind, vector: Vector) -> tuple[tuple[str, ...], Vector]:
    from music_reclass.extractors.musicnn import TAGS
    from music_reclass.extractors.musicnn_tags import approximate
    from music_reclass.extractors.weights import store

    installed = store.find("musicnn")
    if installed is None or not kind.version.endswith(installed.short_digest):
        return (), vector
    return TAGS, approximate(np.asarray(vector, dtype=np.float32)[None], installed)[0]


def _names(kind: FeatureKind) -> tuple[str, ...]:
    """The tags of a tagger's kind in their order; () for kinds of another sort and for other weights."""
    from music_reclass.extractors.musicnn import TAGS
    from music_reclass.extractors.registry import EXTRACTORS, extractor

    if kind.name not in EXTRACTORS or kind.name == "fma518":
        return ()
    try:
        made = extractor(kind.name, kind.excerpt)
    except ReclassError:  # not installed: then nobody knows what its numbers are called
        return ()
    if made.kind != kind:
        return ()
    return TAGS if kind.name == "musicnn-tags" else tuple(getattr(made, "names", ()))
