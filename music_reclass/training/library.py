"""The user's library as a data set: stored vectors, labelled by the user's genre tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from music_reclass.domain import FeatureKind
from music_reclass.errors import NothingToDo
from music_reclass.features.database import Database
from music_reclass.features.library import Library
from music_reclass.models.dataset import Raw

if TYPE_CHECKING:
    from music_reclass.domain import Vector


def read(
    database: Database,
    kind: FeatureKind,
    more: Sequence[FeatureKind] = (),
    *,
    partial: bool = False,
    among: Sequence[int] | None = None,
) -> Raw:
    """Every track (of those with the ids `among`) with a vector of `kind` and a genre tag that reclass did not write;
    NothingToDo if none.

    Tracks that lack a vector of one of the kinds in `more` are left out, or stay with NaN in its place where the rows
    may be `partial`; the notes say how many.
    """
    rows, genres, groups, names = [], [], [], []
    library = Library(database)
    lacking = 0
    for track in library.tagged_by_user(kind, among):
        vectors = [track.vector, *(library.vectors([track.id], other).get(track.id) for other in more)]
        if any(vector is None for vector in vectors):
            lacking += 1
            if not partial:
                continue
        rows.append(np.concatenate([_or_nan(*pair) for pair in zip(vectors, (kind, *more), strict=True)]))
        genres.append(track.tags.genres or ())
        groups.append(track.group)
        names.append(track.path)
    if not rows and lacking:
        raise NothingToDo(
            f"None of the {lacking} tagged tracks has stored vectors of {', '.join(other.key for other in more)}; scan "
            "with the stages that need them first."
        )
    if not rows:
        raise NothingToDo(
            "No track of the library has both a genre tag that reclass did not write and stored features; scan a "
            "tagged folder first (reclass scan --dry-run PATH)."
        )
    ours = library.written_by_us()
    notes = [f"{ours} tracks hold a genre that reclass wrote; they are left out"] if ours else []
    if lacking:
        then = "are judged by the stages before" if partial else "are left out"
        notes.append(f"{lacking} tagged tracks have no vectors of {', '.join(k.name for k in more)} and {then}")
    return Raw(
        "library", np.stack(rows), genres, groups, names, kind, notes=tuple(notes), more=tuple(more), partial=partial
    )


def _or_nan(vector: Vector | None, kind: FeatureKind) -> Vector:
    return np.full(kind.dimension, np.nan, dtype=np.float32) if vector is None else vector
