"""The tag prior: what tags on an artist's other albums, and on the rest of an album, say about the genre of a track."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from music_reclass.classification.agreement import TagAgreement
from music_reclass.classification.albums import album_of, artist_of, effective_tracks
from music_reclass.domain import Vote
from music_reclass.errors import BundleError
from music_reclass.features.library import Library
from music_reclass.taxonomy.tree import key

if TYPE_CHECKING:
    from music_reclass.domain import Track
    from music_reclass.features.database import Database
    from music_reclass.taxonomy import Taxonomy

STAGE = "tags"
"""The name under which what the tags say is kept beside the votes of the stages."""

_FEW = 50  # tracks, as one album has: their artists' tags are read, not those of the library
_SMOOTHING = 1.0  # albums, or tracks, that are reckoned to be tagged as the library is on average

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TagPrior:
    """How much tags nearby count: the weights of their log-odds, learned on the library; 0: not at all.

    `frequency` is how often the library's tags name each of `labels`.
    """

    labels: tuple[str, ...]
    frequency: tuple[float, ...]
    artist: float  # of the tags on the artist's other albums
    album: float  # of the tags on the other tracks of the album

    def __post_init__(self) -> None:
        known = len(self.labels) == len(self.frequency) > 1 and all(0.0 < share < 1.0 for share in self.frequency)
        if not known or not (0.0 <= self.artist <= 2.0 and 0.0 <= self.album <= 2.0):
            raise BundleError("The tag prior makes no sense; learn again (reclass learn).")

    @property
    def digest(self) -> str:
        """SHA-256 over all of it, as hex."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """Plain values, for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> TagPrior:
        """The prior that `as_json` wrote down; BundleError, KeyError, TypeError or ValueError if it makes no sense."""
        return cls(
            tuple(map(str, stored["labels"])),
            tuple(map(float, stored["frequency"])),
            float(stored["artist"]),
            float(stored["album"]),
        )

    def vote(self, log_odds: tuple[Doubles, Doubles]) -> Vote | None:
        """What the tags nearby say, given the log-odds of each kind of them, (labels,); None where that is nothing."""
        scores = self.artist * log_odds[0] + self.album * log_odds[1]
        if not scores.any():
            return None
        shares = np.exp(scores - scores.max())
        return Vote(STAGE, dict(zip(self.labels, (shares / shares.sum()).tolist(), strict=True)))


class TagIndex:
    """The user's genre tags of a library, by artist and album, counted in `labels`."""

    def __init__(self, tracks: Iterable[Track], labels: Sequence[str], taxonomy: Taxonomy) -> None:
        self.labels = tuple(labels)
        self._counted = TagAgreement(taxonomy, self.labels).counted_as
        self._place = {name: number for number, name in enumerate(self.labels)}
        self._genres: dict[int, int] = {}  # track -> place of its label
        self._artists: dict[str, dict[str, Doubles]] = {}  # artist -> album title -> counts, (labels,)
        self._albums: dict[tuple[str, str, str], Doubles] = {}
        for track in tracks:
            place = self._place.get(self._counted(track.tags.genres or ()) or "")
            if place is None:
                continue
            self._genres[track.id] = place
            if artist := artist_of(track.tags):
                titles = self._artists.setdefault(artist, {})
                self._add(titles.setdefault(_title(track), np.zeros(len(self.labels))), place)
            if (album := album_of(track.path, track.tags)) is not None:
                self._add(self._albums.setdefault(album, np.zeros(len(self.labels))), place)

    @staticmethod
    def _add(counts: Doubles, place: int) -> None:
        counts[place] += 1.0

    @property
    def frequency(self) -> Doubles:
        """The share of the tagged tracks that each label has, never 0, (labels,)."""
        counts = np.bincount(list(self._genres.values()), minlength=len(self.labels)) + 0.5
        return np.asarray(counts / counts.sum(), dtype=np.float64)

    def log_odds(self, track: Track, frequency: Doubles) -> tuple[Doubles, Doubles]:
        """By how much likelier the tags on the artist's other albums, and those on the other tracks of the album, make
        each label than `frequency` does, in nats; never the track's own tag, zero where there are none; (labels,) each.

        An album counts once, however many tracks it has, and tracks of one album for as many as are independent.
        """
        titles = self._artists.get(artist_of(track.tags), {})
        this = _title(track)
        others = [counts / counts.sum() for title, counts in titles.items() if title != this]
        artist = _log_odds(np.sum(others, axis=0), frequency) if others else np.zeros(len(self.labels))
        album = album_of(track.path, track.tags)
        beside = np.zeros(len(self.labels)) if album is None else self._albums.get(album, np.zeros(len(self.labels)))
        if album is not None and track.id in self._genres:
            beside = beside.copy()
            beside[self._genres[track.id]] -= 1.0
        count = int(beside.sum())
        if not count:
            return artist, np.zeros(len(self.labels))
        return artist, _log_odds(beside * (effective_tracks(count) / count), frequency)


def _log_odds(counts: Doubles, frequency: Doubles) -> Doubles:
    smoothed = (counts + _SMOOTHING * frequency) / (counts.sum() + _SMOOTHING)
    return np.asarray(np.log(smoothed / frequency), dtype=np.float64)


def _title(track: Track) -> str:
    """What keeps an album apart from the artist's others: its title, in any folder; a track without one is alone."""
    return key(track.tags.album) or f"\0{track.path}"


class TagVotes:
    """What a prior says of the tracks of a library; its tags are read when many of them are first needed."""

    def __init__(self, prior: TagPrior, database: Database, taxonomy: Taxonomy) -> None:
        self.prior = prior
        self._library, self._taxonomy = Library(database), taxonomy
        self._index: TagIndex | None = None

    def votes(self, track_ids: Iterable[int]) -> dict[int, Vote]:
        """The vote of the tags for each of `track_ids` that has tags nearby."""
        tracks = list(self._library.tracks(track_ids))
        index = self._index_for(tracks)
        frequency = np.array(self.prior.frequency)
        votes = {track.id: self.prior.vote(index.log_odds(track, frequency)) for track in tracks}
        return {track_id: vote for track_id, vote in votes.items() if vote is not None}

    def _index_for(self, tracks: Sequence[Track]) -> TagIndex:
        """The tags of the whole library, or those of the artists of a few tracks alone."""
        if self._index is not None:
            return self._index
        if len(tracks) <= _FEW:
            wanted = {key(name) for track in tracks for name in (track.tags.artist, track.tags.album_artist)} - {""}
            named = [name for name in self._library.artists() if key(name) in wanted]
            return TagIndex(self._library.all_tagged_by_user(named), self.prior.labels, self._taxonomy)
        self._index = TagIndex(self._library.all_tagged_by_user(), self.prior.labels, self._taxonomy)
        return self._index
