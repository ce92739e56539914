"""The one door: every form of data comes out in one shape, and says what is missing."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from music_reclass.config import Settings
from music_reclass.domain import Track, TrackTags
from music_reclass.errors import NothingToDo, UsageError
from music_reclass.extractors.audio.synthesis import encode, song
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.extractors.weights.store import MissingWeights
from music_reclass.features.database import Database
from music_reclass.features.library import Library
from music_reclass.features.user_decisions import UserDecisions, keys_of
from music_reclass.models.dataset import TEST, TRAINING, Dataset, fma518
from music_reclass.taxonomy import load
from music_reclass.training import npz
from music_reclass.training import open as opening
from music_reclass.training.extraction import Extraction
from music_reclass.training.open import FORMS, DatasetRequest, cache_folder, lacking, open_dataset
from music_reclass.utils.progress import StopRequest
from tests.training.making import learnable, write_features, write_tracks

TAXONOMY = load()


STOP = StopRequest()


def settings(folder: Path) -> Settings:
    """The library of `folder`: six tracks of fma518 vectors and tags."""
    path = folder / "l.sqlite3"
    if not path.exists():
        with closing(Database(path)) as database:
            rows, genres = learnable(6, ("Rock", "Jazz"))
            readings = [
                Track(f"/m/{n}", 1, 1, bytes([n]), 9.0, TrackTags((genre,), album=f"b{n // 2}"), (), row)
                for n, (row, genre) in enumerate(zip(rows, genres, strict=True))
            ]
            Library(database).save(readings, fma518("mid30"))
    return Settings(db=path, jobs=1)


def opened(request: DatasetRequest, folder: Path) -> Dataset:
    return open_dataset(request, TAXONOMY, settings(folder), STOP)


@pytest.fixture(autouse=True)
def nothing_installed_and_nothing_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "no models"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def requests(tmp_path: Path) -> dict[str, DatasetRequest]:
    rows, genres = learnable(6, ("Rock", "Jazz"))
    for genre in ("Rock", "Jazz"):
        (tmp_path / "tree" / genre).mkdir(parents=True)
        encode(tmp_path / "tree" / genre / "1.flac", song(seed=len(genre), seconds=5))
    (tmp_path / "list.csv").write_text("path,genre\ntree/Rock/1.flac,Rock\ntree/Jazz/1.flac,Jazz\n")
    (tmp_path / "meta").mkdir()
    write_features(tmp_path / "meta" / "features.csv", range(6), rows)
    write_tracks(tmp_path / "meta" / "tracks.csv", [(n, f"{n}", "training", "small", g) for n, g in enumerate(genres)])
    labels = np.array(genres)[:, None] == np.array(["Rock", "Jazz"])[None]
    content = {"fma518": rows, "columns": np.array(COLUMNS), "labels": labels, "classes": np.array(["Rock", "Jazz"])}
    np.savez(tmp_path / "t.npz", **content, split=np.array([TRAINING, TEST] * 3), group=np.array(list("aabbcc")))
    return {
        "table": DatasetRequest("table", tmp_path / "t.npz"),
        "fma": DatasetRequest("fma", tmp_path / "meta"),
        "folder": DatasetRequest("folder", tmp_path / "tree", least=1),
        "csv": DatasetRequest("csv", tmp_path / "list.csv", least=1),
        "library": DatasetRequest("library", least=1),
    }


@pytest.mark.parametrize("form", ["table", "fma", "folder", "csv", "library"])
def test_every_form_has_one_shape(form: str, requests: dict[str, DatasetRequest], tmp_path: Path) -> None:
    data: Dataset = opened(requests[form], tmp_path)

    assert set(data.table.classes) == {"Rock", "Jazz"}
    assert data.table.rows.shape == (len(data), 518)
    assert data.table.labels.any(axis=1).all()
    assert len(data.names) == len(data.split) == len(data.table.groups) == len(data)
    assert data.kind.name == "fma518"
    assert data.chosen(np.arange(len(data)) < 1).names == data.names[:1]


def test_a_tables_own_split_and_artists_are_taken(requests: dict[str, DatasetRequest], tmp_path: Path) -> None:
    data = opened(requests["table"], tmp_path)

    assert data.is_split
    assert data.artists == tuple("aabbcc")
    assert "3 of 3 test rows" in data.leaks()[0]


def test_data_without_a_path_are_asked_for(tmp_path: Path) -> None:
    for form in set(FORMS) - {"library"}:
        with pytest.raises(UsageError, match="--data"):
            opened(DatasetRequest(form), tmp_path)


def store(database: Database, value: float, most: int) -> None:
    """MusiCNN vectors for the first `most` tracks, as if its network had made them."""
    vector = np.full(npz.MUSICNN.dimension, value, np.float32)
    tracks = sorted(Library(database).paths(range(100)))
    Library(database).add_vectors(dict.fromkeys(tracks[:most], vector), npz.MUSICNN)


@pytest.mark.parametrize("form", ["folder", "csv"])
def test_vectors_of_several_kinds_stand_side_by_side(
    form: str, requests: dict[str, DatasetRequest], tmp_path: Path
) -> None:
    first = opened(requests[form], tmp_path)
    with closing(Database(cache_folder() / "listened.sqlite3")) as database:
        store(database, 2.0, 2)
    data = opened(replace(requests[form], kinds=("fma518", "musicnn")), tmp_path)

    assert data.table.rows.shape == (2, 718)
    np.testing.assert_array_equal(data.table.rows[:, :518], first.table.rows)
    assert data.table.rows[0, [518, 717]].tolist() == [2.0, 2.0]
    assert [kind.name for kind in data.kinds] == ["fma518", "musicnn"]


def test_a_kind_that_cannot_be_extracted_is_said(requests: dict[str, DatasetRequest], tmp_path: Path) -> None:
    with pytest.raises(MissingWeights):
        opened(replace(requests["folder"], kinds=("fma518", "musicnn")), tmp_path)


def test_vectors_of_later_kinds_are_extracted_for_tracks_of_the_library_before_they_are_read(
    requests: dict[str, DatasetRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def extract(database: Database, tracks: Sequence[int], *_: object) -> None:
        asked.extend(tracks)
        store(database, 3.0, 4)

    monkeypatch.setattr(opening, "extract_tracks", extract)
    data = opened(replace(requests["library"], kinds=("fma518", "musicnn")), tmp_path)

    assert len(asked) == 6
    assert data.table.rows.shape == (4, 718)
    assert any("2 tagged tracks have no vectors of musicnn" in note for note in data.table.notes)


def test_a_library_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NothingToDo, match="scan a folder first"):
        open_dataset(DatasetRequest("library"), TAXONOMY, Settings(db=tmp_path / "none.sqlite3"), STOP)


def test_fma_metadata_hold_no_other_kind(requests: dict[str, DatasetRequest], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fma518 alone"):
        opened(replace(requests["fma"], kinds=("fma518", "musicnn")), tmp_path)


def test_augmentations_stand_beside_the_rows_of_audio_and_of_nothing_else(
    requests: dict[str, DatasetRequest], tmp_path: Path
) -> None:
    data = opened(replace(requests["folder"], augmentations=("gain",)), tmp_path)

    assert data.augmentations is not None
    assert data.augmentations.names == ("gain",)
    assert data.augmentations.rows.shape == (2, 1, 518)
    assert not np.array_equal(data.augmentations.rows[:, 0], data.table.rows)
    with pytest.raises(UsageError, match="--augment changes audio"):
        opened(replace(requests["table"], augmentations=("gain",)), tmp_path)


def test_what_the_data_lack_is_said_before_anything_is_extracted(
    requests: dict[str, DatasetRequest], tmp_path: Path
) -> None:
    both = (fma518("mid30"), npz.MUSICNN)

    assert lacking(requests["table"], both) == "the table holds no array musicnn"
    assert lacking(requests["fma"], both) == "FMA's metadata hold fma518 alone"
    assert lacking(requests["fma"], both[:1]) == lacking(requests["folder"], both) == ""
    with np.load(tmp_path / "t.npz") as stored:
        content = {**stored, "musicnn": np.zeros((6, 200), np.float32), "kinds": np.array(["musicnn/2-00/full"])}
    np.savez(tmp_path / "t.npz", **content)
    assert "the table holds musicnn/2-00/full" in lacking(requests["table"], both)


def test_partial_rows_of_the_library_keep_tracks_without_later_vectors(
    requests: dict[str, DatasetRequest], tmp_path: Path
) -> None:
    with closing(Database(settings(tmp_path).database)) as database:
        store(database, 3.0, 2)

    data = opened(replace(requests["library"], kinds=("fma518", "musicnn"), partial=True), tmp_path)

    assert data.table.rows.shape == (6, 718)
    assert np.isnan(data.table.rows[:, 518:]).all(axis=1).sum() == 4
    assert np.isfinite(data.table.rows[:, :518]).all()
    assert any("4 tagged tracks have no vectors of musicnn and are judged" in note for note in data.table.notes)


@pytest.mark.parametrize("form", ["table", "fma", "folder", "csv", "library"])
def test_a_sample_of_every_form_has_so_many_tracks_of_several_genres(
    form: str, requests: dict[str, DatasetRequest], tmp_path: Path
) -> None:
    whole = opened(requests[form], tmp_path)
    size = min(4, len(whole))
    request = replace(requests[form], sample=size, least=1)

    data = opened(request, tmp_path)

    assert (len(data), set(data.table.classes)) == (size, {"Rock", "Jazz"})
    assert data.names == opened(request, tmp_path).names
    assert len(opened(replace(request, sample=99), tmp_path)) == len(whole)
    assert any(f"a sample of {size} tracks of" in note for note in data.table.notes) == (size < len(whole))


def test_a_genre_that_a_sample_of_a_table_does_not_hold_is_no_class_of_it(
    requests: dict[str, DatasetRequest], tmp_path: Path
) -> None:
    assert opened(replace(requests["table"], sample=1), tmp_path).table.labels.tolist() == [[True]]


def test_of_files_only_the_sample_is_extracted(
    requests: dict[str, DatasetRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    real = opening.extract_files

    def extract(database: Database, paths: Sequence[str], kinds: object, extraction: object) -> object:
        read.extend(paths)
        return real(database, paths, kinds, extraction)  # type: ignore[arg-type]

    monkeypatch.setattr(opening, "extract_files", extract)
    opened(replace(requests["folder"], sample=1, least=1), tmp_path)
    assert len(read) == 1


def test_a_sample_of_the_library_is_drawn_before_vectors_are_extracted_and_takes_in_what_the_user_decided(
    requests: dict[str, DatasetRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def extract(database: Database, tracks: Sequence[int], *_: object) -> None:
        asked.extend(tracks)
        store(database, 3.0, 6)

    with closing(Database(settings(tmp_path).database)) as database:
        track = next(Library(database).tracks([1]))
        keys = keys_of(track.digest, track.tags)
        UserDecisions(database).set("album", keys["album"], ["Blues"], "edit")
    monkeypatch.setattr(opening, "extract_tracks", extract)
    data = opened(replace(requests["library"], kinds=("fma518", "musicnn"), sample=3), tmp_path)

    assert len(asked) == len(data) == 3
    assert set(data.table.classes) == {"Blues", "Jazz", "Rock"}


def test_a_small_sample_needs_fewer_tracks_of_a_genre() -> None:
    request = DatasetRequest("library")
    assert [replace(request, sample=size).least_of_class for size in (None, 40, 600, 3000)] == [20, 5, 12, 20]
    assert replace(request, sample=40, least=3).least_of_class == 3
    assert replace(request, form="table", sample=40).least_of_class == 1


@pytest.mark.parametrize(("made", "goes_on"), [(2, False), (4, True)])
def test_where_time_is_over_it_goes_on_with_enough_tracks_and_else_says_how(
    made: int, goes_on: bool, requests: dict[str, DatasetRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def extract(database: Database, tracks: object, kinds: object, extraction: Extraction) -> None:
        store(database, 3.0, made)
        extraction.is_short = True

    monkeypatch.setattr(opening, "extract_tracks", extract)
    request = replace(requests["library"], kinds=("fma518", "musicnn"), seconds=9.0)
    if goes_on:
        assert any(
            "--max-time was over when 4 of 6 tracks have" in note for note in opened(request, tmp_path).table.notes
        )
        return
    with pytest.raises(NothingToDo, match=r"2 of 6 tracks have all their vectors, too few .* with the same command"):
        opened(request, tmp_path)
