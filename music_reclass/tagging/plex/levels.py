"""What each level of a Plex library shall say: tracks and albums their top genre, albums their styles too. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from music_reclass.domain import Decision, Outcome
from music_reclass.tagging.plan import SURE
from music_reclass.taxonomy.spelling import key

if TYPE_CHECKING:
    from music_reclass.taxonomy import Taxonomy

MAJORITY = 0.6  # of the decided tracks, for one genre or for two together
SECOND = 0.25  # what the second of two needs by itself
QUORUM = 0.5  # of all tracks must be decided
MANY_ARTISTS = frozenset({"variousartists", "various", "va"})
STYLED = frozenset({"album", "artist"})  # a track has no styles


@dataclass(frozen=True, slots=True)
class Wish:
    """What an item shall say. `decision.genres` are those for its genre field; `reason` why there is no wish."""

    decision: Decision | None
    styles: tuple[str, ...] = ()
    path: str = ""
    reason: str = ""


def split(genres: Sequence[str], taxonomy: Taxonomy) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The top genres, and the sub-genres: "Shoegaze" is Rock and Shoegaze, an unknown name is a top genre."""
    tops, subs = [], []
    for name in genres:
        genre = taxonomy.canonical(name)
        if genre is None or taxonomy.parent(genre) is None:
            tops.append(name)
            continue
        subs.append(name)
        top = _top(genre, taxonomy)
        tops.append(taxonomy.written(top) or name)
    return tuple(dict.fromkeys(tops)), tuple(dict.fromkeys(subs))


def _top(genre: str, taxonomy: Taxonomy) -> str:
    above = taxonomy.parent(genre)
    while above is not None:
        genre, above = above, taxonomy.parent(above)
    return genre


def track_wish(decision: Decision | None, path: str, taxonomy: Taxonomy, *, subgenres: bool = False) -> Wish:
    """A track says its top genre; with `subgenres` also what lies below, having no other field for it."""
    if decision is None:
        return Wish(None, path=path, reason="undecided")
    tops, subs = split(decision.genres, taxonomy)
    genres = tuple(dict.fromkeys((*tops, *subs))) if subgenres else tops
    return Wish(replace(decision, genres=genres), path=path)


def group_wish(decisions: Sequence[Decision | None], artist: str, taxonomy: Taxonomy) -> Wish:
    """An album (or artist) says what its tracks agree on; a collection of various artists says nothing."""
    if key(artist) in MANY_ARTISTS:
        return Wish(None, reason="various-artists")
    sure = [one for one in decisions if one is not None and one.outcome in SURE and one.genres]
    if not sure or len(sure) < QUORUM * len(decisions):
        return Wish(None, reason="unsure")
    parted = [split(one.genres, taxonomy) for one in sure]
    genres = _agreed([tops[0] for tops, _ in parted])
    if not genres:
        return Wish(None, reason="no-consensus")
    confident = sum(one.outcome is Outcome.CONFIDENT for one in sure) >= MAJORITY * len(sure)
    outcome = Outcome.CONFIDENT if confident else Outcome.LIKELY
    confidence = sum(one.confidence for one in sure) / len(sure)
    styles = _agreed([subs[0] if subs else "" for _, subs in parted])
    return Wish(Decision(outcome, "consensus", genres, confidence, "album"), tuple(style for style in styles if style))


def _agreed(names: Sequence[str]) -> tuple[str, ...]:
    """The name of most, or the two that most share, the commoner first; () where they do not agree."""
    counts = Counter(names).most_common(2)
    total = len(names)
    if counts[0][1] >= MAJORITY * total:
        return (counts[0][0],)
    if len(counts) == 2 and counts[0][1] + counts[1][1] >= MAJORITY * total and counts[1][1] >= SECOND * total:
        return (counts[0][0], counts[1][0])
    return ()
