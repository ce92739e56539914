"""The vectors of one file: the stored ones, else by listening now; it remembers what that cost, and stores nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from music_reclass.errors import TrackError

if TYPE_CHECKING:
    from music_reclass.classification.stages import FeatureSource
    from music_reclass.domain import FeatureKind, Vector
    from music_reclass.utils.device import Placement


@dataclass(slots=True)
class Ear:
    """A feature source for the track `number` at `path` and, through `stored`, for the others of its album.

    What is not stored is listened to if `listens`. `known`: vectors by kind, also those made here; `seconds`: what
    listening took, with loading what it needs; `missed`: why it could not be done.
    """

    number: int
    path: Path
    placement: Placement
    stored: FeatureSource | None = None
    listens: bool = True
    known: dict[FeatureKind, Vector] = field(default_factory=dict)
    seconds: dict[FeatureKind, float] = field(default_factory=dict)
    missed: dict[FeatureKind, TrackError] = field(default_factory=dict)

    def vectors(self, track_ids: Iterable[int], kind: FeatureKind) -> dict[int, Vector]:
        """The vectors of those of `track_ids` that have one of `kind`, or get one now."""
        wanted = list(track_ids)
        found = {} if self.stored is None else self.stored.vectors(wanted, kind)
        if self.number in wanted:
            own = self.known.get(kind, found.get(self.number))
            if own is None and self.listens and kind not in self.missed:
                own = self._listened(kind)
            if own is not None:
                self.known[kind] = found[self.number] = own
        return found

    def _listened(self, kind: FeatureKind) -> Vector | None:
        from music_reclass.extractors import audio, pipeline
        from music_reclass.extractors.registry import extractor

        start = time.perf_counter()
        made: Any
        if kind.name in pipeline.network_kinds():
            made = pipeline.open_extractor(kind.name, kind.excerpt, self.placement)
        else:
            made = extractor(kind.name, kind.excerpt)
        if made.kind != kind:  # other weights than those the stage learned from: it does not vote
            return None
        try:
            vector: Vector = made.vector(audio.load(self.path, kind.excerpt, made.rate).samples)
        except TrackError as error:
            self.missed[kind] = error
            return None
        self.seconds[kind] = time.perf_counter() - start
        return vector
