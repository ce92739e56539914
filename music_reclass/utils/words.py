"""Counts with their nouns, singular or plural; rough lengths of time; texts cut to a width."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """`1 track`, `2,000 tracks`, `2 more copies`."""
    if count == 1:
        return f"1 {noun}"
    several = f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2:-1] not in "aeiou" else f"{noun}s"
    return f"{count:,} {several}"


def verb(count: int, one: str, several: str) -> str:
    """The form of a verb that goes with a count: `1 track has`, `2 tracks have`."""
    return one if count == 1 else several


def rough_time(seconds: float) -> str:
    """A length of time as estimates deserve it: `50 s`, `12 min`, `2 h 10 min`."""
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    hours, minutes = divmod(round(seconds / 600) * 10, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def ellipsis(text: str, wide: int) -> str:
    """`text` in at most `wide` columns: where it is longer, cut in its middle, since names often differ at the end.

    Characters of Chinese, Japanese and Korean are two columns wide.
    """
    if columns(text) <= wide:
        return text
    end = _first(text[::-1], wide // 3)[::-1]
    return _first(text, wide - 1 - columns(end)).rstrip() + "…" + end


def _first(text: str, wide: int) -> str:
    """As much of the beginning of `text` as has room in `wide` columns."""
    for place, char in enumerate(text):
        wide -= columns(char)
        if wide < 0:
            return text[:place]
    return text


def columns(text: str) -> int:
    """How wide a terminal shows `text`."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)
