"""The desired state of each item and the edit that leads to it, one row an item (set, noop, skip). Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from music_reclass.domain import Decision, OnExisting, Outcome, Relation
from music_reclass.plex.model import TRACK, Item, ItemEdit, Tags, same_tags, without
from music_reclass.plex.paths import NO_MAP, PathMap
from music_reclass.tagging.policy import NONE, is_enough, propose
from music_reclass.taxonomy.tree import key

if TYPE_CHECKING:
    from music_reclass.features.plex import FieldEdit
    from music_reclass.taxonomy import Taxonomy

MAJORITY = 0.6  # of the decided tracks, for one genre or for two together
SECOND = 0.25  # what the second of two needs by itself
QUORUM = 0.5  # of all tracks must be decided
MANY_ARTISTS = frozenset({"variousartists", "various", "va"})


@dataclass(frozen=True, slots=True)
class DesiredState:
    """What an item shall hold. `decision.genres` are those for its genre field; `reason`: why there is no decision."""

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


def desired_track_state(
    decision: Decision | None, path: str, taxonomy: Taxonomy, *, subgenres: bool = False
) -> DesiredState:
    """A track gets its top genre; with `subgenres` also those below it, because a track has no style field."""
    if decision is None:
        return DesiredState(None, path=path, reason="undecided")
    tops, subs = split(decision.genres, taxonomy)
    genres = tuple(dict.fromkeys((*tops, *subs))) if subgenres else tops
    return DesiredState(replace(decision, genres=genres), path=path)


def desired_group_state(
    decisions: Sequence[Decision | None], artist: str, taxonomy: Taxonomy, min_confidence: str = "likely"
) -> DesiredState:
    """An album (or artist) gets what its tracks agree on; a collection of various artists gets nothing."""
    if key(artist) in MANY_ARTISTS:
        return DesiredState(None, reason="various-artists")
    sure = [one for one in decisions if one is not None and is_enough(one, min_confidence) and one.genres]
    if not sure or len(sure) < QUORUM * len(decisions):
        return DesiredState(None, reason="unsure")
    parted = [split(one.genres, taxonomy) for one in sure]
    genres = _agreed([tops[0] for tops, _ in parted])
    if not genres:
        return DesiredState(None, reason="no-consensus")
    confident = sum(one.outcome is Outcome.CONFIDENT for one in sure) >= MAJORITY * len(sure)
    outcome = Outcome.CONFIDENT if confident else Outcome.LIKELY
    confidence = sum(one.confidence for one in sure) / len(sure)
    styles = _agreed([subs[0] if subs else "" for _, subs in parted])
    return DesiredState(
        Decision(outcome, "consensus", genres, confidence, "album"), tuple(style for style in styles if style)
    )


def _agreed(names: Sequence[str]) -> tuple[str, ...]:
    """The name of most, or the two that most share, the commoner first; () where they do not agree."""
    counts = Counter(names).most_common(2)
    total = len(names)
    if counts[0][1] >= MAJORITY * total:
        return (counts[0][0],)
    if len(counts) == 2 and counts[0][1] + counts[1][1] >= MAJORITY * total and counts[1][1] >= SECOND * total:
        return (counts[0][0], counts[1][0])
    return ()


SET, NOOP, SKIP = "set", "noop", "skip"
RESTORE, LEAVE = "restore", "leave"  # of the rows of a restore
LOCKED = "locked-by-user"

FILL, ADD, REPLACE, AUTO = "fill", "add", "set", "auto"
LOCK, KEEP_LOCK, UNLOCK = "lock", "keep", "unlock"

_POLICY = {
    AUTO: OnExisting.MERGE,
    ADD: OnExisting.MERGE,
    FILL: OnExisting.REPLACE_JUNK,
    REPLACE: OnExisting.REPLACE_CONFLICT,
}


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """What to compare, and how to treat what the server holds.

    `mode` auto replaces what we wrote ourselves and what says nothing, and adds to the rest; add removes nothing;
    fill leaves every genre that is there; set replaces, but never a finer genre by its parent. `lock` is what
    becomes of the lock of a field that is written: without a lock the next refresh of the server takes it back.
    """

    level: str = TRACK
    mode: str = AUTO
    lock: str = LOCK
    override_locks: bool = False
    label: str = ""  # put on every item that is written
    given: PathMap = NO_MAP  # from the command line, before what is stored or inferred
    by_tags: bool = False  # match by artist, album, title and length where no path fits
    subgenres: bool = False
    allow_partial: bool = False
    only: frozenset[str] | None = None  # no other files than these
    min_confidence: str = "likely"  # what may be written at all


@dataclass(frozen=True, slots=True)
class Row:
    """One item: what happens to it, why, and the edit where there is one. Rows without an edit change nothing."""

    action: str
    reason: str
    level: str
    key: int
    title: str
    path: str = ""
    before: Tags = ()
    after: Tags = ()
    edit: ItemEdit | None = None

    def as_json(self) -> dict[str, Any]:
        """For `--json`: one object (docs/how-to/plex.md)."""
        others = {one.field: list(one.after) for one in self.edit.fields if one.field != "genre"} if self.edit else {}
        return {
            "action": self.action,
            "reason": self.reason,
            "level": self.level,
            "rating_key": self.key,
            "title": self.title,
            "path": self.path,
            "before": list(self.before),
            "after": list(self.after),
            **others,
        }


class Comparison:
    """Compares items with their desired states, as a request asks for it."""

    def __init__(self, request: SyncRequest, taxonomy: Taxonomy) -> None:
        self._request, self._taxonomy = request, taxonomy
        self._relations: dict[tuple[str, Tags], Relation] = {}  # a library holds few distinct pairs, and many tracks

    def row(self, item: Item, desired: DesiredState, ours: Mapping[str, FieldEdit]) -> Row:
        """The row of one item; `ours`: by field, what the edit log knows of our edits of it."""
        before = item.value("genre")
        edits: list[FieldEdit] = []
        action, reason = SKIP, desired.reason
        if desired.decision is not None:
            genre, action, reason = self._genre(item, desired.decision, ours.get("genre"))
            edits += [genre] if genre is not None else []
            style = self._style(item, desired.styles, ours.get("style")) if action != SKIP else None
            if style is not None:
                edits.append(style)
                action, reason = SET, reason if action == SET else "style"
        after = edits[0].after if edits and edits[0].field == "genre" else ()
        if edits and self._request.label:
            edits += self._label(item)
        return Row(
            action, reason, item.level, item.key, item.label, desired.path, before, after or before,
            ItemEdit(item, tuple(edits)) if edits else None,
        )  # fmt: skip

    def _genre(self, item: Item, decision: Decision, ours: FieldEdit | None) -> tuple[FieldEdit | None, str, str]:
        """The edit of the genres, or None; action and reason of the row."""
        mode, before = self._request.mode, item.value("genre")
        untouched = _untouched(item, ours) and mode != ADD
        theirs = _of_others(item, "genre", ours) if untouched else before
        relation = self._relation(decision.genres[0], theirs) if decision.genres else None
        floor = (
            self._request.min_confidence if self._request.level == TRACK else "likely"
        )  # a group's tracks had theirs
        proposal = propose(
            decision, theirs or None, relation, on_existing=_POLICY[mode], taxonomy=self._taxonomy, min_confidence=floor
        )
        if proposal.action == NONE:
            return None, SKIP, "unsure"
        after = proposal.genres if proposal.writes else theirs
        if mode == ADD:
            after = (*before, *without(after, before))
        if same_tags(before, after):
            return None, NOOP, "it is there already" if proposal.writes or untouched else proposal.reason
        if self._is_locked(item, "genre", ours):
            return None, SKIP, LOCKED
        edit = item.edit("genre", without(after, ()), lock=self._lock(item, "genre"))
        return edit, SET, "ours" if untouched else proposal.reason

    def _style(self, item: Item, styles: Tags, ours: FieldEdit | None) -> FieldEdit | None:
        """Styles are added to those that are there; those that we wrote ourselves are replaced."""
        mode = self._request.mode
        theirs = item.value("style") if mode == ADD else _of_others(item, "style", ours)
        if not styles or self._is_locked(item, "style", ours) or (mode == FILL and theirs):
            return None
        after = styles if mode == REPLACE else (*theirs, *without(styles, theirs))
        if same_tags(after, item.value("style")):
            return None
        return item.edit("style", after, lock=self._lock(item, "style"))

    def _label(self, item: Item) -> list[FieldEdit]:
        """The label by which a user finds what we edited; the lock of the labels stays as it is."""
        labels = item.value("label")
        new = without((self._request.label,), labels)
        return [item.edit("label", (*labels, *new), lock="label" in item.locked)] if new else []

    def _relation(self, genre: str, existing: Tags) -> Relation:
        pair = (genre, existing)
        if pair not in self._relations:
            self._relations[pair] = self._taxonomy.relation(genre, existing or None)
        return self._relations[pair]

    def _lock(self, item: Item, name: str) -> bool:
        return {LOCK: True, UNLOCK: False, KEEP_LOCK: name in item.locked}[self._request.lock]

    def _is_locked(self, item: Item, name: str, ours: FieldEdit | None) -> bool:
        """Whether a lock forbids us to write: one that is not from us is a user's decision."""
        return name in item.locked and not _untouched(item, ours) and not self._request.override_locks


def _untouched(item: Item, ours: FieldEdit | None) -> bool:
    """Whether a field is as our last edit left it, lock included: nobody has set it since."""
    return ours is not None and item.is_after(ours)


def _of_others(item: Item, name: str, ours: FieldEdit | None) -> Tags:
    """The tags that are not from us. Once somebody has set the field, all of them are theirs."""
    if ours is None or not item.is_after(ours):
        return item.value(name)
    return without(item.value(name), [tag for tag in ours.after if tag not in ours.before])
