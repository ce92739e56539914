"""An answer is stored at once, wins, and is taken back to what was there before."""

from __future__ import annotations

from music_reclass.domain import Outcome
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
