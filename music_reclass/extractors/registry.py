"""The extractors by the name of their feature kind; none is imported before it is asked for."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from music_reclass.errors import UsageError

if TYPE_CHECKING:
    from music_reclass.domain import Extractor, FeatureKind, Vector
    from music_reclass.extractors.device import Placement

# Further excerpts that may vote beside the middle (setting `windows`), in the order in which they join: at which share
# of the room that 30 s leave in a file, and how many seconds long it must be lest they overlap.
WINDOWS = {"start30": (0.1, 105.0), "end30": (0.9, 105.0), "early30": (0.3, 180.0), "late30": (0.7, 180.0)}
# Seconds, from the middle of the file unless it is one of WINDOWS. `full` is the whole file, but of the longest mixes
# the middle hour: memory grows with length, and an hour is enough to judge by.
EXCERPTS = {"mid30": 30.0, "full": 3600.0, **dict.fromkeys(WINDOWS, 30.0)}
# feature kind -> "module:factory"; the factory takes the excerpt, and for kinds of a network its placement
EXTRACTORS = {
    "fma518": "music_reclass.extractors.fma518:Fma518",
    "efficientat": "music_reclass.extractors.efficientat:efficientat",
    "efficientat-tags": "music_reclass.extractors.efficientat:efficientat_tags",
    "efficientat-mn10": "music_reclass.extractors.efficientat:efficientat_mn10",
    "efficientat-mn10-tags": "music_reclass.extractors.efficientat:efficientat_mn10_tags",
    "musicnn": "music_reclass.extractors.musicnn:musicnn",
    "musicnn-tags": "music_reclass.extractors.musicnn:musicnn_tags",
    "mert": "music_reclass.extractors.mert:mert",
    "mert-330m": "music_reclass.extractors.mert:mert_330m",
    "jmla": "music_reclass.extractors.jmla:jmla",
    "ast-tags": "music_reclass.extractors.taggers:ast_tags",
    "distilhubert-genre": "music_reclass.extractors.taggers:genre_hubert",
    "discogs": "music_reclass.extractors.discogs:discogs",
    "discogs-styles": "music_reclass.extractors.discogs:discogs_styles",
    "maest-styles": "music_reclass.extractors.taggers:maest_styles",
}
# feature kind -> the model whose weights it needs
_WEIGHTS = {
    "efficientat": "efficientat",
    "efficientat-tags": "efficientat",
    "efficientat-mn10": "efficientat-mn10",
    "efficientat-mn10-tags": "efficientat-mn10",
    "musicnn": "musicnn",
    "musicnn-tags": "musicnn",
    "mert": "mert",
    "mert-330m": "mert-330m",
    "jmla": "jmla",
    "ast-tags": "ast",
    "distilhubert-genre": "hubert",
    "discogs": "discogs-effnet",
    "discogs-styles": "discogs-effnet",
    "maest-styles": "maest",
}
# feature kinds whose version 2 differs from version 1 only in recordings a little shorter than a row of windows
_WINDOW_MORE = frozenset(("mert", "mert-330m", "ast-tags"))
_WITHOUT_TORCH = ("efficientat", "efficientat-mn10", "musicnn", "discogs-effnet")
# stage -> the model whose strengths of Discogs' styles, the kind `<stage>-styles`, name a genre without any training;
# in the order of the cascade, cheapest first
TAG_HEADS = {"discogs": "discogs-effnet", "maest": "maest"}


def require_weights(name: str) -> None:
    """MissingWeights where the weights that feature kind `name` needs are not installed; imports no extractor."""
    if name in _WEIGHTS:
        from music_reclass.extractors.weights.store import needed

        needed(_WEIGHTS[name])


def model_of(name: str) -> str:
    """The model whose weights feature kind `name` needs, "" where it needs none."""
    return _WEIGHTS.get(name, "")


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


def comparable(kind: FeatureKind) -> FeatureKind:
    """The kind of today with which vectors of an earlier version, and what was trained on them, may be mixed.

    Version 2 of MERT's kinds and of AST's tags is the same mean over windows, over one more where less than a second
    was wanting for it. (Stored vectors of such recordings were left behind by a migration.)
    """
    if kind.name in _WINDOW_MORE and kind.version.startswith("1-"):
        return replace(kind, version=f"2-{kind.version[2:]}")
    return kind


def network_kinds() -> frozenset[str]:
    """The feature kinds that a torch network computes in batches; all others are computed whole in a worker."""
    return frozenset(kind for kind, model in _WEIGHTS.items() if model not in _WITHOUT_TORCH)


def same_pass(name: str) -> tuple[str, ...]:
    """The kinds that one pass over a clip gives together with kind `name`, itself first; `vectors` computes them."""
    if name not in _WEIGHTS or name in network_kinds():
        return (name,)
    return (name, *(kind for kind, model in _WEIGHTS.items() if model == _WEIGHTS[name] and kind != name))


def vectors(made: Extractor, samples: Vector) -> dict[FeatureKind, Vector]:
    """The vector of the extractor's kind and of every kind that the same pass gives; SkipTrack, FailTrack."""
    several = getattr(made, "vectors", None)
    found: dict[FeatureKind, Vector] = several(samples) if several else {made.kind: made.vector(samples)}
    return found


def worker_kinds() -> frozenset[str]:
    """The feature kinds that a worker computes whole, without torch."""
    return frozenset(EXTRACTORS) - network_kinds()


def _nearest(word: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]!r}" if near else f"; choose one of {', '.join(known)}"
