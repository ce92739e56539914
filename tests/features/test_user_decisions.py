"""What the user decided holds for the narrowest scope, over every scan, and under every spelling."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from music_reclass.domain import Decision, FeatureKind, Outcome, Track, TrackTags, Vote
from music_reclass.errors import FailTrack
from music_reclass.features.database import Database
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library
from music_reclass.features.user_decisions import ALBUM, ARTIST, TRACK, UserDecision, UserDecisions, keys_of
from tests.features.test_library_labelled import wrote

KIND = FeatureKind("fma518", "1", 3, "mid30")
IDA = TrackTags(artist="Ida Quill", album_artist="Ida Quill", album="Slow Rivers")
FOUND = Decision(Outcome.LIKELY, "likely", ("Rock",), 0.7, "fma518", (Vote("fma518", {"Rock": 0.7, "Jazz": 0.3}),))


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "library.sqlite3")


def stored(database: Database, name: str, tags: TrackTags = IDA) -> int:
    track = Track(f"/m/{name}", 1, 1, name.encode(), 9.0, tags, (), np.ones(3, np.float32))
    return Library(database).save([track], KIND)[0]


def found(database: Database, track: int) -> Decision:
    Decisions(database).save_without_votes({track: FOUND}, "basis")
    (known,) = Decisions(database).tracks([track])
    assert known.decision is not None
    return known.decision


def test_keys_do_not_depend_on_spelling_and_absent_scopes_are_absent() -> None:
    other = TrackTags(artist="IDA  QUILL", album_artist="ida-quill", album="slow rivers")
    assert keys_of(b"x", IDA) == keys_of(b"x", other)
    assert set(keys_of(None, TrackTags(title="x"))) == set()
    assert set(keys_of(b"x", TrackTags(artist="Ida", album="Unknown Album"))) == {TRACK, ARTIST}
    one = keys_of(b"x", TrackTags(artist="Ada", album="Hits", compilation=True))
    two = keys_of(b"y", TrackTags(artist="Bob", album="Hits", compilation=True))
    assert one[ALBUM] == two[ALBUM]


def test_the_narrowest_scope_counts(database: Database) -> None:
    first, second = stored(database, "a"), stored(database, "b")
    other = stored(database, "c", TrackTags(artist="Ida Quill", album="Other"))
    known = UserDecisions(database)
    known.set(ARTIST, keys_of(None, IDA)[ARTIST], ["Folk"], "edit")
    known.set(ALBUM, keys_of(None, IDA)[ALBUM], ["Jazz"], "edit")
    known.set(TRACK, keys_of(b"a", IDA)[TRACK], None, "scan --ask")
    assert (found(database, first).outcome, found(database, first).reason) == (Outcome.UNSURE, "left")
    chosen = found(database, second)
    assert (chosen.genres, chosen.confidence, chosen.reason, chosen.stage) == (("Jazz",), 1.0, "chosen", "user")
    assert found(database, other).genres == ("Folk",)
    assert [(one.scope, one.genres) for one in known.all()] == [
        (ARTIST, ("Folk",)), (ALBUM, ("Jazz",)), (TRACK, None),
    ]  # fmt: skip


def test_it_holds_for_what_is_stored_already_and_a_lifted_one_is_decided_anew(database: Database) -> None:
    track = stored(database, "a")
    assert found(database, track).genres == ("Rock",)
    known, decisions = UserDecisions(database), Decisions(database)
    name = keys_of(b"a", IDA)[ALBUM]
    known.set(ALBUM, name, ["Jazz"], "edit")
    decisions.put_user_decisions([track])
    (now,) = decisions.tracks([track])
    assert now.decision is not None
    assert now.decision.genres == ("Jazz",)
    assert known.remove(ALBUM, name)
    assert not known.remove(ALBUM, name)
    decisions.put_user_decisions([track])
    assert database.connection.execute("SELECT basis FROM decision").fetchone() == ("",)
    assert found(database, track).genres == ("Rock",)


def test_a_moved_and_retagged_file_keeps_what_was_decided_of_it(database: Database) -> None:
    stored(database, "a")
    UserDecisions(database).set(TRACK, keys_of(b"a", IDA)[TRACK], ["Jazz"], "edit")
    moved = Track("/elsewhere/z", 1, 1, b"a", 9.0, TrackTags(title="other"), (), np.ones(3, np.float32))
    (track,) = Library(database).save([moved], KIND)
    assert found(database, track).genres == ("Jazz",)


# --- a genre that was edited in another program ------------------------------------------------------------------


def rescanned(database: Database, genres: tuple[str, ...] | None, tags: TrackTags = IDA) -> UserDecision | None:
    """The decision that holds for the file once a scan has found these genres in it."""
    tags = replace(tags, genres=genres)
    Library(database).save([Track("/m/a", 1, 2, b"a", 9.0, tags, (), np.ones(3, np.float32))], KIND)
    return UserDecisions(database).of(b"a", tags)


@pytest.mark.parametrize(
    ("now", "means"),
    [
        (("Krautrock",), ("Krautrock",)),  # another genre is the user's word
        (("Rock", "Blues"), ("Rock", "Blues")),  # one more as well
        (("Pop",), None),  # the one before: leave it alone
        (None, None),
        ((), None),
        ((" ",), None),
    ],
)
def test_a_genre_that_we_wrote_and_that_is_another_one_now_is_the_users_word(
    now: tuple[str, ...] | None, means: tuple[str, ...] | None, database: Database
) -> None:
    stored(database, "a", replace(IDA, genres=("Rock",)))
    wrote(database, b"a", '["Rock"]')
    database.connection.execute("""UPDATE change SET before = '["Pop"]'""")
    known = rescanned(database, now)
    assert known is not None
    assert (known.scope, known.genres, known.source) == (TRACK, means, "tag")
    assert known.title == "Ida Quill"


@pytest.mark.parametrize("now", [("rock ",), ("Rock/",), ("ROCK",)])
def test_another_spelling_or_other_separators_are_no_other_genre(now: tuple[str, ...], database: Database) -> None:
    stored(database, "a", replace(IDA, genres=("Rock",)))
    wrote(database, b"a", '["Rock"]')
    assert rescanned(database, now) is None


def test_a_genre_that_nobody_here_wrote_or_decided_may_change(database: Database) -> None:
    stored(database, "a", replace(IDA, genres=("Rock",)))
    wrote(database, b"a", '["Rock"]', "undone")
    assert rescanned(database, ("Jazz",)) is None


def test_an_edit_after_a_decision_is_the_newer_word_and_leave_stays_leave(database: Database) -> None:
    stored(database, "a", replace(IDA, genres=("Rock",)))
    known = UserDecisions(database)
    known.set(ALBUM, keys_of(None, IDA)[ALBUM], ["Jazz"], "decide")
    first = rescanned(database, ("Jazz",))
    assert first is not None
    assert first.scope == ALBUM  # what was decided came into the file: no other word
    second = rescanned(database, ("Bebop",))
    assert second is not None
    assert (second.scope, second.genres) == (TRACK, ("Bebop",))
    known.set(TRACK, keys_of(b"a", IDA)[TRACK], None, "decide")
    third = rescanned(database, ("Folk",))
    assert third is not None
    assert third.genres is None


def test_tags_that_cannot_be_read_and_other_audio_are_no_edit(database: Database) -> None:
    stored(database, "a", replace(IDA, genres=("Rock",)))
    wrote(database, b"a", '["Rock"]')
    Library(database).save([Track("/m/a", 1, 2, b"a", error=FailTrack("tags"))], KIND)
    Library(database).save([Track("/m/a", 1, 3, b"other", 9.0, IDA, (), np.ones(3, np.float32))], KIND)
    assert UserDecisions(database).all() == []


def test_a_damaged_row_of_the_journal_stops_no_scan(database: Database) -> None:
    stored(database, "a", replace(IDA, genres=("Rock",)))
    wrote(database, b"a", '["Rock"]')
    wrote(database, b"a", '["Rock"')
    database.connection.execute("UPDATE change SET before = '[\"Po'")
    known = rescanned(database, ("Jazz",))
    assert known is not None
    assert known.genres == ("Jazz",)


def test_the_tracks_that_a_decision_means_are_found_by_the_narrowest_scope(database: Database) -> None:
    one, two = stored(database, "a"), stored(database, "b")
    other = stored(database, "c", TrackTags(artist="Ida Quill", album="Other"))
    known = UserDecisions(database)
    places = {scope: (scope, name) for scope, name in keys_of(b"a", IDA).items()}
    assert known.tracks_of([places[TRACK]]) == {one: places[TRACK]}
    assert known.tracks_of(places.values()) == {one: places[TRACK], two: places[ALBUM], other: places[ARTIST]}
    known.set(*places[ARTIST], ["Folk"], "decide")
    known.set(*places[ALBUM], None, "decide")
    assert known.genres_by_track() == {other: ("Folk",)}


def test_a_decision_replaces_narrower_ones_of_the_same_tracks_and_holds_for_missing_files(database: Database) -> None:
    one, two = stored(database, "a"), stored(database, "b")
    decisions = Decisions(database)
    decisions.save_without_votes({one: FOUND, two: FOUND}, "basis")
    database.connection.execute("UPDATE track SET missing_since = 1 WHERE id = ?", (two,))
    assert decisions.decide(decisions.tracks([one]), ["Jazz"], "decide", scope=TRACK, author="ida") == 1
    assert decisions.decide(decisions.tracks([one]), ["Folk"], "decide", scope=ALBUM) == 1
    assert [(one.scope, one.genres) for one in UserDecisions(database).all()] == [(ALBUM, ("Folk",))]
    assert {track.decision.genres for track in decisions.tracks([one, two]) if track.decision} == {("Folk",)}
    assert decisions.withdraw(decisions.tracks([one]), ALBUM) == 1
    assert UserDecisions(database).all() == []
