"""What the user decided: a genre, or to be left alone, for a track, an album or an artist; it holds over every scan."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from music_reclass.domain import Decision, Outcome, TrackTags
from music_reclass.taxonomy.tree import key

if TYPE_CHECKING:
    from music_reclass.features.database import Database

TRACK, ALBUM, ARTIST = SCOPES = ("track", "album", "artist")
STAGE = "user"
"""The stage of a decision that the user made."""

_NO_ALBUM = frozenset(map(key, ("Unknown Album", "Unknown", "Untitled", "None", "non-album tracks")))


class UserDecision(NamedTuple):
    """One decision of the user: `genres` None means to leave the tags alone and not to ask again."""

    scope: str
    key: str
    genres: tuple[str, ...] | None
    source: str  # the command
    decided: float  # seconds since the epoch


def keys_of(digest: bytes | None, tags: TrackTags) -> dict[str, str]:
    """Under which key a track is meant, by scope, the narrowest first; scopes that it has not are absent.

    A track by its audio, whatever its name and tags become; an album by artist and title; all in one spelling.
    """
    artist = key(tags.artist) or ("" if tags.compilation else key(tags.album_artist))
    of_album = "" if tags.compilation else key(tags.album_artist) or key(tags.artist)
    album = key(tags.album)
    found = {
        TRACK: "" if digest is None else digest.hex(),
        ALBUM: "" if not album or album in _NO_ALBUM else f"{of_album}/{album}",
        ARTIST: artist,
    }
    return {scope: name for scope, name in found.items() if name}


class UserDecisions:
    """Questions and statements about the decisions of the user."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.connection

    def set(self, scope: str, name: str, genres: Sequence[str] | None, source: str) -> None:
        """Store one, in the place of an earlier one of the same scope and key."""
        with self._database.transaction():
            self._sql.execute(
                "INSERT INTO user_decision (scope, key, genres, source, decided) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (scope, key) DO UPDATE SET genres = excluded.genres, source = excluded.source,"
                " decided = excluded.decided",
                (scope, name, None if genres is None else json.dumps(list(genres)), source, time.time()),
            )

    def remove(self, scope: str, name: str) -> bool:
        """Drop one; whether there was one."""
        with self._database.transaction():
            query = "DELETE FROM user_decision WHERE scope = ? AND key = ?"
            return bool(self._sql.execute(query, (scope, name)).rowcount)

    def all(self) -> list[UserDecision]:
        """All of them, oldest first."""
        rows = self._sql.execute("SELECT scope, key, genres, source, decided FROM user_decision ORDER BY decided, key")
        return [_of_row(row) for row in rows.fetchall()]

    def of(self, digest: bytes | None, tags: TrackTags) -> UserDecision | None:
        """The one that holds for a track: its own, else its album's, else its artist's."""
        for scope, name in keys_of(digest, tags).items():
            row = self._sql.execute(
                "SELECT scope, key, genres, source, decided FROM user_decision WHERE scope = ? AND key = ?",
                (scope, name),
            ).fetchone()
            if row is not None:
                return _of_row(row)
        return None

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
        if chosen is None:
            return decision
        if chosen.genres is None:
            return replace(decision, outcome=Outcome.UNSURE, reason="left", genres=())
        return replace(
            decision, outcome=Outcome.CONFIDENT, reason="chosen", genres=chosen.genres, confidence=1.0, stage=STAGE
        )


def _of_row(row: Sequence[object]) -> UserDecision:
    scope, name, genres, source, decided = row
    chosen = None if genres is None else tuple(json.loads(str(genres)))
    return UserDecision(str(scope), str(name), chosen, str(source), float(str(decided)))
