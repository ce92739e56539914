"""What a file says about itself: its genres, decoded, and the words that group tracks to albums."""

from __future__ import annotations

from pathlib import Path

from music_reclass.domain import TrackTags
from music_reclass.errors import SkipTrack
from music_reclass.tagging.fields import view
from music_reclass.tagging.formats import FORMATS
from music_reclass.tagging.wall import tag_wall
from music_reclass.utils.payload import sniff
from music_reclass.utils.payload.reading import opened, size_of


def read_tags(path: Path) -> TrackTags:
    """The tags of a file, the format told by its content; `TrackTags()` where it has none.

    Genres come decoded: ID3's `(17)`, `17` and `(4)Eurodisco` are Rock, Rock and Disco + Eurodisco.
    FailTrack where the file or its tags cannot be read, SkipTrack for an empty one.
    """
    with tag_wall(path), opened(path) as file:
        if not size_of(file):
            raise SkipTrack("no_audio", f"{path.name} is empty.")
        return view(file, sniff(file)).tags


def format_of(path: Path) -> str | None:
    """The container of a file whose genre can be written, None for any other; FailTrack as for `read_tags`."""
    with tag_wall(path), opened(path) as file:
        container = sniff(file).container
    return container if container in FORMATS else None
