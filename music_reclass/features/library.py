"""Tracks, their vectors, tags and failures; vectors of augmentations; which genre tags are the user's."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from music_reclass.domain import UNWRITABLE, Decision, FeatureKind, Outcome, Track, TrackTags, Vote
from music_reclass.errors import FailTrack, SkipTrack, TrackError
from music_reclass.features.database import Database, decode, encode, ranges_below
from music_reclass.features.user_decisions import EDITED, UserDecision, UserDecisions, keys_of, title_of
from music_reclass.taxonomy.tree import SEPARATORS, key

if TYPE_CHECKING:
    import sqlite3

    import numpy as np
    from numpy.typing import NDArray

    from music_reclass.domain import Vector

# A failure that may pass without the file changing is tried again at every scan.
PASSING = ("permission", "io", "vanished", "no_space", "timeout", "crashed", "memory")

CLEANING = "genres clean"
"""The command of the runs that spelled genres otherwise: what they wrote is whose it was before."""


def _genres(column: str) -> str:
    """A list of genres in the journal as JSON that compares; NULL for a damaged one."""
    return f"CASE WHEN json_valid({column}) THEN json({column}) END"


_CLEANINGS = f"SELECT id FROM run WHERE command = '{CLEANING}'"  # noqa: S608

# Of a track t: a change that was not undone wrote these very genres into a file with this audio, whatever its name is
# now. Genres that somebody else put in their place are the user's. Answered by the index `change_genres`; the journal
# stores plain characters, `track` escaped ones.
WRITTEN_BY_US = f"""EXISTS (
    SELECT 1 FROM change c WHERE c.payload = t.digest AND c.state = 'written' AND c.undoes IS NULL
    AND {_genres("c.after")} = (SELECT json_group_array(value) FROM json_each(t.genres))
    AND NOT CASE WHEN json_valid(c.style) THEN json_extract(c.style, '$.alone') ELSE 0 END
    AND (c.run_id NOT IN ({_CLEANINGS}) OR EXISTS (
        SELECT 1 FROM change b WHERE b.payload = c.payload AND b.state = 'written' AND b.undoes IS NULL AND b.id < c.id
        AND {_genres("b.after")} = {_genres("c.before")} AND b.run_id NOT IN ({_CLEANINGS})
    ))
)"""  # noqa: S608
TAGGED_BY_USER = f"json_array_length(t.genres) > 0 AND NOT {WRITTEN_BY_US}"

# The warnings of a track without that of a file that cannot be written (UNWRITABLE).
_WRITABLE = "(SELECT json_group_array(value) FROM json_each(warnings) WHERE value NOT LIKE 'unwritable: %')"

# One row of a track for `track_of`, of track t with its decision d and its failure f.
TRACK = """
    SELECT t.id, t.path, t.size, t.mtime_ns, t.digest, t.duration, t.genres, t.title, t.artist, t.album_artist,
           t.album, t.compilation, t.warnings, t.missing_since, d.outcome, d.reason, d.genres, d.confidence, d.stage,
           f.outcome, f.reason, f.detail"""
FROM_TRACK = """
    FROM track t LEFT JOIN decision d ON d.track_id = t.id LEFT JOIN failure f ON f.track_id = t.id
"""
USABLE = "t.missing_since IS NULL AND f.track_id IS NULL"
IS_MUSIC = "d.outcome IS NOT 'skipped'"
MUSICAL = f"{USABLE} AND {IS_MUSIC}"


def track_of(row: Sequence[Any], votes: Sequence[Vote] = (), vector: Vector | None = None) -> Track:
    """A row of TRACK as a track."""
    (track_id, path, size, mtime_ns, digest, duration, genres, title, artist, album_artist, album, compilation,
     warnings, missing, outcome, reason, decided, confidence, stage, failed, why, detail) = row  # fmt: skip
    tags = TrackTags(
        genres=None if genres is None else _strings(genres),
        title=title, artist=artist, album_artist=album_artist, album=album, compilation=bool(compilation),
    )  # fmt: skip
    decision = None
    if outcome is not None:
        decision = Decision(Outcome(outcome), reason, _strings(decided), confidence, stage, tuple(votes))
    error = None if failed is None else (SkipTrack if failed == "skipped" else FailTrack)(why, detail)
    return Track(
        os.fsdecode(path), size, mtime_ns, digest, duration, tags, _strings(warnings), vector, error, decision,
        missing is not None, track_id,
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _strings(text: str) -> tuple[str, ...]:
    """A JSON list; few distinct ones in many tracks."""
    return tuple(json.loads(text))


def _names(genres: Sequence[str]) -> frozenset[str]:
    """The names in a genre field, however they are spelled and divided."""
    parts = (part for value in genres for part in re.split(f"[{re.escape(SEPARATORS)}]", value))
    return frozenset(filter(None, map(key, parts)))


class Library:
    """Questions and statements about tracks. One transaction a call; an interrupted call leaves nothing half done."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._sql = database.connection

    def save(self, tracks: Sequence[Track], kind: FeatureKind) -> list[int]:
        """Store a batch, `vector` as one of `kind`, in one transaction; the track ids in the same order.

        A moved track keeps its id."""
        with self.database.transaction():
            return [self._save_one(track, kind) for track in tracks]

    def _save_one(self, track: Track, kind: FeatureKind) -> int:
        track_id, known_digest = self._row_for(track)
        if track.vector is None and track.digest is not None and track.error is None:
            track = self._as_first_read(track)
        if track_id is not None and track.digest is not None and known_digest == track.digest and track.error is None:
            self._note_edit(track_id, track)
        tags, genres = track.tags, None if track.tags.genres is None else json.dumps(list(track.tags.genres))
        values: dict[str, Any] = {
            "path": os.fsencode(track.path), "size": track.size, "mtime_ns": track.mtime_ns,
            "digest": track.digest, "duration": track.duration, "warnings": json.dumps(track.warnings),
            "title": tags.title, "artist": tags.artist, "album_artist": tags.album_artist, "album": tags.album,
            "compilation": int(tags.compilation), "genres": genres, "seen": time.time(), "missing_since": None,
        }  # fmt: skip
        if track_id is None:
            columns = ", ".join(values)
            marks = ", ".join(f":{name}" for name in values)
            cursor = self._sql.execute(f"INSERT INTO track ({columns}) VALUES ({marks})", values)  # noqa: S608
            track_id = int(cursor.lastrowid or 0)
        else:
            if track.digest is None:  # it could not be read this time: keep what was known of it
                values = {name: values[name] for name in ("size", "mtime_ns", "seen", "missing_since")}
            elif known_digest != track.digest:  # other audio under the same name
                self._sql.execute("DELETE FROM vector WHERE track_id = ?", (track_id,))
                self._sql.execute("DELETE FROM vote WHERE track_id = ?", (track_id,))
                self._sql.execute("DELETE FROM peaks WHERE track_id = ?", (track_id,))
            assignments = ", ".join(f"{name} = :{name}" for name in values)
            self._sql.execute(f"UPDATE track SET {assignments} WHERE id = :id", {**values, "id": track_id})  # noqa: S608
        self._sql.execute("DELETE FROM decision WHERE track_id = ?", (track_id,))
        if track.error is not None:
            self._save_failure(track_id, track.error)
            return track_id
        self._sql.execute("DELETE FROM failure WHERE track_id = ?", (track_id,))
        if track.vector is not None:
            for of_kind, vector in ({kind: track.vector} | dict(track.more)).items():
                self._save_vector(track_id, of_kind, encode(vector))
            if track.peaks:
                query = "INSERT OR REPLACE INTO peaks (track_id, data) VALUES (?, ?)"
                self._sql.execute(query, (track_id, track.peaks))
        elif track.digest is not None:
            self._copy_vectors(track_id, track.digest)
        return track_id

    def _note_edit(self, track_id: int, track: Track) -> None:
        """Take down as the user's word that a file, of whose genre we or they had decided, holds another one now.

        What was there before we wrote, or nothing, says to leave the tag alone: a restored backup looks the same. Other
        separators or spellings between the same names are no other genre. A decision to leave it alone stays.
        """
        (text,) = self._sql.execute("SELECT genres FROM track WHERE id = ?", (track_id,)).fetchone()
        old = () if text is None else _strings(text)
        now = track.tags.genres or ()
        if _names(old) == _names(now):
            return
        ours = f"SELECT 1 FROM track t WHERE t.id = ? AND json_array_length(t.genres) > 0 AND {WRITTEN_BY_US}"  # noqa: S608
        wrote = self._sql.execute(ours, (track_id,)).fetchone() is not None
        known = UserDecisions(self.database)
        holds = known.of(track.digest, track.tags)
        if not wrote and holds is None:
            return
        if holds is not None and (holds.genres is None or _names(holds.genres) == _names(now)):
            return
        former = self._sql.execute(
            "SELECT before FROM change WHERE payload = ? AND state = 'written' AND undoes IS NULL"
            " AND CASE WHEN json_valid(after) THEN json(after) END IS NOT NULL AND json_valid(before)",
            (track.digest,),
        )
        returned = not _names(now) or (wrote and any(_names(_strings(text)) == _names(now) for (text,) in former))
        title = title_of("track", track.path, track.tags)
        name = keys_of(track.digest, track.tags)["track"]
        known.store([UserDecision("track", name, None if returned else now, EDITED, time.time(), "", title)])

    def _as_first_read(self, track: Track) -> Track:
        """A track that was not decoded, with what decoding this audio gave the first time."""
        row = self._sql.execute(
            "SELECT duration, warnings FROM track WHERE digest = ? AND duration IS NOT NULL LIMIT 1", (track.digest,)
        ).fetchone()
        if row is None:
            return track
        of_sound = (note for note in json.loads(row[1]) if not note.startswith(UNWRITABLE))
        return replace(track, duration=row[0], warnings=(*of_sound, *track.warnings))

    def _row_for(self, track: Track) -> tuple[int | None, bytes | None]:
        """The row this track belongs to: the one of its path, else one of a file with this audio that has moved."""
        row = self._sql.execute("SELECT id, digest FROM track WHERE path = ?", (os.fsencode(track.path),)).fetchone()
        if row is None and track.digest is not None:
            same_audio = self._sql.execute("SELECT id, digest, path FROM track WHERE digest = ?", (track.digest,))
            for track_id, digest, path in same_audio.fetchall():
                if not os.path.lexists(path):
                    return track_id, digest
        return row if row is not None else (None, None)

    def _save_failure(self, track_id: int, error: TrackError) -> None:
        """Store a failure; one that was stored before for the same reason keeps its time: it is not new."""
        outcome = "skipped" if isinstance(error, SkipTrack) else "failed"
        self._sql.execute(
            "INSERT INTO failure (track_id, outcome, reason, detail, at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (track_id) DO UPDATE SET"
            " at = CASE WHEN reason = excluded.reason THEN at ELSE excluded.at END,"
            " outcome = excluded.outcome, reason = excluded.reason, detail = excluded.detail",
            (track_id, outcome, error.reason, error.detail, time.time()),
        )

    def peaks(self, track_id: int) -> bytes | None:
        """The outline of the excerpt of a track; None where none is stored."""
        row = self._sql.execute("SELECT data FROM peaks WHERE track_id = ?", (track_id,)).fetchone()
        return None if row is None else bytes(row[0])

    def _save_vector(self, track_id: int, kind: FeatureKind, blob: bytes) -> None:
        self._sql.execute(
            "INSERT INTO vector (track_id, kind, data) VALUES (?, ?, ?)"
            " ON CONFLICT (track_id, kind) DO UPDATE SET data = excluded.data",
            (track_id, kind.key, blob),
        )

    def _copy_vectors(self, track_id: int, digest: bytes) -> None:
        """Take over the vectors and the outline that are stored for the same audio under another name."""
        self._sql.execute(
            "INSERT OR IGNORE INTO vector (track_id, kind, data) SELECT ?, v.kind, v.data FROM vector v"
            " JOIN track t ON t.id = v.track_id WHERE t.digest = ? AND t.id <> ? GROUP BY v.kind",
            (track_id, digest, track_id),
        )
        self._sql.execute(
            "INSERT OR IGNORE INTO peaks (track_id, data) SELECT ?, p.data FROM peaks p"
            " JOIN track t ON t.id = p.track_id WHERE t.digest = ? AND t.id <> ? LIMIT 1",
            (track_id, digest, track_id),
        )

    def add_vectors(self, vectors: Mapping[int, NDArray[np.float32]], kind: FeatureKind) -> None:
        """Store vectors of one kind by track id, in one transaction."""
        with self.database.transaction():
            for track_id, vector in vectors.items():
                self._save_vector(track_id, kind, encode(vector))

    def paths(self, track_ids: Iterable[int]) -> dict[int, str]:
        """Where those of `track_ids` lie that are known and not missing."""
        found: dict[int, str] = {}
        for track_id in track_ids:
            row = self._sql.execute(
                "SELECT path FROM track WHERE id = ? AND missing_since IS NULL", (track_id,)
            ).fetchone()
            if row is not None:
                found[track_id] = os.fsdecode(row[0])
        return found

    def digests_that_may_return(self, path: str, size: int, kind: FeatureKind) -> tuple[bytes, ...]:
        """Digests with a stored vector that this file may turn out to have: that of its last state (retagged), or
        those of files of the same size (moved or copied)."""
        rows = self._sql.execute(
            "SELECT DISTINCT t.digest FROM track t JOIN vector v ON v.track_id = t.id AND v.kind = :kind"
            " WHERE t.digest IS NOT NULL AND (t.path = :path OR t.size = :size) LIMIT 1000",
            {"kind": kind.key, "path": os.fsencode(path), "size": size},
        )
        return tuple(row[0] for row in rows)

    def vectors(self, track_ids: Iterable[int], kind: FeatureKind) -> dict[int, NDArray[np.float32]]:
        """The stored vectors of those of `track_ids` that have one, each of shape (kind.dimension,)."""
        found: dict[int, NDArray[np.float32]] = {}
        for track_id in track_ids:
            row = self._sql.execute(
                "SELECT data FROM vector WHERE track_id = ? AND kind = ?", (track_id, kind.key)
            ).fetchone()
            if row is not None:
                found[track_id] = decode(row[0], kind.dimension)
        return found

    def having(self, track_ids: Iterable[int], kind: FeatureKind) -> set[int]:
        """Those of `track_ids` that have a stored vector of `kind`."""
        query = "SELECT 1 FROM vector WHERE track_id = ? AND kind = ?"
        return {track for track in track_ids if self._sql.execute(query, (track, kind.key)).fetchone()}

    def unfinished(self, files: Iterable[Track], *, lastingly: bool = False) -> Iterator[Track]:
        """Those of `files` that are not known with this size and time, or were neither decided nor failed; with
        `lastingly` also those that were decided for the time being, or failed for a passing reason. Files that we wrote
        are known: their rows say what they look like since."""
        passing = json.dumps(PASSING)
        for file in files:
            row = self._sql.execute(
                "SELECT 1 FROM track t LEFT JOIN decision d ON d.track_id = t.id"
                " LEFT JOIN failure f ON f.track_id = t.id"
                " WHERE t.path = :path AND t.size = :size AND t.mtime_ns = :mtime AND t.missing_since IS NULL"
                " AND (f.track_id IS NOT NULL OR d.track_id IS NOT NULL)"
                " AND NOT (:lastingly AND (d.basis IS ''"
                " OR coalesce(f.reason, '') IN (SELECT value FROM json_each(:passing))))",
                {
                    "path": os.fsencode(file.path), "size": file.size, "mtime": file.mtime_ns, "lastingly": lastingly,
                    "passing": passing,
                },
            ).fetchone()  # fmt: skip
            if row is None:
                yield file

    def refresh(self, path: str, size: int, mtime_ns: int, genres: tuple[str, ...] | None) -> None:
        """After we wrote (or restored) a file: what it looks like now, so that the next scan need not read it.

        Its digest becomes the one that was written with, which a scan by an older version may have had otherwise.
        """
        with self.database.transaction():
            self._sql.execute(
                f"UPDATE track SET size = ?, mtime_ns = ?, genres = ?, warnings = {_WRITABLE}, digest = coalesce(("  # noqa: S608
                "   SELECT payload FROM change c WHERE c.id = (SELECT max(id) FROM change) AND c.path = track.path"
                "   AND c.state IN ('staged', 'written')), digest)"
                " WHERE path = ?",
                (size, mtime_ns, None if genres is None else json.dumps(list(genres)), os.fsencode(path)),
            )

    def note_unwritable(self, path: str, reason: str) -> None:
        """A genre could not be written to the file at `path`, for a reason of FailTrack; noted until that succeeds, or
        the file is read again."""
        with self.database.transaction():
            self._sql.execute(
                f"UPDATE track SET warnings = json_insert({_WRITABLE}, '$[#]', ?) WHERE path = ?",  # noqa: S608
                (UNWRITABLE + reason, os.fsencode(path)),
            )

    def is_known(self, file: Track) -> bool:
        """Whether the tags of a file were read as it is, by size and modification time."""
        query = "SELECT 1 FROM track WHERE path = ? AND size = ? AND mtime_ns = ? AND digest IS NOT NULL"
        return self._sql.execute(query, (os.fsencode(file.path), file.size, file.mtime_ns)).fetchone() is not None

    def decision_at(self, path: str) -> Decision | None:
        """What was decided of the file at `path`, without votes."""
        row = self._sql.execute(f"{TRACK} {FROM_TRACK} WHERE t.path = ?", (os.fsencode(path),)).fetchone()
        return None if row is None else track_of(row).decision

    def paths_of_audio(self, payload: bytes) -> list[str]:
        """Where files with this audio payload were last seen."""
        rows = self._sql.execute("SELECT path FROM track WHERE digest = ? ORDER BY path", (payload,))
        return [os.fsdecode(path) for (path,) in rows]

    def genre_counts(self) -> list[tuple[str, int]]:
        """Every distinct genre value in the files as last read, with the number of tracks, most first."""
        rows = self._sql.execute(
            "SELECT j.value, count(*) AS n FROM track t, json_each(t.genres) j"
            " WHERE t.missing_since IS NULL GROUP BY j.value ORDER BY n DESC, j.value"
        )
        return [(str(value), int(count)) for value, count in rows]

    def tracks_with(self, kind: FeatureKind, *, tagged_by_user: bool = False) -> Iterator[Track]:
        """The music that has a vector of `kind`, or those tracks of it with a genre that the user gave, by id; without
        the vectors."""
        condition = f"{MUSICAL} AND {TAGGED_BY_USER}" if tagged_by_user else MUSICAL
        cursor = self._sql.execute(
            f"{TRACK} {FROM_TRACK} JOIN vector v ON v.track_id = t.id AND v.kind = ? WHERE {condition} ORDER BY t.id",
            (kind.key,),
        )
        for rows in batched_rows(cursor):
            yield from map(track_of, rows)

    def all_tagged_by_user(self, artists: Iterable[str] | None = None) -> Iterator[Track]:
        """The tracks (of those by `artists`, as tags spell them) with a genre that the user gave, with features or
        without."""
        named = "SELECT value FROM json_each(:names)"
        chosen = "" if artists is None else f"(t.artist IN ({named}) OR t.album_artist IN ({named})) AND "
        cursor = self._sql.execute(
            f"{TRACK} {FROM_TRACK} WHERE {chosen}{USABLE} AND {TAGGED_BY_USER}",
            {"names": json.dumps(list(artists or ()))},
        )
        for rows in batched_rows(cursor):
            yield from map(track_of, rows)

    def artists(self) -> set[str]:
        """Every artist, of a track or of an album, as tags spell them."""
        rows = self._sql.execute("SELECT artist FROM track UNION SELECT album_artist FROM track")
        return {str(name) for (name,) in rows}

    def tracks(self, track_ids: Iterable[int]) -> Iterator[Track]:
        """Those of `track_ids` that are known, without vectors and votes."""
        for track_id in track_ids:
            row = self._sql.execute(f"{TRACK} {FROM_TRACK} WHERE t.id = ?", (track_id,)).fetchone()
            if row is not None:
                yield track_of(row)

    def user_genres(self, track_ids: Iterable[int]) -> dict[int, tuple[str, ...]]:
        """The genre values of those of `track_ids` that carry some that the user gave."""
        query = f"SELECT t.genres FROM track t WHERE t.id = ? AND {TAGGED_BY_USER}"  # noqa: S608
        rows = ((track_id, self._sql.execute(query, (track_id,)).fetchone()) for track_id in track_ids)
        return {track_id: _strings(row[0]) for track_id, row in rows if row is not None}

    def tagged_by_user(self, kind: FeatureKind, among: Sequence[int] | None = None) -> Iterator[Track]:
        """The music (of the tracks with the ids `among`) that has a vector of `kind` and a genre of the user, with the
        vectors, by path."""
        chosen = "" if among is None else "t.id IN (SELECT value FROM json_each(?)) AND "
        cursor = self._sql.execute(
            f"{TRACK}, v.data {FROM_TRACK} JOIN vector v ON v.track_id = t.id AND v.kind = ?"
            f" WHERE {chosen}t.missing_since IS NULL AND {IS_MUSIC} AND {TAGGED_BY_USER} ORDER BY t.path",
            (kind.key,) if among is None else (kind.key, json.dumps(list(among))),
        )
        for rows in batched_rows(cursor):
            for *row, blob in rows:
                yield track_of(row, vector=decode(blob, kind.dimension))

    def sampled_vectors(self, kind: FeatureKind, most: int) -> list[Vector]:
        """Vectors of `kind` of at most `most` tracks that are there, spread evenly over the library."""
        query = "FROM vector v JOIN track t ON t.id = v.track_id WHERE v.kind = ? AND t.missing_since IS NULL"
        (count,) = self._sql.execute(f"SELECT count(*) {query}", (kind.key,)).fetchone()
        step = max(1, -(-count // most))
        rows = self._sql.execute(f"SELECT v.data {query} AND v.track_id % ? = 0", (kind.key, step))
        return [decode(blob, kind.dimension) for (blob,) in rows]

    def all_vectors(self, kind: FeatureKind, size: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Ids (n,) and vectors (n, kind.dimension) of all tracks that are there and have one, `size` at a time."""
        import numpy as np

        cursor = self._sql.execute(
            "SELECT v.track_id, v.data FROM vector v JOIN track t ON t.id = v.track_id"
            " WHERE v.kind = ? AND t.missing_since IS NULL",
            (kind.key,),
        )
        for rows in batched_rows(cursor, size):
            ids = np.array([row[0] for row in rows], dtype=np.int64)
            yield ids, np.stack([decode(row[1], kind.dimension) for row in rows])

    def written_by_us(self) -> int:
        """How many tracks hold a genre that we wrote and that was not undone."""
        query = f"SELECT count(*) FROM track t WHERE t.missing_since IS NULL AND {WRITTEN_BY_US}"  # noqa: S608
        return int(self._sql.execute(query).fetchone()[0])

    def missing(self, folders: Sequence[str] = ()) -> list[tuple[int, str]]:
        """The tracks that are missing, all or those at or below `folders`, by path: (track id, path)."""
        query = "SELECT id, path FROM track WHERE missing_since IS NOT NULL AND path >= ? AND path < ? ORDER BY path"
        return [
            (int(track_id), os.fsdecode(path))
            for start, end in ranges_below(folders)
            for track_id, path in self._sql.execute(query, (start, end))
        ]

    def forget(self, track_ids: Sequence[int]) -> None:
        """Drop tracks with their vectors, votes and decisions, in one transaction; the journal stays."""
        with self.database.transaction():
            self._sql.executemany("DELETE FROM track WHERE id = ?", ((track_id,) for track_id in track_ids))

    def totals(self) -> dict[str, int]:
        """Tracks, missing tracks and vectors in the library."""
        tracks, missing = self._sql.execute("SELECT count(*), count(missing_since) FROM track").fetchone()
        (vectors,) = self._sql.execute("SELECT count(*) FROM vector").fetchone()
        return {"tracks": tracks - missing, "missing": missing, "vectors": vectors}


# The kinds that are embeddings or descriptors of sound, the later stages of a cascade first.
_BEST_FIRST = (
    "mert-330m", "mert", "discogs", "maest-styles", "efficientat-mn10", "efficientat", "musicnn", "jmla", "fma518",
)  # fmt: skip
_MOST_HAVE = 0.9  # of the tracks with any vectors


def best_kind(database: Database) -> FeatureKind | None:
    """The kind of stored vectors that tells most, of those that nearly all tracks with vectors have; None for none."""
    sql = database.connection
    counts = dict(sql.execute("SELECT kind, count(*) FROM vector WHERE kind NOT GLOB '*~*' GROUP BY kind").fetchall())
    most = max(counts.values(), default=0)
    usual = [kind for kind, count in counts.items() if count >= _MOST_HAVE * most]
    named = [(kind.split("/")[0], kind) for kind in usual]
    ranked = sorted((_BEST_FIRST.index(name), kind) for name, kind in named if name in _BEST_FIRST)
    if not ranked:
        return None
    key_ = ranked[0][1]
    name, version, excerpt = key_.split("/")
    (size,) = sql.execute("SELECT length(data) FROM vector WHERE kind = ? LIMIT 1", (key_,)).fetchone()
    return FeatureKind(name, version, size // 4, excerpt)


def batched_rows(cursor: sqlite3.Cursor, size: int = 500) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a query in lists of `size`: flat memory for any library."""
    while rows := cursor.fetchmany(size):
        yield rows


def augmented_kind(kind: FeatureKind, augmentation: str) -> FeatureKind:
    """The kind of an augmentation's vectors: its name stands behind the excerpt, so that kinds are never mixed."""
    return replace(kind, excerpt=f"{kind.excerpt}~{augmentation}")


class AugmentedVectors:
    """Questions and statements about vectors of augmentations."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.connection

    def save(self, vectors: Mapping[str, Mapping[str, Vector]], kind: FeatureKind) -> None:
        """Store path -> augmentation -> vector in one transaction; a path that is no track is left out."""
        with self._database.transaction():
            for path, augmented in vectors.items():
                for augmentation, vector in augmented.items():
                    self._sql.execute(
                        "INSERT OR REPLACE INTO vector (track_id, kind, data)"
                        " SELECT id, ?, ? FROM track WHERE path = ?",
                        (augmented_kind(kind, augmentation).key, encode(vector), os.fsencode(path)),
                    )

    def of(self, paths: Iterable[str], augmentation: str, kind: FeatureKind) -> dict[str, Vector]:
        """The stored vectors of an augmentation by path, of those of `paths` that have one."""
        found = {}
        for path in paths:
            row = self._sql.execute(
                "SELECT v.data FROM vector v JOIN track t ON t.id = v.track_id WHERE t.path = ? AND v.kind = ?",
                (os.fsencode(path), augmented_kind(kind, augmentation).key),
            ).fetchone()
            if row is not None:
                found[path] = decode(row[0], kind.dimension)
        return found
