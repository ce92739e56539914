"""Vectors of changed versions of tracks, for training: kept beside the tracks' own, in kinds no stage asks for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from music_reclass.domain import FeatureKind
from music_reclass.features.codec import decode, encode
from music_reclass.features.database import Database

if TYPE_CHECKING:
    from music_reclass.domain import Vector


def kind_of(kind: FeatureKind, version: str) -> FeatureKind:
    """The kind of a version's vectors: its name stands behind the excerpt, so that it is never mixed with others."""
    return replace(kind, excerpt=f"{kind.excerpt}~{version}")


class Versions:
    """Questions and statements about vectors of versions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.connection

    def save(self, vectors: Mapping[str, Mapping[str, Vector]], kind: FeatureKind) -> None:
        """Store path -> version -> vector in one transaction; paths that are no track are left out."""
        with self._database.transaction():
            for path, own in vectors.items():
                for version, vector in own.items():
                    self._sql.execute(
                        "INSERT OR REPLACE INTO vector (track_id, kind, data)"
                        " SELECT id, ?, ? FROM track WHERE path = ?",
                        (kind_of(kind, version).key, encode(vector), os.fsencode(path)),
                    )

    def of(self, paths: Iterable[str], version: str, kind: FeatureKind) -> dict[str, Vector]:
        """The stored vectors of a version by path, of those of `paths` that have one."""
        found = {}
        for path in paths:
            row = self._sql.execute(
                "SELECT v.data FROM vector v JOIN track t ON t.id = v.track_id WHERE t.path = ? AND v.kind = ?",
                (os.fsencode(path), kind_of(kind, version).key),
            ).fetchone()
            if row is not None:
                found[path] = decode(row[0], kind.dimension)
        return found
