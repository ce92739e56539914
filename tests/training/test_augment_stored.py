"""Augmentations of files are made once, kept, and stand beside their own track."""

from pathlib import Path

import numpy as np
import pytest

from music_reclass.config import Settings
from music_reclass.errors import NothingToDo
from music_reclass.extractors.audio.synthesis import encode, song
from music_reclass.features.database import Database
from music_reclass.models.dataset import Augmentations, fma518
from music_reclass.training.augment import augmented
from music_reclass.training.extraction import Extraction, extract_files
from music_reclass.utils.progress import StopRequest
from tests.library import Shell

KIND, SETTINGS = fma518("mid30"), Settings(jobs=1)


@pytest.fixture
def paths(tmp_path: Path) -> list[str]:
    for number in (1, 2):
        encode(tmp_path / f"{number}.flac", song(seed=number, seconds=6))
    return [str(tmp_path / f"{number}.flac") for number in (2, 1)]


def test_augmentations_come_in_the_order_of_the_files_and_are_made_once(paths: list[str], tmp_path: Path) -> None:
    database, stop = Database(tmp_path / "d.sqlite3"), StopRequest()
    clean = extract_files(database, paths, (KIND,), Extraction(SETTINGS, stop))

    augmentations = augmented(database, paths, ("gain", "excerpt"), KIND, settings=SETTINGS, stop=stop)
    for path in paths:
        Path(path).write_bytes(b"gone")  # a second extraction would fail
    again = augmented(database, paths, ("gain", "excerpt"), KIND, settings=SETTINGS, stop=stop)

    assert augmentations.names == ("gain", "excerpt")
    assert augmentations.rows.shape == (2, 2, 518)
    np.testing.assert_array_equal(augmentations.rows, again.rows)
    for row, path in zip(augmentations.rows, paths, strict=True):
        distances = {other: np.abs(row[0, 252:392] - clean[other].vector[252:392]).mean() for other in paths}
        assert min(distances, key=lambda other: distances[other]) == path
    assert not extract_files(database, paths, (KIND,), Extraction(SETTINGS, stop))  # the files are read anew


def test_an_augmentation_that_cannot_be_made_is_the_track_itself() -> None:
    rows = np.ones((2, 3), dtype=np.float32)
    augmentations = Augmentations(("a",), np.array([[[np.nan] * 3], [[2.0] * 3]], dtype=np.float32))

    assert augmentations.completed(rows).rows[:, 0, 0].tolist() == [1.0, 2.0]


def test_stopped_it_gives_no_half_set(paths: list[str], tmp_path: Path) -> None:
    stop = StopRequest()
    stop.requested = True
    with pytest.raises(NothingToDo, match="goes on from here"):
        augmented(Database(tmp_path / "d.sqlite3"), paths, ("gain",), KIND, settings=SETTINGS, stop=stop)


def test_train_augment_needs_audio_and_known_names(shell: Shell, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    for genre in ("Rock", "Jazz"):
        for number in range(3):
            path = tmp_path / "by-genre" / genre / f"artist {number}" / "tune.flac"
            path.parent.mkdir(parents=True)
            encode(path, song(seed=number + 10 * (genre == "Jazz"), seconds=5))
    words = ("train", "fma-linear", "--on", "folder", "--data", tmp_path / "by-genre", "--least", "1", "--jobs", "1")

    assert shell(*words, "--out", tmp_path / "b", "--augment", "gain,lowpass") == 0
    assert shell(*words, "--out", tmp_path / "b", "--augment", "louder") == 2
    assert "choose among stretch" in shell.err
    assert shell("train", "fma-linear", "--on", "library", "--out", tmp_path / "b", "--augment", "gain") in (2, 3)
