"""`reclass eval` on a table, a folder and the library: text, JSON and one page."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from music_reclass.domain import Track, TrackTags
from music_reclass.extractors.fma518 import COLUMNS
from music_reclass.features.database import Database
from music_reclass.features.library import Library
from music_reclass.models.bundle import embedded
from tests.library import Shell
from tests.training.making import learnable


def table(path: Path, count: int = 40) -> Path:
    rows, genres = learnable(count, ("Rock", "Jazz"))
    classes = np.array(["Rock", "Jazz"])
    labels = np.array(genres)[:, None] == classes[None]
    np.savez(path, fma518=rows, columns=np.array(COLUMNS), labels=labels, classes=classes, group=np.arange(count) // 2)
    return path


def test_a_table_gives_figures_intervals_and_a_page(shell: Shell, tmp_path: Path) -> None:
    page = tmp_path / "page.html"

    assert shell("eval", "--data", table(tmp_path / "t.npz"), "--html", page) == 0
    assert "40 tracks of 20 artists" in shell.out
    assert "macro-F1" in shell.out
    assert page.read_text().startswith("<!doctype html>")
    assert shell("eval", "--data", tmp_path / "t.npz", "--json") == 0
    assert set(shell.objects()[0]["accuracy"]) == {"value", "low", "high"}


def with_musicnn(path: Path, *, kinds: str = "musicnn/1-425c7c95/mid30") -> Path:
    """The table with vectors of the embedded second stage's kind beside it."""
    vectors = np.random.default_rng(1).normal(size=(40, 200)).astype(np.float32)
    with np.load(table(path)) as stored:
        np.savez(path, **stored, musicnn=vectors, kinds=np.array([kinds]))
    return path


def test_without_a_bundle_the_stages_are_judged_that_a_scan_would_use(shell: Shell, tmp_path: Path) -> None:
    path = with_musicnn(tmp_path / "t.npz")

    assert shell("eval", "--data", path, "--json") == 0
    judged = shell.objects()[0]
    assert judged["title"].startswith("a cascade (decided by fma518 ")
    assert "musicnn" in judged["title"]
    assert shell("eval", "--data", path) == 0
    assert "without the stage" not in shell.out


def test_stages_whose_features_the_data_lack_are_left_out_and_named(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shell("eval", "--data", table(tmp_path / "t.npz")) == 0
    assert "fma-mlp" in shell.out
    assert "without the stage efficientat: the table holds no array efficientat-tags" in shell.out
    assert shell("eval", "--data", with_musicnn(tmp_path / "o.npz", kinds="musicnn/1-0/mid30")) == 0
    assert "without the stage musicnn: it was trained on musicnn/1-425c7c95/mid30" in shell.out
    monkeypatch.setenv("RECLASS_STAGES", "1")
    assert shell("eval", "--data", with_musicnn(tmp_path / "t.npz"), "--json") == 0
    assert shell.objects()[0]["title"].startswith("fma-mlp")


def test_tracks_of_the_library_are_judged_by_the_stages_whose_vectors_are_stored(shell: Shell) -> None:
    rows, genres = learnable(40, ("Rock", "Jazz"))
    tracks = [
        Track(f"/m/{n}.mp3", 1, 1, bytes([n]), 9.0, TrackTags((genre,), artist=f"{n // 2}"), (), row)
        for n, (row, genre) in enumerate(zip(rows, genres, strict=True))
    ]
    first, second = embedded(), embedded("musicnn")
    with closing(Database(shell.db)) as database:
        ids = Library(database).save(tracks, first.kinds[0])
        vectors = np.random.default_rng(1).normal(size=(10, 200)).astype(np.float32)
        Library(database).add_vectors(dict(zip(ids[:10], vectors, strict=True)), second.kinds[1])

    assert shell("eval", "--on", "library", "--least", "1", "--json") == 0

    judged = shell.objects()[0]
    assert judged["count"] == 40
    assert judged["title"].startswith("a cascade (decided by fma518 ")
    assert any("30 tagged tracks have no vectors of musicnn" in text for text in judged["warnings"])


def test_a_folder_per_genre_is_extracted_once(shell: Shell, music: Path, tmp_path: Path) -> None:
    genre = tmp_path / "by-genre" / "Rock"
    genre.parent.mkdir()
    music.rename(genre)

    assert shell("eval", "--on", "folder", "--data", genre.parent, "--least", "1", "--jobs", "1", "--json") == 0
    first = shell.objects()[0]
    for path in genre.rglob("*"):
        path.chmod(0o644 if path.is_file() else 0o755)
    assert shell("eval", "--on", "folder", "--data", genre.parent, "--least", "1", "--jobs", "1", "--json") == 0

    assert first["genres"] == shell.objects()[0]["genres"]
    assert sum(row["support"] for row in first["genres"]) == first["count"] > 3


def test_the_library_is_judged_by_its_own_tags(shell: Shell, music: Path) -> None:
    assert shell("eval", "--on", "library") == 3
    assert "no library" in shell.err
    shell("scan", music, "--dry-run", "--jobs", "1")
    code = shell("eval", "--on", "library", "--least", "1", "--json")

    assert code in (0, 3)
    if code == 0:
        assert shell.objects()[0]["title"].endswith("on library")


def test_what_is_missing_is_said_in_a_sentence(shell: Shell, tmp_path: Path) -> None:
    assert shell("eval", "--on", "fma") == 2
    assert "--data" in shell.err
    assert shell("eval", "--on", "fma", "--data", tmp_path / "none") == 3
