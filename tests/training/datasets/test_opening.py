"""The one door: every kind of data comes out in one shape, and says what is missing."""

from pathlib import Path

import numpy as np
import pytest

from music_reclass.domain import FeatureKind, TrackTags
from music_reclass.errors import UsageError
from music_reclass.extractors.fma import COLUMNS
from music_reclass.features.database import Database
from music_reclass.features.store import Library, Reading
from music_reclass.taxonomy import load
from music_reclass.training.datasets.extraction import Heard
from music_reclass.training.datasets.opening import KINDS, Request, Sources, opened
from music_reclass.training.datasets.shape import TEST, TRAINING, Dataset, fma518
from tests.training.datasets.making import learnable, write_features, write_tracks

TAXONOMY = load()


def sources(folder: Path) -> Sources:
    def listen(paths: object, kind: FeatureKind) -> dict[str, Heard]:
        vector = np.ones(kind.dimension, dtype=np.float32)
        return {path: Heard(vector, TrackTags(artist=Path(path).parent.name)) for path in paths}  # type: ignore[attr-defined]

    def library() -> Database:
        database = Database(folder / "l.sqlite3")
        rows, genres = learnable(6, ("Rock", "Jazz"))
        readings = [
            Reading(f"/m/{n}", 1, 1, bytes([n]), 9.0, TrackTags((genre,), album=f"b{n // 2}"), (), row)
            for n, (row, genre) in enumerate(zip(rows, genres, strict=True))
        ]
        Library(database).save(readings, fma518("mid30"))
        return database

    return Sources(listen, library)


@pytest.fixture
def requests(tmp_path: Path) -> dict[str, Request]:
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
        "table": Request("table", tmp_path / "t.npz"),
        "fma": Request("fma", tmp_path / "meta"),
        "folder": Request("folder", tmp_path / "tree", least=1),
        "csv": Request("csv", tmp_path / "list.csv", least=1),
        "library": Request("library", least=1),
    }


@pytest.mark.parametrize("kind", ["table", "fma", "folder", "csv", "library"])
def test_every_kind_has_one_shape(kind: str, requests: dict[str, Request], tmp_path: Path) -> None:
    data: Dataset = opened(requests[kind], TAXONOMY, sources(tmp_path))

    assert set(data.table.classes) == {"Rock", "Jazz"}
    assert data.table.rows.shape == (len(data), 518)
    assert data.table.labels.any(axis=1).all()
    assert len(data.names) == len(data.split) == len(data.table.groups) == len(data)
    assert data.kind.name == "fma518"
    assert data.chosen(np.arange(len(data)) < 1).names == data.names[:1]


def test_a_tables_own_split_and_artists_are_taken(requests: dict[str, Request], tmp_path: Path) -> None:
    data = opened(requests["table"], TAXONOMY, sources(tmp_path))

    assert data.is_split
    assert data.artists == tuple("aabbcc")
    assert "3 of 3 test rows" in data.leaks()[0]


def test_data_without_a_path_are_asked_for(tmp_path: Path) -> None:
    for kind in set(KINDS) - {"library"}:
        with pytest.raises(UsageError, match="--data"):
            opened(Request(kind), TAXONOMY, sources(tmp_path))
