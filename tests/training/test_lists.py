"""Lists of labelled files: each form gives paths, genres, artists and splits, and says what is missing."""

from pathlib import Path

import numpy as np
import pytest

from music_reclass.domain import Track, TrackTags
from music_reclass.errors import NothingToDo, UsageError
from music_reclass.models.dataset import LabelledFile, fma518, to_dataset
from music_reclass.taxonomy import load
from music_reclass.training import lists
from music_reclass.training.open import as_rows, group_of
from tests.training.making import touch


def test_a_csv_may_name_a_file_twice_and_gives_it_both_genres(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp3")
    table = tmp_path / "list.csv"
    table.write_text("Genre,Path,Artist,Split\nRock,a.mp3,Band,train\nPop,a.mp3,Band,train\nJazz,gone.mp3,,test\n")

    files, notes = lists.paths_csv(table)

    assert [(file.genres, file.artist, file.split) for file in files] == [(("Rock", "Pop"), "Band", "training")]
    assert "1 of 2 files not there" in notes[0]
    table.write_text("file,label\na.mp3,Rock\n")
    with pytest.raises(UsageError, match="columns `path` and `genre`"):
        lists.paths_csv(table)


def test_jamendo_parts_are_read_together_and_low_rate_audio_is_found(tmp_path: Path) -> None:
    head = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS\n"
    for part, number in (("train", 1), ("validation", 2), ("test", 3)):
        line = (
            f"track_{number}\tartist_{number}\talbum_1\t0{number}/{number}.mp3\t100\tgenre---rock\tmood/theme---calm\n"
        )
        (tmp_path / f"autotagging_genre-{part}.tsv").write_text(head + line)
        touch(tmp_path / f"0{number}" / f"{number}.low.mp3")

    files, _ = lists.jamendo(tmp_path / "autotagging_genre-train.tsv")

    assert [(file.genres, file.split, file.artist) for file in files] == [
        (("rock",), "training", "jamendo artist_1"),
        (("rock",), "validation", "jamendo artist_2"),
        (("rock",), "test", "jamendo artist_3"),
    ]


def test_groups_are_artists_else_albums_else_folders() -> None:
    file = LabelledFile("/m/Rock/Band/a.mp3", ("Rock",))

    assert group_of(LabelledFile("/m/a.mp3", (), "known"), TrackTags(artist="X")) == "known"
    assert group_of(file, TrackTags(artist=" Ann ", album="B")) == "artist ann"
    assert group_of(file, TrackTags(album_artist="Various", compilation=True, album="Hits")) == "album hits"
    assert group_of(file, TrackTags()) == "folder /m/Rock/Band"
    assert group_of(LabelledFile("/m/Rock/a.mp3", ("Rock",)), TrackTags()) == ""


def test_files_that_cannot_be_used_are_left_out_and_counted() -> None:
    files = [LabelledFile(f"/m/Rock/{number}.mp3", ("Rock",)) for number in range(3)]
    kinds = (fma518("mid30"),)
    track = Track(files[0].path, vector=np.ones(518, dtype=np.float32), tags=TrackTags(artist="Ann"))
    extracted = {files[0].path: track}

    data = to_dataset(as_rows("folder", (files, ()), extracted, kinds), load())

    assert data.names == ("/m/Rock/0.mp3",)
    assert data.artists == ("artist ann",)
    assert any("2 files could not be used" in note for note in data.table.notes)
    with pytest.raises(NothingToDo):
        as_rows("folder", (files, ()), {}, kinds)
