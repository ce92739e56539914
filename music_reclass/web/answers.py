"""What somebody answers on a page: stored at once as their decision, and taken back as easily."""

from __future__ import annotations

import getpass
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from music_reclass.features.decisions import Decisions
from music_reclass.features.user_decisions import TRACK, UserDecision, UserDecisions, keys_of, title_of

if TYPE_CHECKING:
    from music_reclass.features.database import Database
    from music_reclass.features.user_decisions import Place
    from music_reclass.web.snapshot import Current

SOURCE = "web"
_KEPT = 1000  # answers that can be taken back


class Answer(NamedTuple):
    """What one answer changed: the tracks that it holds for, and what was decided of them before, by scope and key."""

    number: int
    tracks: tuple[int, ...]
    before: Mapping[Place, UserDecision | None]
    rows: Sequence[tuple[Any, ...]]  # their stored decisions before


class Answers:
    """The answers given since the server started; they are of all pages together, so that two browsers agree."""

    def __init__(self, current: Current) -> None:
        self._current = current
        self._lock = threading.Lock()
        self._given: OrderedDict[int, Answer] = OrderedDict()
        self._last = 0

    def give(
        self, database: Database, genres: Mapping[int, Sequence[str] | None], scope: str, *, forget: bool = False
    ) -> Answer:
        """Store what was decided of tracks: `genres` by track id, None to leave its tags alone for good.

        For an album or an artist (`scope`) one decision holds for all of it, where all these tracks get the same.
        With `forget` what was decided of them is dropped instead.
        """
        now, author = time.time(), _author()
        is_same = len({None if one is None else tuple(one) for one in genres.values()}) == 1
        wanted: dict[Place, UserDecision | None] = {}
        for track in Decisions(database).tracks(list(genres)):
            keys = keys_of(track.digest, track.tags)
            place = scope if scope in keys and (is_same or forget) else TRACK
            if place != TRACK and TRACK in keys:
                wanted[TRACK, keys[TRACK]] = None  # a narrower one would hold against it
            if place in keys:
                chosen = genres[track.id]
                chosen = None if chosen is None else tuple(chosen)
                title = title_of(place, track.path, track.tags)
                made = UserDecision(place, keys[place], chosen, SOURCE, now, author, title)
                wanted[place, keys[place]] = None if forget else made
        with self._lock:
            affected = tuple(sorted({*genres, *self._meant(database, wanted)}))
            rows = Decisions(database).rows(affected)
            before = self._exchanged(database, wanted)
            Decisions(database).put_user_decisions(affected)
            self._last += 1
            answer = self._given[self._last] = Answer(self._last, affected, before, rows)
            while len(self._given) > _KEPT:
                self._given.popitem(last=False)
        self._current.put(database, affected)
        return answer

    def undo(self, database: Database, number: int | None = None) -> Answer | None:
        """Bring back what was decided before an answer, by default the last one; None where it is unknown."""
        with self._lock:
            last = next(reversed(self._given), 0) if number is None else number
            answer = self._given.pop(last, None)
            if answer is None:
                return None
            self._exchanged(database, answer.before)
            Decisions(database).put_back(answer.rows)
        self._current.put(database, answer.tracks)
        return answer

    @staticmethod
    def _exchanged(database: Database, wanted: Mapping[Place, UserDecision | None]) -> dict[Place, UserDecision | None]:
        """Put decisions, or none, in the place of those that are stored, which are returned; all or nothing."""
        known = UserDecisions(database)
        with database.transaction():
            before = {place: known.at(*place) for place in wanted}
            known.drop([place for place, one in wanted.items() if one is None])
            known.store([one for one in wanted.values() if one is not None])
        return before

    def _meant(self, database: Database, places: Mapping[Place, UserDecision | None]) -> set[int]:
        """The tracks that some scopes and keys mean."""
        snapshot = self._current.get()
        tracks = UserDecisions(database).tracks_of([place for place in places if place[0] == TRACK])
        return {*tracks, *(one for scope, key in places if scope != TRACK for one in snapshot.meant(scope, key))}


def _author() -> str:
    """Who the server runs for; "" where the machine has no name for them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""
