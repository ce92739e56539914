"""Discogs-EffNet votes in a scan as soon as it is installed: on a graph that finds techno in everything."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from music_reclass.cli import session
from music_reclass.extractors.discogs import style_names
from tests.extractors import small_models
from tests.library import Shell


@pytest.fixture
def techno(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "models"))
    tilt = np.full(400, -9.0)
    tilt[[style_names().index("Electronic---Techno"), style_names().index("Electronic---House")]] = 9.0
    small_models.install_discogs(tmp_path / "page", tilt=tilt)
    monkeypatch.setattr(session, "content_bundles", lambda settings: [])  # synthesised sounds are not surely music


def test_it_votes_from_the_first_scan_and_is_at_most_likely(techno: None, scanned: Path, shell: Shell) -> None:
    assert shell("scan", scanned, "--dry-run", "--json", "--no-album", "--stages", "1,discogs") == 0
    tracks = shell.objects()
    assert len(tracks) == 11
    for track in tracks:
        assert set(track["votes"]) == {"fma518", "discogs"}
        assert max(track["votes"]["discogs"], key=track["votes"]["discogs"].get) == "Electronic"
        assert (track["outcome"], track["stage"], track["genres"]) == ("likely", "discogs", ["Electronic"])
    with sqlite3.connect(shell.db) as sql:
        (stored,) = sql.execute("SELECT count(*) FROM vector WHERE kind LIKE 'discogs-styles/1-%/mid30'").fetchone()
    assert stored == 11
    assert shell("scan", scanned, "--dry-run", "--no-album", "--stages", "1,discogs") == 0
    assert "once more" not in shell.out


def test_explain_and_models_list_name_the_stage_and_say_that_it_is_not_certified(
    techno: None, music: Path, shell: Shell
) -> None:
    tune = sorted(music.rglob("*.flac"))[0]
    assert shell("explain", tune) == 0
    assert "discogs" in shell.out
    assert "Electronic" in shell.out
    assert "likely from 60 % (a cautious value; not certified)" in shell.out
    assert "confident from" not in shell.out
    assert "Techno 1.00 by discogs-styles: not calibrated on this library" in shell.out
    assert shell("models", "list") == 0
    assert "discogs-styles 1" in shell.out
    assert "CC-BY-NC-SA-4.0" in shell.out


def test_without_the_runtime_the_stage_is_left_out_with_the_extra_named(
    techno: None, music: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *more: None if name == "onnxruntime" else real(name, *more)
    )
    assert shell("scan", music / "Ida Quill", "--dry-run", "--verbose", "--no-album") == 0
    assert "the stage discogs does not vote" in shell.out
    assert "music_reclass[onnx]" in shell.out


def test_asking_for_the_stage_by_name_says_how_to_get_it(tmp_path, monkeypatch, music: Path, shell: Shell) -> None:
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "empty"))
    assert shell("scan", music, "--dry-run", "--stages", "1,discogs") == 2
    assert "reclass models download discogs-effnet" in shell.err
    assert shell("scan", music / "Ida Quill", "--dry-run", "--json") == 0
    assert not any("discogs" in track["votes"] for track in shell.objects())


def test_calibration_on_the_library_says_what_is_missing_and_changes_no_outcome(
    techno: None, scanned: Path, shell: Shell
) -> None:
    assert shell("scan", scanned, "--dry-run", "--no-album", "--stages", "1,discogs") == 0
    assert shell("calibrate", "--from-library", "--stages", "1,discogs", "--json") == 0
    stated = [one for one in shell.objects() if "outcome" in one]
    assert {one["outcome"] for one in stated} == {"confident", "likely"}
    assert all(one["stage"] == "discogs" and not one["certified"] for one in stated)
    assert shell("explain", sorted(scanned.rglob("*.flac"))[0], "--json") == 0
    (style, *_) = shell.objects()[0]["styles"]
    assert (style["kind"], style["certified"]) == ("discogs-styles", False)
    assert shell("calibrate", "--forget", "--json") == 0
    assert shell.objects()[0]["forgotten"] == 3  # an exit, thresholds, styles
