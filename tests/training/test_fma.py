"""The FMA metadata reader: the published form, parts of it, and the real rows at hand."""

from pathlib import Path

import numpy as np
import pytest

from music_reclass.errors import NothingToDo, UsageError
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.models.dataset import TEST, TRAINING, to_dataset
from music_reclass.taxonomy import load
from music_reclass.training import fma as fma_metadata
from tests.training.making import learnable, write_features, write_tracks

REAL = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "fma"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows, genres = learnable(12, ("Rock", "Hip-Hop"))
    write_features(tmp_path / "features.csv", range(2, 14), rows)
    subsets = ("small", "medium", "large")
    tracks = [
        (number + 2, f"{number // 2}", "training" if number < 8 else "test", subsets[number % 3], genre)
        for number, genre in enumerate(genres)
    ]
    write_tracks(
        tmp_path / "tracks.csv", [*tracks, (99, "50", "test", "small", "Jazz"), (100, "51", "test", "small", "")]
    )
    return tmp_path


def test_subsets_are_nested_and_not_compared_as_words(folder: Path) -> None:
    sizes = [len(fma_metadata.read(folder, subset).rows) for subset in ("small", "medium", "large", "full")]

    assert sizes == [4, 8, 12, 12]
    with pytest.raises(UsageError, match="no subset"):
        fma_metadata.read(folder, "tiny")


def test_rows_come_with_the_official_split_and_the_artists_of_tracks_csv(folder: Path) -> None:
    data = to_dataset(fma_metadata.read(folder), load())

    assert data.table.classes == ("Hip-Hop", "Rock")
    assert data.split.tolist() == [TRAINING] * 8 + [TEST] * 4
    assert data.table.groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert data.is_split
    assert not data.leaks()
    assert data.kind.key == "fma518/1/full"
    assert "1 track of tracks.csv without features" in data.table.notes[0]


def test_an_artist_on_both_sides_of_the_split_is_said(folder: Path) -> None:
    text = (
        (folder / "tracks.csv").read_text().replace("test,small,Rock", "test,small,Rock").replace(",4,test", ",0,test")
    )
    (folder / "tracks.csv").write_text(text)

    data = to_dataset(fma_metadata.read(folder), load())

    assert data.leaks() == ("2 of 4 test rows are of artists that are in the training part too",)


def test_columns_in_another_order_are_put_right_by_name(folder: Path) -> None:
    straight = fma_metadata.read(folder).rows
    rows, _ = learnable(12, ("Rock", "Hip-Hop"))
    write_features(folder / "features.csv", range(2, 14), rows[:, ::-1], COLUMNS[::-1])

    np.testing.assert_array_equal(fma_metadata.read(folder).rows, straight)


def test_what_was_read_is_kept_and_read_again_when_the_file_changes(folder: Path, tmp_path: Path) -> None:
    first = fma_metadata.read(folder, cache=tmp_path / "cache").rows
    kept = list((tmp_path / "cache").glob("*.npz"))
    again = fma_metadata.read(folder, cache=tmp_path / "cache").rows
    kept[0].write_bytes(b"damaged")
    np.testing.assert_array_equal(first, fma_metadata.read(folder, cache=tmp_path / "cache").rows)
    write_features(folder / "features.csv", range(2, 14), first * 3)
    changed = fma_metadata.read(folder, cache=tmp_path / "cache").rows

    assert len(kept) == 1
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(changed, first * 3)


def test_what_is_no_features_csv_is_refused_in_a_sentence(folder: Path, tmp_path: Path) -> None:
    (folder / "features.csv").write_text("track_id,a,b\n1,2,3\n4,5,6\n")
    with pytest.raises(UsageError, match="three header rows"):
        fma_metadata.read(folder)
    with pytest.raises(NothingToDo, match="no folder"):
        fma_metadata.read(tmp_path / "absent")


@pytest.mark.skipif(not REAL.exists(), reason="the FMA rows of ../shared are not there")
def test_real_fma_rows_reach_the_known_accuracy_on_the_official_test_part(tmp_path: Path) -> None:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    data = to_dataset(fma_metadata.read(REAL, "small"), load())
    genre = data.table.labels.argmax(axis=1)
    training, test = data.split == TRAINING, data.split == TEST
    model = make_pipeline(StandardScaler(), SVC()).fit(data.table.rows[training], genre[training])

    assert len(data) == 1986  # four of the 1,990 complete rows are in no tracks file: their split is not known
    assert len(data.table.columns) == 140
    assert (model.predict(data.table.rows[test]) == genre[test]).mean() >= 0.93
