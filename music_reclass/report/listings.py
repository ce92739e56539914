"""Lists of albums to review: conflicting tags and uncertain tracks, the most valuable first."""

from __future__ import annotations

import heapq
import os
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from music_reclass.classification.agreement import tag_agreement
from music_reclass.classification.albums import MIN_TRACKS, album_of

if TYPE_CHECKING:
    from music_reclass.classification.voter import Cascade
    from music_reclass.domain import Track
    from music_reclass.features.statistics import Outcomes

_SHOWN = 8  # tracks of one album


@dataclass(frozen=True, slots=True)
class ListedAlbum:
    """Tracks of one album, or of one folder where they have no album in common (`name` is then empty): how many there
    are, what they are worth together, and the most valuable ones, the most valuable first."""

    name: str
    folder: str
    count: int
    value: float
    tracks: tuple[Track, ...]

    def as_json(self) -> dict[str, Any]:
        """The album as plain values."""
        tracks = [
            {
                "path": track.path,
                "tags": list(track.tags.genres or ()),
                "genres": [list(pair) for pair in genres_of(track)],
                "confidence": track.decision.confidence if track.decision else 0.0,
            }
            for track in self.tracks
        ]
        return {"name": self.name, "folder": self.folder, "count": self.count, "value": self.value, "tracks": tracks}


@dataclass(frozen=True, slots=True)
class Listing:
    """Albums in the order in which to look at them, and how many there are in all."""

    albums: tuple[ListedAlbum, ...]
    all_albums: int
    all_tracks: int

    def as_json(self) -> dict[str, Any]:
        """The list as plain values."""
        albums = [album.as_json() for album in self.albums]
        return {"albums": albums, "all_albums": self.all_albums, "all_tracks": self.all_tracks}


def conflicts(outcomes: Outcomes, cascade: Cascade, most: int) -> Listing:
    """Albums whose tags the decisions contradict, the surest decision first; at most `most` of them."""
    agreement = tag_agreement(cascade)
    groups = _Groups()
    for track in outcomes.tagged_by_user():
        decision = track.decision
        if decision and decision.genres and agreement.agrees(decision.genres[0], track.tags.genres or ()) is False:
            groups.add(track, decision.confidence)
    return groups.listing(outcomes, most, max, lambda value, count, named: (round(value, 2), count))


def unsure(outcomes: Outcomes, cascade: Cascade, most: int) -> Listing:
    """Uncertain tracks, whole albums first, the most valuable before others; at most `most` groups.

    The value of a track that a later stage has not seen is the expected gain of asking that stage; of any other one
    its confidence, since the likeliest guess takes a person the least time. An album's value is the sum of its tracks'.
    """
    stages = {stage.name: stage for stage in cascade.stages}
    groups = _Groups()
    for track in outcomes.unsure():
        votes = track.decision.votes if track.decision else ()
        value = track.decision.confidence if track.decision else 0.0
        known = [vote for vote in votes if vote.stage in stages]
        if known and len(known) < len(stages):
            value = stages[known[-1].stage].expected_gain(known[-1])
        groups.add(track, value)
    return groups.listing(outcomes, most, sum, lambda value, count, named: (named and count >= MIN_TRACKS, value))


def genres_of(track: Track) -> tuple[tuple[str, float], ...]:
    """The decided genre of a track with its probability, or the two likeliest ones where it is uncertain."""
    decision = track.decision
    if decision is None:
        return ()
    if decision.genres:
        return ((decision.genres[0], decision.confidence),)
    return tuple(decision.votes[-1].top(2)) if decision.votes else ()


class _Groups:
    """Tracks by album, or by folder where they have none, each with a value: as numbers alone, some twenty bytes a
    track, so that the tracks of a large library are not in memory at once."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}  # digest of what the tracks share -> the group's number
        self._named = array("b")  # of each group, whether it is an album
        self._places: list[array[int]] = []  # of each group, the places of its tracks below
        self._tracks, self._values = array("q"), array("d")

    def add(self, track: Track, value: float) -> None:
        """Take in one track."""
        album = album_of(track.path, track.tags)
        shared = repr(album or os.path.dirname(track.path)).encode("utf-8", "surrogatepass")
        number = self._numbers.setdefault(blake2b(shared, digest_size=16).digest(), len(self._named))
        if number == len(self._named):
            self._named.append(album is not None)
            self._places.append(array("l"))
        self._places[number].append(len(self._tracks))
        self._tracks.append(track.id)
        self._values.append(value)

    def listing(
        self,
        outcomes: Outcomes,
        most: int,
        combine: Callable[[Sequence[float]], float],
        rank: Callable[[float, int, bool], tuple[float, float]],
    ) -> Listing:
        """The `most` groups that rank highest by value (that of their tracks, combined), size, and whether they are
        albums; their tracks are read now."""
        values = [combine([self._values[place] for place in places]) for places in self._places]
        ranks = (
            (rank(value, len(places), bool(named)), -number)
            for number, (value, places, named) in enumerate(zip(values, self._places, self._named, strict=True))
        )
        chosen = [-number for _, number in heapq.nlargest(most, ranks)]
        albums = (self._album(outcomes, number, values[number]) for number in chosen)
        return Listing(tuple(filter(None, albums)), len(self._places), len(self._tracks))

    def _album(self, outcomes: Outcomes, number: int, value: float) -> ListedAlbum | None:
        """A group with its most valuable tracks; None where another command has forgotten them meanwhile."""
        places = self._places[number]
        best = heapq.nlargest(_SHOWN, places, key=lambda place: (self._values[place], -self._tracks[place]))
        tracks = outcomes.tracks([self._tracks[place] for place in best])
        for first in outcomes.tracks([self._tracks[places[0]]]) or tracks[:1]:
            artist = (first.tags.album_artist or first.tags.artist).strip()
            name = " – ".join(filter(None, (artist, first.tags.album.strip()))) if self._named[number] else ""
            return ListedAlbum(name, os.path.dirname(first.path), len(places), value, tuple(tracks))
        return None
