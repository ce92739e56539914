"""Album consensus: one vote of an album from its tracks' votes, weighted by how far those are independent."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from music_reclass.domain import TrackTags, Vote
from music_reclass.taxonomy.tree import key

if TYPE_CHECKING:
    from music_reclass.domain import Track

STAGE = "album"
"""The name under which an album's vote is kept beside those of the stages."""

MIN_TRACKS = 3
"""Two tracks are a pair, not a consensus."""

CORRELATION = 0.75
"""How much the errors of two tracks of one album have in common; measured by benchmarks/album_consensus.py."""

_FLOOR = 1e-6  # a stage that rounds to zero has not proved anything impossible
_MANY_ARTISTS = frozenset(
    key(name)
    for name in (
        "Various Artists; Various Artist; Various; VA; V/A; Various Interprets; Compilation; Compilations; Sampler; "
        "Soundtrack; Soundtracks; Original Soundtrack; Original Motion Picture Soundtrack; OST; Original Cast; "
        "Original Broadway Cast; Soundtrack/Cast Album; Varios Artistas; Varios; Varios Intérpretes; Vários Artistas; "
        "Vários Intérpretes; Artistes variés; Artistes divers; Divers; Divers artistes; Multi-interprètes; "
        "Verschiedene Interpreten; Verschiedene Künstler; Verschiedene; Diverse; Diverse Interpreten; "
        "Diverse Künstler; Artisti Vari; Autori Vari; AA.VV.; Interpreti Vari; Diverse Artister; Diverse Kunstnere; "
        "Blandade artister; Diverse artiesten; Verschillende artiesten; Eri esittäjiä; Useita esittäjiä; "
        "Różni wykonawcy; Różni artyści; Různí umělci; Různí interpreti; Rôzni interpreti; Različni izvajalci; "
        "Razni izvođači; Vegyes előadók; Különböző előadók; Diverși artiști; Çeşitli sanatçılar; Karışık; "
        "Διάφοροι καλλιτέχνες; Разные исполнители; Сборник; Различни изпълнители; Різні виконавці; 群星; 合輯; 合辑; "
        "华语群星; オムニバス; ヴァリアス・アーティスト; ヴァリアス; 여러 아티스트; "
        "다양한 아티스트; אמנים שונים; فنانون متنوعون"
    ).split("; ")
)
_OTHER_ARTISTS = 3  # so many artists beside the album's, on most of its tracks, make a compilation
_NOBODY = frozenset(
    key(name)
    for name in "Unknown Artist, Unknown, No Artist, Unknown Album, non-album tracks, Untitled, None".split(", ")
)
_DISC = re.compile(r"(?:cd|dis[ck]|dvd|lp|vinyl|side)[ _.-]*(?:\d{1,2}|[a-d])", re.IGNORECASE)


def album_of(path: str, tags: TrackTags) -> tuple[str, str, str] | None:
    """What the tracks of one album share: artist, album and folder; None where a track stands alone.

    The folder keeps two albums of one name apart ("Greatest Hits"); disc folders ("CD 2") count as their parent.
    Compilations, albums of various artists and tracks without album or artist stand alone.
    """
    artist = key(tags.album_artist) or key(tags.artist)
    if tags.compilation or not artist or not key(tags.album):
        return None
    if artist in _MANY_ARTISTS or artist in _NOBODY or key(tags.album) in _NOBODY:
        return None
    return artist, tags.album, album_folder(os.path.dirname(path))


def album_folder(folder: str) -> str:
    """The folder of the album whose files lie in `folder`: its parent where it is one of several discs ("CD 2")."""
    return os.path.dirname(folder) if _DISC.fullmatch(os.path.basename(folder)) else folder


def is_compilation(album_artist: str, artists: Sequence[str]) -> bool:
    """Whether an album is one of various artists: by the name it is filed under, in one of many languages, or because
    most of its tracks, whose artists are given, have others. A guest ("Ada feat. Bob") is no other artist."""
    whole = key(album_artist)
    if whole in _MANY_ARTISTS:
        return True
    names = [name for name in map(key, artists) if name and not (whole and (whole in name or name in whole))]
    return len(set(names)) >= _OTHER_ARTISTS and 2 * len(names) > len(artists)


def artist_of(tags: TrackTags) -> str:
    """The artist of a track, else that of its album, in one spelling; "" for nobody and for many."""
    found = (key(tags.artist), "" if tags.compilation else key(tags.album_artist))
    return next((name for name in found if name and name not in _MANY_ARTISTS and name not in _NOBODY), "")


def group_by_album(tracks: Mapping[int, Track]) -> list[list[int]]:
    """The ids of `tracks` that belong to one album, in ascending order; only albums with MIN_TRACKS or more."""
    groups: dict[tuple[str, str, str], list[int]] = {}
    for track_id in sorted(tracks):
        group = album_of(tracks[track_id].path, tracks[track_id].tags)
        if group is not None:
            groups.setdefault(group, []).append(track_id)
    return [members for members in groups.values() if len(members) >= MIN_TRACKS]


def consensus(votes: Sequence[Vote]) -> Vote | None:
    """The vote of an album from its tracks' votes; None if they are too few or know different genres.

    The mean of the log-probabilities, times the number of *independent* tracks that n tracks with correlation r
    count for, n / (1 + (n - 1) r) (the design effect of cluster sampling, Kish 1965). Without that shrinkage ten
    tracks would count as ten independent observations and the album would be sure of everything.
    """
    if len(votes) < MIN_TRACKS:
        return None
    labels = votes[0].probabilities.keys()
    if any(vote.probabilities.keys() != labels for vote in votes):
        return None
    weight = effective_tracks(len(votes)) / len(votes)
    scores = [
        weight * math.fsum(math.log(max(vote.probabilities[label], _FLOOR)) for vote in votes) for label in labels
    ]
    highest = max(scores)
    shares = [math.exp(score - highest) for score in scores]
    total = math.fsum(shares)
    return Vote(STAGE, {label: share / total for label, share in zip(labels, shares, strict=True)})


def effective_tracks(count: int) -> float:
    """How many independent tracks `count` tracks of one album count for."""
    return count / (1.0 + (count - 1) * CORRELATION)
