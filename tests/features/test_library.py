"""What the library remembers about files."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from music_reclass.domain import Decision, FeatureKind, Outcome, Track, TrackTags
from music_reclass.errors import FailTrack, SkipTrack
from music_reclass.features.database import Database
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import Library

KIND = FeatureKind("fma518", "1", 3, "mid30")


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(Database(tmp_path / "library.sqlite3"))


def reading(
    path: Path | str, digest: bytes | None = b"d1", size: int = 10, value: float | None = 1.0, **more: object
) -> Track:
    vector = None if value is None else np.full(3, value, np.float32)
    return Track(str(path), size, 5, digest=digest, vector=vector, **more)  # type: ignore[arg-type]


def test_a_vector_comes_back_for_its_track_only(library: Library) -> None:
    ids = library.save([reading("/a", b"1", value=1), reading("/b", b"2", value=2)], KIND)
    found = library.vectors([*ids, 999], KIND)
    assert {track: vector.tolist() for track, vector in found.items()} == {ids[0]: [1, 1, 1], ids[1]: [2, 2, 2]}
    assert library.vectors(ids, FeatureKind("fma518", "2", 3, "mid30")) == {}


def test_a_moved_file_keeps_its_row_and_vector(library: Library, tmp_path: Path) -> None:
    old, new = tmp_path / "old.mp3", tmp_path / "new.mp3"
    (first,) = library.save([reading(old)], KIND)
    new.touch()
    assert library.digests_that_may_return(str(new), 10, KIND) == (b"d1",)
    assert library.save([reading(new, value=None)], KIND) == [first]
    assert library.vectors([first], KIND)[first].tolist() == [1, 1, 1]
    assert library.totals()["tracks"] == 1


def test_a_copy_gets_its_own_row_and_the_same_vector(library: Library, tmp_path: Path) -> None:
    old, copy = tmp_path / "old.mp3", tmp_path / "copy.mp3"
    old.touch()
    copy.touch()
    (first,) = library.save([reading(old)], KIND)
    (second,) = library.save([reading(copy, value=None)], KIND)
    assert second != first
    assert library.vectors([second], KIND)[second].tolist() == [1, 1, 1]


def test_the_outline_of_the_sound_goes_where_the_sound_goes(library: Library, tmp_path: Path) -> None:
    (first,) = library.save([reading(tmp_path / "a.mp3", peaks=b"outline")], KIND)
    (tmp_path / "a.mp3").touch()
    (copy,) = library.save([reading(tmp_path / "copy.mp3", value=None)], KIND)
    assert (library.peaks(first), library.peaks(copy)) == (b"outline", b"outline")
    library.save([reading(tmp_path / "a.mp3", digest=b"d2")], KIND)
    assert (library.peaks(first), library.peaks(copy)) == (None, b"outline")


def test_a_retagged_file_keeps_its_vector(library: Library) -> None:
    (track,) = library.save([reading("/a", size=10)], KIND)
    assert library.digests_that_may_return("/a", 99, KIND) == (b"d1",)
    library.save([reading("/a", size=99, value=None, tags=TrackTags(genres=("Rock",)))], KIND)
    assert library.vectors([track], KIND)[track].tolist() == [1, 1, 1]


def test_other_audio_under_the_same_name_loses_the_old_vector(library: Library) -> None:
    (track,) = library.save([reading("/a")], KIND)
    library.save([reading("/a", digest=b"d2", value=None, error=SkipTrack("silence"))], KIND)
    assert library.vectors([track], KIND) == {}


def test_a_file_that_cannot_be_read_this_time_keeps_what_was_known(library: Library) -> None:
    (track,) = library.save([reading("/a", tags=TrackTags(artist="Ida"))], KIND)
    library.save([Track("/a", 10, 6, error=FailTrack("permission", "denied"))], KIND)
    assert library.vectors([track], KIND)[track].tolist() == [1, 1, 1]
    row = library.database.connection.execute("SELECT artist, digest FROM track").fetchone()
    assert row == ("Ida", b"d1")


def test_absent_and_empty_genres_stay_apart(library: Library) -> None:
    library.save(
        [reading("/a", b"1", tags=TrackTags(genres=None)), reading("/b", b"2", tags=TrackTags(genres=()))], KIND
    )
    rows = library.database.connection.execute("SELECT genres FROM track ORDER BY path").fetchall()
    assert rows == [(None,), ("[]",)]


def test_a_name_that_is_not_utf8_is_kept_exactly(library: Library) -> None:
    name = os.fsdecode(b"/music/\xff\xfe\n.mp3")
    library.save([reading(name)], KIND)
    assert library.database.connection.execute("SELECT path FROM track").fetchone() == (b"/music/\xff\xfe\n.mp3",)


def test_genres_are_counted_by_value(library: Library) -> None:
    rock, both = TrackTags(genres=("Rock",)), TrackTags(genres=("Rock", "Pop"))
    library.save([reading("/a", b"1", tags=rock), reading("/b", b"2", tags=both), reading("/c", b"3")], KIND)
    assert library.genre_counts() == [("Rock", 2), ("Pop", 1)]


def test_a_batch_is_stored_whole_or_not_at_all(library: Library) -> None:
    bad = Track("/b", 1, 1, digest=b"2", vector=np.array([np.nan] * 3, np.float32))
    with pytest.raises(ValueError, match="finite"):
        library.save([reading("/a"), bad], KIND)
    assert library.totals()["tracks"] == 0


def test_after_our_own_write_the_file_counts_as_known(library: Library) -> None:
    library.save([reading("/a")], KIND)
    library.refresh("/a", 77, 88, ("Jazz",))
    row = library.database.connection.execute("SELECT size, mtime_ns, genres FROM track").fetchone()
    assert row == (77, 88, '["Jazz"]')


def test_what_is_stored_of_a_track_comes_back(library: Library) -> None:
    tags = TrackTags(("Rock", "Folk"), "Tune", "Ida", "Ida", "Blue", compilation=True)
    track = Track("/a", 10, 5, b"d1", 61.5, tags, ("truncated",))
    (number,) = library.save([replace(track, vector=np.ones(3, np.float32))], KIND)
    assert Decisions(library.database).tracks([number]) == [replace(track, id=number)]


def test_a_file_that_was_not_decoded_again_keeps_what_decoding_gave(library: Library) -> None:
    library.save([reading("/a", duration=61.5, warnings=("truncated",))], KIND)
    (number,) = library.save([reading("/a", value=None)], KIND)
    (track,) = Decisions(library.database).tracks([number])
    assert (track.duration, track.warnings) == (61.5, ("truncated",))


def test_missing_tracks_have_no_path_but_keep_their_vectors(library: Library) -> None:
    here, missing = library.save([reading("/a", b"1"), reading("/b", b"2")], KIND)
    library.database.connection.execute("UPDATE track SET missing_since = 1 WHERE id = ?", (missing,))
    assert library.paths([here, missing, 99]) == {here: "/a"}
    assert library.having([here, missing, 99], KIND) == {here, missing}
    assert library.totals() == {"tracks": 1, "missing": 1, "vectors": 2}


def test_audio_is_found_wherever_it_was_last_seen(library: Library, tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).touch()
        library.save([reading(tmp_path / name)], KIND)
    assert library.paths_of_audio(b"d1") == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert library.paths_of_audio(b"other") == []


def test_vectors_of_another_kind_stand_beside_the_first(library: Library) -> None:
    (number,) = library.save([reading("/a")], KIND)
    mert = FeatureKind("mert", "1", 2, "mid30")
    library.add_vectors({number: np.array([2, 3], np.float32)}, mert)
    assert library.vectors([number], mert)[number].tolist() == [2, 3]
    assert library.vectors([number], KIND)[number].tolist() == [1, 1, 1]


def test_vectors_of_further_kinds_are_stored_with_the_first_and_move_with_it(library: Library, tmp_path: Path) -> None:
    other = FeatureKind("loudness", "1", 1, "mid30")
    track = reading(tmp_path / "old", more={other: np.array([0.5], np.float32)})
    (first,) = library.save([track], KIND)
    assert library.vectors([first], other)[first].tolist() == [0.5]
    assert library.having([first], KIND) == {first}
    (moved,) = library.save([reading(tmp_path / "new", value=None)], KIND)
    assert (moved, library.having([moved], other)) == (first, {first})
    library.save([reading(tmp_path / "new", digest=b"other audio")], KIND)
    assert library.having([moved], other) == set()


def test_files_are_unfinished_until_they_are_decided_or_have_failed_as_they_are_now(library: Library) -> None:
    ids = library.save([reading(f"/{n}", n.encode()) for n in ("final", "for now", "read", "gone")], KIND)
    failures = {"/skipped": SkipTrack("silence"), "/busy": FailTrack("timeout"), "/broken": FailTrack("decode")}
    library.save([reading(path, None, value=None, error=error) for path, error in failures.items()], KIND)
    decision = Decision(Outcome.LIKELY, "", ("Jazz",), 0.9, "fma518", ())
    decisions = Decisions(library.database)
    decisions.save(dict.fromkeys([ids[0], ids[3]], decision), {}, "basis")
    decisions.save({ids[1]: decision}, {}, "")
    library.database.connection.execute("UPDATE track SET missing_since = 1 WHERE path = ?", (b"/gone",))
    files = [Track(path, 10, 5) for path in ("/final", "/for now", "/read", "/gone", *failures, "/new")]
    assert [file.path for file in library.unfinished(files)] == ["/read", "/gone", "/new"]
    lasting = [file.path for file in library.unfinished(files, lastingly=True)]
    assert lasting == ["/for now", "/read", "/gone", "/busy", "/new"]
    changed = [Track("/final", 11, 5), Track("/final", 10, 6)]
    assert list(library.unfinished(changed)) == changed
