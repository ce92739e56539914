"""Vectors of augmentations stand beside those of the recordings and are never taken for them."""

from pathlib import Path

import numpy as np

from music_reclass.domain import FeatureKind, Track
from music_reclass.features.database import Database
from music_reclass.features.library import AugmentedVectors, Library, augmented_kind

KIND = FeatureKind("k", "1", 2, "mid30")


def test_augmentations_are_found_by_path_and_name_and_the_vector_of_the_recording_stays(tmp_path: Path) -> None:
    database = Database(tmp_path / "l.sqlite3")
    plain, loud = np.zeros(2, dtype=np.float32), np.ones(2, dtype=np.float32)
    (track,) = Library(database).save([Track("/m/a", 1, 1, b"d", 9.0, vector=plain)], KIND)
    store = AugmentedVectors(database)

    store.save({"/m/a": {"loud": loud}, "/m/stranger": {"loud": loud}}, KIND)

    assert {path: vector.tolist() for path, vector in store.of(["/m/a", "/m/stranger"], "loud", KIND).items()} == {
        "/m/a": [1, 1]
    }
    assert not store.of(["/m/a"], "quiet", KIND)
    assert Library(database).vectors([track], KIND)[track].tolist() == [0, 0]
    assert augmented_kind(KIND, "loud").key == "k/1/mid30~loud"
