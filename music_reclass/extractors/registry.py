"""The extractors by the name of their feature kind; none is imported before it is asked for."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Collection
from typing import TYPE_CHECKING

from music_reclass.errors import UsageError

if TYPE_CHECKING:
    from music_reclass.domain import Extractor
    from music_reclass.extractors.device import Placement

# Seconds from the middle of the file. `full` is the whole file, but of the longest mixes the middle hour: memory
# grows with length, and an hour is enough to judge by.
EXCERPTS = {"mid30": 30.0, "full": 3600.0}
# feature kind -> "module:factory"; the factory takes the excerpt, and for kinds of a network its placement
EXTRACTORS = {
    "fma518": "music_reclass.extractors.fma518:Fma518",
    "musicnn": "music_reclass.extractors.musicnn:musicnn",
    "musicnn-tags": "music_reclass.extractors.musicnn:musicnn_tags",
    "mert": "music_reclass.extractors.mert:mert",
    "mert-layers": "music_reclass.extractors.mert:mert_layers",
    "mert-330m": "music_reclass.extractors.mert:mert_330m",
    "mert-330m-layers": "music_reclass.extractors.mert:mert_330m_layers",
    "jmla": "music_reclass.extractors.jmla:jmla",
    "ast-tags": "music_reclass.extractors.taggers:ast_tags",
    "distilhubert-genre": "music_reclass.extractors.taggers:genre_hubert",
}
# feature kind -> the model whose weights it needs
_WEIGHTS = {
    "musicnn": "musicnn",
    "musicnn-tags": "musicnn",
    "mert": "mert",
    "mert-layers": "mert",
    "mert-330m": "mert-330m",
    "mert-330m-layers": "mert-330m",
    "jmla": "jmla",
    "ast-tags": "ast",
    "distilhubert-genre": "hubert",
}


def require_weights(name: str) -> None:
    """MissingWeights where the weights that feature kind `name` needs are not installed; imports no extractor."""
    if name in _WEIGHTS:
        from music_reclass.extractors.weights.store import needed

        needed(_WEIGHTS[name])


def extractor(name: str, excerpt: str, placement: Placement | None = None) -> Extractor:
    """The extractor of feature kind `name` over `excerpt`; its network, if it has one, runs at `placement`.

    UsageError where there is no such kind or excerpt; MissingWeights, MissingExtra.
    """
    if name not in EXTRACTORS:
        raise UsageError(f"There is no feature kind {name!r}{_nearest(name, EXTRACTORS)}.")
    if excerpt not in EXCERPTS:
        raise UsageError(f"There is no excerpt {excerpt!r}{_nearest(excerpt, EXCERPTS)}.")
    module, factory = EXTRACTORS[name].split(":")
    make = getattr(importlib.import_module(module), factory)
    if name not in network_kinds():
        made: Extractor = make(excerpt)
        return made
    from music_reclass.extractors.device import Placement

    made = make(excerpt, placement or Placement())
    return made


def network_kinds() -> frozenset[str]:
    """The feature kinds that a torch network computes in batches; all others are computed whole in a worker."""
    return frozenset(kind for kind, model in _WEIGHTS.items() if model != "musicnn")


def _nearest(word: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}" if near else f"; choose one of {', '.join(known)}"
