"""The one door: every kind of data comes out in one shape, and says what is missing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from music_reclass.domain import FeatureKind, Track, TrackTags
from music_reclass.errors import UsageError
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.features.database import Database
from music_reclass.features.library import Library
from music_reclass.models.dataset import TEST, TRAINING, Dataset, fma518
from music_reclass.taxonomy import load
from music_reclass.training.open import KINDS, DatasetRequest, Sources, open_dataset
from tests.training.making import learnable, write_features, write_tracks

TAXONOMY = load()


def sources(folder: Path) -> Sources:
    def listen(paths: object, kind: FeatureKind) -> dict[str, Track]:
        vector = np.ones(kind.dimension, dtype=np.float32)
        return {path: Track(path, vector=vector, tags=TrackTags(artist=Path(path).parent.name)) for path in paths}  # type: ignore[attr-defined]

    def library() -> Database:
        database = Database(folder / "l.sqlite3")
        rows, genres = learnable(6, ("Rock", "Jazz"))
        readings = [
            Track(f"/m/{n}", 1, 1, bytes([n]), 9.0, TrackTags((genre,), album=f"b{n // 2}"), (), row)
            for n, (row, genre) in enumerate(zip(rows, genres, strict=True))
        ]
        Library(database).save(readings, fma518("mid30"))
        return database

    return Sources(listen, library)


@pytest.fixture
def requests(tmp_path: Path) -> dict[str, DatasetRequest]:
    rows, genres = learnable(6, ("Rock", "Jazz"))
    for genre in ("Rock", "Jazz"):
        (tmp_path / "tree" / genre).mkdir(parents=True)
        (tmp_path / "tree" / genre / "1.mp3").touch()
    (tmp_path / "list.csv").write_text("path,genre\ntree/Rock/1.mp3,Rock\ntree/Jazz/1.mp3,Jazz\n")
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


@pytest.mark.parametrize("kind", ["table", "fma", "folder", "csv", "library"])
def test_every_kind_has_one_shape(kind: str, requests: dict[str, DatasetRequest], tmp_path: Path) -> None:
    data: Dataset = open_dataset(requests[kind], TAXONOMY, sources(tmp_path))

    assert set(data.table.classes) == {"Rock", "Jazz"}
    assert data.table.rows.shape == (len(data), 518)
    assert data.table.labels.any(axis=1).all()
    assert len(data.names) == len(data.split) == len(data.table.groups) == len(data)
    assert data.kind.name == "fma518"
    assert data.chosen(np.arange(len(data)) < 1).names == data.names[:1]


def test_a_tables_own_split_and_artists_are_taken(requests: dict[str, DatasetRequest], tmp_path: Path) -> None:
    data = open_dataset(requests["table"], TAXONOMY, sources(tmp_path))

    assert data.is_split
    assert data.artists == tuple("aabbcc")
    assert "3 of 3 test rows" in data.leaks()[0]


def test_data_without_a_path_are_asked_for(tmp_path: Path) -> None:
    for kind in set(KINDS) - {"library"}:
        with pytest.raises(UsageError, match="--data"):
            open_dataset(DatasetRequest(kind), TAXONOMY, sources(tmp_path))


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "no models"))


@pytest.mark.parametrize("kind", ["folder", "csv"])
def test_audio_is_listened_to_once_for_each_kind(
    kind: str, requests: dict[str, DatasetRequest], tmp_path: Path, nothing_installed: None
) -> None:
    asked: list[str] = []

    def listen(paths: Sequence[str], wanted: FeatureKind) -> dict[str, Track]:
        asked.append(wanted.key)
        value = {"fma518": 1.0, "musicnn": 2.0}[wanted.name]
        there = paths[:1] if wanted.name == "musicnn" else paths  # the second file is too short for it, say
        return {
            path: Track(path, vector=np.full(wanted.dimension, value, np.float32), tags=TrackTags(artist=path))
            for path in there
        }

    own = Sources(listen, sources(tmp_path).library)
    data = open_dataset(replace(requests[kind], kinds=("fma518", "musicnn")), TAXONOMY, own)

    assert asked == ["fma518/1/mid30", "musicnn/1-425c7c95/mid30"]
    assert data.table.rows.shape == (1, 718)
    assert data.table.rows[0, [0, 517, 518, 717]].tolist() == [1.0, 1.0, 2.0, 2.0]
    assert [kind.name for kind in data.kinds] == ["fma518", "musicnn"]
    assert any("1 files could not be used" in note for note in data.table.notes)


def test_tracks_of_the_library_are_heard_before_they_are_read(
    requests: dict[str, DatasetRequest], tmp_path: Path, nothing_installed: None
) -> None:
    heard: list[int] = []

    def hear(database: Database, tracks: Sequence[int], kind: FeatureKind) -> None:
        heard.extend(tracks)
        Library(database).add_vectors({track: np.full(200, 3.0, np.float32) for track in tracks[:4]}, kind)

    own = Sources(sources(tmp_path).listen, sources(tmp_path).library, hear)
    data = open_dataset(replace(requests["library"], kinds=("fma518", "musicnn")), TAXONOMY, own)

    assert len(heard) == 6
    assert data.table.rows.shape == (4, 718)
    assert any("2 tagged tracks have no vectors of musicnn" in note for note in data.table.notes)


def test_fma_metadata_hold_no_other_kind(requests: dict[str, DatasetRequest], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fma518 alone"):
        open_dataset(replace(requests["fma"], kinds=("fma518", "musicnn")), TAXONOMY, sources(tmp_path))
