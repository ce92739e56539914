"""Folders of labelled files: each form gives paths, genres, artists and splits, and says what is missing."""

from pathlib import Path

import pytest

from music_reclass.errors import NothingToDo
from music_reclass.training import folders
from tests.training.making import touch, write_tracks


def test_a_folder_names_the_genre_of_all_files_below_it(tmp_path: Path) -> None:
    touch(
        tmp_path / "Rock" / "a.mp3",
        tmp_path / "Rock" / "Band" / "b.flac",
        tmp_path / "Jazz" / "c.ogg",
        tmp_path / "d.mp3",
    )

    files, _ = folders.folder_per_genre(tmp_path)

    assert {(Path(file.path).name, file.genres) for file in files} == {
        ("a.mp3", ("Rock",)), ("b.flac", ("Rock",)), ("c.ogg", ("Jazz",)),
    }  # fmt: skip
    with pytest.raises(NothingToDo):
        folders.folder_per_genre(tmp_path / "Jazz")


def test_gtzan_takes_the_fault_filtered_split_and_warns_without_it(tmp_path: Path) -> None:
    for genre in folders.GTZAN_GENRES:
        touch(*(tmp_path / "genres" / genre / f"{genre}.0000{number}.wav" for number in range(4)))
    without, warned = folders.gtzan(tmp_path)
    for number, name in enumerate(("train_filtered.txt", "valid_filtered.txt", "test_filtered.txt")):
        lines = [f"{genre}/{genre}.0000{number}.wav" for genre in folders.GTZAN_GENRES]
        (tmp_path / name).write_text("\n".join(lines))
    filtered, _ = folders.gtzan(tmp_path)

    assert len(without) == 40
    assert "names no artists" in warned[0]
    assert len(filtered) == 30
    assert {file.split for file in filtered if file.path.endswith("1.wav")} == {"validation"}


def test_fma_audio_finds_genre_split_and_artist_by_the_number_in_the_name(tmp_path: Path) -> None:
    touch(tmp_path / "fma_small" / "000" / "000002.mp3", tmp_path / "fma_small" / "000" / "000005.mp3")
    (tmp_path / "fma_metadata").mkdir()
    write_tracks(tmp_path / "fma_metadata" / "tracks.csv", [(2, "7", "test", "small", "Hip-Hop")])

    (file,), notes = folders.fma_audio(tmp_path / "fma_small")

    assert (file.genres, file.artist, file.split) == (("Hip-Hop",), "fma artist 7", "test")
    assert "1 file without a top genre" in notes[0]
