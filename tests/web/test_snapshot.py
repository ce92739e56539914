"""A page of the library in memory is what SQLite would say, and follows what is decided."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from music_reclass.features.database import Database
from music_reclass.features.decisions import Decisions
from music_reclass.web.snapshot import OUTCOMES, Current, Filter, Names, Snapshot, rows_of, take
from music_reclass.web.work import Work


def made(count: int, albums: int = 4) -> Snapshot:
    """Columns of made-up tracks; every third is unsure."""
    ids = np.arange(count, dtype=np.int64)[::-1] + 10
    names, tags, keys = Names(), Names(), Names()
    texts = [f"artist{number % 7}\talbum{number % albums}\ttitle {number}" for number in range(count)]
    lengths = np.array([len(text) + 1 for text in texts])
    outcomes = np.array([3 if number % 3 == 0 else 1 for number in range(count)], dtype=np.int8)
    return Snapshot(
        ids, outcomes, np.ones(count, dtype=np.int8), np.zeros(count, dtype=bool),
        np.array([names.number(f"genre{number % 5}") for number in range(count)], dtype=np.int32),
        np.array([tags.number("") for _ in range(count)], dtype=np.int32),
        np.linspace(0.2, 0.9, count, dtype=np.float32), np.arange(count, dtype=np.int32) % albums,
        np.array([[keys.number(f"a{number % albums}"), keys.number(f"b{number % 7}")] for number in range(count)],
                 dtype=np.int32).T,
        np.array([number % 2 == 0 for number in range(albums)]), names, tags, keys, "\n".join(texts),
        np.cumsum(lengths) - lengths, np.argsort(ids, kind="stable"), {}, [], 0.0,
    )  # fmt: skip


def paged(snapshot: Snapshot, wanted: Filter, limit: int) -> list[int]:
    """All tracks of a filter, page by page."""
    found: list[int] = []
    after: int | None = None
    while True:
        ids, after = snapshot.page(wanted, after, limit)
        assert len(ids) <= limit
        found += ids
        if after is None:
            return found


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
@pytest.mark.parametrize(
    "wanted",
    [Filter(), Filter(text="ARTIST3"), Filter(outcome="unsure"), Filter("title 1", "confident"), Filter(genre="genre2"),
     Filter(genre="nowhere"), Filter(text="\talbum1\t"), Filter(text="nothing like it")],
)  # fmt: skip
def test_pages_hold_every_match_once_and_in_order(wanted: Filter, limit: int) -> None:
    snapshot = made(53)
    lines = snapshot.text.split("\n")
    expected = [
        int(snapshot.ids[place])
        for place in range(53)
        if wanted.text.casefold() in lines[place]
        and (not wanted.outcome or OUTCOMES[snapshot.outcomes[place]] == wanted.outcome)
        and (not wanted.genre or snapshot.genre_names.words[snapshot.genres[place]] == wanted.genre)
    ]
    assert paged(snapshot, wanted, limit) == expected
    if not wanted.text:
        assert snapshot.count(wanted) == len(expected)


def test_a_text_that_spans_two_tracks_is_in_neither() -> None:
    assert paged(made(9), Filter(text="title 0\nartist1"), 5) == []  # a newline never stands within a track


def test_albums_to_review_are_whole_albums_first_then_by_what_may_be_confirmed() -> None:
    snapshot = made(40)
    queue = snapshot.review()
    numbers = [int(snapshot.albums[snapshot.place(one)]) for one in queue]
    assert sorted(numbers) == [0, 1, 2, 3]
    assert [bool(snapshot.named[number]) for number in numbers] == [True, True, False, False]
    assert all(one == min(snapshot.on_album(one), key=lambda track: snapshot.place(track) or 0) for one in queue)


def test_an_album_that_somebody_answered_is_not_asked_about_again() -> None:
    snapshot = made(40)
    first = snapshot.review()[0]
    snapshot.asked[[snapshot.place(one) for one in snapshot.on_album(first)]] = True
    snapshot.put([])  # what was computed is computed again
    assert first not in snapshot.review()


def test_the_curve_counts_what_each_confidence_would_write() -> None:
    snapshot = made(30)
    decided = snapshot.confidences[snapshot.outcomes == 1]
    for least, count, right in snapshot.curve(10):
        reaching = decided[decided >= np.float32(least) - 1e-7]
        assert abs(count - len(reaching)) <= 1
        if count:
            assert right == pytest.approx(float(np.sort(decided)[-count:].mean()), abs=1e-5)


def test_a_track_that_is_not_there_has_no_place() -> None:
    snapshot = made(5)
    assert [snapshot.place(number) for number in (9, 15, 10**12)] == [None, None, None]
    assert snapshot.on_album(99) == []
    assert made(0).page(Filter(text="x"), None, 5) == ([], None)
    assert made(0).review() == []


def test_the_columns_are_those_of_the_library(work: Work) -> None:
    snapshot = take(work.database, work.taxonomy)
    tracks = list(Decisions(work.database).below())
    assert snapshot.ids.tolist() == [track.id for track in tracks]
    for place, track in enumerate(tracks):
        assert OUTCOMES[snapshot.outcomes[place]] == ("" if track.outcome is None else track.outcome.value)
        if track.decision is not None and track.decision.genres:
            assert snapshot.genre_names.words[snapshot.genres[place]] == track.decision.genres[0]
        assert snapshot.text.split("\n")[place].endswith(track.path.casefold())
    (row,) = rows_of(work.database, work.taxonomy, [tracks[0].id])
    assert row.id == tracks[0].id


def test_what_another_process_stores_is_seen_soon(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("music_reclass.web.snapshot._SETTLED", 0.0)
    current = Current(Path(work.settings.database), work.taxonomy)
    count = len(current.get())
    other = sqlite3.connect(work.settings.database)
    with other:
        other.execute("UPDATE track SET missing_since = 1 WHERE id = (SELECT min(id) FROM track)")
    other.close()
    for _ in range(200):
        if len(current.get()) == count - 1:
            break
        time.sleep(0.02)
    assert len(current.get()) == count - 1


def test_an_answer_given_while_the_library_is_read_is_not_lost_from_the_lists(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = work.current
    (album, *_) = current.get().review()
    tracks = current.get().on_album(album)

    def take_slowly(*arguments: Any) -> Snapshot:
        taken = take(*arguments)
        work.answers.give(work.database, dict.fromkeys(tracks, ("Jazz",)), "album")
        assert album not in current.get().review()
        return taken

    monkeypatch.setattr("music_reclass.web.snapshot.take", take_slowly)
    current._version = None
    current._refresh_if_changed()
    assert album not in current.get().review()


def test_a_library_that_takes_long_to_read_is_read_seldom(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    current = work.current
    current.get()
    monkeypatch.setattr("music_reclass.web.snapshot._SETTLED", -1.0)
    current._took = 1e6
    current.get()
    assert current._reading is None
    current._took = 0.0
    current.get()
    assert current._reading is not None


def test_what_was_computed_of_tracks_that_changed_meanwhile_is_computed_again() -> None:
    snapshot = made(9)

    def compute() -> str:
        snapshot.put([])
        return "of before"

    assert snapshot.once("x", compute) == "of before"
    assert snapshot.once("x", lambda: "of now") == "of now"


def test_a_word_that_an_answer_adds_while_words_are_counted_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = made(9)
    counted = np.bincount

    def add_meanwhile(*arguments: Any, **options: Any) -> Any:
        snapshot.genre_names.number("new")
        return counted(*arguments, **options)

    monkeypatch.setattr(np, "bincount", add_meanwhile)
    found = snapshot.counts(snapshot.genres, snapshot.genre_names, np.ones(9, dtype=bool))
    assert sum(found.values()) == 9


def test_an_empty_library_is_a_snapshot_without_tracks(tmp_path: Path, work: Work) -> None:
    database = Database(tmp_path / "empty.sqlite3")
    snapshot = take(database, work.taxonomy)
    database.close()
    assert len(snapshot) == 0
    assert snapshot.page(Filter(), None, 10) == ([], None)
    assert snapshot.curve()[0] == (0.0, 0, 1.0)
