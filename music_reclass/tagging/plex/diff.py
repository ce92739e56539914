"""What would change on the server and why, one row an item: set, noop or skip. Pure, so that it can be shown first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from music_reclass.domain import OnExisting, Relation
from music_reclass.tagging.plan import NONE, propose
from music_reclass.tagging.plex.nouns import FieldEdit, Item, ItemEdit, Tags, same_tags, without

if TYPE_CHECKING:
    from music_reclass.features.plex_journal import Ownership
    from music_reclass.tagging.plex.levels import Wish
    from music_reclass.taxonomy import Taxonomy

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


def row_of(item: Item, wish: Wish, owned: Owned, rules: Rules, relations: Relations) -> Row:
    """The row of one item; `owned` is what the journal knows of our edits of it."""
    before = item.value("genre")
    if wish.decision is None:
        return _row(item, wish, SKIP, wish.reason)
    edits: list[FieldEdit] = []
    genre, action, reason = _genre(item, wish, owned.get("genre"), rules, relations)
    if genre is not None:
        edits.append(genre)
    if action != SKIP:
        style = _style(item, wish, owned.get("style"), rules)
        if style is not None:
            edits.append(style)
            reason = reason if action == SET else "style"
            action = SET
    if edits and rules.label:
        edits += _labelled(item, rules.label)
    after = genre.after if genre is not None else before
    return _row(item, wish, action, reason, after, ItemEdit(item, tuple(edits), wish.path) if edits else None)


def _row(item: Item, wish: Wish, action: str, reason: str, after: Tags = (), edit: ItemEdit | None = None) -> Row:
    before = item.value("genre")
    return Row(action, reason, item.level, item.key, item.label, wish.path, before, after or before, edit)


def _genre(
    item: Item, wish: Wish, mine: Ownership | None, rules: Rules, relations: Relations
) -> tuple[FieldEdit | None, str, str]:
    decision = wish.decision
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


def _style(item: Item, wish: Wish, mine: Ownership | None, rules: Rules) -> FieldEdit | None:
    """Styles are added to those that are there; those that we wrote ourselves are replaced."""
    theirs = item.value("style") if rules.mode == ADD else _of_others(item, "style", mine)
    if not wish.styles or _is_locked(item, "style", mine, rules) or (rules.mode == FILL and theirs):
        return None
    after = wish.styles if rules.mode == REPLACE else (*theirs, *without(wish.styles, theirs))
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
