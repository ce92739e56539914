"""Tracks whose genre tag is somebody's word: stored vectors with the tags as last read, our own writings left out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from music_reclass.domain import FeatureKind, TrackTags
from music_reclass.features.codec import decode
from music_reclass.features.database import Database
from music_reclass.features.store import batched_rows

if TYPE_CHECKING:
    from music_reclass.domain import Vector

# Ours: what we wrote, was not undone, and still stands there. A genre that somebody put in its place is theirs.
OURS = "(t.path, json(t.genres)) IN (SELECT path, json(after) FROM change WHERE state = 'written' AND undoes IS NULL)"


@dataclass(frozen=True, slots=True)
class LabelledTrack:
    """One track with a genre tag and a vector."""

    id: int
    path: str
    genres: tuple[str, ...]
    tags: TrackTags
    vector: Vector


class LabelledTracks:
    """Questions about tracks that carry a genre."""

    def __init__(self, database: Database) -> None:
        self._sql = database.connection

    def with_vector(self, kind: FeatureKind) -> Iterator[LabelledTrack]:
        """The tracks that have a vector of `kind` and a genre that we did not write, by path."""
        cursor = self._sql.execute(
            "SELECT t.id, t.path, t.genres, t.title, t.artist, t.album_artist, t.album, t.compilation, v.data"  # noqa: S608
            " FROM track t JOIN vector v ON v.track_id = t.id AND v.kind = ?"
            f" WHERE t.missing_since IS NULL AND json_array_length(t.genres) > 0 AND NOT {OURS}"
            " ORDER BY t.path",
            (kind.key,),
        )
        for rows in batched_rows(cursor):
            for track_id, path, genres, title, artist, album_artist, album, compilation, blob in rows:
                values = tuple(json.loads(genres))
                tags = TrackTags(values, title, artist, album_artist, album, bool(compilation))
                yield LabelledTrack(track_id, os.fsdecode(path), values, tags, decode(blob, kind.dimension))

    def vectors_of_all(self, kind: FeatureKind, most: int) -> list[Vector]:
        """Vectors of `kind` of at most `most` tracks that are there, spread evenly over the library."""
        query = "FROM vector v JOIN track t ON t.id = v.track_id WHERE v.kind = ? AND t.missing_since IS NULL"
        (count,) = self._sql.execute(f"SELECT count(*) {query}", (kind.key,)).fetchone()
        step = max(1, -(-count // most))
        rows = self._sql.execute(f"SELECT v.data {query} AND v.track_id % ? = 0", (kind.key, step))
        return [decode(blob, kind.dimension) for (blob,) in rows]

    def written_by_us(self) -> int:
        """How many tracks hold a genre that we wrote and that was not undone."""
        query = f"SELECT count(*) FROM track t WHERE t.missing_since IS NULL AND {OURS}"  # noqa: S608
        return int(self._sql.execute(query).fetchone()[0])
