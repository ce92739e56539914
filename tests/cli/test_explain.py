"""`reclass explain`: text, strict JSON, a picture, and nothing written over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.library import Shell

TUNE = Path("Grid Nine") / "Night Shift" / "03 Sparks.aiff"


def strict(shell: Shell) -> dict[str, Any]:
    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    found: dict[str, Any] = json.loads(shell.out, parse_constant=refuse)
    return found


def test_every_installed_stage_votes_on_an_unknown_file(installed: None, demo_library: Path, shell: Shell) -> None:
    assert shell("explain", demo_library / TUNE, "--all-stages", "--json") == 0
    found = strict(shell)
    votes = {**found["votes"], **found["beyond"]}
    assert set(votes) == {"content", "fma518", "musicnn"}
    assert found["stages"][-1]["seconds"] is None or found["stages"][-1]["seconds"] > 0
    assert found["absent"] == {}
    assert not shell.db.exists()
    assert shell("explain", demo_library / TUNE, "--all-stages") == 0
    assert "musicnn" in shell.out
    assert all(len(line) < 200 for line in shell.out.splitlines())


def test_without_weights_the_stage_is_named_with_the_cure(
    demo_library: Path, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECLASS_MODELS", str(tmp_path / "empty"))
    assert shell("explain", demo_library / TUNE) == 0
    assert "efficientat was not asked" in shell.out
    assert "reclass models download" in shell.out
    for word in ("why", "decision", "so"):
        assert f"\n{word} " in shell.out


def test_a_scanned_track_is_explained_with_its_stored_votes(installed: None, music: Path, shell: Shell) -> None:
    folder = music / TUNE.parent
    assert shell("scan", folder, "--dry-run", "--json") == 0
    scanned = shell.by_name()
    for name, item in scanned.items():
        assert shell("explain", folder / name, "--json") == 0
        found = strict(shell)
        assert found["in_library"]
        assert (found["outcome"], found["genres"]) == (item["outcome"], item["genres"])
        assert {s["stage"] for s in found["stages"]} == set(item["votes"]) - {"album", "content"}
        assert all(s["seconds"] is None for s in found["stages"])
        assert found["heard"] or "musicnn" not in item["votes"]


def test_a_picture_is_drawn_beside_the_words(demo_library: Path, shell: Shell, tmp_path: Path) -> None:
    picture = tmp_path / "why.png"
    assert shell("explain", demo_library / TUNE, "--plot", picture) == 0
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert "picture   " in shell.out
    assert shell("explain", demo_library / TUNE, "--plot", picture, "--json") == 0
    assert strict(shell)["path"]


def test_a_picture_is_never_written_over_music(music: Path, shell: Shell) -> None:
    before = (music / TUNE).read_bytes()
    assert shell("explain", music / TUNE, "--plot", music / TUNE) == 2
    assert ".png" in shell.err
    assert not shell.out
    assert (music / TUNE).read_bytes() == before


def test_a_file_without_sound_is_explained_without_a_picture(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "empty.mp3"
    path.write_bytes(b"")
    assert shell("explain", path, "--plot", tmp_path / "why.png") == 0
    assert "no_audio" in shell.out
    assert "There is no picture" in shell.err
    assert not (tmp_path / "why.png").exists()


def test_a_file_that_is_not_there_is_said(shell: Shell, tmp_path: Path) -> None:
    assert shell("explain", tmp_path / "nothing.mp3") == 3
    assert "does not exist" in shell.err
