"""Whatever mixture of files a run meets, each is read or taken as known once, and each album is decided whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.domain import Decision, FeatureKind, Outcome, Track, TrackTags, Vote
from music_reclass.errors import FailTrack, SkipTrack
from music_reclass.features.database import Database
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library
from music_reclass.features.results import ScanStats
from music_reclass.features.scope import Scope

KIND = FeatureKind("fma518", "1", 3, "mid30")

STATES = ["known", "retagged", "lasting failure", "passing failure", "gone", "gone before", "new"]
"""What a path is before a scan: `gone` is stored but no longer on the disk, `new` the other way round."""

READ_AGAIN = {"retagged", "passing failure", "new"}


@dataclass(frozen=True)
class Folder:
    """A library in memory with one file for each state, `/m/0000` and so on, and the files that a scan meets."""

    database: Database
    states: Sequence[str]
    ids: dict[int, int]  # track ids by number, of those that are stored

    def path(self, number: int) -> str:
        return f"/m/{number:04}"

    def on_disk(self) -> list[Track]:
        return [
            Track(self.path(number), 10, 5 + (state == "retagged"))
            for number, state in enumerate(self.states)
            if not state.startswith("gone")
        ]

    def numbers(self, *states: str) -> list[int]:
        return [number for number, state in enumerate(self.states) if state in states]


def folder_of(states: Sequence[str], albums: Sequence[str] = ()) -> Folder:
    database = Database(Path(":memory:"))
    library, ids = Library(database), {}
    for number, state in enumerate(states):
        if state == "new":
            continue
        error = {"lasting failure": SkipTrack("silence"), "passing failure": FailTrack("io")}.get(state)
        tags = TrackTags(artist="Ida", album=albums[number] if albums else "")
        vector = None if error else np.ones(3, np.float32)
        track = Track(f"/m/{number:04}", 10, 5, bytes([number]), 1.0, tags, (), vector, error)
        (ids[number],) = library.save([track], KIND)
        if state == "gone before":
            database.connection.execute("UPDATE track SET missing_since = 1 WHERE id = ?", (ids[number],))
    return Folder(database, states, ids)


def in_scope(scope: Scope) -> list[int]:
    rows = scope.database.connection.execute(f"SELECT track_id FROM {scope.tracks} ORDER BY track_id")  # noqa: S608
    return [row[0] for row in rows]


@settings(max_examples=80, deadline=None)
@given(
    states=st.lists(st.sampled_from(STATES), max_size=12),
    order=st.randoms(use_true_random=False),
    rescan=st.booleans(),
    parts=st.integers(1, 4),
)
def test_every_file_that_is_met_is_either_known_or_read_and_never_both(
    states: list[str], order, rescan: bool, parts: int
) -> None:
    folder = folder_of(states)
    found = folder.on_disk() * 2  # two arguments of a scan may overlap
    order.shuffle(found)
    scope, stats = Scope(folder.database), ScanStats()
    for part in range(parts):
        scope.sort_found(found[part::parts], KIND, stats, rescan)

    pending = [track.path for track in scope.pending()]
    wanted = [track.path for track in folder.on_disk()]
    again = [folder.path(n) for n in folder.numbers(*READ_AGAIN)]
    in_order = [track.path for part in range(parts) for track in found[part::parts]]
    assert pending == [path for path in dict.fromkeys(in_order) if path in (wanted if rescan else again)]
    assert sorted([folder.path(n) for n in folder.ids if folder.ids[n] in in_scope(scope)] + pending) == wanted
    assert scope.pending_count() == len(pending)
    assert (stats.found, stats.new) == (len(wanted), states.count("new"))
    assert stats.known + stats.new + stats.changed == stats.found


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(STATES), max_size=12))
def test_what_was_not_met_goes_missing_once_and_comes_back_when_it_is_met(states: list[str]) -> None:
    folder = folder_of(states)
    scope = Scope(folder.database)
    scope.sort_found(folder.on_disk(), KIND, ScanStats(), False)
    assert scope.mark_missing(["/m"]) == states.count("gone")
    assert scope.mark_missing(["/m", "/m/"]) == 0
    lost = folder.numbers("gone", "gone before")
    assert set(folder.ids) - set(lost) == {
        n for n, track_id in folder.ids.items() if Library(folder.database).paths([track_id])
    }

    everything = [Track(folder.path(number), 10, 5) for number in folder.ids]
    Scope(folder.database).sort_found(everything, KIND, ScanStats(), False)
    assert Library(folder.database).totals()["missing"] == 0


@settings(max_examples=80, deadline=None)
@given(
    tracks=st.lists(
        st.tuples(st.sampled_from(["known", "lasting failure", "gone before"]), st.sampled_from(["", "A", "B", "C"])),
        max_size=14,
    ),
    decided=st.sets(st.integers(0, 13)),
    stale=st.sets(st.integers(0, 13)),
    met=st.sets(st.integers(0, 13)),
    size=st.integers(1, 6),
)
def test_the_undecided_tracks_of_a_run_come_once_each_with_their_whole_albums(
    tracks: list[tuple[str, str]], decided: set[int], stale: set[int], met: set[int], size: int
) -> None:
    folder = folder_of([state for state, _ in tracks], [album for _, album in tracks])
    numbers = range(len(tracks))
    for basis, which in (("now", decided - stale), ("before", stale)):
        decisions = {folder.ids[n]: Decision(Outcome.UNSURE, "") for n in which if n in numbers}
        Decisions(folder.database).save_without_votes(decisions, basis)
    scope = Scope(folder.database)
    scope.add([folder.ids[n] for n in met if n in numbers and tracks[n][0] != "gone before"])

    has_vector = {n for n in numbers if tracks[n][0] == "known"}
    open_here = {n for n in has_vector & met if n in stale or n not in decided}
    albums = {tracks[n][1] for n in open_here} - {""}
    wanted = open_here | {n for n in has_vector if tracks[n][1] in albums}

    assert scope.collect_undecided("now", KIND) == len(wanted)
    chunks = list(scope.undecided_by_album(size))
    assert sorted(track for chunk in chunks for track in chunk) == sorted(folder.ids[n] for n in wanted)
    album_of = {folder.ids[n]: tracks[n][1] for n in numbers}
    homes = Counter(album for chunk in chunks for album in {album_of[track] for track in chunk} if album)
    assert all(count == 1 for count in homes.values())
    assert all(len(chunk) >= size for chunk in chunks[:-1])


@settings(max_examples=60, deadline=None)
@given(
    gains=st.lists(st.tuples(st.integers(1, 2), st.integers(0, 100)), max_size=10),
    draws=st.lists(st.integers(0, 4), max_size=12),
)
def test_every_waiting_track_is_drawn_once_whatever_the_size_of_the_draws(
    gains: list[tuple[int, int]], draws: list[int]
) -> None:
    folder = folder_of(["known"] * len(gains))
    scope = Scope(folder.database)
    waiting = {folder.ids[n]: (position, gain / 100) for n, (position, gain) in enumerate(gains)}
    scope.keep_open(dict.fromkeys(waiting, ()), [], waiting)
    assert scope.waiting() == Counter(position for position, _ in gains)
    line = sorted((n for n, (position, _) in enumerate(gains) if position == 1), key=lambda n: (-gains[n][1], n))
    assert scope.queue_up(1) == len(line)
    drawn = [pair for count in [*draws, 99] for pair in scope.next_in_queue(count)]
    assert drawn == [(folder.ids[n], folder.path(n)) for n in line]


def test_a_line_that_is_made_again_holds_only_those_that_still_wait() -> None:
    folder = folder_of(["known"] * 3)
    ids = list(folder.ids.values())
    scope = Scope(folder.database)
    scope.keep_open(dict.fromkeys(ids, ()), [], dict.fromkeys(ids, (1, 0.5)))
    scope.queue_up(1)
    scope.keep_open({ids[0]: ()}, [], {})
    scope.keep_open({ids[1]: ()}, [], {ids[1]: (2, 0.5)})
    assert scope.queue_up(1) == 1
    assert scope.next_in_queue(9) == [(ids[2], folder.path(2))]
    assert (scope.queue_up(2), scope.queue_up(3)) == (1, 0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.001, 1.0), min_size=1, max_size=6))
def test_votes_of_open_tracks_come_back_with_every_digit(weights: list[float]) -> None:
    folder = folder_of(["known"])
    total = sum(weights)
    vote = Vote("first", {f"genre {n}": weight / total for n, weight in enumerate(weights)})
    scope = Scope(folder.database)
    scope.keep_open({folder.ids[0]: (vote,)}, [], {folder.ids[0]: (1, 0.0)})
    ((votes, _),) = scope.open_by_album([folder.ids[0]])
    assert votes == {folder.ids[0]: (vote,)}
