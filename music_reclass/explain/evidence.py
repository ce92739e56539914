"""Tags of taggers as evidence: which stand out and which genres they support. Shown, never a vote."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from music_reclass.errors import ReclassError
from music_reclass.taxonomy import Taxonomy

if TYPE_CHECKING:
    from music_reclass.domain import FeatureKind, Vector


def tags_in(vectors: Mapping[FeatureKind, Vector]) -> dict[str, float]:
    """The strength of every tag by its name, in [0, 1]; {} where no vector is of a kind that holds tags.

    MusiCNN's tags are read off its embedding where they were not kept themselves. Vectors by other weights than those
    that are installed say nothing, as only the installed ones name their tags.
    """
    found: dict[str, float] = {}
    for kind, vector in vectors.items():
        if kind.name != "musicnn":
            names = _names(kind)
        elif any(other.name == "musicnn-tags" for other in vectors):
            continue
        else:
            names, vector = _read_off(kind, vector)
        found |= {name: float(value) for name, value in zip(names, vector, strict=False)}
    return found


def _read_off(kind: FeatureKind, vector: Vector) -> tuple[tuple[str, ...], Vector]:
    from music_reclass.extractors.musicnn import TAGS, approximate
    from music_reclass.extractors.weights import store

    installed = store.find("musicnn")
    if installed is None or not kind.version.endswith(installed.short_digest):
        return (), vector
    return TAGS, approximate(np.asarray(vector, dtype=np.float32)[None], installed)[0]


def _names(kind: FeatureKind) -> tuple[str, ...]:
    """The tags of a tagger's kind in their order; () for kinds of another sort and for other weights."""
    from music_reclass.extractors.musicnn import TAGS
    from music_reclass.extractors.registry import EXTRACTORS, extractor

    if kind.name not in EXTRACTORS or kind.name == "fma518":
        return ()
    try:
        made = extractor(kind.name, kind.excerpt)
    except ReclassError:  # not installed: then nobody knows what its numbers are called
        return ()
    if made.kind != kind:
        return ()
    return TAGS if kind.name == "musicnn-tags" else tuple(getattr(made, "names", ()))


if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SORTS = ("instrument", "genre", "mood")  # what comes first: an instrument is a fact, a genre an opinion
_GTZAN = "gtzan---"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One tag that stands out, and what it speaks for."""

    tag: str  # as the tagger writes it, e.g. "instrument---violin"
    strength: float  # in [0, 1]
    genres: tuple[str, ...]  # in the words of the taxonomy, none twice, at least one
    reason: str
    name: str  # the tag in plain words
    sort: str  # one of SORTS
    bar: float  # the strength from which the tag stands out
    typical: float | None  # its strength in an ordinary track; None where nobody has measured it

    @property
    def line(self) -> str:
        """The evidence in one plain sentence without a full stop."""
        usual = "" if self.typical is None else f", in an ordinary track {self.typical:.2f}"
        return f"{self.name} ({self.strength:.2f}{usual}) speaks for {_listed(self.genres)}: {self.reason}"

    def speaks_for(self, genre: str, taxonomy: Taxonomy) -> bool:
        """Whether `genre`, something above it or something below it is among the genres; False if it is unknown."""
        wanted = taxonomy.canonical(genre)
        known = {taxonomy.canonical(name) or name for name in self.genres}
        if wanted is None:
            return False
        return any(name in (wanted, *taxonomy.ancestors(wanted)) or _below(wanted, name, taxonomy) for name in known)


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table: tags of one meaning, and the genres they speak for, by their names in the shipped tree."""

    name: str
    sort: str
    tags: tuple[str, ...]
    genres: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Rules:
    """The table of data/evidence.toml. `levels` are (middle, upper tenth) of a tag's strength on measured clips."""

    rules: tuple[Rule, ...]
    by_tag: Mapping[str, Rule]
    silent: frozenset[str]
    levels: Mapping[str, tuple[float, float]]
    bars: Mapping[str, float]

    def bar(self, tag: str) -> float:
        """The strength from which a tag stands out: its upper tenth where measured, else a cautious number."""
        if tag in self.levels:
            return max(self.levels[tag][1], self.bars["least"])
        return self.bars["gtzan" if tag.startswith(_GTZAN) else "otherwise"]


def evidence(tags: Mapping[str, float], taxonomy: Taxonomy) -> tuple[Evidence, ...]:
    """What stands out among `tags` and what it speaks for: instruments before words, what stands out furthest first.

    A tag stands out when it is stronger than in nine of ten measured clips, and not faint. Of tags with one meaning
    the furthest out is kept; tags without a rule say nothing; a genre that the user drops gives way to the one above.
    """
    table = rules()
    found: dict[str, Evidence] = {}
    for tag, strength in tags.items():
        rule = table.by_tag.get(tag)
        bar = table.bar(tag)
        if rule is None or strength < bar:
            continue
        genres = tuple(dict.fromkeys(filter(None, (_written(name, taxonomy) for name in rule.genres))))
        typical = table.levels[tag][0] if tag in table.levels else None
        if genres:
            one = Evidence(tag, strength, genres, rule.reason, rule.name, rule.sort, bar, typical)
            found[rule.name] = max(one, found.get(rule.name, one), key=_standing)
    return tuple(sorted(found.values(), key=lambda one: (SORTS.index(one.sort), -_standing(one), one.tag)))


def _standing(one: Evidence) -> float:
    return one.strength - one.bar


def _below(genre: str, name: str, taxonomy: Taxonomy) -> bool:
    return taxonomy.canonical(name) is not None and genre in taxonomy.ancestors(name)


def _written(name: str, taxonomy: Taxonomy) -> str | None:
    genre = taxonomy.canonical(name)
    return None if genre is None else taxonomy.written(genre)


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


@lru_cache(maxsize=1)
def rules() -> Rules:
    """The shipped table, read once."""
    content = tomllib.loads(files("music_reclass").joinpath("data/evidence.toml").read_text(encoding="utf-8"))
    table = tuple(_rule(entry) for entry in content["rule"])
    return Rules(
        rules=table,
        by_tag={tag: rule for rule in table for tag in rule.tags},
        silent=frozenset(content["silent"]["tags"]),
        levels={tag: (middle, upper) for tag, (middle, upper) in content["levels"].items()},
        bars=content["bars"],
    )


def _rule(entry: Mapping[str, Any]) -> Rule:
    return Rule(entry["name"], entry["sort"], tuple(entry["tags"]), tuple(entry["genres"]), entry["reason"])
