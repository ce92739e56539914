"""Lists of albums to review: conflicting tags and uncertain tracks, the most valuable first."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from music_reclass.classification.agreement import TagAgreement
from music_reclass.classification.albums import MIN_TRACKS, album_of

if TYPE_CHECKING:
    from music_reclass.classification.voter import Cascade
    from music_reclass.domain import Track
    from music_reclass.features.statistics import Outcomes

_SHOWN = 8  # tracks of one album


@dataclass(frozen=True, slots=True)
class ListedTrack:
    """One line: the file, its own genre values, and the genre decided or, in doubt, the likeliest ones."""

    path: str
    tags: tuple[str, ...]
    genres: tuple[tuple[str, float], ...]
    confidence: float


@dataclass(frozen=True, slots=True)
class ListedAlbum:
    """Tracks of one album, or of one folder where they have no album in common (`name` is then empty)."""

    name: str
    folder: str
    count: int
    value: float
    tracks: tuple[ListedTrack, ...]  # the first of `count`


@dataclass(frozen=True, slots=True)
class Listing:
    """Albums in the order in which to look at them, and how many there are in all."""

    albums: tuple[ListedAlbum, ...]
    all_albums: int
    all_tracks: int


@dataclass(slots=True)
class _Group:
    name: str
    folder: str
    count: int = 0
    total: float = 0.0
    best: float = 0.0
    heap: list[tuple[float, int, Track]] = field(default_factory=list)

    def add(self, track: Track, value: float) -> None:
        self.count += 1
        self.total += value
        self.best = max(self.best, value)
        heapq.heappush(self.heap, (value, -track.id, track))
        if len(self.heap) > _SHOWN:
            heapq.heappop(self.heap)

    @property
    def shown(self) -> list[Track]:
        """The most valuable tracks, the most valuable first."""
        return [track for _, _, track in sorted(self.heap, key=lambda item: item[:2], reverse=True)]


def conflicts(outcomes: Outcomes, own: TagAgreement, most: int) -> Listing:
    """Albums whose own tags the decisions contradict, the surest decision first; at most `most` of them."""
    groups: dict[tuple[str, ...], _Group] = {}
    for track in outcomes.tagged_by_user():
        decision = track.decision
        if decision and decision.genres and own.agrees(decision.genres[0], track.tags.genres or ()) is False:
            _group_of(track, groups).add(track, decision.confidence)
    order = heapq.nlargest(most, groups.values(), key=lambda group: (round(group.best, 2), group.count))
    albums = [
        ListedAlbum(group.name, group.folder, group.count, group.best, tuple(map(_decided, group.shown)))
        for group in order
    ]
    return _listing(albums, groups.values())


def unsure(outcomes: Outcomes, cascade: Cascade, most: int) -> Listing:
    """Tracks nobody is sure of, whole albums first, the most valuable before others; at most `most` groups.

    The value of a track that a later stage has not heard is what asking it is expected to gain; of any other one its
    confidence, since the likeliest guess takes a person the least time. An album is worth the sum of its tracks.
    """
    stages = {stage.name: stage for stage in cascade.stages}
    groups: dict[tuple[str, ...], _Group] = {}
    for track in outcomes.unsure():
        votes = track.decision.votes if track.decision else ()
        value = track.decision.confidence if track.decision else 0.0
        known = [vote for vote in votes if vote.stage in stages]
        if known and len(votes) < len(stages):
            value = stages[known[-1].stage].expected_gain(known[-1])
        _group_of(track, groups).add(track, value)
    chosen = heapq.nlargest(most, groups.values(), key=lambda g: (bool(g.name) and g.count >= MIN_TRACKS, g.total))
    albums = [
        ListedAlbum(group.name, group.folder, group.count, group.total, tuple(map(_guessed, group.shown)))
        for group in chosen
    ]
    return _listing(albums, groups.values())


def _group_of(track: Track, groups: dict[tuple[str, ...], _Group]) -> _Group:
    """The group of a track's album; tracks without such company go together by folder."""
    found = album_of(track.path, track.tags)
    folder = os.path.dirname(track.path)
    key = found if found is not None else ("", "", folder)
    if key not in groups:
        who = (track.tags.album_artist or track.tags.artist).strip()
        groups[key] = _Group(" – ".join(filter(None, (who, track.tags.album.strip()))) if found else "", folder)
    return groups[key]


def _decided(track: Track) -> ListedTrack:
    decision = track.decision
    if decision is None or not decision.genres:
        return ListedTrack(track.path, track.tags.genres or (), (), 0.0)
    genres = ((decision.genres[0], decision.confidence),)
    return ListedTrack(track.path, track.tags.genres or (), genres, decision.confidence)


def _guessed(track: Track) -> ListedTrack:
    decision = track.decision
    guesses = decision.votes[-1].top(2) if decision and decision.votes else ()
    confidence = decision.confidence if decision else 0.0
    return ListedTrack(track.path, track.tags.genres or (), tuple(guesses), confidence)


def _listing(albums: Sequence[ListedAlbum], groups: Iterable[_Group]) -> Listing:
    counts = [group.count for group in groups]
    return Listing(tuple(albums), len(counts), sum(counts))
