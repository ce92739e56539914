"""Files of a data set are listened to once, resumably, and what cannot be used is left out."""

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
from music_reclass.training.open import extract_files, extracted_vectors
from music_reclass.utils.progress import StopRequest


def test_each_file_is_read_once_and_bad_ones_are_left_out(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.flac", tmp_path / "bad.mp3"
    encode(good, song(seed=1, seconds=5))
    tagged = FLAC(good)
    tagged["artist"] = "good"
    tagged.save()
    bad.write_bytes(b"no audio at all" * 100)
    database = Database(tmp_path / "data.sqlite3")
    paths, kind, settings = [str(good), str(bad), str(tmp_path / "gone.mp3")], fma518("mid30"), Settings(jobs=1)

    heard = extract_files(database, paths, kind, settings, StopRequest())
    good_status = good.stat()
    good.write_bytes(b"x" * good_status.st_size)  # a second reading would fail
    os.utime(good, ns=(good_status.st_atime_ns, good_status.st_mtime_ns))
    again = extract_files(database, paths, kind, settings, StopRequest())

    assert list(heard) == [str(good)] == list(again)
    assert heard[str(good)].vector.shape == (518,)
    assert heard[str(good)].tags.artist == "good"


def test_a_stopped_gathering_gives_no_half_data_set(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    encode(path, song(seed=1, seconds=5))
    stop = StopRequest()
    stop.requested = True

    with pytest.raises(NothingToDo, match="goes on from here"):
        extract_files(Database(tmp_path / "d.sqlite3"), [str(path)], fma518("mid30"), Settings(jobs=1), stop)


def test_vectors_of_another_kind_join_the_tracks_that_are_known_and_are_heard_once(tmp_path: Path) -> None:
    tune = tmp_path / "tune.flac"
    encode(tune, song(seed=1, seconds=5))
    database, settings, full = Database(tmp_path / "data.sqlite3"), Settings(jobs=1), fma518("full")
    extract_files(database, [str(tune)], fma518("mid30"), settings, StopRequest())
    ((track, _),) = Library(database).paths(range(5)).items()

    assert extracted_vectors(database, [track, 99], full, settings, StopRequest())[track].shape == (518,)
    tune.unlink()
    assert extracted_vectors(database, [track], full, settings, StopRequest()).keys() == {track}
    stop = StopRequest()
    stop.requested = True
    with pytest.raises(NothingToDo, match="goes on from here"):
        extracted_vectors(database, [track], full, settings, stop)
