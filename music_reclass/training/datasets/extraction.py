"""From labelled files to labelled vectors: what the library has stored is used, the rest is listened to once."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from music_reclass.domain import FeatureKind, TrackTags
from music_reclass.errors import NothingToDo
from music_reclass.training.datasets.shape import LabelledFile, Listing, Raw

if TYPE_CHECKING:
    from music_reclass.domain import Vector


@dataclass(frozen=True, slots=True)
class Heard:
    """What listening to one file gave: its vector and what it says about itself."""

    vector: Vector
    tags: TrackTags


# Vectors of files, by path; files that cannot be used are absent. Resumable: a second call reads only what is missing.
Listen = Callable[[Sequence[str], FeatureKind], Mapping[str, Heard]]


def extracted(listing: Listing, kind: FeatureKind, listen: Listen, more: Sequence[FeatureKind] = ()) -> Raw:
    """The listing with a vector of `kind`, and of the kinds in `more` beside it, for each file that could be used;
    NothingToDo if none could."""
    heard = listen([file.path for file in listing.files], kind)
    usable = [file for file in listing.files if file.path in heard]
    beside = []
    for other in more:
        beside.append(listen([file.path for file in usable], other))
        usable = [file for file in usable if file.path in beside[-1]]
    if not usable:
        raise NothingToDo(f"none of the {len(listing.files)} files of {listing.name} could be listened to.")
    groups = [group_of(file, heard[file.path].tags) for file in usable]
    notes = list(listing.notes)
    unusable = len(listing.files) - len(usable)
    if unusable:
        notes.append(f"{unusable} files could not be used (reclass status --failed lists them)")
    nameless = sum(not group for group in groups)
    if nameless and nameless < len(groups):
        notes.append(f"{nameless} files name no artist and no album and stand for themselves")
    return Raw(
        name=listing.name,
        rows=np.stack([np.concatenate([own[file.path].vector for own in (heard, *beside)]) for file in usable]),
        genres=[file.genres for file in usable],
        groups=groups,
        names=[file.path for file in usable],
        kind=kind,
        split=[file.split for file in usable],
        artists=any(groups),
        notes=tuple(notes),
        more=tuple(more),
    )


def group_of(file: LabelledFile, tags: TrackTags) -> str:
    """Whose rows must stay on one side: the artist, else the album, else the folder below the genre's; else ""."""
    if file.artist:
        return file.artist
    if name := tags_group(tags):
        return name
    folder = os.path.dirname(file.path)
    return "" if os.path.basename(folder) in file.genres or not file.genres else f"folder {folder}"


def tags_group(tags: TrackTags) -> str:
    """The artist (of the track, else of the album) or else the album that tags name; "" where they name none."""
    artist = (tags.artist or ("" if tags.compilation else tags.album_artist)).strip().casefold()
    if artist:
        return f"artist {artist}"
    album = tags.album.strip().casefold()
    return f"album {album}" if album else ""
