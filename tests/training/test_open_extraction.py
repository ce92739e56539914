"""Features of a data set are extracted once, resumably, and files that cannot be used are left out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from mutagen.flac import FLAC

from music_reclass.config import Settings
from music_reclass.errors import NothingToDo
from music_reclass.extractors.audio.synthesis import encode, song
from music_reclass.features.database import Database
from music_reclass.features.library import Library
from music_reclass.models.dataset import fma518
from music_reclass.training.open import extract_files, extract_tracks
from music_reclass.utils.progress import StopRequest


def test_each_file_is_read_once_and_bad_ones_are_left_out(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.flac", tmp_path / "bad.mp3"
    encode(good, song(seed=1, seconds=5))
    file = FLAC(good)
    file["artist"] = "Good"
    file.save()
    bad.write_bytes(b"no audio at all" * 100)
    database = Database(tmp_path / "data.sqlite3")
    paths, kinds, settings = [str(good), str(bad), str(tmp_path / "gone.mp3")], (fma518("mid30"),), Settings(jobs=1)

    found = extract_files(database, paths, kinds, settings=settings, stop=StopRequest())
    good_status = good.stat()
    good.write_bytes(b"x" * good_status.st_size)  # a second reading would fail
    os.utime(good, ns=(good_status.st_atime_ns, good_status.st_mtime_ns))
    again = extract_files(database, paths, kinds, settings=settings, stop=StopRequest())

    assert list(found) == [str(good)] == list(again)
    track = found[str(good)]
    assert track.vector is not None
    assert track.vector.shape == (518,)
    assert track.tags.artist == "Good"


def test_a_stopped_extraction_gives_no_half_data_set(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    encode(path, song(seed=1, seconds=5))
    stop = StopRequest()
    stop.requested = True

    database, kinds = Database(tmp_path / "d.sqlite3"), (fma518("mid30"),)
    with pytest.raises(NothingToDo, match="goes on from here"):
        extract_files(database, [str(path)], kinds, settings=Settings(jobs=1), stop=stop)


def test_vectors_of_another_kind_join_the_known_tracks_and_are_extracted_once(tmp_path: Path) -> None:
    tune = tmp_path / "tune.flac"
    encode(tune, song(seed=1, seconds=5))
    database, settings, full = Database(tmp_path / "data.sqlite3"), Settings(jobs=1), fma518("full")
    extract_files(database, [str(tune)], (fma518("mid30"),), settings=settings, stop=StopRequest())
    ((track, _),) = Library(database).paths(range(5)).items()

    found = extract_tracks(database, [track, 99], full, settings=settings, stop=StopRequest())
    assert found[track].shape == (518,)
    tune.unlink()
    assert extract_tracks(database, [track], full, settings=settings, stop=StopRequest()).keys() == {track}
    stop = StopRequest()
    stop.requested = True
    with pytest.raises(NothingToDo, match="goes on from here"):
        extract_tracks(database, [track], full, settings=settings, stop=stop)
