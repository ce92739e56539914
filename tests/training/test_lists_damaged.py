"""Lists as people have them: other spellings, empty lines, wrong codings; what cannot be read is one sentence."""

from pathlib import Path

import pytest

from music_reclass.errors import NothingToDo, UsageError
from music_reclass.training import lists
from tests.training.making import touch

HEAD = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS\n"


def listed(folder: Path, text: str | bytes, name: str = "list.csv") -> Path:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_a_list_from_a_spreadsheet_with_a_byte_order_mark_and_crlf_is_read(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp3", tmp_path / "b, c.mp3")
    text = '\ufeff Path , GENRE ,Year\r\na.mp3,Rock,1977\r\n"b, c.mp3","Jazz; Funk",1980\r\n'
    files, notes = lists.paths_csv(listed(tmp_path, text))
    assert [(Path(file.path).name, file.genres) for file in files] == [
        ("a.mp3", ("Rock",)),
        ("b, c.mp3", ("Jazz; Funk",)),  # several genres in one field are divided as in a tag, later
    ]
    assert not notes


def test_paths_are_relative_to_the_list_and_not_to_where_one_stands(tmp_path: Path) -> None:
    touch(tmp_path / "music" / "a.mp3", tmp_path / "b.mp3")
    (tmp_path / "lists").mkdir()
    text = f"path,genre\n../music/a.mp3,Rock\n{tmp_path / 'b.mp3'},Jazz\n"
    files, _ = lists.paths_csv(listed(tmp_path / "lists", text))
    assert [Path(file.path).resolve() for file in files] == [tmp_path / "music" / "a.mp3", tmp_path / "b.mp3"]


def test_short_lines_long_lines_and_lines_without_a_path_do_no_harm(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp3", tmp_path / "b.mp3")
    text = "path,genre,artist\na.mp3\n,Rock,Nobody\n\nb.mp3,Jazz,Ann,more,and more\n"
    files, _ = lists.paths_csv(listed(tmp_path, text))
    assert [(file.genres, file.artist) for file in files] == [(("",), ""), (("Jazz",), "Ann")]


@pytest.mark.parametrize(
    ("word", "split"),
    [("train", "training"), ("Training", "training"), (" validation ", "validation"), ("TEST", "test"), ("", "")],
)
def test_parts_are_called_as_one_calls_them(tmp_path: Path, word: str, split: str) -> None:
    touch(tmp_path / "a.mp3")
    (file,), _ = lists.paths_csv(listed(tmp_path, f"path,genre,split\na.mp3,Rock,{word}\n"))
    assert file.split == split


def test_a_part_that_nobody_knows_is_named(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp3")
    with pytest.raises(UsageError, match="the split 'dev'; use training, validation or test"):
        lists.paths_csv(listed(tmp_path, "path,genre,split\na.mp3,Rock,dev\n"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "needs the columns"),
        ("a.mp3,Rock\n", "it has a.mp3, rock"),
        ("path;genre\na.mp3;Rock\n", "needs the columns"),
        ("path,genre\n\xe9.mp3,Rock\n".encode("latin-1"), "not a CSV in UTF-8"),
        (b"\xff\xfep\0a\0t\0h\0", "not a CSV in UTF-8"),
        ("path,genre\n" + "x" * 200_000 + ",Rock\n", "not a CSV in UTF-8"),
    ],
)
def test_what_is_no_such_list_is_refused_in_a_sentence(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        lists.paths_csv(listed(tmp_path, text))


def test_a_list_of_nothing_has_nothing_to_do(tmp_path: Path) -> None:
    with pytest.raises(NothingToDo, match="There is no file"):
        lists.paths_csv(tmp_path / "absent.csv")
    with pytest.raises(NothingToDo, match="None of the 2 files"):
        lists.paths_csv(listed(tmp_path, "path,genre\na.mp3,Rock\nb.mp3,Rock\n"))


@pytest.mark.parametrize("read", [lists.paths_csv, lists.jamendo])
def test_a_folder_in_place_of_a_list_is_refused_in_a_sentence(tmp_path: Path, read) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises((UsageError, NothingToDo), match=tmp_path.name):
        read(tmp_path)


def test_jamendo_tracks_without_a_genre_are_left_out_and_each_genre_is_taken(tmp_path: Path) -> None:
    touch(tmp_path / "01" / "1.mp3", tmp_path / "02" / "2.mp3", tmp_path / "03" / "3.mp3")
    lines = [
        "track_1\tartist_1\talbum_1\t01/1.mp3\t100\tgenre---rock\tinstrument---piano\tgenre---pop",
        "track_2\tartist_1\talbum_1\t02/2.mp3\t100\tmood/theme---calm",
        "track_3\tartist_2\talbum_2\t03/3.mp3\t100",
        "track_4",
    ]
    files, _ = lists.jamendo(listed(tmp_path, HEAD + "\n".join(lines) + "\n", "all.tsv"))
    assert [(file.genres, file.artist, file.split) for file in files] == [(("rock", "pop"), "jamendo artist_1", "")]


def test_whole_audio_is_preferred_to_that_of_a_low_rate_and_may_lie_elsewhere(tmp_path: Path) -> None:
    touch(tmp_path / "audio" / "01" / "1.mp3", tmp_path / "audio" / "01" / "1.low.mp3")
    text = HEAD + "track_1\tartist_1\talbum_1\t01/1.mp3\t100\tgenre---rock\n"
    file = listed(tmp_path, text, "all.tsv")
    (found,), _ = lists.jamendo(file, tmp_path / "audio")
    assert found.path == str(tmp_path / "audio" / "01" / "1.mp3")
    with pytest.raises(NothingToDo, match="None of the 1 files"):
        lists.jamendo(file)


@pytest.mark.parametrize("text", ["", "\n", "TRACK_ID,ARTIST_ID\n", "track_1\tartist_1\n", HEAD.lower()])
def test_what_is_no_list_of_jamendo_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="does not begin as MTG-Jamendo's lists do"):
        lists.jamendo(listed(tmp_path, text, "all.tsv"))


def test_a_list_of_jamendo_in_another_coding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="UTF-8"):
        lists.jamendo(listed(tmp_path, HEAD.encode() + b"track_1\t\xe9\n", "all.tsv"))
