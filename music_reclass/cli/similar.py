"""`similar` and `playlist`: tracks that sound alike, listed or written as an M3U."""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from music_reclass.cli.library import m3u_of
from music_reclass.cli.options import force_flag, json_flag, setting_flags
from music_reclass.cli.output import cell, plain, print_json, print_table, printable, say, shorten_home, write_file
from music_reclass.utils.words import counted

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.domain import Track
    from music_reclass.explain.similar import Similar
    from music_reclass.features.database import Database
    from music_reclass.taxonomy import Taxonomy

_HOUR = "1h"
_MOST = 1000  # tracks of a playlist
_RANKED = 5000  # of a genre, the surest, among which artists are spread


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--count", type=click.IntRange(1, _MOST), default=20, show_default=True, help="List so many tracks.")
@click.option(
    "--per-artist", type=click.IntRange(1), default=2, show_default=True, help="At most so many of an artist."
)
@setting_flags()
@json_flag
def similar(file: Path, count: int, per_artist: int, as_json: bool, settings: Settings) -> None:
    """The tracks of the library that sound most like FILE, and in what they are alike.

    By the best features that were stored; no audio is read. FILE itself and copies of it are left out.
    """
    from music_reclass.cli.session import reading
    from music_reclass.explain.similar import similar_tracks

    with reading(settings) as library:
        found = similar_tracks(library, seeds_of(library, [file]), count, per_artist=per_artist)
    _show(found, as_json)


@click.command()
@click.option("--like", "files", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
              help="Sounds like this track; repeatable, for what lies between them.")  # fmt: skip
@click.option("--genre", metavar="GENRE", help="Only tracks of this genre, or one below it.")
@click.option("--length", default=_HOUR, show_default=True, metavar="TIME", help="About how long: 2h, 90m.")
@click.option(
    "--per-artist", type=click.IntRange(1), default=3, show_default=True, help="At most so many of an artist."
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE.m3u8", help="Write it there; default: stdout.")
@click.option("--absolute", is_flag=True, help="Absolute paths; else relative to the playlist where --out names one.")
@force_flag
@setting_flags("taxonomy")
@json_flag
def playlist(
    *, files: tuple[Path, ...], genre: str | None, length: str, per_artist: int, out: Path | None, absolute: bool,
    force: bool, as_json: bool, settings: Settings,
) -> None:  # fmt: skip
    """A playlist (M3U) of tracks that sound like others, of a genre, or both.

    No recording twice, few of one artist, never two of an artist in a row where that can be; what it should be like is
    not in it. Without --like the surest tracks of the genre come first.
    """
    from music_reclass.cli.session import reading
    from music_reclass.config import seconds_of
    from music_reclass.taxonomy import load

    if not files and genre is None:
        raise click.UsageError("Say what it should be like (--like FILE), of which genre (--genre), or both.")
    seconds, taxonomy = seconds_of(length), load(settings.taxonomy)
    with reading(settings) as library:
        tracks = _chosen(library, taxonomy, files, genre, per_artist=per_artist)
    tracks = apart(_up_to(tracks, seconds))
    folder = None if absolute or out is None else out.expanduser().resolve().parent
    if out is not None:
        write_file(out, m3u_of(tracks, folder), force=force)
        total = sum(track.duration or 0 for track in tracks)
        if not as_json:
            say(
                "playlist",
                f"{printable(shorten_home(str(out)))}  {counted(len(tracks), 'track')}, {total / 60:.0f} min",
            )
    if as_json:
        for track in tracks:
            print_json(_as_object(track))
    elif out is None:
        print_table(
            line.decode("utf-8", "surrogateescape") for line in m3u_of(tracks, folder).splitlines(keepends=True)
        )


def _chosen(
    library: Database, taxonomy: Taxonomy, files: Sequence[Path], genre: str | None, *, per_artist: int
) -> list[Track]:
    """The tracks for a playlist, the best first; NothingToDo where there are none."""
    from music_reclass.errors import NothingToDo
    from music_reclass.explain.similar import similar_tracks
    from music_reclass.features.decisions import Decisions

    fits = _of_genre(taxonomy, genre)
    if files:
        found = similar_tracks(library, seeds_of(library, files), _MOST, per_artist=per_artist, wanted=fits)
        tracks = [one.track for one in found]
    else:
        known = (track for track in Decisions(library).below() if fits(track))
        ranked = heapq.nlargest(_RANKED, known, key=lambda track: track.decision.confidence if track.decision else 0.0)
        tracks, digests, artists = [], set(), dict[str, int]()
        for track in ranked:
            if track.digest not in digests and artists.get(track.group, 0) < per_artist:
                digests.add(track.digest)
                artists[track.group] = artists.get(track.group, 0) + 1
                tracks.append(track)
    if not tracks:
        raise NothingToDo("No track of the library fits that.")
    return tracks


def _of_genre(taxonomy: Taxonomy, genre: str | None) -> Callable[[Track], bool]:
    """Whether a track has this genre, or one below it; every track where none is named."""
    from music_reclass.cli.ask import known_genres

    if genre is None:
        return lambda track: True
    known_genres([genre], taxonomy)
    wanted = taxonomy.canonical(genre)

    def fits(track: Track) -> bool:
        decided = track.decision.genres if track.decision is not None and track.error is None else ()
        known = [one for name in decided if (one := taxonomy.canonical(name)) is not None]
        return any(wanted in (one, *taxonomy.ancestors(one)) for one in known)

    return fits


def seeds_of(library: Database, files: Sequence[Path]) -> list[Track]:
    """The tracks at these paths; NothingToDo for one that the library does not know."""
    from music_reclass.errors import NothingToDo
    from music_reclass.features.decisions import Decisions

    found = []
    for file in files:
        track = Decisions(library).track_at(os.path.realpath(file.expanduser()))
        if track is None:
            raise NothingToDo(f"The library does not know {file}; scan it first (reclass scan PATH).")
        found.append(track)
    return found


def _up_to(tracks: Sequence[Track], seconds: float) -> list[Track]:
    """The first tracks that fill `seconds`, at least one; those of unknown length are left out."""
    chosen: list[Track] = []
    total = 0.0
    for track in tracks:
        if track.duration is None:
            continue
        if total >= seconds:
            break
        chosen.append(track)
        total += track.duration
    return chosen or list(tracks[:1])


def apart(tracks: Sequence[Track]) -> list[Track]:
    """The tracks in their order, but the next artist first wherever two of one would follow each other."""
    left: list[Track] = list(tracks)
    ordered: list[Track] = []
    while left:
        before = ordered[-1].group if ordered else ""
        place = next((number for number, track in enumerate(left) if track.group != before), 0)
        ordered.append(left.pop(place))
    return ordered


def _show(found: Sequence[Similar], as_json: bool) -> None:
    for one in found:
        if as_json:
            print_json({**_as_object(one.track), "similarity": one.similarity, "why": list(one.why)})
            continue
        tags = one.track.tags
        name = " - ".join(part for part in (tags.artist, tags.title) if part) or os.path.basename(one.track.path)
        why = f"  ({', '.join(one.why)})" if one.why else ""
        plain(f"{one.similarity:.2f}  {cell(name, 44)} {printable(shorten_home(one.track.path))}{why}")


def _as_object(track: Track) -> dict[str, Any]:
    return {
        "path": track.path, "artist": track.tags.artist, "title": track.tags.title, "album": track.tags.album,
        "genres": list(track.decision.genres) if track.decision else [], "duration": track.duration,
    }  # fmt: skip
