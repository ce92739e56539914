"""What a sync would write: the desired state of every item, what may happen to what is there, one row an item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cache
from typing import TYPE_CHECKING

from music_reclass.classification.albums import is_compilation
from music_reclass.domain import Decision, OnExisting, Outcome
from music_reclass.errors import NothingToDo, UsageError
from music_reclass.features.plex import local_tracks
from music_reclass.plex.http import READ_TOGETHER, in_batches
from music_reclass.plex.model import ALBUM, ARTIST, TRACK, ItemEdit, Listed, joined, same_tags, tag_key, without
from music_reclass.plex.paths import LocalIndex, Match, PathMap, match
from music_reclass.tagging.policy import NONE, SURE, is_enough, propose
from music_reclass.taxonomy.tree import key

if TYPE_CHECKING:
    from music_reclass.features.plex import FieldEdit
    from music_reclass.plex.http import Server
    from music_reclass.plex.library import PlexLibrary
    from music_reclass.plex.model import Item, Section, Tags
    from music_reclass.taxonomy import Taxonomy

AUTO_LEVEL = "auto"
LEAST_COVERAGE = 0.95
MAJORITY = 0.6  # of the decided tracks, for one genre or for two together
SECOND = 0.25  # what the second of two needs by itself
QUORUM = 0.5  # of all tracks must be decided
ALIKE = 0.5  # the least likeness of a library's name for a genre, where it has several

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

    `level` auto: albums and tracks. `mode` auto replaces what we wrote ourselves and what says nothing, and adds to the
    rest; add removes nothing; fill leaves every genre that is there; set replaces, but never a finer genre by its
    parent; "": auto for tracks, and fill above them, where an agent has been. `lock` is what becomes of the lock of a
    field that is written: without a lock the next refresh of the server takes it back.
    """

    level: str = AUTO_LEVEL
    mode: str = ""
    lock: str = LOCK
    override_locks: bool = False
    label: str = ""  # put on every item that is written
    by_tags: bool = False  # match by artist, album, title and length where no path fits
    subgenres: bool = False
    allow_partial: bool = False
    only: frozenset[str] | None = None  # no other files than these
    min_confidence: str = "likely"  # what may be written at all


@dataclass(frozen=True, slots=True)
class DesiredState:
    """What an item shall hold. `decision.genres` are those for its genre field; `reason`: why there is no decision."""

    decision: Decision | None
    styles: tuple[str, ...] = ()
    path: str = ""
    reason: str = ""


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


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """What a sync would write: a row for every item of `levels`, how they were found, and a warning or ""."""

    section: Section
    levels: tuple[str, ...]
    warning: str
    listed: int  # tracks of the server
    matched: int  # of those, tracks that are files here
    path_map: PathMap
    rows: tuple[Row, ...]

    @property
    def edits(self) -> list[ItemEdit]:
        """The edits to write."""
        return [row.edit for row in self.rows if row.edit is not None]


Matched = Sequence[tuple[Listed, Match]]
States = dict[int, tuple[str, DesiredState]]  # by key: how people call the item, and what it shall hold


def plan_sync(library: PlexLibrary, request: SyncRequest, taxonomy: Taxonomy) -> SyncPlan:
    """List the library, find the file of each track, and compare what may change; a stop leaves out the rest.

    NothingToDo if either side is empty, UsageError where the path map fits so badly that it must be wrong.
    """
    section = library.section
    levels, warning = levels_for(library.server, section, request.level)
    tracks = library.tracks()
    if not tracks and request.only is None:  # after a scan of the files here the server may not hold them yet
        raise NothingToDo(f"The Plex library {section.title} holds no tracks.")
    index = LocalIndex(local_tracks(library.journal.database))
    if not len(index):
        raise NothingToDo("No file is known here yet: scan a folder first (reclass scan ~/Music).")
    matched = [(one, match(one, index, library.path_map, by_tags=request.by_tags)) for one in tracks]
    found = [answer.track.path for _, answer in matched if answer.track is not None]
    # Either side may hold more than the other: one folder scanned of a large library, or one library of several. A
    # wrong path map makes both shares small.
    coverage = max(len(found) / max(len(tracks), 1), len(set(found)) / len(index))
    if coverage < LEAST_COVERAGE and not request.allow_partial:
        raise UsageError(
            f"Only {len(found):,} of {len(tracks):,} tracks in {section.title} are files that reclass knows. "
            "Look at `reclass plex map`, name the folders with --map SERVER=LOCAL, scan the rest, "
            "or go on with those by --allow-partial."
        )
    comparison = Comparison(request, taxonomy)
    rows = tuple(row for level in levels for row in _rows(library, level, matched, comparison))
    return SyncPlan(section, levels, warning, len(tracks), len(found), library.path_map, rows)


def levels_for(server: Server, section: Section, wanted: str) -> tuple[tuple[str, ...], str]:
    """The levels to write, and a warning where `auto` leaves out tracks; UsageError where they cannot have genres."""
    if wanted in (ALBUM, ARTIST):
        return (wanted,), ""
    if server.carries_genres(section, TRACK):
        return ((ALBUM, TRACK) if wanted == AUTO_LEVEL else (TRACK,)), ""
    problem = "Tracks of this server carry no genre (Plex Media Server 1.40 and later do)"
    if wanted == AUTO_LEVEL:
        return (ALBUM,), f"{problem}: only albums are written."
    raise UsageError(f"{problem}; use --level album, or upgrade the server.")


def _rows(library: PlexLibrary, level: str, matched: Matched, comparison: Comparison) -> Iterator[Row]:
    """The row of every item of a level. Only items that may change are read whole."""
    request, taxonomy = comparison.request, comparison.taxonomy
    states = (_track_states if level == TRACK else _group_states)(matched, level, request, taxonomy)
    open_states: dict[int, DesiredState] = {}
    for number, (label, desired) in states.items():
        if desired.decision is not None and desired.decision.outcome in SURE:
            open_states[number] = desired
        else:
            yield Row(SKIP, desired.reason or "unsure", level, number, label, desired.path)
    if not open_states:
        return
    genre, style = (spelling(_names(library, field, level), taxonomy) for field in ("genre", "style"))
    with library.bar(f"comparing {level}s", len(open_states)) as progress:
        for keys in in_batches(list(open_states), READ_TOGETHER):
            if library.stop():
                return
            items = library.server.items(keys)
            ours = library.journal.edits_of(library.known.id, keys)
            for number in keys:
                desired, item = spelled(open_states[number], genre, style), items.get(number)
                if item is None or item.level != level:
                    yield Row(SKIP, "gone", level, number, states[number][0], desired.path)
                else:
                    yield comparison.row(item, desired, ours.get(number, {}))
            progress.advance(len(keys))


# --- what items shall hold ----------------------------------------------------------------------------------------


def _is_wanted(answer: Match, request: SyncRequest) -> bool:
    return request.only is None or (answer.track is not None and answer.track.path in request.only)


def _track_states(matched: Matched, level: str, request: SyncRequest, taxonomy: Taxonomy) -> States:
    states = {}
    for one, answer in matched:
        if _is_wanted(answer, request):
            desired = DesiredState(None, reason=answer.reason)
            if (track := answer.track) is not None:
                desired = desired_track_state(track.decision, track.path, taxonomy, subgenres=request.subgenres)
            states[one.key] = (one.label, desired)
    return states


def _group_states(matched: Matched, level: str, request: SyncRequest, taxonomy: Taxonomy) -> States:
    members: dict[int, list[tuple[Listed, Match]]] = {}
    for one, answer in matched:
        if group := one.album_key if level == ALBUM else one.artist_key:
            members.setdefault(group, []).append((one, answer))
    states = {}
    for number, pairs in members.items():
        if not any(_is_wanted(answer, request) for _, answer in pairs):
            continue
        first = pairs[0][0]
        label = joined(first.album_artist, first.album if level == ALBUM else "")
        artists = [one.artist for one, _ in pairs] if level == ALBUM else []
        if all(answer.track is None for _, answer in pairs):
            states[number] = (label, DesiredState(None, reason=pairs[0][1].reason))
        elif is_compilation(first.album_artist, artists):
            states[number] = (label, DesiredState(None, reason="various-artists"))
        else:
            decisions = [answer.track.decision if answer.track is not None else None for _, answer in pairs]
            states[number] = (label, desired_group_state(decisions, taxonomy, request.min_confidence))
    return states


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
    decisions: Sequence[Decision | None], taxonomy: Taxonomy, min_confidence: str = "likely"
) -> DesiredState:
    """An album (or artist) gets what its tracks agree on."""
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
    return DesiredState(Decision(outcome, "consensus", genres, confidence, "album"), tuple(filter(None, styles)))


def split(genres: Sequence[str], taxonomy: Taxonomy) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The top genres, and the sub-genres: "Shoegaze" is Rock and Shoegaze, an unknown name is a top genre."""
    tops, subs = [], []
    for name in genres:
        top = genre = taxonomy.canonical(name)
        while top is not None and (above := taxonomy.parent(top)) is not None:
            top = above
        if top is None or top == genre:
            tops.append(name)
        else:
            subs.append(name)
            tops.append(taxonomy.written(top) or name)
    return tuple(dict.fromkeys(tops)), tuple(dict.fromkeys(subs))


def _agreed(names: Sequence[str]) -> tuple[str, ...]:
    """The name of most, or the two that most share, the commoner first; () where they do not agree."""
    counts = Counter(names).most_common(2)
    total = len(names)
    if counts[0][1] >= MAJORITY * total:
        return (counts[0][0],)
    if len(counts) == 2 and counts[0][1] + counts[1][1] >= MAJORITY * total and counts[1][1] >= SECOND * total:
        return (counts[0][0], counts[1][0])
    return ()


def spelling(names: Sequence[str], taxonomy: Taxonomy) -> Callable[[str], str]:
    """How a library writes a genre: as it has it already, case aside; else as the one of the `names` there that stands
    for the same genre ("R&B" for "Soul-RnB"), of several one that is alike; else as it is given. A name that lists
    several genres is not taken."""
    written = {tag_key(name): name for name in reversed(names)}
    equal: dict[str, list[str]] = {}
    for name in names:
        if not set(name) & set(",;|"):
            equal.setdefault(taxonomy.canonical(name) or key(name), []).append(name)

    def spell(genre: str) -> str:
        same = equal.get(taxonomy.canonical(genre) or key(genre), [])
        likeness = {name: SequenceMatcher(None, key(name), key(genre)).ratio() for name in same}
        best = max(same, key=lambda name: likeness[name], default=genre)
        return written.get(tag_key(genre), best if len(same) == 1 or likeness.get(best, 0.0) >= ALIKE else genre)

    return spell


def spelled(desired: DesiredState, genre: Callable[[str], str], style: Callable[[str], str]) -> DesiredState:
    """A desired state in the words of the library."""
    if desired.decision is None:
        return desired
    genres = tuple(dict.fromkeys(map(genre, desired.decision.genres)))
    return replace(desired, decision=replace(desired.decision, genres=genres), styles=tuple(map(style, desired.styles)))


def _names(library: PlexLibrary, field: str, level: str) -> tuple[str, ...]:
    """What items hold in a field anywhere in the library. For genres albums and tracks count at every level: spelled
    one by one, the next sync would take the word of the one for the other."""
    levels = dict.fromkeys((ALBUM, TRACK, level)) if field == "genre" else ([level] if level != TRACK else [])
    return tuple(name for one in levels for name in library.server.names(library.section, field, one))


# --- the comparison -----------------------------------------------------------------------------------------------


class Comparison:
    """Compares items with their desired states, as a request asks for it."""

    def __init__(self, request: SyncRequest, taxonomy: Taxonomy) -> None:
        self.request, self.taxonomy = request, taxonomy
        self._relation = cache(taxonomy.relation)  # a library holds few distinct pairs, and many tracks

    def row(self, item: Item, desired: DesiredState, ours: Mapping[str, FieldEdit]) -> Row:
        """The row of one item; `ours`: by field, what the edit log knows of our edits of it."""
        before = item.value("genre")
        edits: list[FieldEdit] = []
        action, reason = SKIP, desired.reason
        if desired.decision is not None:
            genre, action, reason = self._genre(item, desired.decision, ours.get("genre"))
            edits += [genre] if genre is not None else []
            beside = genre is not None or self._mode(item) != FILL or _untouched(item, ours.get("genre"))
            style = self._style(item, desired.styles, ours.get("style")) if action != SKIP and beside else None
            if style is not None:
                edits.append(style)
                action, reason = SET, reason if action == SET else "style"
        after = edits[0].after if edits and edits[0].field == "genre" else ()
        if edits and self.request.label:
            edits += self._label(item)
        return Row(
            action, reason, item.level, item.key, item.label, desired.path, before, after or before,
            ItemEdit(item, tuple(edits)) if edits else None,
        )  # fmt: skip

    def _genre(self, item: Item, decision: Decision, ours: FieldEdit | None) -> tuple[FieldEdit | None, str, str]:
        """The edit of the genres, or None; action and reason of the row."""
        mode, before = self._mode(item), item.value("genre")
        untouched = _untouched(item, ours) and mode != ADD
        theirs = _of_others(item, "genre", ours) if untouched else before
        relation = self._relation(decision.genres[0], theirs) if decision.genres else None
        floor = self.request.min_confidence if item.level == TRACK else "likely"  # a group's tracks had theirs
        proposal = propose(
            decision, theirs or None, relation, on_existing=_POLICY[mode], taxonomy=self.taxonomy, min_confidence=floor
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
        mode = self._mode(item)
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
        new = without((self.request.label,), labels)
        return [item.edit("label", (*labels, *new), lock="label" in item.locked)] if new else []

    def _mode(self, item: Item) -> str:
        return self.request.mode or (AUTO if item.level == TRACK else FILL)

    def _lock(self, item: Item, name: str) -> bool:
        return {LOCK: True, UNLOCK: False, KEEP_LOCK: name in item.locked}[self.request.lock]

    def _is_locked(self, item: Item, name: str, ours: FieldEdit | None) -> bool:
        """Whether a lock forbids us to write: one that is not from us is a user's decision."""
        return name in item.locked and not _untouched(item, ours) and not self.request.override_locks


def _untouched(item: Item, ours: FieldEdit | None) -> bool:
    """Whether a field is as our last edit left it, lock included: nobody has set it since."""
    return ours is not None and item.is_after(ours)


def _of_others(item: Item, name: str, ours: FieldEdit | None) -> Tags:
    """The tags that are not from us. Once somebody has set the field, all of them are theirs."""
    if ours is None or not item.is_after(ours):
        return item.value(name)
    return without(item.value(name), [tag for tag in ours.after if tag not in ours.before])
