"""What other programs (Plex, Navidrome, Jellyfin, editors) read as the genre of a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from music_reclass.errors import FailTrack
from music_reclass.extractors.audio.sndfile import quiet
from music_reclass.tagging.policy import Values, as_navidrome
from music_reclass.tagging.read import read_tags

# Family of readers -> programs of it.
PROGRAMS = {
    "mutagen": "reclass, Picard, beets, Mopidy",
    "ffmpeg": "Plex, Kodi, Jellyfin's probe",
    "taglib": "Clementine, Strawberry, VLC, Mixxx",
    "navidrome": "Navidrome (TagLib, then splitting)",
}


def readers(path: Path) -> dict[str, Values | None]:
    """Family of PROGRAMS -> the genres it reads, None where it sees no genre at all.

    ffmpeg's are read by its libraries. TagLib is not at hand: it reads the format's list of values whole, as mutagen
    does, and the servers built on it are shown by their rules. FailTrack where the file or its tags cannot be read.
    """
    listed = read_tags(path).genres
    one = ffmpeg_genre(path)
    return {
        "mutagen": listed,
        "ffmpeg": None if one is None else (one,),
        "taglib": listed,
        "navidrome": as_navidrome(listed) if listed else listed,
    }


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


def blind_spots(found: Mapping[str, Values | None]) -> list[str]:
    """One sentence for every family of `readers` that sees less than the file holds."""
    whole = found["mutagen"]
    if not whole:
        return []
    sentences = []
    for name, values in found.items():
        seen = values or ()
        if seen == whole or (name == "ffmpeg" and len(seen) == 1 and seen[0] == ";".join(whole)):
            continue
        if not seen:
            sentences.append(f"{PROGRAMS[name]} see no genre in this file.")
        elif seen == whole[:1]:
            sentences.append(f"{PROGRAMS[name]} see only the first of {len(whole)} genres.")
        else:
            sentences.append(f"{PROGRAMS[name]} see something else: {' | '.join(seen)}.")
    return sentences
