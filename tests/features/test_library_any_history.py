"""Whatever order files are read, moved, replaced and lost in, no track ever holds the vector of other audio."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.domain import Decision, FeatureKind, Outcome, Track, TrackTags, Vote
from music_reclass.errors import DatabaseError, FailTrack, SkipTrack
from music_reclass.features.database import Database
from music_reclass.features.decisions import Decisions
from music_reclass.features.library import AugmentedVectors, Library, augmented_kind

KIND = FeatureKind("fma518", "1", 2, "mid30")
MERT = FeatureKind("mert", "1", 2, "mid30")

READ, RECOGNISED, SILENT, UNREADABLE = "read", "recognised", "silent", "unreadable"


def vector_of(audio: int, kind: FeatureKind = KIND) -> np.ndarray:
    """The vector that an extractor of `kind` gives for this audio."""
    return np.array([audio, len(kind.name)], np.float32)


def reading(path: str, audio: int, how: str) -> Track:
    """What a worker gives for a file with this audio: decoded, known by its digest alone, or refused."""
    if how == UNREADABLE:
        return Track(path, 10, 5, error=FailTrack("permission"))
    error = SkipTrack("silence") if how == SILENT else None
    return Track(
        path, 10, 5, bytes([audio]), 60.0 + audio, vector=vector_of(audio) if how == READ else None, error=error
    )


HISTORY = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from([READ, RECOGNISED, SILENT, UNREADABLE])),
    max_size=12,
)


@settings(max_examples=100, deadline=None)
@given(history=HISTORY, on_disk=st.booleans())
def test_a_stored_vector_is_always_that_of_the_audio_under_its_name(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[int, int, str]], on_disk: bool
) -> None:
    folder = tmp_path_factory.getbasetemp() / f"audio {on_disk}"
    folder.mkdir(exist_ok=True)
    library, last = Library(Database(Path(":memory:"))), {}
    for number, audio, how in history:
        path = folder / str(number)
        if on_disk:
            path.touch()  # and so every other name with this audio is a copy, not the name before a move
        (track,) = library.save([reading(str(path), audio, how)], KIND)
        if how in (READ, SILENT):
            library.add_vectors({track: vector_of(audio, MERT)}, MERT)
        last[str(path)] = how

    rows = library.database.connection.execute("SELECT id, digest FROM track").fetchall()
    for kind in (KIND, MERT):
        for track, vector in library.vectors([row[0] for row in rows], kind).items():
            digest = dict(rows)[track]
            assert digest is not None
            np.testing.assert_array_equal(vector, vector_of(digest[0], kind))
    tracks = Decisions(library.database).below()
    failures = {track.path: track.error is not None for track in tracks}
    assert all(failed == (last[path] in (SILENT, UNREADABLE)) for path, failed in failures.items())
    if on_disk:
        assert failures.keys() == last.keys()


@settings(max_examples=60, deadline=None)
@given(HISTORY, st.integers(0, 3), st.sampled_from([READ, RECOGNISED, SILENT, UNREADABLE]))
def test_a_track_that_was_read_again_waits_for_a_decision(
    history: list[tuple[int, int, str]], number: int, how: str
) -> None:
    library = Library(Database(Path(":memory:")))
    decisions = Decisions(library.database)
    for at, audio, way in history:
        (track,) = library.save([reading(f"/gone/{at}", audio, way)], KIND)
        decisions.save_without_votes({track: Decision(Outcome.UNSURE, "")}, "basis")
    (again,) = library.save([reading(f"/gone/{number}", 0, how)], KIND)
    (found,) = decisions.tracks([again])
    assert found.decision is None


def test_a_batch_may_hold_a_file_and_its_copy(tmp_path: Path) -> None:
    library = Library(Database(tmp_path / "library.sqlite3"))
    for name in ("a", "b"):
        (tmp_path / name).touch()
    first, second = library.save(
        [reading(str(tmp_path / "a"), 1, READ), reading(str(tmp_path / "b"), 1, RECOGNISED)], KIND
    )
    assert first != second
    assert library.having([first, second], KIND) == {first, second}
    assert library.digests_that_may_return(str(tmp_path / "a"), 10, KIND) == (b"\1",)
    assert library.digests_that_may_return("/elsewhere", 99, KIND) == ()


def test_a_vector_of_another_length_than_its_kind_is_refused_as_damage(tmp_path: Path) -> None:
    library = Library(Database(tmp_path / "library.sqlite3"))
    (track,) = library.save([reading("/a", 1, READ)], KIND)
    with pytest.raises(DatabaseError, match="8 bytes where 12 belong"):
        library.vectors([track], FeatureKind("fma518", "1", 3, "mid30"))


@settings(max_examples=40, deadline=None)
@given(tracks=st.integers(0, 40), most=st.integers(1, 50))
def test_a_sample_holds_no_more_than_asked_and_no_track_twice(tracks: int, most: int) -> None:
    library = Library(Database(Path(":memory:")))
    library.save([Track(f"/{n}", 1, 1, bytes([n]), vector=vector_of(n)) for n in range(tracks)], KIND)
    sample = [int(vector[0]) for vector in library.sampled_vectors(KIND, most)]
    assert len(sample) == len(set(sample)) <= most
    assert len(sample) == tracks or len(sample) > min(most, tracks) // 2 - 1
    assert bool(sample) == bool(tracks) or most < tracks


def test_genres_of_the_user_come_for_the_tracks_asked_about_alone(tmp_path: Path) -> None:
    library = Library(Database(tmp_path / "library.sqlite3"))
    genres: list[tuple[str, ...] | None] = [("Rock", "Pop"), None, (), ("Jazz",)]
    ids = library.save(
        [Track(f"/{n}", 1, 1, bytes([n]), tags=TrackTags(some), vector=vector_of(n)) for n, some in enumerate(genres)],
        KIND,
    )
    assert library.user_genres(ids) == {ids[0]: ("Rock", "Pop"), ids[3]: ("Jazz",)}
    assert library.user_genres([ids[1], ids[3], 99]) == {ids[3]: ("Jazz",)}
    assert [track.path for track in library.tracks_with(KIND)] == ["/0", "/1", "/2", "/3"]
    assert [track.path for track in library.tracks_with(KIND, tagged_by_user=True)] == ["/0", "/3"]
    assert [track.vector.tolist() for track in library.tagged_by_user(KIND) if track.vector is not None] == [
        [0, 6],
        [3, 6],
    ]


def test_an_augmentation_is_another_kind_and_leaves_out_unknown_files(tmp_path: Path) -> None:
    database = Database(tmp_path / "library.sqlite3")
    (track,) = Library(database).save([reading("/a", 1, READ)], KIND)
    augmentations = AugmentedVectors(database)
    augmentations.save({"/a": {"noise": vector_of(7)}, "/unknown": {"noise": vector_of(8)}}, KIND)
    assert {path: vector.tolist() for path, vector in augmentations.of(["/a", "/unknown"], "noise", KIND).items()} == {
        "/a": [7, 6]
    }
    assert augmentations.of(["/a"], "speed", KIND) == {}
    assert augmented_kind(KIND, "noise").key != augmented_kind(KIND, "speed").key != KIND.key
    assert Library(database).vectors([track], KIND)[track].tolist() == [1, 6]
    Library(database).save([reading("/a", 2, READ)], KIND)
    assert augmentations.of(["/a"], "noise", KIND) == {}


@settings(max_examples=60, deadline=None)
@given(
    weights=st.lists(st.lists(st.integers(1, 1000), min_size=1, max_size=5), max_size=3),
    confidence=st.floats(0, 1),
    outcome=st.sampled_from([Outcome.CONFIDENT, Outcome.LIKELY, Outcome.UNSURE]),
    reason=st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=10),
)
def test_a_decision_comes_back_as_it_was_whatever_it_says(
    weights: list[list[int]], confidence: float, outcome: Outcome, reason: str
) -> None:
    database = Database(Path(":memory:"))
    (track,) = Library(database).save([reading("/a", 1, READ)], KIND)
    votes = tuple(
        Vote(f"stage {n}", {f"Gënre {g}": one / sum(row) for g, one in enumerate(row)}) for n, row in enumerate(weights)
    )
    decision = Decision(outcome, reason, ("Gënre 0", "Łódź"), confidence, "stage 0", votes)
    decisions = Decisions(database)
    bundles = {vote.stage: decisions.register_bundle(vote.stage, f"digest of {vote.stage}", {}) for vote in votes}
    decisions.save({track: decision}, bundles, "basis")

    found = decisions.track_at("/a")
    assert found is not None
    assert found.decision is not None
    kept = found.decision
    assert (kept.outcome, kept.reason, kept.genres) == (outcome, reason, decision.genres)
    assert (kept.confidence, kept.stage) == (confidence, "stage 0")
    assert [vote.stage for vote in kept.votes] == [vote.stage for vote in votes]
    for stored, cast in zip(kept.votes, votes, strict=True):
        assert stored.probabilities == pytest.approx(dict(cast.probabilities), abs=1e-6)
    assert decisions.count_voted() == bool(votes)
    assert decisions.exited_before(len(votes) + 1, "basis") == ([track] if votes else [])
    assert decisions.exited_before(len(votes), "basis") == []
    assert decisions.exited_before(9, "another basis") == []


def test_decisions_below_a_folder_are_those_of_the_folder_of_the_file_and_of_no_namesake(tmp_path: Path) -> None:
    database = Database(tmp_path / "library.sqlite3")
    paths = ["/m/a/1", "/m/a/b/2", "/m/ab/3", "/m/a", "/n/\udcff/4"]
    Library(database).save([Track(path, 1, 1, bytes([n])) for n, path in enumerate(paths)], KIND)

    def below(*folders: str) -> list[str]:
        return [track.path for track in Decisions(database).below(folders)]

    assert below() == sorted(paths, key=lambda path: path.encode("utf-8", "surrogateescape"))
    assert below("/m/a/") == below("/m/a/", "/m/a/b") == ["/m/a/1", "/m/a/b/2"]
    assert below("/m/a") == ["/m/a", "/m/a/1", "/m/a/b/2"]
    assert below("/n/\udcff", "/m/ab/3") == ["/m/ab/3", "/n/\udcff/4"]
    assert below("/") == below()
    assert below("/x") == []
