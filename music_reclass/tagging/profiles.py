"""How a list of genres is laid out in a file for the program that will read it. Pure.

Readers differ (docs/how-to/plex.md): those built on ffmpeg see only the first of several values in most formats,
Navidrome splits a value only where it is the only one, Jellyfin does not split at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from music_reclass.errors import UsageError

NATIVE = "native"
Values = tuple[str, ...]

_NAVIDROME_SPLITS = re.compile(r"\s*[;/,]\s*")


def _all(genres: Sequence[str]) -> Values:
    return tuple(genres)


def _first(genres: Sequence[str]) -> Values:
    return tuple(genres[:1])


def _joined(genres: Sequence[str]) -> Values:
    return ("; ".join(genres),) if genres else ()


_LAYOUTS: dict[str, Callable[[Sequence[str]], Values]] = {
    NATIVE: _all,
    "navidrome": _all,
    "jellyfin": _all,
    "plex": _first,  # it sees no more than that in a file; the rest goes in through its API
    "single": _first,
    "joined": _joined,
}
PROFILES: dict[str, str] = {
    NATIVE: "the format's own list of values",
    "navidrome": "the format's own list, which Navidrome reads whole",
    "jellyfin": "the format's own list, which Jellyfin 10.9 and later read whole",
    "plex": "the first genre only; `plex sync` brings the others",
    "single": "the first genre only",
    "joined": "all in one value, divided by '; ', as DJ programs have it",
}
"""Every profile with a sentence for people."""


def laid_out(genres: Sequence[str], profile: str = NATIVE) -> Values:
    """The values to write for `genres`, the first being the primary one; UsageError for an unknown profile."""
    if profile not in _LAYOUTS:
        raise UsageError(f"there is no tag profile {profile!r}; there are {', '.join(_LAYOUTS)}.")
    return _LAYOUTS[profile](tuple(dict.fromkeys(genre for genre in genres if genre)))


def as_navidrome(values: Sequence[str]) -> Values:
    """What Navidrome makes of the values of a file: a single one is split at `;`, `/` and `,`."""
    if len(values) != 1:
        return tuple(values)
    return tuple(part for part in _NAVIDROME_SPLITS.split(values[0]) if part)


def survives(genres: Sequence[str], profile: str, read: Callable[[Sequence[str]], Values]) -> bool:
    """Whether a reader gets exactly `genres` back from a file laid out by `profile`."""
    return read(laid_out(genres, profile)) == tuple(genres)
