"""The lists of the report's page: albums to look at, and what could not be heard; cut, and saying how much is left."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from music_reclass.utils.page import counted, escape

if TYPE_CHECKING:
    from music_reclass.classification.listings import ListedAlbum, ListedTrack, Listing
    from music_reclass.features.outcomes import Cause


def conflicts(listing: Listing) -> Iterator[str]:
    """Tags that the decisions contradict, by album."""
    yield "<h2 id='conflicts'>Decided against their own tag</h2>"
    if not listing.all_tracks:
        yield "<p>None.</p>"
        return
    yield (
        f"<p>{_whole(listing)}, the surest decision first. After a look: "
        "<code>reclass apply --on-existing replace-conflict</code>. <code>reclass audit</code> judges tags by models "
        "that never saw their artists.</p>"
    )
    for album in listing.albums:
        yield _album(album, "decided")
    yield _more(listing)


def unsure(listing: Listing) -> Iterator[str]:
    """Tracks nobody is sure of, by album."""
    yield "<h2 id='unsure'>Nobody is sure</h2>"
    if not listing.all_tracks:
        yield "<p>None.</p>"
        return
    yield (
        f"<p>{_whole(listing)}. Whole albums stand first, because one "
        "look settles all of their tracks; then what a further stage would gain most from, or what is nearest to a "
        "decision.</p>"
    )
    for album in listing.albums:
        yield _album(album, "likeliest")
    yield _more(listing)


def _whole(listing: Listing) -> str:
    return f"{counted(listing.all_tracks, 'track')} of {counted(listing.all_albums, 'album')}"


def _album(album: ListedAlbum, said: str) -> str:
    name = escape(album.name or os.path.basename(album.folder) or album.folder)
    first = album.tracks[0]
    arrow = f"{', '.join(first.tags) or 'no genre'} → {', '.join(genre for genre, _ in first.genres[:1]) or '?'}"
    figure = f"{arrow} {first.confidence:.2f}, {counted(album.count, 'track')}"
    more = album.count - len(album.tracks)
    last = f"<tr><td colspan='3'><small>and {more:,} more</small></td></tr>" if more > 0 else ""
    return (
        f"<details><summary>{name} <span>{escape(figure)}</span></summary><small>{escape(album.folder)}</small>"
        "<table class='list'><tr>"
        + "".join(f"<td><small>{text}</small></td>" for text in ("file", "own tag", said))
        + f"</tr>{''.join(map(_row, album.tracks))}{last}</table></details>"
    )


def _row(track: ListedTrack) -> str:
    genres = ", ".join(f"{genre} {p:.2f}" for genre, p in track.genres)
    tags = ", ".join(track.tags)
    return f"<tr><td>{escape(os.path.basename(track.path))}</td><td>{escape(tags)}</td><td>{escape(genres)}</td></tr>"


def _more(listing: Listing) -> str:
    left = listing.all_albums - len(listing.albums)
    if left <= 0:
        return ""
    return (
        f"<p class='note'>and {counted(left, 'more album')}; all tracks: <code>reclass export --format csv</code></p>"
    )


def failures(causes: Iterable[Cause]) -> Iterator[str]:
    """What could not be heard, by cause."""
    yield "<h2 id='failures'>Skipped and failed</h2>"
    empty = True
    for cause in causes:
        empty = False
        shown = "".join(f"<tr><td>{escape(path)}</td><td>{escape(detail)}</td></tr>" for path, detail in cause.examples)
        more = cause.count - len(cause.examples)
        last = f"<p class='note'>and {more:,} more: <code>reclass status --failed</code></p>" if more > 0 else ""
        yield (
            f"<details><summary>{escape(cause.outcome)}: {escape(cause.reason)} <span>{cause.count:,}</span></summary>"
            f"<table class='list'>{shown}</table>{last}</details>"
        )
    if empty:
        yield "<p>None.</p>"
