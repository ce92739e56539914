"""What would be written to a genre field and why, and how genres are laid out for a program that reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from music_reclass.config import CONFIDENCES, PROFILES
from music_reclass.domain import Decision, OnExisting, Outcome, Relation
from music_reclass.errors import UsageError

if TYPE_CHECKING:
    from music_reclass.taxonomy import Taxonomy

NATIVE, JOINED = "native", "joined"
FIRST_ONLY = ("plex", "single")  # Plex reads no more than the first value of a file; `plex sync` brings the others

WRITE = "write"  # the field gets `genres`
KEEP = "keep"  # there is a genre, and the policy leaves it alone
NONE = "none"  # the decision is not sure enough to be written
CLEANED = "cleaned"  # the reason of a proposal that spells what is there otherwise
SURE = (Outcome.CONFIDENT, Outcome.LIKELY)

# The relations in which each policy puts the decision in the place of what is there.
_REPLACES: dict[OnExisting, tuple[Relation, ...]] = {
    OnExisting.KEEP: (Relation.FILL,),
    OnExisting.REPLACE_JUNK: (Relation.FILL, Relation.JUNK),
    OnExisting.REPLACE_CONFLICT: (Relation.FILL, Relation.JUNK, Relation.REFINE, Relation.CONFLICT),
    OnExisting.REPLACE: tuple(Relation),
    OnExisting.MERGE: (Relation.FILL, Relation.JUNK),
}
_KEPT = {
    Relation.AGREE: "the genre that is there agrees",
    Relation.REFINE: "a wider genre is there",
    Relation.CONFLICT: "another genre is there",
    Relation.JUNK: "what is there says nothing, but it is to be kept",
    Relation.FILL: "",
}

Values = tuple[str, ...]


# --- profiles: the layout for a program that reads the file ------------------------------------------------------


def laid_out(genres: Sequence[str], profile: str = NATIVE) -> Values:
    """The values to write for `genres`, the first being the primary one; UsageError for an unknown profile.

    `single` and `plex`: the first genre only. `joined`: all in one value, divided by "; ", as DJ programs have it.
    The others: the format's list of values, which Navidrome, and Jellyfin from 10.9 on, read whole.
    """
    if profile not in PROFILES:
        raise UsageError(f"There is no tag profile {profile!r}; there are {', '.join(PROFILES)}.")
    values = tuple(dict.fromkeys(genre for genre in genres if genre))
    if profile in FIRST_ONLY:
        return values[:1]
    return ("; ".join(values),) if profile == JOINED and values else values


def as_navidrome(values: Sequence[str]) -> Values:
    """What Navidrome makes of the values of a file: a single one is split at `;`, `/` and `,`."""
    if len(values) != 1:
        return tuple(values)
    return tuple(part for part in re.split(r"\s*[;/,]\s*", values[0]) if part)


# --- proposals -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Proposal:
    """What to do with one track: `genres` is what the field would hold, the primary one first."""

    action: str
    reason: str
    genres: tuple[str, ...] = ()
    relation: Relation | None = None
    style: str = ""  # the first of `genres`, where it is a style in the place of the decided genre
    style_field: str = ""  # what the style, a field of its own, would hold; the action says nothing of it

    @property
    def writes(self) -> bool:
        """Whether the file would change."""
        return self.action == WRITE or bool(self.style_field)

    @property
    def shown(self) -> str:
        """What would be written, as people read it."""
        return ", ".join((*self.genres, *([f"style {self.style_field}"] if self.style_field else ())))


def propose(
    decision: Decision,
    existing: Sequence[str] | None,
    relation: Relation | None,
    *,
    on_existing: OnExisting,
    taxonomy: Taxonomy,
    min_confidence: str = "likely",
) -> Proposal:
    """The proposal for a file that holds `existing`; `relation` is the decision's to it, None without a genre.

    A finer genre is never replaced by its ancestor unless `replace` is asked for. A weak root (`Spoken`, ...) is
    written only where the decision is confident, and never over a genre. What the user decided takes the place of any
    genre, unless all that is there is to be kept.
    """
    if decision.reason == "chosen" and on_existing is not OnExisting.KEEP:
        on_existing = OnExisting.REPLACE
    if decision.outcome not in SURE or relation is None:
        return Proposal(NONE, decision.reason or decision.outcome.value, (), relation)
    if not is_enough(decision, min_confidence):
        return Proposal(NONE, "below the confidence that may be written (min_confidence)", (), relation)
    genres = decision.genres
    weak = genres[0] in taxonomy.weak and decision.reason != "chosen"
    if weak and decision.outcome is not Outcome.CONFIDENT:
        return Proposal(NONE, f"{genres[0]} says too little to be written unless it is certain", (), relation)
    if on_existing is OnExisting.MERGE and relation in (Relation.REFINE, Relation.CONFLICT):
        return _merged(genres, existing or (), relation)
    if relation not in _REPLACES[on_existing]:
        return Proposal(KEEP, _KEPT[relation], (), relation)
    if weak and relation not in (Relation.FILL, Relation.JUNK):
        return Proposal(KEEP, f"{genres[0]} says too little to replace a genre", (), relation)
    if tuple(existing or ()) == genres or (decision.reason == "chosen" and _is_said(genres, existing or (), taxonomy)):
        return Proposal(KEEP, "it is there already", (), relation)
    return Proposal(WRITE, relation.value, genres, relation)


def _is_said(genres: Sequence[str], existing: Sequence[str], taxonomy: Taxonomy) -> bool:
    """Whether a field says what somebody wrote into it before, in words of their own: those are not written again."""
    verbatim = any(taxonomy.cleaned((genre,)) != (genre,) for genre in genres)
    return verbatim and taxonomy.cleaned(existing) == taxonomy.cleaned(genres)


def is_enough(decision: Decision, min_confidence: str) -> bool:
    """Whether a decision may be written: `likely`, `confident`, or a least confidence from 0 to 1 are asked for."""
    if decision.outcome not in SURE:
        return False
    if min_confidence in CONFIDENCES:
        return min_confidence == "likely" or decision.outcome is Outcome.CONFIDENT
    return decision.confidence >= float(min_confidence)


def clean(
    existing: Sequence[str] | None,
    taxonomy: Taxonomy,
    *,
    only: Sequence[str] = (),
    profile: str = NATIVE,
    apart: bool = False,
) -> Proposal:
    """The proposal that spells the genres of a file as the taxonomy does (`Taxonomy.cleaned`); no genre comes in, and
    none goes for the sake of the profile.

    Where styles are kept `apart`, a single genre that lies below a root, or below one of `only`, goes into the field of
    the style, and what lies above it into that of the genre.
    """
    if not existing:
        return Proposal(KEEP, "there is no genre")
    genres, style = taxonomy.cleaned(existing, only), ""
    if apart:
        finer = taxonomy.cleaned(existing)
        roots = only or taxonomy.roots
        wide = taxonomy.cleaned(existing, roots)
        if len(finer) == len(wide) == 1 and finer != wide and taxonomy.canonical(finer[0]) is not None:
            genres, style = wide, finer[0]
    values = laid_out(genres, profile) if profile == JOINED else genres
    if values == tuple(existing):
        return Proposal(KEEP, "it is clean already")
    return Proposal(WRITE, CLEANED, values, style_field=style)


def _merged(genres: Sequence[str], existing: Sequence[str], relation: Relation) -> Proposal:
    """What is there stays in front; of the decision comes behind it what is not there in any spelling."""
    present = {value.casefold() for value in existing}
    added = [genre for genre in genres if genre.casefold() not in present]
    if not added:
        return Proposal(KEEP, "it is there already", (), relation)
    return Proposal(WRITE, "merge", (*existing, *added), relation)
