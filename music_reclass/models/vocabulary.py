"""From genre names to label sets of the taxonomy; rare genres count as their parents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from music_reclass.errors import UsageError
from music_reclass.taxonomy import Taxonomy

_SHOWN = 8


def label_sets(
    genres: Sequence[Sequence[str]],
    taxonomy: Taxonomy,
    *,
    least: int = 1,
    roots: bool = False,
    counted: NDArray[np.bool_] | None = None,
    kept: Sequence[str] = (),
    groups: Sequence[str] = (),
    artists: int = 1,
) -> tuple[tuple[str, ...], NDArray[np.bool_], list[str]]:
    """Classes in the taxonomy's order, label sets of shape (n, classes), and notes for the user.

    A genre with fewer than `least` rows, or fewer than so many `artists`, gives way to its parent, again and again; a
    root that stays scarce is left out. `groups` are the rows' artists, "" for one of its own. `roots` counts every
    genre as its root. Only the rows of the mask `counted` count as support. The genres `kept` are classes however few
    rows they have, and without any.
    """
    sets, unknown = _known(genres, taxonomy)
    if roots:
        sets = [{_root(genre, taxonomy) for genre in row} for row in sets]
    count = len(sets)
    keys = [group or f"\0{number}" for number, group in enumerate(groups or [""] * count)]

    def is_scarce(genre: str, rows: list[int]) -> bool:
        return genre not in kept and (len(rows) < least or len({keys[row] for row in rows}) < artists)

    support = np.ones(count, dtype=np.bool_) if counted is None else counted
    sets, renamed, dropped = _supported(sets, taxonomy, is_scarce, support)
    counts = [f"{least} rows"] * (least > 1 or artists <= 1) + [f"{artists} artists"] * (artists > 1)
    few = f"fewer than {' or '.join(counts)}"
    present = set(kept).union(*sets)
    classes = tuple(genre for genre in taxonomy.labels if genre in present)
    place = {genre: number for number, genre in enumerate(classes)}
    labels = np.zeros((len(sets), len(classes)), dtype=np.bool_)
    for row, names in enumerate(sets):
        labels[row, [place[genre] for genre in names]] = True
    notes = []
    if unknown:
        notes.append(f"no genres of the taxonomy, left out: {_listed(unknown)}")
    if renamed:
        pairs = ", ".join(f"{child} as {parent}" for child, parent in sorted(renamed.items())[:_SHOWN])
        more = f" and {len(renamed) - _SHOWN} more" if len(renamed) > _SHOWN else ""
        notes.append(f"{few}, counted as what lies above: {pairs}{more}")
    if dropped:
        notes.append(f"{few} and nothing above, left out: {_listed(dropped)}")
    empty = sum(not row for row in sets)
    if empty:
        notes.append(f"{empty} of {len(sets)} rows carry no usable genre and are left out")
    return classes, labels, notes


def require_known(classes: Sequence[str], taxonomy: Taxonomy) -> None:
    """UsageError that names the `classes` which are no genre of `taxonomy`, before anything is learned of them."""
    strange = [name for name in classes if taxonomy.canonical(name) is None]
    if strange:
        shown = ", ".join(strange[:_SHOWN]) + (f" and {len(strange) - _SHOWN} more" if len(strange) > _SHOWN else "")
        raise UsageError(
            f"The taxonomy knows no genre {shown}; rename these classes, or add them under [genres] or [aliases] of "
            "your taxonomy file (reclass genres list)."
        )


def _known(genres: Sequence[Sequence[str]], taxonomy: Taxonomy) -> tuple[list[set[str]], Counter[str]]:
    meaning: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    unknown: Counter[str] = Counter()
    sets = []
    for values in genres:
        row: set[str] = set()
        for value in values:
            if value not in meaning:
                names = [name for name in taxonomy.split(value) if not taxonomy.is_junk(name)]
                found = {name: taxonomy.canonical(name) for name in names}
                meaning[value] = (
                    tuple(genre for genre in found.values() if genre is not None),
                    tuple(name for name, genre in found.items() if genre is None),
                )
            row.update(meaning[value][0])
            unknown.update(meaning[value][1])
        sets.append(row)
    return sets, unknown


def _root(genre: str, taxonomy: Taxonomy) -> str:
    while (above := taxonomy.parent(genre)) is not None:
        genre = above
    return genre


def _supported(
    sets: list[set[str]], taxonomy: Taxonomy, is_scarce: Callable[[str, list[int]], bool], counted: NDArray[np.bool_]
) -> tuple[list[set[str]], dict[str, str], Counter[str]]:
    """The sets with scarce genres lifted, deepest first, so that cousins may meet in a parent that has enough."""
    renamed: dict[str, str] = {}
    dropped: Counter[str] = Counter()
    while True:
        rows: dict[str, list[int]] = {genre: [] for row in sets for genre in row}
        for number in np.flatnonzero(counted).tolist():
            for genre in sets[number]:
                rows[genre].append(number)
        scarce = [genre for genre, having in rows.items() if is_scarce(genre, having)]
        if not scarce:
            return sets, renamed, dropped
        genre = max(scarce, key=lambda name: (len(taxonomy.ancestors(name)), name))
        above = taxonomy.parent(genre)
        for child, parent in list(renamed.items()):
            if parent == genre and above is not None:
                renamed[child] = above
        if above is None:
            dropped[genre] += sum(genre in row for row in sets)
        else:
            renamed[genre] = above
        sets = [((row - {genre}) | ({above} if above else set())) if genre in row else row for row in sets]


def _listed(counts: Counter[str]) -> str:
    shown = ", ".join(f"{name} ({count})" for name, count in counts.most_common(_SHOWN))
    return shown + (f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else "")
