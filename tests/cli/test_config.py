"""`config` says where each setting comes from and hides secrets; `completion` writes what shells read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from music_reclass.cli.main import run


def settings_of(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict[str, object]]:
    import json

    capsys.readouterr()
    assert run(["config", "--json", *words]) == 0
    return {one["setting"]: one for one in map(json.loads, capsys.readouterr().out.splitlines())}


def test_an_address_is_shown_without_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RECLASS_CONFIG", str(tmp_path / "none.toml"))
    for given, shown in (
        ("http://192.168.1.10:32400", "http://192.168.1.10:32400"),
        ("https://me:s3cret@plex:32400/web?X-Plex-Token=s3cret", "https://<hidden>@plex:32400/web?<hidden>"),
        ("http://me:s3@cret@plex/#s3cret", "http://<hidden>@plex/#<hidden>"),
    ):
        assert settings_of(capsys, "--plex-url", given)["plex_url"]["value"] == shown


def test_each_setting_comes_with_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.toml"
    file.write_text('jobs = 3\ntimeout = 60\nplex_token = "s3cret"\nmin-confidence = "confident"\n')
    file.chmod(0o600)
    monkeypatch.setenv("RECLASS_CONFIG", str(file))
    monkeypatch.setenv("RECLASS_TIMEOUT", "90")
    found = settings_of(capsys, "--stages", "1")
    assert (found["jobs"]["value"], found["jobs"]["source"]) == (3, str(file))
    assert (found["timeout"]["value"], found["timeout"]["source"]) == (90, "RECLASS_TIMEOUT")
    assert (found["stages"]["value"], found["stages"]["source"]) == ("1", "flag")
    assert (found["min_confidence"]["value"], found["min_confidence"]["source"]) == ("confident", str(file))
    assert found["profile"]["source"] == "default"
    assert found["plex_token"]["value"] == "<hidden>"
    assert run(["config", "--changed"]) == 0
    text = capsys.readouterr().out
    assert "s3cret" not in text
    assert "profile" not in text
    assert "RECLASS_TIMEOUT" in text


def test_a_confidence_is_a_word_or_a_share(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for value in ("likely", "confident", "0.85", "1"):
        monkeypatch.setenv("RECLASS_MIN_CONFIDENCE", value)
        assert settings_of(capsys)["min_confidence"]["value"] == value
    for value in ("sure", "1.5", "-1", "nan"):
        monkeypatch.setenv("RECLASS_MIN_CONFIDENCE", value)
        assert run(["config"]) == 2
        assert "number from 0 to 1" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed_below_the_home_folder(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", f"/bin/{shell}")
    assert run(["completion", "install"]) == 0
    (made,) = [path for path in tmp_path.rglob("*reclass*") if path.is_file()]
    assert f"_RECLASS_COMPLETE={shell}_complete" in made.read_text()
    capsys.readouterr()
    assert run(["completion", "show", shell]) == 0
    assert capsys.readouterr().out.strip() == made.read_text().strip()


def test_an_unknown_shell_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SHELL", "/bin/sh")
    assert run(["completion", "install"]) == 2
    assert "bash|zsh|fish" in capsys.readouterr().err


def test_the_shell_is_answered() -> None:
    variables = {**os.environ, "_RECLASS_COMPLETE": "bash_complete", "COMP_WORDS": "reclass sc", "COMP_CWORD": "1"}
    child = subprocess.run(
        [sys.executable, "-c", "from music_reclass.cli.main import main; main()"],
        env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert child.stdout.split() == ["plain,scan"]


def test_the_command_after_write_is_not_shown_as_it_may_hold_a_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RECLASS_AFTER_WRITE", "curl http://nas/?apikey=s3cret")
    assert run(["config"]) == 0
    out = capsys.readouterr().out
    assert "s3cret" not in out
    assert any(line.split()[:2] == ["after_write", "<hidden>"] for line in out.splitlines())
