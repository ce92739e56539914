"""Which file here is which track on the server: by mapped path, and by its words where the user allows that."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from music_reclass.taxonomy.spelling import key

if TYPE_CHECKING:
    from music_reclass.features.plex_library import LocalTrack
    from music_reclass.tagging.plex.mapping import PathMap
    from music_reclass.tagging.plex.nouns import Listed

UNMAPPED, UNSCANNED, AMBIGUOUS, OTHER_LENGTH = "unmapped", "unscanned", "ambiguous", "other-length"
SECONDS_APART = 2.0  # what two programs may differ in the length of one track
SAME_FILE_APART = 10.0  # and in that of one file, which may be damaged or have no length written into it


class Match(NamedTuple):
    """The file of a track on the server, or the reason why there is none."""

    track: LocalTrack | None
    reason: str = ""


class LocalIndex:
    """The files of the library, to be found by path in any Unicode form, and by their words."""

    def __init__(self, tracks: Iterable[LocalTrack]) -> None:
        self._by_path = {unicodedata.normalize("NFC", track.path): track for track in tracks}
        self._by_folded: dict[str, LocalTrack | None] | None = None
        self._by_words: dict[tuple[str, str, str], list[LocalTrack]] | None = None

    def __len__(self) -> int:
        return len(self._by_path)

    def at(self, path: str) -> LocalTrack | None:
        """The file at a path; where none has this very name, the only one that has it in another case."""
        exact = self._by_path.get(unicodedata.normalize("NFC", path))
        if exact is not None:
            return exact
        if self._by_folded is None:
            self._by_folded = {}
            for name, track in self._by_path.items():
                folded = name.casefold()
                self._by_folded[folded] = None if folded in self._by_folded else track
        return self._by_folded.get(unicodedata.normalize("NFC", path).casefold())

    def like(self, listed: Listed) -> LocalTrack | None:
        """The only file with this artist, album, title and length; None where several or none have them."""
        if self._by_words is None:
            self._by_words = {}
            for track in self._by_path.values():
                words = (key(track.artist), key(track.album), key(track.title))
                if all(words):
                    self._by_words.setdefault(words, []).append(track)
        names = {key(listed.artist), key(listed.album_artist)}
        found = [
            track
            for name in names
            for track in self._by_words.get((name, key(listed.album), key(listed.title)), ())
            if track.seconds and listed.seconds and abs(track.seconds - listed.seconds) <= SECONDS_APART
        ]
        return found[0] if len(found) == 1 else None


def match(listed: Listed, index: LocalIndex, path_map: PathMap, *, by_words: bool = False) -> Match:
    """The file of one track. Several parts may be several files; if their decisions differ it is `ambiguous`."""
    paths = [path for path in map(path_map.local, listed.files) if path is not None]
    found = {track.path: track for track in map(index.at, paths) if track is not None}
    if not found and by_words:
        alike = index.like(listed)
        if alike is not None:
            return Match(alike)
    if not found:
        return Match(None, UNSCANNED if paths else UNMAPPED)
    if all(_differs(track, listed) for track in found.values()):
        return Match(None, OTHER_LENGTH)  # the same name, but other music: the path map is wrong
    decided = [track for track in found.values() if track.decision is not None]
    if len({track.decision.genres for track in decided if track.decision}) > 1:
        return Match(None, AMBIGUOUS)
    return Match(decided[0] if decided else next(iter(found.values())))


def _differs(track: LocalTrack, listed: Listed) -> bool:
    if not track.seconds or not listed.seconds:
        return False
    return abs(track.seconds - listed.seconds) > max(SAME_FILE_APART, 0.05 * listed.seconds)
