"""Plans a sync: the tracks of a Plex library are matched with files here, and compared with their decisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from music_reclass.errors import NothingToDo, UsageError
from music_reclass.features.plex import local_tracks
from music_reclass.plex.http import TOGETHER, in_batches
from music_reclass.plex.model import ALBUM, ARTIST, TRACK, Listed, Section
from music_reclass.plex.paths import LocalIndex, Match, PathMap, match
from music_reclass.plex.plan import (
    SKIP,
    Comparison,
    DesiredState,
    Row,
    SyncRequest,
    desired_group_state,
    desired_track_state,
)
from music_reclass.tagging.policy import SURE

if TYPE_CHECKING:
    from music_reclass.plex.http import Server
    from music_reclass.plex.library import PlexLibrary
    from music_reclass.plex.model import ItemEdit
    from music_reclass.taxonomy import Taxonomy

AUTO_LEVEL = "auto"
LEAST_COVERAGE = 0.95

Matched = Sequence[tuple[Listed, Match]]


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """What a sync would write: a row for every item of `level`, how they were found, and a warning or ""."""

    section: Section
    level: str
    warning: str
    listed: int  # tracks of the server
    matched: int  # of those, tracks that are files here
    path_map: PathMap
    rows: tuple[Row, ...]

    @property
    def edits(self) -> list[ItemEdit]:
        """The edits to write."""
        return [row.edit for row in self.rows if row.edit is not None]


def plan_sync(library: PlexLibrary, request: SyncRequest, taxonomy: Taxonomy) -> SyncPlan:
    """List the library, find the file of each track, and compare what may change; a stop leaves out the rest.

    NothingToDo if either side is empty, UsageError where the path map fits so badly that it must be wrong.
    """
    section = library.section
    level, warning = level_for(library.server, section, request.level)
    request = replace(request, level=level)
    tracks = library.tracks()
    if not tracks:
        raise NothingToDo(f"The Plex library {section.title} holds no tracks.")
    index = LocalIndex(local_tracks(library.journal.database))
    if not len(index):
        raise NothingToDo("No file is known here yet: scan a folder first (reclass scan ~/Music).")
    path_map = library.path_map(request.given)
    matched = [(one, match(one, index, path_map, by_tags=request.by_tags)) for one in tracks]
    found = [answer.track.path for _, answer in matched if answer.track is not None]
    # Either side may hold more than the other: one folder scanned of a large library, or one library of several. A
    # wrong path map makes both shares small.
    coverage = max(len(found) / len(tracks), len(set(found)) / len(index))
    if coverage < LEAST_COVERAGE and not request.allow_partial:
        raise UsageError(
            f"Only {len(found):,} of {len(tracks):,} tracks in {section.title} are files that reclass knows. "
            "Look at `reclass plex map`, name the folders with --map SERVER=LOCAL, scan the rest, "
            "or go on with those by --allow-partial."
        )
    rows = tuple(_rows(library, matched, request, taxonomy))
    return SyncPlan(section, level, warning, len(tracks), len(found), path_map, rows)


def plan_after_scan(library: PlexLibrary, request: SyncRequest, taxonomy: Taxonomy) -> tuple[SyncPlan, int]:
    """After `scan` wrote the files `request.only`: the server scans their folders, then they are compared.

    The plan, and how many folders were refreshed. The refresh comes first and the edit locks its field, so that what
    the server reads from the files later does not replace it.
    """
    path_map = library.path_map(request.given)
    folders = library.refresh(request.only or (), path_map)
    return plan_sync(library, replace(request, given=path_map), taxonomy), folders


def level_for(server: Server, section: Section, wanted: str) -> tuple[str, str]:
    """The level to write, and a warning where `auto` had to fall back; UsageError where tracks cannot have genres."""
    if wanted in (ALBUM, ARTIST) or server.carries_genres(section, TRACK):
        return (TRACK if wanted == AUTO_LEVEL else wanted), ""
    problem = "Tracks of this server carry no genre (Plex Media Server 1.40 and later do)"
    if wanted == AUTO_LEVEL:
        return ALBUM, f"{problem}: albums are written instead."
    raise UsageError(f"{problem}; use --level album, or upgrade the server.")


def _rows(library: PlexLibrary, matched: Matched, request: SyncRequest, taxonomy: Taxonomy) -> Iterator[Row]:
    """The row of every item of the level asked for. Only items that may change are read whole."""
    states = _track_states if request.level == TRACK else _group_states
    desired_states: dict[int, DesiredState] = {}
    for key, (label, desired) in states(matched, request, taxonomy).items():
        if desired.decision is not None and desired.decision.outcome in SURE:
            desired_states[key] = desired
        else:
            yield Row(SKIP, desired.reason or "unsure", request.level, key, label, desired.path)
    comparison = Comparison(request, taxonomy)
    with library.bar("comparing", len(desired_states)) as progress:
        for keys in in_batches(list(desired_states), TOGETHER):
            if library.stop():
                return
            items = {item.key: item for item in library.server.items(keys)}
            ours = library.journal.edits_of(library.known.id, keys)
            for key in keys:
                desired, item = desired_states[key], items.get(key)
                if item is None or item.level != request.level:
                    yield Row(SKIP, "gone", request.level, key, "", desired.path)
                else:
                    yield comparison.row(item, desired, ours.get(key, {}))
            progress.advance(len(keys))


def _track_states(matched: Matched, request: SyncRequest, taxonomy: Taxonomy) -> Mapping[int, tuple[str, DesiredState]]:
    """Label and desired state of every track, by key."""
    states = {}
    for one, answer in matched:
        if not _is_wanted(answer, request):
            continue
        desired = DesiredState(None, reason=answer.reason)
        if answer.track is not None:
            desired = desired_track_state(
                answer.track.decision, answer.track.path, taxonomy, subgenres=request.subgenres
            )
        states[one.key] = (one.label, desired)
    return states


def _group_states(matched: Matched, request: SyncRequest, taxonomy: Taxonomy) -> Mapping[int, tuple[str, DesiredState]]:
    """Label and desired state of every album or artist, by key."""
    members: dict[int, list[tuple[Listed, Match]]] = {}
    for one, answer in matched:
        group = one.album_key if request.level == ALBUM else one.artist_key
        if group:
            members.setdefault(group, []).append((one, answer))
    states = {}
    for key, pairs in members.items():
        if not any(_is_wanted(answer, request) for _, answer in pairs):
            continue
        first = pairs[0][0]
        label = f"{first.album_artist} - {first.album}" if request.level == ALBUM else first.album_artist
        decisions = [answer.track.decision if answer.track is not None else None for _, answer in pairs]
        if all(answer.track is None for _, answer in pairs):
            states[key] = (label, DesiredState(None, reason=pairs[0][1].reason))
        else:
            states[key] = (label, desired_group_state(decisions, first.album_artist, taxonomy, request.min_confidence))
    return states


def _is_wanted(answer: Match, request: SyncRequest) -> bool:
    return request.only is None or (answer.track is not None and answer.track.path in request.only)
