"""The user's library as a data set."""

from pathlib import Path

import numpy as np
import pytest

from music_reclass.errors import NothingToDo
from music_reclass.training import library
from tests.classification.fakes import CHEAP, COSTLY
from tests.classification.small_library import SmallLibrary, Tune, sure

TUNES = [
    Tune("/m/x/1", sure("Jazz"), sure("Jazz"), ("Jazz",), "Ida"),
    Tune("/m/y/2", sure("Pop"), None, ("Pop", "Rock"), "", "Album"),
    Tune("/m/z/3", sure("Rock"), sure("Rock"), None),
]


def test_tagged_tracks_with_a_vector_are_rows_by_artist_else_album(tmp_path: Path) -> None:
    found = library.read(SmallLibrary(tmp_path, TUNES).database, CHEAP)
    assert found.names == ["/m/x/1", "/m/y/2"]
    assert found.genres == [("Jazz",), ("Pop", "Rock")]
    assert len(set(found.groups)) == 2
    assert found.rows.shape == (2, 3)
    assert found.notes == ()


def test_a_track_without_a_later_vector_is_left_out_or_partial_and_said(tmp_path: Path) -> None:
    small = SmallLibrary(tmp_path, TUNES)
    with pytest.raises(NothingToDo, match="None of the 2 tagged tracks has stored vectors"):
        library.read(small.database, CHEAP, [COSTLY])
    small.library.add_vectors({small.ids[0]: np.array(TUNES[0].costly, np.float32)}, COSTLY)
    found = library.read(small.database, CHEAP, [COSTLY])
    assert found.names == ["/m/x/1"]
    assert "1 tagged tracks have no vectors of costly" in found.notes[0]
    partial = library.read(small.database, CHEAP, [COSTLY], partial=True)
    assert np.isnan(partial.rows[:, 3:]).all(axis=1).tolist() == [False, True]


def test_a_library_without_tags_has_nothing_to_learn_from(tmp_path: Path) -> None:
    with pytest.raises(NothingToDo, match="No track of the library has both"):
        library.read(SmallLibrary(tmp_path, TUNES[2:]).database, CHEAP)
