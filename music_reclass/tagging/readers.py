"""What other programs (Plex, Navidrome, Jellyfin, editors) read as the genre of a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from music_reclass.errors import FailTrack
from music_reclass.extractors.audio.sndfile import quiet
from music_reclass.tagging.policy import Values, as_navidrome
from music_reclass.tagging.read import read_tags


@dataclass(frozen=True, slots=True)
class Reader:
    """One family of readers: the values it sees, None where it sees no genre at all."""

    name: str
    programs: str
    values: Values | None


def readers(path: Path) -> list[Reader]:
    """What each family sees. FailTrack where the file or its tags cannot be read.

    ffmpeg's view is read by its own libraries. TagLib is not at hand: its view is that of the format's own list,
    which both it and mutagen read whole, values not split; the servers built on it are shown by their rules.
    """
    own = read_tags(path).genres
    listed = own if own is not None else ()
    one = ffmpeg_genre(path)
    return [
        Reader("mutagen", "reclass, Picard, beets, Mopidy", own),
        Reader("ffmpeg", "Plex, Kodi, Jellyfin's probe", None if one is None else (one,)),
        Reader("taglib", "Clementine, Strawberry, VLC, Mixxx", own),
        Reader("navidrome", "Navidrome (TagLib, then its own splitting)", as_navidrome(listed) if listed else own),
    ]


def ffmpeg_genre(path: Path) -> str | None:
    """The genre as ffmpeg's libraries give it: one string; None where they see none."""
    import av
    from av.error import FFmpegError

    try:
        with quiet(), av.open(str(path), metadata_errors="replace") as container:
            places = [container.metadata, *(stream.metadata for stream in container.streams)]
            for place in places:
                for name, value in place.items():
                    if name.lower() == "genre" and value:
                        return str(value)
    except (FFmpegError, OSError) as error:
        raise FailTrack("decode", f"{path.name} cannot be opened by ffmpeg's libraries ({error}).") from error
    return None


def blind_spots(found: list[Reader]) -> list[str]:
    """One sentence for every reader that sees less than the file holds."""
    whole = next(reader.values for reader in found if reader.name == "mutagen")
    if not whole:
        return []
    sentences = []
    for reader in found:
        seen = reader.values or ()
        if seen == whole or (reader.name == "ffmpeg" and len(seen) == 1 and seen[0] == ";".join(whole)):
            continue
        if not seen:
            sentences.append(f"{reader.programs} see no genre in this file.")
        elif seen == whole[:1]:
            sentences.append(f"{reader.programs} see only the first of {len(whole)} genres.")
        else:
            sentences.append(f"{reader.programs} see something else: {' | '.join(seen)}.")
    return sentences
