"""An answer is stored at once, wins, and is taken back to what was there before."""

from __future__ import annotations

import random
from itertools import permutations

import pytest

from music_reclass.domain import Decision, Outcome
from music_reclass.errors import DatabaseError, NothingToDo
from music_reclass.features.decisions import Decisions
from music_reclass.features.user_decisions import UserDecisions, keys_of
from music_reclass.web.work import Work


def album_of(work: Work, least: int = 2) -> list[int]:
    """The tracks of an album that has so many with a name of its own."""
    snapshot = work.current.get()
    for track in snapshot.ids.tolist():
        found = snapshot.on_album(track)
        place = snapshot.place(track)
        if len(found) >= least and place is not None and snapshot.named[snapshot.albums[place]]:
            return found
    raise AssertionError("the demo has an album")


def test_an_answer_for_an_album_is_one_decision_and_holds_for_all_its_tracks(work: Work) -> None:
    tracks = album_of(work)
    before = Decisions(work.database).tracks(tracks)
    answer = work.answers.give(work.database, dict.fromkeys(tracks, ("Jazz",)), "album")
    (stored,) = UserDecisions(work.database).all()
    assert (stored.scope, stored.genres, stored.source) == ("album", ("Jazz",), "web")
    for track in Decisions(work.database).tracks(tracks):
        assert track.decision is not None
        assert (track.decision.genres, track.decision.reason) == (("Jazz",), "chosen")
    assert set(answer.tracks) >= set(tracks)
    work.answers.undo(work.database, answer.number)
    assert UserDecisions(work.database).all() == []
    after = Decisions(work.database).tracks(tracks)
    assert [one.decision for one in after] == [one.decision for one in before]


def test_different_answers_for_tracks_of_an_album_are_decisions_of_tracks(work: Work) -> None:
    tracks = album_of(work)
    genres = {track: ("Jazz",) if number else ("Blues",) for number, track in enumerate(tracks)}
    work.answers.give(work.database, genres, "album")
    assert {one.scope for one in UserDecisions(work.database).all()} == {"track"}
    found = Decisions(work.database).tracks(tracks)
    assert [one.decision.genres for one in found if one.decision] == [genres[track] for track in tracks]


def test_an_answer_for_the_album_counts_more_than_an_earlier_one_for_a_track(work: Work) -> None:
    tracks = album_of(work)
    work.answers.give(work.database, {tracks[0]: ("Blues",)}, "track")
    answer = work.answers.give(work.database, dict.fromkeys(tracks, ("Jazz",)), "album")
    (first, *_) = Decisions(work.database).tracks(tracks)
    assert first.decision is not None
    assert first.decision.genres == ("Jazz",)
    work.answers.undo(work.database, answer.number)
    (first, *_) = Decisions(work.database).tracks(tracks)
    assert first.decision is not None
    assert first.decision.genres == ("Blues",)


def test_what_is_left_alone_is_not_asked_again(work: Work) -> None:
    snapshot = work.current.get()
    queue = snapshot.review()
    assert queue
    tracks = snapshot.on_album(queue[0])
    work.answers.give(work.database, dict.fromkeys(tracks), "album")
    assert queue[0] not in work.current.get().review()
    for track in Decisions(work.database).tracks(tracks):
        if track.decision is not None and track.error is None:
            assert track.decision.outcome is Outcome.UNSURE
            assert track.decision.reason == "left"


def test_forgetting_drops_what_was_decided(work: Work) -> None:
    tracks = album_of(work)
    work.answers.give(work.database, dict.fromkeys(tracks, ("Jazz",)), "album")
    work.answers.give(work.database, dict.fromkeys(tracks), "album", forget=True)
    assert UserDecisions(work.database).all() == []


def test_an_unknown_answer_cannot_be_taken_back(work: Work) -> None:
    assert work.answers.undo(work.database) is None
    assert work.answers.undo(work.database, 77) is None


def test_a_decision_for_an_album_reaches_its_tracks_in_other_folders(work: Work) -> None:
    tracks = album_of(work)
    (first,) = Decisions(work.database).tracks(tracks[:1])
    key = keys_of(first.digest, first.tags)["album"]
    assert set(work.current.get().meant("album", key)) >= set(tracks)


def genres_of(work: Work, tracks: list[int]) -> list[tuple[str, ...]]:
    return [one.decision.genres for one in Decisions(work.database).tracks(tracks) if one.decision]


def test_undoing_an_answer_for_an_album_keeps_a_later_one_for_a_track_of_it(work: Work) -> None:
    tracks = album_of(work)
    before = genres_of(work, tracks)
    for_album = work.answers.give(work.database, dict.fromkeys(tracks, ("Jazz",)), "album")
    for_track = work.answers.give(work.database, {tracks[0]: ("Blues",)}, "track")
    work.answers.undo(work.database, for_album.number)
    assert [(one.scope, one.genres) for one in UserDecisions(work.database).all()] == [("track", ("Blues",))]
    assert genres_of(work, tracks) == [("Blues",), *before[1:]]
    work.answers.undo(work.database, for_track.number)
    assert UserDecisions(work.database).all() == []
    assert genres_of(work, tracks) == before


def test_answers_for_one_album_are_undone_in_any_order(work: Work) -> None:
    tracks = album_of(work)
    before = genres_of(work, tracks)
    for order in permutations(range(3)):
        answers = [
            work.answers.give(work.database, dict.fromkeys(tracks, (genre,)), "album")
            for genre in ("Jazz", "Blues", "Folk")
        ]
        left = ["Jazz", "Blues", "Folk"]
        for place in order:
            work.answers.undo(work.database, answers[place].number)
            left.remove(("Jazz", "Blues", "Folk")[place])
            assert [one.genres for one in UserDecisions(work.database).all()] == [tuple(left[-1:])] * bool(left)
            assert genres_of(work, tracks) == ([(left[-1],)] * len(tracks) if left else before)


def test_undoing_does_not_bring_back_what_a_relabel_has_replaced(work: Work) -> None:
    tracks = album_of(work)
    answer = work.answers.give(work.database, dict.fromkeys(tracks, ("Jazz",)), "album")
    anew = Decision(Outcome.CONFIDENT, "certain", ("Rock",), 0.9, "fma")
    Decisions(work.database).save_without_votes(dict.fromkeys(tracks, anew), "another basis")
    work.answers.undo(work.database, answer.number)
    assert genres_of(work, tracks) == [()] * len(tracks)  # neither Jazz nor what models of old said
    rows = Decisions(work.database).rows(tracks)
    assert {row[1] for row in rows} == {""}  # the next relabel decides


def test_undoing_leaves_what_another_program_decided_since(work: Work) -> None:
    tracks = album_of(work)
    answer = work.answers.give(work.database, dict.fromkeys(tracks, ("Jazz",)), "album")
    decisions = Decisions(work.database)
    decisions.decide(decisions.tracks(tracks), ("Folk",), "decide", scope="album")
    work.answers.undo(work.database, answer.number)
    assert [one.genres for one in UserDecisions(work.database).all()] == [("Folk",)]
    assert genres_of(work, tracks) == [("Folk",)] * len(tracks)


def test_what_was_forgotten_is_not_left_to_be_written(work: Work) -> None:
    tracks = album_of(work)
    work.answers.give(work.database, dict.fromkeys(tracks, ("Jazz",)), "album")
    work.answers.give(work.database, dict.fromkeys(tracks), "album", forget=True)
    assert genres_of(work, tracks) == [()] * len(tracks)
    assert {row[1] for row in Decisions(work.database).rows(tracks)} == {""}


def test_an_answer_for_an_artist_counts_more_than_an_earlier_one_for_an_album(work: Work) -> None:
    tracks = album_of(work)
    work.answers.give(work.database, dict.fromkeys(tracks, ("Jazz",)), "album")
    work.answers.give(work.database, dict.fromkeys(tracks, ("Blues",)), "artist")
    assert genres_of(work, tracks) == [("Blues",)] * len(tracks)


def test_an_answer_that_cannot_be_stored_whole_is_not_stored_at_all(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object) -> None:
        raise DatabaseError("locked")

    tracks = album_of(work)
    monkeypatch.setattr(Decisions, "overlay", locked)
    with pytest.raises(DatabaseError):
        work.answers.give(work.database, dict.fromkeys(tracks, ("Jazz",)), "album")
    assert UserDecisions(work.database).all() == []


def test_tracks_that_nothing_tells_from_others_are_not_said_to_be_decided(work: Work) -> None:
    track = album_of(work)[0]
    with work.database.transaction() as sql:
        sql.execute("UPDATE track SET digest = NULL, album = '', artist = '', album_artist = '' WHERE id = ?", (track,))
    with pytest.raises(NothingToDo, match="scan them again"):
        work.answers.give(work.database, {track: ("Jazz",)}, "album")


def test_an_answer_for_an_album_reaches_a_track_that_a_scan_has_stored_since(work: Work) -> None:
    tracks = album_of(work)
    with work.database.transaction() as sql:
        names = [row[1] for row in sql.execute("PRAGMA table_info(track)") if row[1] not in ("id", "path")]
        listed = ", ".join(names)
        new = sql.execute(
            f"INSERT INTO track (path, {listed}) SELECT CAST(path || 'x' AS BLOB), {listed} FROM track WHERE id = ?",  # noqa: S608
            (tracks[0],),
        ).lastrowid
        row = sql.execute("SELECT * FROM decision WHERE track_id = ?", (tracks[0],)).fetchone()
        sql.execute(f"INSERT INTO decision VALUES ({', '.join('?' * len(row))})", (new, *row[1:]))  # noqa: S608
        sql.execute("UPDATE track SET digest = x'00' WHERE id = ?", (new,))
    answer = work.answers.give(work.database, dict.fromkeys(tracks, ("Jazz",)), "album")
    assert new in answer.tracks
    assert genres_of(work, [int(new or 0)]) == [("Jazz",)]


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_answered_and_undone_in_any_order_the_last_word_holds(work: Work, seed: int) -> None:
    draw = random.Random(seed)
    tracks = work.current.get().ids.tolist()
    before = {track.id: track.decision for track in Decisions(work.database).tracks(tracks)}
    given: list[int] = []
    for _ in range(25):
        if given and draw.random() < 0.4:
            number = given.pop(draw.randrange(len(given)))
            assert work.answers.undo(work.database, number) is not None
        else:
            chosen = draw.choice([None, ("Jazz",), ("Blues",), ("Folk", "Rock")])
            named = work.current.get().on_album(draw.choice(tracks))[: draw.choice([1, 100])]
            answer = work.answers.give(
                work.database, dict.fromkeys(named, chosen), draw.choice(["track", "album", "artist"]),
                forget=draw.random() < 0.2,
            )  # fmt: skip
            given.append(answer.number)
        holding_matches(work, tracks)
    for number in draw.sample(given, len(given)):
        work.answers.undo(work.database, number)
        holding_matches(work, tracks)
    assert UserDecisions(work.database).all() == []
    assert {track.id: track.decision for track in Decisions(work.database).tracks(tracks)} == before


def holding_matches(work: Work, tracks: list[int]) -> None:
    """What is stored and shown of each track is what the user decided, and nothing else claims to be that."""
    snapshot = work.current.get()
    for track in Decisions(work.database).tracks(tracks):
        user = UserDecisions(work.database).of(track.digest, track.tags)
        if track.decision is None:
            continue
        expected = "" if user is None else "left" if user.genres is None else "chosen"
        assert (track.decision.reason if track.decision.reason in ("left", "chosen") else "") == expected
        if user is not None:
            assert track.decision.genres == (user.genres or ())
        place = snapshot.place(track.id)
        assert place is not None
        assert bool(snapshot.asked[place]) == bool(expected)
