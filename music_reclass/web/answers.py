"""What somebody answers on a page: stored at once as their decision, and taken back as easily."""

from __future__ import annotations

import getpass
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from music_reclass.errors import NothingToDo
from music_reclass.features.decisions import Decisions
from music_reclass.features.user_decisions import TRACK, UserDecision, UserDecisions, keys_of, title_of

if TYPE_CHECKING:
    from music_reclass.features.database import Database
    from music_reclass.features.user_decisions import Place
    from music_reclass.web.snapshot import Current

SOURCE = "web"
_KEPT = 1000  # answers that can be taken back
_KEPT_TRACKS = 200_000  # and how many tracks they may hold for


class Answer(NamedTuple):
    """What one answer changed: the tracks that it holds for, what was decided of them before and by it, by scope and
    key, and their stored decisions before and after, by track id."""

    number: int
    tracks: tuple[int, ...]
    before: dict[Place, UserDecision | None]
    made: Mapping[Place, UserDecision | None]
    rows: dict[int, tuple[Any, ...]]
    left: dict[int, tuple[Any, ...]]


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
        With `forget` what was decided of them is dropped instead. NothingToDo where nothing tells these tracks from
        others.
        """
        now, author = time.time(), _author()
        is_same = len({None if one is None else tuple(one) for one in genres.values()}) == 1
        wanted: dict[Place, UserDecision | None] = {}
        for track in Decisions(database).tracks(list(genres)):
            keys = keys_of(track.digest, track.tags)
            place = scope if scope in keys and (is_same or forget) else TRACK
            if place in keys:
                narrower = list(keys)[: list(keys).index(place)]  # they would hold against it
                wanted.update(((one, keys[one]), None) for one in narrower)
                chosen = genres[track.id]
                chosen = None if chosen is None else tuple(chosen)
                title = title_of(place, track.path, track.tags)
                made = UserDecision(place, keys[place], chosen, SOURCE, now, author, title)
                wanted[place, keys[place]] = None if forget else made
        if not wanted:
            raise NothingToDo(
                "No decision can be kept for these tracks: they name no album, and their audio was never read; "
                "scan them again."
            )
        decisions = Decisions(database)
        with self._lock:
            with database.transaction():  # nothing of it is stored where a part fails, and no job writes in between
                affected = tuple(sorted({*genres, *self._meant(database, wanted)}))
                rows = _by_track(decisions.rows(affected))
                before = _exchanged(database, wanted)
                decisions.overlay(affected)
                left = _by_track(decisions.rows(affected))
            self._last += 1
            answer = self._given[self._last] = Answer(self._last, affected, before, wanted, rows, left)
            while len(self._given) > _KEPT or (
                len(self._given) > 1 and sum(len(one.tracks) for one in self._given.values()) > _KEPT_TRACKS
            ):
                self._given.popitem(last=False)
        self._current.put(database, affected)
        return answer

    def undo(self, database: Database, number: int | None = None) -> Answer | None:
        """Bring back what was decided before an answer, by default the last one; None where it is unknown.

        What later answers, or other programs, decided of the same tracks stands; undoing a later one then brings back
        what was before this one.
        """
        decisions, known = Decisions(database), UserDecisions(database)
        with self._lock:
            last = next(reversed(self._given), 0) if number is None else number
            answer = self._given.get(last)
            if answer is None:
                return None
            later = [one for one in self._given.values() if one.number > last]
            heirs = {place: next((one for one in later if place in one.before), None) for place in answer.before}
            newest = {track: one for one in (answer, *later) for track in one.left}
            with database.transaction():
                ours = [place for place, heir in heirs.items() if heir is None]
                _exchanged(database, {one: answer.before[one] for one in ours if known.at(*one) == answer.made[one]})
                stored = _by_track(decisions.rows(answer.tracks))
                same = {track for track, row in stored.items() if track in newest and newest[track].left[track] == row}
                decisions.put_back(row for track, row in answer.rows.items() if track in same)
                decisions.overlay(answer.tracks)
                left = _by_track(decisions.rows(answer.tracks))
            del self._given[last]
            for place, heir in heirs.items():
                if heir is not None:
                    heir.before[place] = answer.before[place]
            others = [one for one in self._given.values() if not one.left.keys().isdisjoint(answer.rows)]
            for track in answer.rows:
                if mine := [one for one in others if track in one.left]:
                    _pass_on(mine, answer, track, left[track] if track in same else None)
        self._current.put(database, answer.tracks)
        return answer

    def _meant(self, database: Database, places: Mapping[Place, UserDecision | None]) -> set[int]:
        """The tracks that some scopes and keys mean, those too that a job has stored since the snapshot."""
        snapshot = self._current.get()
        wider = {place for place in places if place[0] != TRACK}
        tracks = set(UserDecisions(database).tracks_of([place for place in places if place[0] == TRACK]))
        tracks.update(one for scope, key in wider for one in snapshot.meant(scope, key))
        tracks.update(UserDecisions(database).tracks_of(wider, above=int(snapshot.ids.max(initial=0))) if wider else ())
        return tracks


def _exchanged(database: Database, wanted: Mapping[Place, UserDecision | None]) -> dict[Place, UserDecision | None]:
    """Put decisions, or none, in the place of those that are stored, which are returned; within a transaction."""
    known = UserDecisions(database)
    before = {place: known.at(*place) for place in wanted}
    known.drop([place for place, one in wanted.items() if one is None])
    known.store([one for one in wanted.values() if one is not None])
    return before


def _pass_on(others: Sequence[Answer], undone: Answer, track: int, left: tuple[Any, ...] | None) -> None:
    """Let the other answers about a track know what was stored before and after them; nothing (`left` None) where a
    scan or relabel has decided anew since."""
    heir = next((one for one in others if one.number > undone.number), None)
    if heir is not None:
        heir.rows[track] = undone.rows[track]
    if left is not None:
        others[-1].left[track] = left
        return
    for one in others:
        one.rows.pop(track, None)


def _by_track(rows: Sequence[tuple[Any, ...]]) -> dict[int, tuple[Any, ...]]:
    return {int(row[0]): tuple(row) for row in rows}


def _author() -> str:
    """Who the server runs for; "" where the machine has no name for them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""
