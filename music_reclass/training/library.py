"""The user's library as a data set: stored vectors, labelled by the user's genre tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from music_reclass.domain import FeatureKind, Outcome
from music_reclass.errors import NothingToDo
from music_reclass.features.database import Database
from music_reclass.features.library import Library
from music_reclass.features.user_decisions import UserDecisions
from music_reclass.models.dataset import Raw
from music_reclass.utils.words import counted

if TYPE_CHECKING:
    from music_reclass.domain import Track, Vector


def read(
    database: Database,
    kind: FeatureKind,
    more: Sequence[FeatureKind] = (),
    *,
    partial: bool = False,
    among: Sequence[int] | None = None,
    decided: Mapping[int, Sequence[str]] | None = None,
) -> Raw:
    """Every track (of those with the ids `among`) with a vector of `kind` and a genre tag that reclass did not write;
    NothingToDo if none.

    Genres that the user `decided` for some of the tracks, by id, take the place of their tags.

    Tracks that lack a vector of one of the kinds in `more` are left out, or stay with NaN in its place where the rows
    may be `partial`; the notes say how many.
    """
    rows, genres, groups, names = [], [], [], []
    library = Library(database)
    lacking, gold = 0, set()
    decided = decided or {}
    for track in chain(library.tagged_by_user(kind, among), _untagged(library, kind, among, decided)):
        vectors = [track.vector, *(library.vectors([track.id], other).get(track.id) for other in more)]
        if any(vector is None for vector in vectors):
            lacking += 1
            if not partial:
                continue
        rows.append(np.concatenate([_or_nan(*pair) for pair in zip(vectors, (kind, *more), strict=True)]))
        genres.append(tuple(decided.get(track.id) or track.tags.genres or ()))
        groups.append(track.group)
        names.append(track.path)
        if track.id in decided:
            gold.add(track.path)
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
    notes = [f"{counted(ours, 'track')} with a genre that reclass wrote left out"] if ours else []
    if gold:
        notes.append(f"{counted(len(gold), 'track')} with a genre that you decided")
    if lacking:
        then = "are judged by the stages before" if partial else "are left out"
        notes.append(f"{lacking} tagged tracks have no vectors of {', '.join(k.name for k in more)} and {then}")
    return Raw(
        "library", np.stack(rows), genres, groups, names, kind, notes=tuple(notes), more=tuple(more), partial=partial,
        gold=frozenset(gold),
    )  # fmt: skip


def decided_genres(database: Database, kind: FeatureKind) -> dict[int, tuple[str, ...]]:
    """The genres that the user decided for tracks with a vector of `kind`, or for their album or artist, by id."""
    library, found = Library(database), UserDecisions(database).genres_by_track()
    having = library.having(sorted(found), kind)
    return {
        track.id: found[track.id]
        for track in library.tracks(sorted(having))
        if track.error is None and not track.missing and track.outcome is not Outcome.SKIPPED
    }


def labelled_tracks(database: Database, kind: FeatureKind, decided: Mapping[int, Sequence[str]]) -> Iterator[Track]:
    """The tracks with a vector of `kind` that a genre tag of the user labels, or that the user `decided`, without the
    vectors."""
    library = Library(database)
    tagged = {track.id: track for track in library.tracks_with(kind, tagged_by_user=True)}
    yield from tagged.values()
    yield from library.tracks(sorted(set(decided) - set(tagged)))


def _untagged(
    library: Library, kind: FeatureKind, among: Sequence[int] | None, decided: Mapping[int, Sequence[str]]
) -> Iterator[Track]:
    """Those of the tracks that the user decided which carry no tag of the user, with their vectors."""
    wanted = set(decided) if among is None else set(decided) & set(among)
    tagged = library.user_genres(wanted)
    vectors = library.vectors(sorted(wanted - tagged.keys()), kind)
    for track in library.tracks(vectors):
        yield replace(track, vector=vectors[track.id])


def _or_nan(vector: Vector | None, kind: FeatureKind) -> Vector:
    return np.full(kind.dimension, np.nan, dtype=np.float32) if vector is None else vector
