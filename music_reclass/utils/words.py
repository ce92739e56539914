"""Counts in words: the number and its noun, singular or plural."""

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
