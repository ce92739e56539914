"""Whatever happens to files, a genre is ours where we wrote it into this audio and did not undo it, else the user's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from music_reclass.domain import FeatureKind, Track, TrackTags
from music_reclass.features.database import Database
from music_reclass.features.journal import Intention, Journal
from music_reclass.features.library import Library

KIND = FeatureKind("k", "1", 1, "mid30")
Genres = tuple[str, ...]

names = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8)
genres = st.lists(names | st.sampled_from(["Rock", "Jazz", "Hörspiel", 'R"n\\B']), max_size=3).map(tuple)
number = st.integers(0, 3)
happenings = st.lists(
    st.tuples(st.just("write"), number, genres)
    | st.tuples(st.just("undo"), number, st.just(()))
    | st.tuples(st.just("retag"), number, genres)
    | st.tuples(st.just("rename"), number, st.just(()))
    | st.tuples(st.just("copy"), number, genres),
    max_size=12,
)


@dataclass
class World:
    """Files on a disk and the library that knows them, with a plain list of what we wrote."""

    library: Library
    journal: Journal
    run: int
    files: list[Track] = field(default_factory=list)
    written: dict[int, tuple[bytes, Genres]] = field(default_factory=dict)  # changes that stand
    before: dict[int, tuple[int, Genres]] = field(default_factory=dict)  # change -> file, its genres before
    made: int = 0

    def put(self, place: int | None, track: Track) -> None:
        """A file as a scan finds it."""
        if place is None:
            self.files.append(track)
        else:
            self.files[place] = track
        there = {file.path.encode() for file in self.files}
        with patch("os.path.lexists", there.__contains__):
            self.library.save([track], KIND)

    def new_path(self) -> str:
        self.made += 1
        return f"/m/{self.made}"

    def happen(self, what: str, place: int, values: Genres) -> None:
        """One thing that happens to one file."""
        place %= len(self.files)
        track = self.files[place]
        old = track.tags.genres or ()
        if what == "write" and values and values != old:
            change = self._replace(place, values)
            self.written[change] = (track.digest or b"", values)
            self.before[change] = (place, old)
        elif what == "undo" and self.written:
            change = max(self.written)
            file, old = self.before[change]
            if self.files[file].tags.genres == self.written[change][1]:
                self._replace(file, old, undoes=change)
                del self.written[change]
        elif what == "retag":
            self.put(place, replace(track, tags=TrackTags(values)))
        elif what == "rename":
            self.put(place, replace(track, path=self.new_path()))
        elif what == "copy":
            self.put(None, replace(track, path=self.new_path(), tags=TrackTags(values or old)))

    def _replace(self, place: int, values: Genres, undoes: int | None = None) -> int:
        """The journal and the library, as a file is given genres by us."""
        track = self.files[place]
        intention = Intention(
            track.path, "mpeg", track.tags.genres, values, (), track.path + "~", track.digest or b"", b"", 1, undoes
        )
        change = self.journal.plan(self.run, intention)
        audio = track.digest or b""
        self.journal.stage(change, payload=audio, sha_before=b"", sha_after=b"", size_after=1, patch=None)
        self.journal.confirm(change, 2)
        self.files[place] = replace(track, tags=TrackTags(values))
        self.library.refresh(track.path, 1, 2, values)
        return change


@settings(max_examples=60, deadline=None)
@given(happenings)
def test_a_genre_is_ours_only_where_we_wrote_it_into_this_audio(what_happens: list[tuple[str, int, Genres]]) -> None:
    database = Database(":memory:")
    journal = Journal(database)
    world = World(Library(database), journal, journal.begin_run("scan", {}))
    for digest in (b"a", b"b"):
        path = world.new_path()
        world.put(None, Track(path, 1, 1, digest, 9.0, TrackTags(("Pop",)), vector=np.zeros(1, np.float32)))
    for what, place, values in what_happens:
        world.happen(what, place, values)

    ours = set(world.written.values())
    tagged = [track for track in world.files if track.tags.genres]
    expected = sorted(track.path for track in tagged if (track.digest, track.tags.genres) not in ours)
    assert sorted(track.path for track in world.library.tagged_by_user(KIND)) == expected
    assert world.library.written_by_us() == len(tagged) - len(expected)
    database.close()
