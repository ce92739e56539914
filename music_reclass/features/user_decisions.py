"""What the user decided: a genre, or to be left alone, for a track, an album or an artist; it holds over every scan."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from music_reclass.domain import Decision, Outcome, TrackTags
from music_reclass.taxonomy.tree import key

if TYPE_CHECKING:
    from music_reclass.features.database import Database

TRACK, ALBUM, ARTIST = SCOPES = ("track", "album", "artist")
STAGE = "user"
"""The stage of a decision that the user made."""

EDITED = "tag"
"""The source of a decision that the user made by editing the tag of a file in another program."""

Place = tuple[str, str]  # scope and key

_COLUMNS = "scope, key, genres, source, decided, author, title"
_NO_ALBUM = frozenset(map(key, ("Unknown Album", "Unknown", "Untitled", "None", "non-album tracks")))


class UserDecision(NamedTuple):
    """One decision of the user: `genres` None means to leave the tags alone and not to ask again."""

    scope: str
    key: str
    genres: tuple[str, ...] | None
    source: str  # the command, the list that was imported, or EDITED
    decided: float  # seconds since the epoch
    author: str = ""  # login name; "" where nobody knows
    title: str = ""  # what is meant, for people

    def over(self, decision: Decision) -> Decision:
        """What becomes of the decision of the models; the votes stay."""
        if self.genres is None:
            return replace(decision, outcome=Outcome.UNSURE, reason="left", genres=())
        return replace(
            decision, outcome=Outcome.CONFIDENT, reason="chosen", genres=self.genres, confidence=1.0, stage=STAGE
        )

    def as_json(self) -> dict[str, object]:
        """What holds, as `explain --json` prints it."""
        more = {"source": self.source, "author": self.author, "decided": self.decided}
        return {"scope": self.scope, "genres": None if self.genres is None else list(self.genres), **more}


def keys_of(digest: bytes | None, tags: TrackTags) -> dict[str, str]:
    """Under which key a track is meant, by scope, the narrowest first; scopes that it has not are absent.

    A track by its audio, whatever its name and tags become; an album by artist and title; all in one spelling.
    """
    album, artist = _keys_of_tags(tags.artist, tags.album_artist, tags.album, tags.compilation)
    found = {TRACK: "" if digest is None else digest.hex(), ALBUM: album, ARTIST: artist}
    return {scope: name for scope, name in found.items() if name}


@lru_cache(maxsize=4096)
def _keys_of_tags(artist: str, album_artist: str, album: str, compilation: bool) -> tuple[str, str]:
    """The keys of album and artist; "" for none. Many tracks in a row have the same."""
    of_album = "" if compilation else key(album_artist) or key(artist)
    name = key(album)
    album_key = "" if not name or name in _NO_ALBUM else f"{of_album}/{name}"
    return album_key, key(artist) or ("" if compilation else key(album_artist))


def title_of(scope: str, path: str, tags: TrackTags) -> str:
    """What a decision for this scope of a track is about, for people."""
    if scope == TRACK:
        return " - ".join(part for part in (tags.artist, tags.title) if part) or os.path.basename(path)
    artist = tags.artist or tags.album_artist
    if scope == ARTIST:
        return artist
    return " - ".join(part for part in ("" if tags.compilation else tags.album_artist or artist, tags.album) if part)


class UserDecisions:
    """Questions and statements about the decisions of the user."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.connection

    def set(
        self, scope: str, name: str, genres: Sequence[str] | None, source: str, *, author: str = "", title: str = ""
    ) -> None:
        """Store one, in the place of an earlier one of the same scope and key."""
        chosen = None if genres is None else tuple(genres)
        with self._database.transaction():
            self.store([UserDecision(scope, name, chosen, source, time.time(), author, title)])

    def store(self, decisions: Iterable[UserDecision]) -> None:
        """Store some, each in the place of an earlier one of its scope and key; within a transaction of the caller."""
        self._sql.executemany(
            f"INSERT INTO user_decision ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
            " ON CONFLICT (scope, key) DO UPDATE SET genres = excluded.genres, source = excluded.source,"
            " decided = excluded.decided, author = excluded.author, title = excluded.title",
            (one._replace(genres=None if one.genres is None else json.dumps(list(one.genres))) for one in decisions),  # type: ignore[arg-type]
        )

    def remove(self, scope: str, name: str) -> bool:
        """Drop one; whether there was one."""
        with self._database.transaction():
            return bool(self.drop([(scope, name)]))

    def drop(self, places: Iterable[Place]) -> int:
        """Drop those of these scopes and keys; how many there were; within a transaction of the caller."""
        query = "DELETE FROM user_decision WHERE scope = ? AND key = ?"
        return sum(self._sql.execute(query, place).rowcount for place in places)

    def count(self) -> int:
        """How many there are."""
        return int(self._sql.execute("SELECT count(*) FROM user_decision").fetchone()[0])

    def all(self) -> list[UserDecision]:
        """All of them, oldest first."""
        rows = self._sql.execute(f"SELECT {_COLUMNS} FROM user_decision ORDER BY decided, title, key")  # noqa: S608
        return [_of_row(row) for row in rows.fetchall()]

    def at(self, scope: str, name: str) -> UserDecision | None:
        """The one of this scope and key."""
        query = f"SELECT {_COLUMNS} FROM user_decision WHERE scope = ? AND key = ?"  # noqa: S608
        row = self._sql.execute(query, (scope, name)).fetchone()
        return None if row is None else _of_row(row)

    def of(self, digest: bytes | None, tags: TrackTags) -> UserDecision | None:
        """The one that holds for a track: its own, else its album's, else its artist's."""
        query = f"SELECT {_COLUMNS} FROM user_decision WHERE scope = ? AND key = ?"  # noqa: S608
        for place in keys_of(digest, tags).items():
            row = self._sql.execute(query, place).fetchone()
            if row is not None:
                return _of_row(row)
        return None

    def tracks_of(self, places: Iterable[Place], above: int = 0) -> dict[int, Place]:
        """The tracks, missing ones too, that some of these scopes and keys mean, each with the narrowest of them.

        One pass over the names in the library where albums or artists are among them; over those of ids `above` one.
        """
        wanted = set(places)
        if all(scope == TRACK for scope, _ in wanted):
            query = "SELECT id FROM track WHERE digest = ?"
            rows = ((place, self._sql.execute(query, (bytes.fromhex(place[1]),))) for place in wanted)
            return {int(row[0]): place for place, found in rows for row in found.fetchall()}
        found = {}
        query = "SELECT id, digest, artist, album_artist, album, compilation FROM track WHERE id > ?"
        cursor = self._sql.execute(query, (above,))
        while chunk := cursor.fetchmany(500):
            for track_id, digest, artist, album_artist, album, compilation in chunk:
                names = (TRACK, ALBUM, ARTIST)
                keys = ("" if digest is None else digest.hex(),
                        *_keys_of_tags(artist, album_artist, album, bool(compilation)))  # fmt: skip
                place = next((place for place in zip(names, keys, strict=True) if place in wanted), None)
                if place is not None:
                    found[int(track_id)] = place
        return found

    def genres_by_track(self) -> dict[int, tuple[str, ...]]:
        """The genres that the user chose for tracks, or for their album or artist, by id; what is to be left alone is
        absent."""
        chosen = {(one.scope, one.key): one.genres for one in self.all()}
        if not chosen:
            return {}
        places = self.tracks_of(chosen).items()
        return {track: genres for track, place in places if (genres := chosen[place]) is not None}

    def overlaid(self, decisions: Mapping[int, Decision]) -> dict[int, Decision]:
        """Decisions by track id, with those of the user in their place; the votes stay."""
        if self._sql.execute("SELECT 1 FROM user_decision LIMIT 1").fetchone() is None:
            return dict(decisions)
        return {track_id: self._overlaid(track_id, decision) for track_id, decision in decisions.items()}

    def _overlaid(self, track_id: int, decision: Decision) -> Decision:
        row = self._sql.execute(
            "SELECT digest, artist, album_artist, album, compilation FROM track WHERE id = ?", (track_id,)
        ).fetchone()
        if row is None:
            return decision
        digest, artist, album_artist, album, compilation = row
        tags = TrackTags(artist=artist, album_artist=album_artist, album=album, compilation=bool(compilation))
        chosen = self.of(digest, tags)
        return decision if chosen is None else chosen.over(decision)


def _of_row(row: Sequence[object]) -> UserDecision:
    scope, name, genres, source, decided, author, title = row
    chosen = None if genres is None else tuple(json.loads(str(genres)))
    return UserDecision(str(scope), str(name), chosen, str(source), float(str(decided)), str(author), str(title))
