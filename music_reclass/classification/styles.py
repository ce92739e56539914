"""Styles below the decided genre, by tags of taggers; written only as far as the library's own tags certify them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from music_reclass.classification.albums import artist_of
from music_reclass.domain import FeatureKind, Outcome
from music_reclass.errors import ReclassError
from music_reclass.features.library import Library
from music_reclass.features.results import LibraryCalibrations
from music_reclass.models.early_exit import lower_bound
from music_reclass.taxonomy.tree import key

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from music_reclass.domain import Track, Vector
    from music_reclass.features.database import Database
    from music_reclass.taxonomy import Taxonomy

    Strengths = Mapping[FeatureKind, Mapping[str, float]]  # of tags by name, by the kind they come from

AUDIOSET = ("efficientat-tags", "efficientat-mn10-tags")  # kinds of AudioSet's tags in the order of its class list
TAG_KINDS = (*AUDIOSET, "discogs-styles", "maest-styles", "musicnn-tags", "musicnn", "ast-tags")
PRECISION, DELTA = 0.8, 0.1
ARTISTS = 20  # of a style, with a tag that names it: with fewer nothing is certified
FAINTEST = 0.05  # a weaker tag names no style
USER_TAGS = FeatureKind(
    "user-tags", "1", 1, "library"
)  # stands for the genres that users gave an artist's other albums
_THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # that are tried; they share DELTA


# --- tags ---------------------------------------------------------------------------------------------------------


def tags_in(vectors: Mapping[FeatureKind, Vector]) -> dict[str, float]:
    """The strength of every tag by its name, in [0, 1]; {} where no vector is of a kind that holds tags.

    MusiCNN's tags are computed from its embedding where they are not stored. AudioSet's classes are EfficientAT's
    where these are there too, not AST's. Vectors of other weights than the installed ones give no tags where only the
    installed ones name them.
    """
    found: dict[str, float] = {}
    for kind in sorted(vectors, key=lambda kind: kind.name in AUDIOSET):
        if kind.name != "musicnn" or all(other.name != "musicnn-tags" for other in vectors):
            found |= strengths_of(kind, vectors[kind])
    return found


def strengths_of(
    kind: FeatureKind, vector: Vector, names: Sequence[str] | None = None, least: float = 0.0
) -> dict[str, float]:
    """The strengths of the tags of one vector by name, from `least` on; {} for a kind that holds none.

    `names` are those of the kind, where they are known already.
    """
    names = tag_names(kind) if names is None else names
    if kind.name == "musicnn" and names:
        from music_reclass.extractors.musicnn import approximate
        from music_reclass.extractors.weights.store import needed

        vector = approximate(np.asarray(vector, dtype=np.float32)[None], needed("musicnn"))[0]
    strong = np.flatnonzero(np.asarray(vector[: len(names)]) >= least)
    return {names[place]: float(vector[place]) for place in strong.tolist()}


def tag_names(kind: FeatureKind) -> tuple[str, ...]:
    """The tags of a tagger's kind in their order; () for kinds of another sort and for other weights.

    Those of MusiCNN's embedding are the ones that can be computed from it.
    """
    from music_reclass.extractors.efficientat import audioset_labels
    from music_reclass.extractors.musicnn import TAGS
    from music_reclass.extractors.registry import EXTRACTORS, extractor

    if kind.name in AUDIOSET:
        return audioset_labels()
    if kind.name not in EXTRACTORS or kind.name == "fma518":
        return ()
    try:
        made = extractor(kind.name, kind.excerpt)
    except ReclassError:  # not installed: then nobody knows what its numbers are called
        return ()
    if made.kind != kind:
        return ()
    return TAGS if kind.name in ("musicnn", "musicnn-tags") else tuple(getattr(made, "names", ()))


def tag_kinds() -> tuple[FeatureKind, ...]:
    """The kinds with tags that the installed weights give, over the middle of a file."""
    from music_reclass.extractors.registry import extractor

    found = []
    for name in TAG_KINDS:
        try:
            found.append(extractor(name, "mid30").kind)
        except ReclassError:
            continue
    return tuple(found)


# --- styles -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Style:
    """A tag that names a genre below the decided one, and what the library's own tags say of it.

    `threshold`: the strength from which at least `precision` of such tracks are right, certified on `artists` of the
    library; None where nothing is certified, and `why`.
    """

    genre: str  # of the taxonomy
    tag: str
    kind: str  # the feature kind's name
    strength: float
    threshold: float | None = None
    precision: float = 0.0
    artists: int = 0
    why: str = "not calibrated on this library"

    @property
    def certified(self) -> bool:
        """Whether it may be written."""
        return self.threshold is not None and self.strength >= self.threshold

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "genre": self.genre, "tag": self.tag, "kind": self.kind, "strength": round(self.strength, 4),
            "threshold": self.threshold, "precision": self.precision if self.threshold is not None else None,
            "artists": self.artists, "certified": self.certified, "why": "" if self.certified else self.why,
        }  # fmt: skip


def style_of(tag: str, taxonomy: Taxonomy) -> str | None:
    """The genre that a tag names: a style of Discogs by its table, another tag by the table of evidence; None for
    instruments, moods and tags that name none."""
    from music_reclass.extractors.discogs import style_table

    if (named := style_table()["styles"].get(tag)) is not None:
        return taxonomy.canonical(named)
    genres = _genre_tags().get(tag, ())
    itself = taxonomy.canonical(tag.rpartition("---")[2])
    known = [genre for genre in map(taxonomy.canonical, genres) if genre is not None]
    return itself if itself in known else next(iter(known), None)


def _named(kind: FeatureKind, tag: str, taxonomy: Taxonomy) -> str | None:
    """What a tag of one kind names, worked out once for each taxonomy."""
    if kind == USER_TAGS:
        return tag
    asked = (taxonomy.digest, tag)
    if asked not in _NAMED:
        _NAMED[asked] = style_of(tag, taxonomy)
    return _NAMED[asked]


_NAMED: dict[tuple[str, str], str | None] = {}


@lru_cache(maxsize=1)
def _genre_tags() -> Mapping[str, tuple[str, ...]]:
    """The genres that data/evidence.toml gives to each tag that is a genre by itself."""
    content = tomllib.loads(files("music_reclass").joinpath("data/evidence.toml").read_text(encoding="utf-8"))
    return {tag: tuple(rule["genres"]) for rule in content["rule"] if rule["sort"] == "genre" for tag in rule["tags"]}


def styles_below(
    genre: str, strengths: Strengths, taxonomy: Taxonomy, calibration: Mapping[str, Any] | None
) -> tuple[Style, ...]:
    """The styles below `genre` that tags name, each once: those that may be written first, then the strongest.

    `calibration` is what `calibrate_styles` gave, None where nothing was calibrated.
    """
    above = taxonomy.canonical(genre)
    found: dict[str, Style] = {}
    for kind, tags in strengths.items():
        for tag, strength in tags.items():
            named = _named(kind, tag, taxonomy) if strength >= FAINTEST else None
            if named is None or above is None or not taxonomy.is_descendant(named, above):
                continue
            style = _with_certificate(Style(named, tag, kind.name, strength), kind, calibration)
            found[named] = max(style, found.get(named, style), key=_rank)
    return tuple(sorted(found.values(), key=_rank, reverse=True))


def _rank(style: Style) -> tuple[bool, float, float]:
    return style.certified, style.precision if style.certified else 0.0, style.strength


def _with_certificate(style: Style, kind: FeatureKind, calibration: Mapping[str, Any] | None) -> Style:
    stated = None if calibration is None else calibration["tags"].get(_key(kind, style.tag))
    if stated is None:
        return style
    threshold, artists = stated["threshold"], int(stated["artists"])
    why = str(stated["why"]) or f"weaker than the {threshold:.2f} from which it is certified"
    bound = float(stated["precision"] or 0.0)
    return Style(style.genre, style.tag, style.kind, style.strength, threshold, bound, artists, why)


def _key(kind: FeatureKind, tag: str) -> str:
    return f"{kind.key} {tag}"


# --- calibration --------------------------------------------------------------------------------------------------


def calibrate_styles(database: Database, taxonomy: Taxonomy) -> dict[str, Any]:
    """From which strength on each tag names the right style, certified by the fine genres that users gave.

    Tracks count that were decided by now, with a genre above the style; one of every artist. Right is a tag that names
    the style or something below it; one that names something above it says nothing, and does not count.
    """
    library, results = Library(database), {}
    index = UserTags(library, taxonomy)
    sources = {kind: library.tagged_by_user(kind) for kind in tag_kinds()} | {USER_TAGS: library.all_tagged_by_user()}
    for kind, found in sources.items():
        tracks, names = _one_an_artist(found), tag_names(kind)
        known = [_known(track, taxonomy) for track in tracks]
        rows = [
            index.beside(track) if track.vector is None else strengths_of(kind, track.vector, names, FAINTEST)
            for track in tracks
        ]
        for tag in sorted({tag for row in rows for tag in row}):
            style = _named(kind, tag, taxonomy)
            if style is None:
                continue
            above = frozenset(taxonomy.ancestors(style))
            judged = [
                (row.get(tag, 0.0), right)
                for row, one in zip(rows, known, strict=True)
                if one.decided in above and (right := one.tells(style, above)) is not None
            ]
            if any(right for _, right in judged):
                results[_key(kind, tag)] = {"style": style, **_certified(judged)}
    return {"precision": PRECISION, "delta": DELTA, "tags": results}


class _Known(NamedTuple):
    """What is known of a track: the genres that the user gave, these with what lies above them, and the decided one."""

    given: frozenset[str]
    named: frozenset[str]
    decided: str | None

    def tells(self, style: str, above: frozenset[str]) -> bool | None:
        """Whether the user's genres name the style or one below it; None where they are too wide to tell, or none.

        `above` lies above the style.
        """
        if style in self.named:
            return True
        return None if not self.given or self.given & above else False


def _known(track: Track, taxonomy: Taxonomy) -> _Known:
    given = _given(track, taxonomy)
    named = given.union(*map(taxonomy.ancestors, given))
    return _Known(given, named, taxonomy.canonical(track.decision.genres[0]) if track.decision else None)


class UserTags:
    """The fine genres that the user gave to an artist's albums."""

    def __init__(self, library: Library, taxonomy: Taxonomy) -> None:
        self._taxonomy = taxonomy
        self._albums: dict[str, dict[str, set[str]]] = {}  # artist -> album title -> genres and what lies above them
        for track in library.all_tagged_by_user():
            if artist := artist_of(track.tags):
                given = _given(track, taxonomy)
                titles = self._albums.setdefault(artist, {})
                titles.setdefault(_title(track), set()).update(given, *map(taxonomy.ancestors, given))

    def beside(self, track: Track) -> dict[str, float]:
        """The share of the artist's other albums that carry each genre, or one below it."""
        titles = self._albums.get(artist_of(track.tags), {})
        others = [genres for title, genres in titles.items() if title != _title(track)]
        return {genre: sum(genre in one for one in others) / len(others) for genre in set().union(*others)}


def _title(track: Track) -> str:
    """What keeps an album apart from the artist's others; a track without one is alone."""
    return key(track.tags.album) or f"\0{track.path}"


def _one_an_artist(tracks: Iterable[Track]) -> list[Track]:
    """One of the decided tracks of every artist, drawn evenly; no more is held than there are artists."""
    generator, count = np.random.default_rng(0), Counter[str]()
    chosen: dict[str, Track] = {}
    for track in filter(_decided, tracks):
        count[track.group] += 1
        if generator.integers(count[track.group]) == 0:
            chosen[track.group] = track
    return list(chosen.values())


def _decided(track: Track) -> bool:
    return track.decision is not None and track.decision.outcome in (Outcome.CONFIDENT, Outcome.LIKELY)


def _given(track: Track, taxonomy: Taxonomy) -> frozenset[str]:
    """The genres that the user gave to a track."""
    names = (name for value in track.tags.genres or () for name in taxonomy.split(value))
    return frozenset(filter(None, map(taxonomy.canonical, names)))


def _certified(judged: Sequence[tuple[float, bool]]) -> dict[str, Any]:
    """The lowest threshold from which on PRECISION is certified: exact bounds, DELTA shared by all that are tried."""
    strength = np.array([one for one, _ in judged])
    right = np.array([one for _, one in judged], dtype=np.bool_)
    artists = int(right.sum())
    stated = {"threshold": None, "precision": None, "count": len(judged), "right": 0, "artists": artists}
    if artists < ARTISTS:
        short = f"{artists} artist{'' if artists == 1 else 's'} of the library carr{'ies' if artists == 1 else 'y'} it"
        return {**stated, "why": f"not calibrated: {short}, and {ARTISTS} are the least"}
    for threshold in _THRESHOLDS:
        above = strength >= threshold
        count, hits = int(above.sum()), int((above & right).sum())
        bound = lower_bound(hits, count, DELTA / len(_THRESHOLDS))
        if bound >= PRECISION:
            measured = {"threshold": threshold, "precision": round(bound, 4), "count": count, "right": hits}
            return {**stated, **measured, "why": ""}
    return {**stated, "why": f"not certified: too often wrong for {PRECISION:.0%}, or too rarely strong enough to tell"}


class StyleReader:
    """Reads styles of tracks of one library: stored tags, the user's own, and what was calibrated on the library."""

    def __init__(self, database: Database, taxonomy: Taxonomy) -> None:
        self._library = Library(database)
        self._taxonomy = taxonomy
        self._calibration = LibraryCalibrations(database).of(LibraryCalibrations.STYLES)
        self._names = {kind: tag_names(kind) for kind in tag_kinds()}
        self._user: UserTags | None = None
        self._finer: dict[tuple[int, str], str | None] = {}  # a plan asks twice: to count, and to write

    def of(self, track: Track, genre: str, known: Mapping[FeatureKind, Vector] | None = None) -> tuple[Style, ...]:
        """The styles below `genre` that tags of a track name: `known` ones, stored ones, and, once styles were
        calibrated, the user's on the artist's other albums."""
        vectors = dict(known or {})
        for kind in self._names:
            stored = {} if kind in vectors else self._library.vectors([track.id], kind)
            vectors.update({kind: stored[track.id]} if stored else {})
        strengths: dict[FeatureKind, Mapping[str, float]]
        strengths = {kind: strengths_of(kind, one, self._names.get(kind), FAINTEST) for kind, one in vectors.items()}
        if self._calibration is not None:
            self._user = self._user or UserTags(self._library, self._taxonomy)
            strengths[USER_TAGS] = self._user.beside(track)
        return styles_below(genre, strengths, self._taxonomy, self._calibration)

    def finer(self, track: Track, genre: str) -> str | None:
        """The style that may be written in the place of `genre`, as it is written; None where none is certified."""
        if self._calibration is None:
            return None
        asked = (track.id, genre)
        if asked not in self._finer:
            best = next((style for style in self.of(track, genre) if style.certified), None)
            self._finer[asked] = None if best is None else self._taxonomy.written(best.genre)
        return self._finer[asked]
