"""FMA's tables with damage in them: a sentence names the file; lines without numbers are left out, not guessed."""

from pathlib import Path

import numpy as np
import pytest

from music_reclass.errors import NothingToDo, UsageError
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.training import fma
from tests.training.making import learnable, write_features, write_tracks

NUMBERS = (2, 3, 5, 10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows, genres = learnable(4, ("Rock", "Jazz"))
    write_features(tmp_path / "features.csv", NUMBERS, rows)
    tracks = [
        (number, f"{number % 2}", "training", "small", genre) for number, genre in zip(NUMBERS, genres, strict=True)
    ]
    write_tracks(tmp_path / "tracks.csv", tracks)
    return tmp_path


def changed(folder: Path, line: int, text: str) -> None:
    """features.csv with another line, counted from 0; the rows begin at 4."""
    lines = (folder / "features.csv").read_text().splitlines()
    lines[line] = text
    (folder / "features.csv").write_text("\n".join(lines) + "\n")


def test_rows_keep_the_numbers_of_their_tracks(folder: Path) -> None:
    found = fma.read(folder)
    assert list(found.names) == ["2", "3", "5", "10"]
    assert np.array_equal(found.rows, learnable(4, ("Rock", "Jazz"))[0])
    assert found.groups == ["fma artist 0", "fma artist 1", "fma artist 1", "fma artist 0"]


@pytest.mark.parametrize("line", ["", "7" + "," * 518, "7," + ",".join(["1.0"] * 517) + ","])
def test_a_line_with_empty_fields_is_left_out(folder: Path, line: str) -> None:
    changed(folder, 5, line)
    found = fma.read(folder)
    assert list(found.names) == ["2", "5", "10"]
    assert found.notes == ("1 track of tracks.csv without features left out",)


@pytest.mark.parametrize(
    ("line", "text", "sentence"),
    [
        (5, "3,1.0,2.0", "a line of 3 fields where 519 belong"),
        (5, "3," + ",".join(["1.0"] * 519), "a line of 520 fields where 519 belong"),
        (5, "3," + ",".join(["loud"] * 518), "holds no numbers"),
        (5, "three," + ",".join(["1.0"] * 518), "holds no numbers"),
        (5, "nan," + ",".join(["1.0"] * 518), "holds no numbers"),
        (0, "feature,chroma_cens", "three header rows"),
        (2, "track_id" + ",01" * 518, "three header rows"),
        (0, "feature" + ",volume" * 518, "none of the 518"),
        (1, "statistics" + ",mean" * 518, "some twice"),
    ],
)
def test_features_that_cannot_be_read_are_refused_in_a_sentence(
    folder: Path, line: int, text: str, sentence: str
) -> None:
    changed(folder, line, text)
    with pytest.raises(UsageError, match=sentence):
        fma.read(folder)


def test_tables_in_another_coding_are_refused_in_a_sentence(folder: Path) -> None:
    with (folder / "tracks.csv").open("ab") as file:
        file.write(b"99,1,1,training,small,M\xfasica\n")
    with pytest.raises(UsageError, match="not a CSV in UTF-8"):
        fma.read(folder)


def test_a_table_without_rows_is_refused(folder: Path) -> None:
    lines = (folder / "features.csv").read_text().splitlines()[:4]
    (folder / "features.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(UsageError, match="holds no complete row"):
        fma.read(folder)


def test_without_a_top_genre_there_is_nothing_to_do(folder: Path) -> None:
    write_tracks(folder / "tracks.csv", [(2, "1", "training", "small", "")])
    with pytest.raises(NothingToDo, match="no track of the subset large with a top genre"):
        fma.read(folder)


def test_a_damaged_cache_is_read_again_and_a_cache_that_cannot_be_written_does_no_harm(folder: Path) -> None:
    fresh = fma.read(folder, cache=folder / "cache")
    (kept,) = (folder / "cache").iterdir()
    for damage in (b"", b"PK\x03\x04", kept.read_bytes()[:200]):
        kept.write_bytes(damage)
        again = fma.read(folder, cache=folder / "cache")
        assert np.array_equal(again.rows, fresh.rows)
        assert np.load(kept)["rows"].shape == (4, 518)  # and it is whole again
    (folder / "file").write_text("")
    assert np.array_equal(fma.read(folder, cache=folder / "file").rows, fresh.rows)


def test_a_flat_table_of_tracks_says_the_same_as_the_published_one(folder: Path) -> None:
    published = fma.read(folder)
    lines = ["track_id,genre_top,split,subset,artist_id"]
    _, genres = learnable(4, ("Rock", "Jazz"))
    lines += [f"{number},{genre},training,small,{number % 2}" for number, genre in zip(NUMBERS, genres, strict=True)]
    (folder / "tracks.csv").write_text("\n".join(lines) + "\n")
    flat = fma.read(folder)
    assert (flat.genres, flat.groups, flat.split) == (published.genres, published.groups, published.split)


def test_part_of_the_columns_in_any_order_stand_in_the_usual_one(folder: Path) -> None:
    rows, _ = learnable(4, ("Rock", "Jazz"))
    some = [COLUMNS[9], COLUMNS[4], COLUMNS[200]]
    write_features(folder / "features.csv", NUMBERS, rows[:, [9, 4, 200]], some)
    found = fma.read(folder)
    assert found.columns == (COLUMNS[4], COLUMNS[9], COLUMNS[200])
    assert np.array_equal(found.rows, rows[:, [4, 9, 200]])
    assert "3 of the 518 columns are there" in found.notes
