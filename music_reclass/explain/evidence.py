"""Tags of taggers as evidence: which stand out and which genres they support. Shown, never counted in a vote."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from typing import Any

from music_reclass.taxonomy import Taxonomy

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SORTS = ("instrument", "genre", "mood")  # the order of display: an instrument is a fact, a genre an opinion
_GTZAN = "gtzan---"


@dataclass(frozen=True, slots=True)
class Evidence:
    """A tag and the genres it supports: in the table of tags with `strength` 0, for a track with its strength there."""

    tag: str  # as the tagger writes it, e.g. "instrument---violin"
    name: str  # the tag in plain words
    sort: str  # one of SORTS
    genres: tuple[str, ...]  # in the words of the taxonomy, none twice, at least one
    reason: str
    threshold: float  # the strength from which the tag stands out
    typical: float | None  # its median strength on measured clips; None where nobody has measured it
    strength: float = 0.0  # in [0, 1]

    @property
    def excess(self) -> float:
        """By how much the strength exceeds the threshold."""
        return self.strength - self.threshold

    def supports(self, genre: str, taxonomy: Taxonomy) -> bool:
        """Whether `genre`, something above it or something below it is among the genres; False if it is unknown."""
        wanted = taxonomy.canonical(genre)
        if wanted is None:
            return False
        genres = {taxonomy.canonical(name) or name for name in self.genres}
        return any(name in (wanted, *taxonomy.ancestors(wanted)) or _below(wanted, name, taxonomy) for name in genres)


def evidence(tags: Mapping[str, float], taxonomy: Taxonomy) -> tuple[Evidence, ...]:
    """The tags that stand out and the genres they support: instruments first, within a sort the largest excess first.

    A tag stands out when it is stronger than in nine of ten measured clips, and not faint. Of tags with one meaning
    the one with the largest excess is kept; tags outside the table are left out; a genre that the user drops gives
    way to the one above it.
    """
    table = tag_table()
    found: dict[str, Evidence] = {}
    for tag, strength in tags.items():
        known = table.get(tag)
        if known is None or strength < known.threshold:
            continue
        genres = tuple(dict.fromkeys(filter(None, (_written(name, taxonomy) for name in known.genres))))
        if genres:
            item = replace(known, genres=genres, strength=strength)
            found[item.name] = max(item, found.get(item.name, item), key=lambda one: one.excess)
    return tuple(sorted(found.values(), key=lambda item: (SORTS.index(item.sort), -item.excess, item.tag)))


def _below(genre: str, name: str, taxonomy: Taxonomy) -> bool:
    return taxonomy.canonical(name) is not None and genre in taxonomy.ancestors(name)


def _written(name: str, taxonomy: Taxonomy) -> str | None:
    genre = taxonomy.canonical(name)
    return None if genre is None else taxonomy.written(genre)


@lru_cache(maxsize=1)
def tag_table() -> Mapping[str, Evidence]:
    """The table of data/evidence.toml by tag, read once; genres by their names in the shipped taxonomy."""
    content = tomllib.loads(files("music_reclass").joinpath("data/evidence.toml").read_text(encoding="utf-8"))
    table: dict[str, Evidence] = {}
    for rule in content["rule"]:
        for tag in rule["tags"]:
            threshold, typical = _levels(tag, content)
            table[tag] = Evidence(
                tag, rule["name"], rule["sort"], tuple(rule["genres"]), rule["reason"], threshold, typical
            )
    return table


def _levels(tag: str, content: Mapping[str, Any]) -> tuple[float, float | None]:
    """From which strength a tag stands out (its upper tenth, unless its tagger's least is higher), and its median."""
    tagger = "gtzan" if tag.startswith(_GTZAN) else "musicnn" if "---" in tag else "audioset"
    typical, upper = content["levels"].get(tag, (None, 0.0))
    return max(upper, content["bars"][tagger]), typical
