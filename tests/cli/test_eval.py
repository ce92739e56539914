"""`reclass eval` on a table, a folder and the library: text, JSON and one page."""

from pathlib import Path

import numpy as np

from music_reclass.extractors.fma518 import COLUMNS
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


def test_a_folder_per_genre_is_listened_to_once(shell: Shell, music: Path, tmp_path: Path) -> None:
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
