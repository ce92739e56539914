"""Compares a whole Plex library with the decisions: lists it, matches files, reads whole what would change."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from music_reclass.errors import NothingToDo, UsageError
from music_reclass.features.plex import local_tracks
from music_reclass.plex.diff import (
    DEFAULT_RULES,
    SKIP,
    DesiredState,
    Relations,
    Row,
    Rules,
    desired_group_state,
    desired_track_state,
    row_of,
)
from music_reclass.plex.model import ALBUM, ARTIST, TRACK, Listed, Section
from music_reclass.plex.paths import NO_MAP, Inference, LocalIndex, Match, PathMap, infer, match, spread
from music_reclass.plex.server import TOGETHER, in_batches
from music_reclass.tagging.policy import SURE
from music_reclass.utils.progress import Progress, progress_bar

if TYPE_CHECKING:
    from music_reclass.features.database import Database
    from music_reclass.features.plex import KnownServer, PlexJournal
    from music_reclass.plex.server import Server
    from music_reclass.taxonomy import Taxonomy

AUTO_LEVEL = "auto"
SAMPLES = 200
LEAST_COVERAGE = 0.95

Bar = Callable[[str, "int | None"], AbstractContextManager[Progress]]


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """What to compare. `only`: no other files than these; None means all."""

    level: str = TRACK
    rules: Rules = DEFAULT_RULES
    given: PathMap = NO_MAP  # from the command line, before what is stored or inferred
    by_words: bool = False
    subgenres: bool = False
    only: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """A library on the server beside the files here."""

    section: Section
    listed: tuple[Listed, ...]
    matches: tuple[Match, ...]
    path_map: PathMap
    inference: Inference | None  # where the map was inferred just now
    known: int  # files in the library here

    @property
    def matched(self) -> int:
        """Tracks of the server that are files here."""
        return sum(one.track is not None for one in self.matches)

    @property
    def coverage(self) -> float:
        """The share that found its counterpart, of the server's tracks or of the files here, whichever is larger.

        Either may hold more than the other: one folder scanned of a large library, or one library of several. A
        wrong path map makes both small.
        """
        here = len({one.track.path for one in self.matches if one.track is not None})
        return max(self.matched / max(len(self.listed), 1), here / max(self.known, 1))


def survey(
    server: Server, section: Section, database: Database, stored: PathMap, request: SyncRequest, bar: Bar = progress_bar
) -> Survey:
    """List the library and find the file of each track. NothingToDo if either side is empty."""
    listed = listing(server, section, bar)
    if not listed:
        raise NothingToDo(f"the Plex library {section.title} holds no tracks.")
    index = LocalIndex(local_tracks(database))
    if not len(index):
        raise NothingToDo("no file is known here yet: scan a folder first (reclass scan ~/Music).")
    path_map, inference = request.given.over(stored), None
    if not path_map.pairs:
        inference = inferred(section, listed, (track.path for track in local_tracks(database)))
        path_map = inference.path_map
    matches = tuple(match(one, index, path_map, by_words=request.by_words) for one in listed)
    return Survey(section, listed, matches, path_map, inference, len(index))


def listing(server: Server, section: Section, bar: Bar = progress_bar) -> tuple[Listed, ...]:
    """All tracks of a library, each once."""
    found: dict[int, Listed] = {}
    with bar("listing", None) as progress:
        for one in server.tracks(section):
            found[one.key] = one
            progress.advance()
    return tuple(found.values())


def inferred(section: Section, listed: Sequence[Listed], local_paths: Iterable[str]) -> Inference:
    """The path map that a sample of the tracks suggests; a server on this machine needs no files known here."""
    samples = spread([path for one in listed for path in one.files], SAMPLES)
    here = [path for path in samples if os.path.exists(path)]
    return infer(samples, section.locations, (*here, *local_paths))


def level_for(server: Server, section: Section, wanted: str) -> tuple[str, str]:
    """The level to write, and a warning where `auto` had to fall back; UsageError where tracks cannot have genres."""
    if wanted in (ALBUM, ARTIST) or server.carries_genres(section, TRACK):
        return (TRACK if wanted == AUTO_LEVEL else wanted), ""
    problem = "tracks of this server carry no genre (Plex Media Server 1.40 and later do)"
    if wanted == AUTO_LEVEL:
        return ALBUM, f"{problem}: albums are written instead."
    raise UsageError(f"{problem}; use --level album, or upgrade the server.")


def rows(
    server: Server,
    found: Survey,
    journal: PlexJournal,
    known: KnownServer | None,
    request: SyncRequest,
    taxonomy: Taxonomy,
    stop: Callable[[], bool] = lambda: False,
    bar: Bar = progress_bar,
) -> Iterator[Row]:
    """The row of every item of the level asked for, until `stop`. Only items that may change are read whole."""
    desired_states, skipped = _desired_states(found, request, taxonomy)
    yield from skipped
    relations = Relations(taxonomy)
    with bar("comparing", len(desired_states)) as progress:
        for keys in in_batches(list(desired_states), TOGETHER):
            if stop():
                return
            read = server.client.clock()
            items = {item.key: item for item in server.items(keys)}
            owned = journal.owned(known.id, keys) if known is not None else {}
            for key in keys:
                desired, item = desired_states[key], items.get(key)
                if item is None or item.level != request.level:
                    yield Row(SKIP, "gone", request.level, key, "", desired.path)
                    continue
                row = row_of(item, desired, owned.get(key, {}), request.rules, relations)
                yield row if row.edit is None else replace(row, edit=replace(row.edit, read=read))
            progress.advance(len(keys))


def _desired_states(
    found: Survey, request: SyncRequest, taxonomy: Taxonomy
) -> tuple[dict[int, DesiredState], list[Row]]:
    """What the items shall say, by key, and rows for those that need not be read."""
    if request.level == TRACK:
        named = {
            one.key: (_track_label(one), _desired_track_state(answer, request, taxonomy))
            for one, answer in zip(found.listed, found.matches, strict=True)
            if _is_wanted(answer, request)
        }
    else:
        named = _desired_group_states(found, request, taxonomy)
    desired_states: dict[int, DesiredState] = {}
    skipped: list[Row] = []
    for key, (label, desired) in named.items():
        if desired.decision is not None and desired.decision.outcome in SURE:
            desired_states[key] = desired
        else:
            skipped.append(Row(SKIP, desired.reason or "unsure", request.level, key, label, desired.path))
    return desired_states, skipped


def _track_label(one: Listed) -> str:
    return " - ".join(part for part in (one.artist, one.album, one.title) if part)


def _desired_track_state(answer: Match, request: SyncRequest, taxonomy: Taxonomy) -> DesiredState:
    if answer.track is None:
        return DesiredState(None, reason=answer.reason)
    return desired_track_state(answer.track.decision, answer.track.path, taxonomy, subgenres=request.subgenres)


def _is_wanted(answer: Match, request: SyncRequest) -> bool:
    return request.only is None or (answer.track is not None and answer.track.path in request.only)


def _desired_group_states(
    found: Survey, request: SyncRequest, taxonomy: Taxonomy
) -> dict[int, tuple[str, DesiredState]]:
    members: dict[int, list[tuple[Listed, Match]]] = {}
    for one, answer in zip(found.listed, found.matches, strict=True):
        group = one.album_key if request.level == ALBUM else one.artist_key
        if group:
            members.setdefault(group, []).append((one, answer))
    desired_states = {}
    for key, pairs in members.items():
        if not any(_is_wanted(answer, request) for _, answer in pairs):
            continue
        first = pairs[0][0]
        label = f"{first.album_artist} - {first.album}" if request.level == ALBUM else first.album_artist
        decisions = [answer.track.decision if answer.track is not None else None for _, answer in pairs]
        if all(answer.track is None for _, answer in pairs):
            desired_states[key] = (label, DesiredState(None, reason=pairs[0][1].reason))
        else:
            desired_states[key] = (label, desired_group_state(decisions, first.album_artist, taxonomy))
    return desired_states
