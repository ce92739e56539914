"""What a worker gives back for one file."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from music_reclass.classification.extract import FileReader, ReadTask, VectorReader
from music_reclass.domain import TrackTags
from music_reclass.errors import FailTrack, SkipTrack
from music_reclass.extractors.audio.synthesis import encode, song
from music_reclass.extractors.registry import extractor
from music_reclass.features.library import Reading

KIND = extractor("fma518", "mid30").kind


def fixed_tags(path: Path) -> TrackTags:
    """A tag reader that opens nothing."""
    return TrackTags(artist="Ida", genres=("Rock",))


def unreadable_tags(path: Path) -> TrackTags:
    """A tag reader that meets a broken tag."""
    raise FailTrack("tags", "the tag is broken")


def task_for(path: Path, *stored: bytes) -> ReadTask:
    status = os.stat(path)
    return ReadTask(str(path), status.st_size, status.st_mtime_ns, stored)


def read(task: ReadTask, tags: object = fixed_tags) -> Reading:
    return FileReader(KIND, tags)(task)  # type: ignore[arg-type]


@pytest.fixture
def tune(tmp_path: Path) -> Path:
    path = tmp_path / "tune.flac"
    encode(path, song(seed=1, seconds=6))
    return path


def test_a_file_gives_identity_tags_and_vector(tune: Path) -> None:
    reading = read(task_for(tune))
    assert reading.error is None
    assert reading.digest
    assert reading.tags.artist == "Ida"
    assert reading.duration == pytest.approx(6.0)
    assert reading.vector is not None
    assert reading.vector.shape == (518,)


def test_audio_whose_vector_is_stored_is_not_decoded_again(tune: Path) -> None:
    digest = read(task_for(tune)).digest
    assert digest is not None
    again = read(task_for(tune, digest))
    assert (again.digest, again.vector, again.error) == (digest, None, None)


def test_a_broken_tag_fails_the_track_before_anything_is_decoded(tune: Path) -> None:
    reading = read(task_for(tune), unreadable_tags)
    assert isinstance(reading.error, FailTrack)
    assert reading.error.reason == "tags"
    assert reading.vector is None


def test_a_file_that_changes_while_it_is_read_fails_this_time(tune: Path) -> None:
    task = task_for(tune)
    os.utime(tune, ns=(1, 1))
    reading = read(task)
    assert reading.error is not None
    assert reading.error.reason == "changed"
    assert reading.vector is None


def test_a_file_that_vanished_is_a_typed_failure(tmp_path: Path) -> None:
    reading = read(ReadTask(str(tmp_path / "gone.mp3"), 1, 1))
    assert reading.error is not None
    assert reading.error.reason == "vanished"


def test_a_short_file_is_skipped_by_a_scan_but_has_a_vector(tmp_path: Path) -> None:
    path = tmp_path / "short.wav"
    encode(path, song(seed=1, seconds=0.2))
    reading = read(task_for(path))
    assert isinstance(reading.error, SkipTrack)
    assert reading.error.reason == "too_short"
    vector = VectorReader("fma518", "mid30")(path)
    assert vector.shape == (518,)
    assert np.isfinite(vector).all()


def test_readers_cross_process_borders() -> None:
    assert pickle.loads(pickle.dumps(FileReader(KIND, fixed_tags))) == FileReader(KIND, fixed_tags)
