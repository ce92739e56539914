"""Lists of albums to review: conflicting tags and uncertain tracks, the most valuable first."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from music_reclass.classification.agreement import TagAgreement
from music_reclass.classification.albums import MIN_TRACKS, album_of
from music_reclass.report.statistics import voters_of

if TYPE_CHECKING:
    from music_reclass.classification.voter import Cascade
    from music_reclass.features.statistics import DecidedTrack, Outcomes

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
    heap: list[tuple[float, int, DecidedTrack]] = field(default_factory=list)

    def add(self, track: DecidedTrack, value: float) -> None:
        self.count += 1
        self.total += value
        self.best = max(self.best, value)
        heapq.heappush(self.heap, (value, -track.id, track))
        if len(self.heap) > _SHOWN:
            heapq.heappop(self.heap)

    @property
    def shown(self) -> list[DecidedTrack]:
        """The most valuable tracks, the most valuable first."""
        return [track for _, _, track in sorted(self.heap, key=lambda item: item[:2], reverse=True)]


def conflicts(outcomes: Outcomes, own: TagAgreement, most: int) -> Listing:
    """Albums whose own tags the decisions contradict, the surest decision first; at most `most` of them."""
    groups: dict[tuple[str, ...], _Group] = {}
    for track in outcomes.with_own_tag():
        if track.genre and own.agrees(track.genre, track.tags.genres or ()) is False:
            _group_of(track, groups).add(track, track.confidence)
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
    order = [voter.stage for voter in voters_of(outcomes, cascade)]
    stages = {stage.name: stage for stage in cascade.stages}
    groups: dict[tuple[str, ...], _Group] = {}
    for track in outcomes.unsure():
        value = track.confidence
        if track.votes < len(stages):
            vote = outcomes.last_votes([track.id], list(stages)).get(track.id)
            value = value if vote is None else stages[vote.stage].expected_gain(vote)
        _group_of(track, groups).add(track, value)
    chosen = heapq.nlargest(most, groups.values(), key=lambda g: (bool(g.name) and g.count >= MIN_TRACKS, g.total))
    votes = outcomes.last_votes((track.id for group in chosen for track in group.shown), order)
    albums = [
        ListedAlbum(
            group.name,
            group.folder,
            group.count,
            group.total,
            tuple(_guessed(track, dict(votes[track.id].top(2)) if track.id in votes else {}) for track in group.shown),
        )
        for group in chosen
    ]
    return _listing(albums, groups.values())


def _group_of(track: DecidedTrack, groups: dict[tuple[str, ...], _Group]) -> _Group:
    """The group of a track's album; tracks without such company go together by folder."""
    found = album_of(track.path, track.tags)
    folder = os.path.dirname(track.path)
    key = found if found is not None else ("", "", folder)
    if key not in groups:
        who = (track.tags.album_artist or track.tags.artist).strip()
        groups[key] = _Group(" – ".join(filter(None, (who, track.tags.album.strip()))) if found else "", folder)
    return groups[key]


def _decided(track: DecidedTrack) -> ListedTrack:
    genres = ((track.genre, track.confidence),) if track.genre else ()
    return ListedTrack(track.path, track.tags.genres or (), genres, track.confidence)


def _guessed(track: DecidedTrack, guesses: Mapping[str, float]) -> ListedTrack:
    return ListedTrack(track.path, track.tags.genres or (), tuple(guesses.items()), track.confidence)


def _listing(albums: Sequence[ListedAlbum], groups: Iterable[_Group]) -> Listing:
    counts = [group.count for group in groups]
    return Listing(tuple(albums), len(counts), sum(counts))
