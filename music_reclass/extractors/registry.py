"""Which extractors there are, by the name of their feature kind; none is imported before it is asked for."""

from __future__ import annotations

import difflib
import importlib
from typing import TYPE_CHECKING

from music_reclass.errors import UsageError

if TYPE_CHECKING:
    from music_reclass.domain import Extractor

EXCERPTS = ("mid30", "full")
# feature kind -> "module:factory"; the factory takes the excerpt
EXTRACTORS = {
    "fma518": "music_reclass.extractors.fma518:fma518",
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


def extractor(name: str, excerpt: str) -> Extractor:
    """The extractor of feature kind `name` over `excerpt`; UsageError where there is no such kind or excerpt."""
    if name not in EXTRACTORS:
        raise UsageError(f"there is no feature kind {name!r}{_nearest(name, EXTRACTORS)}.")
    if excerpt not in EXCERPTS:
        raise UsageError(f"there is no excerpt {excerpt!r}{_nearest(excerpt, EXCERPTS)}.")
    module, factory = EXTRACTORS[name].split(":")
    made: Extractor = getattr(importlib.import_module(module), factory)(excerpt)
    return made


def _nearest(word: str, known: dict[str, str] | tuple[str, ...]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}" if near else f"; choose one of {', '.join(known)}"
