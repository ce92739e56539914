"""The desired state of each item and what would change on the server, one row an item (set, noop, skip). Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from music_reclass.domain import Decision, OnExisting, Outcome, Relation
from music_reclass.plex.model import FieldEdit, Item, ItemEdit, Tags, same_tags, without
from music_reclass.tagging.policy import NONE, SURE, propose
from music_reclass.taxonomy.tree import key

if TYPE_CHECKING:
    from music_reclass.features.plex import Ownership
    from music_reclass.taxonomy import Taxonomy

MAJORITY = 0.6  # of the decided tracks, for one genre or for two together
SECOND = 0.25  # what the second of two needs by itself
QUORUM = 0.5  # of all tracks must be decided
MANY_ARTISTS = frozenset({"variousartists", "various", "va"})
STYLED = frozenset({"album", "artist"})  # a track has no styles


@dataclass(frozen=True, slots=True)
class DesiredState:
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


def desired_track_state(
    decision: Decision | None, path: str, taxonomy: Taxonomy, *, subgenres: bool = False
) -> DesiredState:
    """A track says its top genre; with `subgenres` also what lies below, having no other field for it."""
    if decision is None:
        return DesiredState(None, path=path, reason="undecided")
    tops, subs = split(decision.genres, taxonomy)
    genres = tuple(dict.fromkeys((*tops, *subs))) if subgenres else tops
    return DesiredState(replace(decision, genres=genres), path=path)


def desired_group_state(decisions: Sequence[Decision | None], artist: str, taxonomy: Taxonomy) -> DesiredState:
    """An album (or artist) says what its tracks agree on; a collection of various artists says nothing."""
    if key(artist) in MANY_ARTISTS:
        return DesiredState(None, reason="various-artists")
    sure = [one for one in decisions if one is not None and one.outcome in SURE and one.genres]
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
LOCKED = "locked-by-user"

FILL, ADD, REPLACE, AUTO = "fill", "add", "set", "auto"
MODES = (AUTO, FILL, ADD, REPLACE)
LOCK, KEEP_LOCK, UNLOCK = "lock", "keep", "unlock"

_POLICY = {
    AUTO: OnExisting.MERGE,
    ADD: OnExisting.MERGE,
    FILL: OnExisting.REPLACE_JUNK,
    REPLACE: OnExisting.REPLACE_CONFLICT,
}

Owned = Mapping[str, "Ownership"]  # what we wrote, by field


@dataclass(frozen=True, slots=True)
class Rules:
    """How to treat what the server holds.

    `mode` auto replaces what we wrote ourselves and what says nothing, and adds to the rest; add removes nothing;
    fill leaves every genre that is there; set replaces, but never a finer genre by its parent. `lock` is what
    becomes of the lock of a field that is written: without a lock the next refresh of the server takes it back.
    """

    mode: str = AUTO
    lock: str = LOCK
    override_locks: bool = False
    label: str = ""


DEFAULT_RULES = Rules()


@dataclass(frozen=True, slots=True)
class Row:
    """One item: what happens to it, why, and the edit where there is one."""

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


@dataclass(frozen=True, slots=True)
class Relations:
    """How genres stand to each other, remembered: a library holds few distinct pairs, and many tracks."""

    taxonomy: Taxonomy
    _known: dict[tuple[str, Tags], Relation] = field(default_factory=dict)

    def between(self, genre: str, existing: Tags) -> Relation:
        """The relation of a decided genre to the tags that are there."""
        pair = (genre, existing)
        if pair not in self._known:
            self._known[pair] = self.taxonomy.relation(genre, existing or None)
        return self._known[pair]


def row_of(item: Item, desired: DesiredState, owned: Owned, rules: Rules, relations: Relations) -> Row:
    """The row of one item; `owned` is what the journal knows of our edits of it."""
    before = item.value("genre")
    if desired.decision is None:
        return _row(item, desired, SKIP, desired.reason)
    edits: list[FieldEdit] = []
    genre, action, reason = _genre(item, desired, owned.get("genre"), rules, relations)
    if genre is not None:
        edits.append(genre)
    if action != SKIP:
        style = _style(item, desired, owned.get("style"), rules)
        if style is not None:
            edits.append(style)
            reason = reason if action == SET else "style"
            action = SET
    if edits and rules.label:
        edits += _labelled(item, rules.label)
    after = genre.after if genre is not None else before
    return _row(item, desired, action, reason, after, ItemEdit(item, tuple(edits), desired.path) if edits else None)


def _row(
    item: Item, desired: DesiredState, action: str, reason: str, after: Tags = (), edit: ItemEdit | None = None
) -> Row:
    before = item.value("genre")
    return Row(action, reason, item.level, item.key, item.label, desired.path, before, after or before, edit)


def _genre(
    item: Item, desired: DesiredState, mine: Ownership | None, rules: Rules, relations: Relations
) -> tuple[FieldEdit | None, str, str]:
    decision = desired.decision
    assert decision is not None
    before = item.value("genre")
    ours = _untouched(item, mine) and rules.mode != ADD
    theirs = _of_others(item, "genre", mine) if ours else before
    relation = relations.between(decision.genres[0], theirs) if decision.genres else None
    proposal = propose(decision, theirs or None, relation, _POLICY[rules.mode], relations.taxonomy)
    if proposal.action == NONE:
        return None, SKIP, "unsure"
    after = proposal.genres if proposal.writes else theirs
    if rules.mode == ADD:
        after = (*before, *without(after, before))
    if same_tags(before, after):
        return None, NOOP, "it is there already" if proposal.writes or ours else proposal.reason
    if _is_locked(item, "genre", mine, rules):
        return None, SKIP, LOCKED
    edit = FieldEdit("genre", before, without(after, ()), "genre" in item.locked, _lock(item, "genre", rules))
    return edit, SET, "ours" if ours else proposal.reason


def _style(item: Item, desired: DesiredState, mine: Ownership | None, rules: Rules) -> FieldEdit | None:
    """Styles are added to those that are there; those that we wrote ourselves are replaced."""
    theirs = item.value("style") if rules.mode == ADD else _of_others(item, "style", mine)
    if not desired.styles or _is_locked(item, "style", mine, rules) or (rules.mode == FILL and theirs):
        return None
    after = desired.styles if rules.mode == REPLACE else (*theirs, *without(desired.styles, theirs))
    if same_tags(after, item.value("style")):
        return None
    return FieldEdit("style", item.value("style"), after, "style" in item.locked, _lock(item, "style", rules))


def _labelled(item: Item, label: str) -> list[FieldEdit]:
    """The mark by which a user finds what we edited; the lock of the labels stays as it is."""
    labels, locked = item.value("label"), "label" in item.locked
    new = without((label,), labels)
    return [FieldEdit("label", labels, (*labels, *new), locked, locked)] if new else []


def _lock(item: Item, name: str, rules: Rules) -> bool:
    return {LOCK: True, UNLOCK: False, KEEP_LOCK: name in item.locked}[rules.lock]


def _untouched(item: Item, mine: Ownership | None) -> bool:
    """Whether a field is as our last edit left it, lock included: nobody has set it since."""
    if mine is None:
        return False
    name = mine.last.field
    return same_tags(item.value(name), mine.last.after) and (name in item.locked) == mine.last.lock_after


def _of_others(item: Item, name: str, mine: Ownership | None) -> Tags:
    """The tags that are not from us. Once somebody has set the field, all of them are theirs."""
    return without(item.value(name), mine.tags) if mine is not None and _untouched(item, mine) else item.value(name)


def _is_locked(item: Item, name: str, mine: Ownership | None, rules: Rules) -> bool:
    """Whether a lock forbids us to write: one that is not from us is a user's decision."""
    return name in item.locked and not _untouched(item, mine) and not rules.override_locks
