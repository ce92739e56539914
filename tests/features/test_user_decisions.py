"""What the user decided holds for the narrowest scope, over every scan, and under every spelling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from music_reclass.domain import Decision, FeatureKind, Outcome, Track, TrackTags, Vote
from music_reclass.features.database import Database
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library
from music_reclass.features.user_decisions import ALBUM, ARTIST, TRACK, UserDecisions, keys_of

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
