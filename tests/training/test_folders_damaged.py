"""Folders as people have them: stray files, lists beside or within, numbers that are none; nothing ends in a crash."""

from pathlib import Path

import pytest

from music_reclass.errors import NothingToDo, UsageError
from music_reclass.training import folders
from tests.training.making import touch, write_tracks


def gtzan(folder: Path, *, count: int = 2) -> Path:
    for genre in folders.GTZAN_GENRES:
        touch(*(folder / genre / f"{genre}.{number:05}.wav" for number in range(count)))
    return folder


def filtered(folder: Path, line: str = "{genre}/{genre}.{number:05}.wav") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(("train_filtered.txt", "valid_filtered.txt", "test_filtered.txt")):
        lines = [line.format(genre=genre, number=number) for genre in folders.GTZAN_GENRES]
        (folder / name).write_text("\r\n".join(lines))


def test_names_of_folders_are_taken_as_they_are_and_other_files_do_not_count(tmp_path: Path) -> None:
    touch(tmp_path / "Drum & Bass" / "a.MP3", tmp_path / "日本" / "deep" / "er" / "b.opus")
    touch(tmp_path / "Drum & Bass" / "cover.jpg", tmp_path / "Rock" / "notes.txt", tmp_path / "top.mp3")
    files, _ = folders.folder_per_genre(tmp_path)
    assert {(Path(file.path).name, file.genres, file.artist, file.split) for file in files} == {
        ("a.MP3", ("Drum & Bass",), "", ""),
        ("b.opus", ("日本",), "", ""),
    }


def test_a_link_to_the_folder_names_the_same_genres(tmp_path: Path) -> None:
    touch(tmp_path / "music" / "Rock" / "a.mp3")
    (tmp_path / "link").symlink_to(tmp_path / "music")
    assert folders.folder_per_genre(tmp_path / "link") == folders.folder_per_genre(tmp_path / "music")


@pytest.mark.parametrize("read", [folders.folder_per_genre, folders.gtzan, folders.fma_audio])
def test_a_folder_that_is_none_has_nothing_to_do(tmp_path: Path, read) -> None:  # type: ignore[no-untyped-def]
    touch(tmp_path / "file")
    for path in (tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(NothingToDo, match="There is no folder"):
            read(path)


def test_gtzan_says_which_genre_it_lacks(tmp_path: Path) -> None:
    gtzan(tmp_path)
    for file in (tmp_path / "hiphop").iterdir():
        file.unlink()
    (tmp_path / "hiphop").rmdir()
    with pytest.raises(UsageError, match="has no folder hiphop; GTZAN consists of blues"):
        folders.gtzan(tmp_path)


@pytest.mark.parametrize("place", ["data", "data/genres", "."])
def test_the_fault_filtered_lists_lie_in_the_folder_or_beside_it(tmp_path: Path, place: str) -> None:
    gtzan(tmp_path / "data" / "genres", count=3)
    filtered(tmp_path / place)
    given = tmp_path / "data" / "genres" if place == "." else tmp_path / "data"
    if place == ".":
        filtered(tmp_path / "data")  # beside the folder of genres
    files, notes = folders.gtzan(given)
    assert sorted({file.split for file in files}) == ["test", "training", "validation"]
    assert notes == ("30 of 30 files are in the fault-filtered lists; no artist is on two sides of that split",)


def test_two_of_three_lists_are_no_split(tmp_path: Path) -> None:
    gtzan(tmp_path)
    filtered(tmp_path)
    (tmp_path / "valid_filtered.txt").unlink()
    files, (note,) = folders.gtzan(tmp_path)
    assert {file.split for file in files} == {""}
    assert "figures are too good" in note


def test_lists_name_files_by_their_stem_whatever_the_format(tmp_path: Path) -> None:
    gtzan(tmp_path, count=3)
    filtered(tmp_path, "{genre}.{number:05}.au")
    files, _ = folders.gtzan(tmp_path)
    assert len(files) == 30
    assert all(file.genres == (Path(file.path).name.split(".")[0],) for file in files)


def test_lists_of_other_files_are_refused(tmp_path: Path) -> None:
    gtzan(tmp_path)
    filtered(tmp_path, "other.{number}.wav")
    with pytest.raises(UsageError, match="None of the files in the fault-filtered lists"):
        folders.gtzan(tmp_path)


@pytest.fixture
def fma(tmp_path: Path) -> Path:
    touch(*(tmp_path / "fma_small" / "000" / f"{name}.mp3" for name in ("000002", "000005")))
    tracks = [(2, "7", "test", "small", "Hip-Hop"), (5, "8", "training", "large", "Rock")]
    write_tracks(tmp_path / "fma_small" / "tracks.csv", tracks)
    return tmp_path / "fma_small"


def test_tracks_of_a_larger_subset_are_left_out(fma: Path) -> None:
    files, notes = folders.fma_audio(fma, "medium")
    assert [file.genres for file in files] == [("Hip-Hop",)]
    assert notes == ("1 file without a top genre in tracks.csv left out",)
    both, none = folders.fma_audio(fma, "large")
    assert (len(both), none) == (2, ())
    with pytest.raises(UsageError, match="no subset"):
        folders.fma_audio(fma, "huge")


@pytest.mark.parametrize("name", ["\u00b2", "\u2460\u2461", "-2", "2.5", "two", "99999999999999999999999999"])
def test_a_name_that_is_no_number_of_a_track_is_left_out(fma: Path, name: str) -> None:
    touch(fma / f"{name}.mp3")
    files, notes = folders.fma_audio(fma)
    assert len(files) == 2
    assert notes == ("1 file without a top genre in tracks.csv left out",)


def test_numbers_that_are_none_in_tracks_csv_are_left_out(fma: Path) -> None:
    with (fma / "tracks.csv").open("a") as file:
        file.write("\u00b2,1,9,test,small,Jazz\n,1,9,test,small,Jazz\n-3,1,9,test,small,Jazz\n")
    assert len(folders.fma_audio(fma)[0]) == 2


def test_audio_without_its_table_asks_for_it(tmp_path: Path) -> None:
    touch(tmp_path / "fma" / "000" / "000002.mp3")
    with pytest.raises(UsageError, match=r"no tracks\.csv in .* it comes with fma_metadata\.zip"):
        folders.fma_audio(tmp_path / "fma")


def test_a_table_that_knows_none_of_the_files_leaves_nothing_to_do(fma: Path) -> None:
    write_tracks(fma / "tracks.csv", [(77, "7", "test", "small", "Hip-Hop")])
    with pytest.raises(NothingToDo, match="has the number of a track with a top genre"):
        folders.fma_audio(fma)
