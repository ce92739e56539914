"""Styles from setting to file: certified ones are written by --styles genre, and undo gives the very bytes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from music_reclass.extractors.discogs import style_names
from music_reclass.extractors.registry import extractor
from music_reclass.features.database import Database
from music_reclass.features.results import LibraryCalibrations
from tests.extractors import small_models
from tests.library import Shell, digests


@pytest.fixture
def scanned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, music: Path, shell: Shell) -> Shell:
    """The demo, all of it Techno by Discogs-EffNet."""
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))
    tilt = np.full(400, -9.0)
    tilt[style_names().index("Electronic---Techno")] = 9.0
    small_models.install_discogs(tmp_path / "page", tilt=tilt)
    assert shell("scan", music, "--dry-run", "--stages", "1,discogs") == 0
    return shell


def certify(shell: Shell, threshold: float) -> None:
    kind = extractor("discogs-styles", "mid30").kind
    measured = {"threshold": threshold, "precision": 0.84, "count": 30, "right": 30, "artists": 30}
    one = {"style": "Techno", "why": "", **measured}
    database = Database(shell.db)
    found = {"precision": 0.8, "delta": 0.1, "tags": {f"{kind.key} Electronic---Techno": one}}
    LibraryCalibrations(database).save({LibraryCalibrations.STYLES: found})
    database.close()


def test_styles_are_not_written_unless_asked_for(scanned: Shell, music: Path) -> None:
    certify(scanned, 0.5)
    assert scanned("apply", "--dry-run", "--json") == 0
    assert not any("style" in item for item in scanned.objects())


def test_nothing_that_is_not_certified_is_written(scanned: Shell, music: Path) -> None:
    assert scanned("apply", "--dry-run", "--json", "--styles", "genre") == 0
    assert not any("style" in item for item in scanned.objects())
    certify(scanned, 1.0)
    assert scanned("apply", "--dry-run", "--json", "--styles", "genre") == 0
    assert not any("style" in item for item in scanned.objects())


def test_a_certified_style_is_written_and_every_byte_comes_back(scanned: Shell, music: Path) -> None:
    certify(scanned, 0.5)
    before = digests(music)
    assert scanned("apply", "--yes", "--json", "--styles", "genre") == 0
    done = [item for item in scanned.objects() if item["written"]]
    assert done
    assert {item["style"] for item in done} == {"Techno"}
    assert {tuple(item["genres"]) for item in done} == {("Electronic",)}
    assert scanned("apply", "--dry-run", "--json", "--styles", "genre") == 0
    again = {item["path"]: item for item in scanned.objects()}
    assert {tuple(again[item["path"]]["before"]) for item in done} == {("Techno",)}
    assert {again[item["path"]]["relation"] for item in done} == {"agree"}
    assert scanned("apply", "--dry-run", "--json") == 0, "without styles: what is there is finer, and stays"
    assert not any(item["action"] == "write" for item in scanned.objects() if item["path"] in again)
    assert digests(music) != before
    assert scanned("undo", "--yes") == 0
    assert digests(music) == before


def test_the_plan_and_explain_name_the_style_and_the_genre_it_is_below(scanned: Shell, music: Path) -> None:
    certify(scanned, 0.5)
    assert scanned("apply", "--dry-run", "--styles", "genre") == 0
    assert "-> Techno           (Electronic " in scanned.out
    assert scanned("explain", sorted(music.rglob("*.flac"))[0]) == 0
    assert "Techno 1.00 by discogs-styles: at least 84 % of such tracks are right (30 artists of yours)" in scanned.out


def test_a_certified_style_is_written_beside_the_genre_and_every_byte_comes_back(scanned: Shell, music: Path) -> None:
    certify(scanned, 0.5)
    before = digests(music)
    assert scanned("apply", "--dry-run", "--styles", "style") == 0
    assert "-> Electronic, style Techno" in scanned.out
    assert "to be written into the field STYLE" in scanned.out
    assert digests(music) == before
    assert scanned("apply", "--yes", "--json", "--styles", "style") == 0
    done = {item["path"]: item for item in scanned.objects() if item["written"]}
    assert done
    assert {item["style_field"] for item in done.values()} == {"Techno"}
    assert not any("style" in item for item in done.values())
    assert scanned("apply", "--dry-run", "--json", "--styles", "style") == 0
    again = {item["path"]: item for item in scanned.objects()}
    assert all("style_field" not in item for item in again.values()), "it is there already"
    filled = [path for path, item in done.items() if item["action"] == "write"]
    assert filled
    assert {tuple(again[path]["before"]) for path in filled} == {("Electronic",)}
    assert scanned("history") == 0
    run = scanned.out.split()[0]
    assert scanned("history", run) == 0
    assert "style: none -> Techno" in scanned.out
    assert scanned("history", run, "--json") == 0
    assert {tuple(item["style"]["after"]) for item in scanned.objects()} == {("Techno",)}
    assert scanned("undo", "--yes") == 0
    assert digests(music) == before


def test_explain_says_that_the_style_would_be_written_beside_the_genre(
    scanned: Shell, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certify(scanned, 0.5)
    file = sorted(music.rglob("02 Kelp.flac"))[0]
    monkeypatch.setenv("RECLASS_STYLES", "style")
    assert scanned("explain", file) == 0
    assert "write Electronic, style Techno (the file has no genre)" in scanned.out


def test_a_genre_that_was_filled_before_gets_its_style_alone(scanned: Shell, music: Path) -> None:
    certify(scanned, 0.5)
    before = digests(music)
    assert scanned("apply", "--yes", "--json") == 0
    filled = {item["path"] for item in scanned.objects() if item["written"]}
    between = digests(music)
    assert scanned("apply", "--yes", "--json", "--styles", "style") == 0
    done = [item for item in scanned.objects() if item["written"]]
    assert filled <= {item["path"] for item in done}
    assert {(item["action"], item["style_field"]) for item in done if item["path"] in filled} == {("keep", "Techno")}
    assert scanned("undo", "--yes") == 0
    assert digests(music) == between
    assert scanned("undo", "--yes") == 0
    assert digests(music) == before
