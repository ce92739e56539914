"""What a library's genre tags mean to the tree: how many there are, what is known, what is not, what is junk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from music_reclass.taxonomy.tree import Taxonomy


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One distinct tag value: how often it occurs, the genres it stands for, the names in it that nobody knows."""

    value: str
    count: int
    genres: tuple[str, ...]
    unmapped: tuple[str, ...]

    @property
    def status(self) -> Literal["mapped", "unmapped", "junk"]:
        """`unmapped` as soon as one name in the value is not known; `junk` if no name in it says anything."""
        if self.unmapped:
            return "unmapped"
        return "mapped" if self.genres else "junk"


def audit(taxonomy: Taxonomy, values: Iterable[tuple[str, int]]) -> tuple[AuditRow, ...]:
    """A row for each distinct value of `(value, count)` pairs, the most frequent first, then by name."""
    counts: Counter[str] = Counter()
    for value, count in values:
        counts[value] += count
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(_row(taxonomy, value, count) for value, count in ordered)


def _row(taxonomy: Taxonomy, value: str, count: int) -> AuditRow:
    names = [name for name in taxonomy.split(value) if not taxonomy.is_junk(name)]
    found = [(name, taxonomy.canonical(name)) for name in names]
    genres = dict.fromkeys(genre for _, genre in found if genre is not None)
    return AuditRow(value, count, tuple(genres), tuple(name for name, genre in found if genre is None))
