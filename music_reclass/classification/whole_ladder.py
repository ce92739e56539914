"""Chosen tracks heard by every stage, in doubt or not: what certificates and audits of exits are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from music_reclass.features.store import Library

if TYPE_CHECKING:
    from music_reclass.classification.sources import Hearing
    from music_reclass.classification.stages import Stage
    from music_reclass.domain import FeatureKind
    from music_reclass.features.database import Database
    from music_reclass.utils.progress import Bar, Progress


class Listens(Protocol):
    """Stores vectors of tracks as it listens to them; `sources.Listener` does."""

    def listen(
        self, tracks: Sequence[tuple[int, str]], kind: FeatureKind, stop: Callable[[], bool], progress: Progress
    ) -> Hearing:
        """Listen to (id, path) for vectors of `kind` until `stop`."""
        ...


def lacking(database: Database, stages: Sequence[Stage], tracks: Sequence[int]) -> dict[str, int]:
    """How many of `tracks` have no stored vector of a kind that `stages` need, by the kind's name; those with none
    are left out."""
    library = Library(database)
    counts = {kind.name: len(tracks) - len(library.having(tracks, kind)) for kind in _kinds(stages)}
    return {name: count for name, count in counts.items() if count}


def hear(
    database: Database,
    stages: Sequence[Stage],
    tracks: Sequence[int],
    listener: Listens,
    stop: Callable[[], bool],
    bar: Bar,
) -> None:
    """Store every vector that `stages` need of `tracks` and that is not stored, until `stop`.

    A kind is listened for only where the kinds before it could be heard.
    """
    library = Library(database)
    left = list(tracks)
    for kind in _kinds(stages):
        stored = library.having(left, kind)
        missing = [track for track in left if track not in stored]
        paths = library.paths(missing)
        if paths and not stop():
            with bar(kind.name, len(paths)) as progress:
                hearing = listener.listen(
                    [(track, paths[track]) for track in missing if track in paths], kind, stop, progress
                )
            stored.update(hearing.heard)
        left = [track for track in left if track in stored]


def _kinds(stages: Sequence[Stage]) -> list[FeatureKind]:
    return list(dict.fromkeys(kind for stage in stages for kind in stage.kinds))
