"""Lists of albums to review: conflicting tags and uncertain tracks, the most valuable first."""

from __future__ import annotations

import heapq
import operator
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from music_reclass.classification.agreement import tag_agreement
from music_reclass.classification.albums import MIN_TRACKS, album_of

if TYPE_CHECKING:
    from music_reclass.classification.voter import Cascade
    from music_reclass.domain import Track
    from music_reclass.features.statistics import Outcomes

_SHOWN = 8  # tracks of one album


@dataclass(slots=True)
class ListedAlbum:
    """Tracks of one album, or of one folder where they have no album in common (`name` is then empty)."""

    name: str
    folder: str
    count: int = 0
    value: float = 0.0
    _best: list[tuple[float, int, Track]] = field(default_factory=list)  # a heap

    def add(self, track: Track, value: float, combine: Callable[[float, float], float]) -> None:
        """Take in one track; `combine` makes the album's value of its old one and the track's."""
        self.count += 1
        self.value = combine(self.value, value)
        heapq.heappush(self._best, (value, -track.id, track))
        if len(self._best) > _SHOWN:
            heapq.heappop(self._best)

    @property
    def tracks(self) -> list[Track]:
        """The most valuable tracks, the most valuable first."""
        return [track for _, _, track in sorted(self._best, key=lambda item: item[:2], reverse=True)]

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
    groups: dict[tuple[str, ...], ListedAlbum] = {}
    for track in outcomes.tagged_by_user():
        decision = track.decision
        if decision and decision.genres and agreement.agrees(decision.genres[0], track.tags.genres or ()) is False:
            _group_of(track, groups).add(track, decision.confidence, max)
    chosen = heapq.nlargest(most, groups.values(), key=lambda album: (round(album.value, 2), album.count))
    return _listing(chosen, groups.values())


def unsure(outcomes: Outcomes, cascade: Cascade, most: int) -> Listing:
    """Uncertain tracks, whole albums first, the most valuable before others; at most `most` groups.

    The value of a track that a later stage has not seen is the expected gain of asking that stage; of any other one
    its confidence, since the likeliest guess takes a person the least time. An album's value is the sum of its tracks'.
    """
    stages = {stage.name: stage for stage in cascade.stages}
    groups: dict[tuple[str, ...], ListedAlbum] = {}
    for track in outcomes.unsure():
        votes = track.decision.votes if track.decision else ()
        value = track.decision.confidence if track.decision else 0.0
        known = [vote for vote in votes if vote.stage in stages]
        if known and len(known) < len(stages):
            value = stages[known[-1].stage].expected_gain(known[-1])
        _group_of(track, groups).add(track, value, operator.add)
    chosen = heapq.nlargest(
        most, groups.values(), key=lambda album: (bool(album.name) and album.count >= MIN_TRACKS, album.value)
    )
    return _listing(chosen, groups.values())


def genres_of(track: Track) -> tuple[tuple[str, float], ...]:
    """The decided genre of a track with its probability, or the two likeliest ones where it is uncertain."""
    decision = track.decision
    if decision is None:
        return ()
    if decision.genres:
        return ((decision.genres[0], decision.confidence),)
    return tuple(decision.votes[-1].top(2)) if decision.votes else ()


def _group_of(track: Track, groups: dict[tuple[str, ...], ListedAlbum]) -> ListedAlbum:
    """The group of a track's album; tracks without an album go together by folder."""
    found = album_of(track.path, track.tags)
    folder = os.path.dirname(track.path)
    key = found if found is not None else ("", "", folder)
    if key not in groups:
        artist = (track.tags.album_artist or track.tags.artist).strip()
        name = " – ".join(filter(None, (artist, track.tags.album.strip()))) if found else ""
        groups[key] = ListedAlbum(name, folder)
    return groups[key]


def _listing(chosen: Iterable[ListedAlbum], groups: Iterable[ListedAlbum]) -> Listing:
    counts = [album.count for album in groups]
    return Listing(tuple(chosen), len(counts), sum(counts))
