"""When a folder that changes has settled: no event for some time, two equal looks at its files, no unfinished one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple

from music_reclass.utils.files import AUDIO_SUFFIXES

# What programs name a file while they download or copy it: browsers, torrent clients, aria2, curl, Nextcloud.
UNFINISHED_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        "part partial crdownload !qb !ut !bt bc! tmp temp download opdownload filepart aria2 dtapart dwl fdmdownload "
        "incomplete unfinished writing __a__"
    ).split()
)
_UNFINISHED_START = (".syncthing.", "~syncthing~", ".goutputstream-", ".nfs")
_HIDDEN_COPY = re.compile(r"\.(.+)\.[A-Za-z0-9]{6,}~?")  # rsync, while it copies: .01.flac.Xa82Kq


def is_unfinished(name: str) -> bool:
    """Whether a file or folder is named as programs name what they have not finished."""
    lower = name.lower()
    return (
        os.path.splitext(lower)[1] in UNFINISHED_SUFFIXES
        or lower.startswith(_UNFINISHED_START)
        or (lower.endswith("~") and len(lower) > 1)
    )


def matters(name: str) -> bool:
    """Whether a change of this file may mean that music arrives: audio, or what may become audio. Our own temporary
    copies do not: what they become does."""
    hidden = _HIDDEN_COPY.fullmatch(name)
    if hidden:
        name = hidden[1]
    return (not name.startswith(".") and _is_audio(name)) or (is_unfinished(name) and not name.startswith(".reclass-"))


def _is_audio(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES


class Look(NamedTuple):
    """What one look at a folder found."""

    content: int  # equal where all names, sizes and times are
    audio: int  # files
    unfinished: str = ""  # the name of one that is not finished; "" for none


@dataclass(slots=True)
class _Change:
    """One folder in which something has changed."""

    at: float  # the last event, or the look that found a difference
    wait: float  # seconds until it is looked at again while a file in it is unfinished
    due: float  # when it is looked at next
    is_owed: bool = False  # it is given out for another reason than what changed in it
    seen: Look | None = None  # the first of two looks since then


class Settling:
    """The folders that have changed and are not settled yet: events in, settled folders out.

    `look` gives None for a folder that is gone or holds no audio: it is dropped. A folder is settled when `seconds`
    have gone by without an event, and two looks in that time, half of it apart at least, were equal and found nothing
    unfinished. Times are seconds on any clock that never goes back; nothing is kept of a folder that is out.
    """

    def __init__(
        self,
        seconds: float,
        longest: float,
        look: Callable[[str], Look | None],
        on_unfinished: Callable[[str, str], None] = lambda folder, name: None,
    ) -> None:
        self._seconds, self._longest, self._look = seconds, max(seconds, longest), look
        self._on_unfinished = on_unfinished
        self._changes: dict[str, _Change] = {}
        self._due: list[tuple[float, str]] = []  # a heap; only the entry at `_Change.due` counts

    def __len__(self) -> int:
        return len(self._changes)

    def touch(self, folder: str, now: float) -> None:
        """Something has changed in `folder` at the time `now`."""
        self.notice(folder, now)
        change = self._changes[folder]
        change.at, change.wait, change.seen = now, self._seconds, None
        if change.due > now + self._seconds:  # it waited for an unfinished file
            self._look_at(folder, now + self._seconds / 2)

    def notice(self, folder: str, now: float, *, is_owed: bool = False) -> None:
        """`folder` holds something new, whenever it came; one that is looked at anyway needs no more."""
        if folder not in self._changes:
            self._changes[folder] = _Change(now, self._seconds, now)
            self._look_at(folder, now + self._seconds / 2)
        self._changes[folder].is_owed |= is_owed

    def _look_at(self, folder: str, when: float) -> None:
        self._changes[folder].due = when
        heappush(self._due, (when, folder))

    def next_due(self) -> float | None:
        """When a folder wants the next look; None while none does."""
        return self._due[0][0] if self._due else None

    def settled(self, now: float) -> Iterator[tuple[str, bool]]:
        """Look at the folders that are due, and take out those that have settled: each, and whether it was owed."""
        while self._due and self._due[0][0] <= now:
            when, folder = heappop(self._due)
            change = self._changes.get(folder)
            if change is None or change.due != when:  # it was looked at earlier
                continue
            again, is_settled = self._examine(folder, change, now)
            if again is not None:
                self._look_at(folder, again)
                continue
            del self._changes[folder]
            if is_settled:
                yield folder, change.is_owed

    def _examine(self, folder: str, change: _Change, now: float) -> tuple[float | None, bool]:
        """When to look again, None where the folder is out; and whether it has settled."""
        half = self._seconds / 2
        if now < change.at + half:
            return change.at + half, False
        look = self._look(folder)
        if look is None:
            return None, False
        if change.seen is None:
            change.seen = look
            return max(change.at + self._seconds, now + half), False
        if look.content != change.seen.content:
            change.at, change.wait, change.seen = now, self._seconds, look
            return now + self._seconds, False
        if look.unfinished:
            if change.wait == self._seconds:
                self._on_unfinished(folder, look.unfinished)
            change.wait = min(2 * change.wait, self._longest)
            return now + change.wait, False
        return None, True
