"""Flags made from settings: typed, refused where they make no sense, and never showing a secret."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from music_reclass.cli.options import choice_flags, setting_flags, takes
from music_reclass.config import Settings
from music_reclass.errors import UsageError

EVERY = tuple(setting.name for setting in fields(Settings) if setting.name != "db")


@click.command()
@choice_flags
@setting_flags(*EVERY)
def command(choice: object, settings: Settings) -> None:
    """Print the settings that reached the command."""
    found: dict[str, Any] = {name: getattr(settings, name) for name in (*EVERY, "db")}
    click.echo(json.dumps(found, default=str))


def run(*words: str) -> Result:
    return CliRunner().invoke(command, list(words), standalone_mode=False)


def found(*words: str) -> dict[str, Any]:
    result = run(*words)
    assert result.exception is None, result.exception
    return dict(json.loads(result.output))


def test_without_a_flag_every_setting_has_its_default() -> None:
    assert found() == json.loads(json.dumps({n: getattr(Settings(), n) for n in (*EVERY, "db")}, default=str))


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["-j", "3"], "jobs", 3),
        (["--jobs", "3"], "jobs", 3),
        (["--no-album"], "album", False),
        (["--album"], "album", True),
        (["--preserve-mtime"], "preserve_mtime", True),
        (["--timeout", "2.5"], "timeout", 2.5),
        (["--max-time", "1h30m"], "max_time", "1h30m"),
        (["--library", "音楽"], "plex_library", "音楽"),
        (["--db", "~nobody-of-this-name/y"], "db", "~nobody-of-this-name/y"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_flag_sets_one_setting_and_leaves_the_others(words: list[str], name: str, value: object) -> None:
    assert found(*words) == {**found(), name: value}


def test_of_a_flag_given_twice_the_last_counts() -> None:
    assert found("--album", "--no-album", "--jobs", "1", "--jobs", "2") == {**found(), "album": False, "jobs": 2}


def test_a_flag_can_take_back_what_the_file_and_a_variable_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").write_text('album = false\nprofile = "plex"\nmax-genres = 3\n')
    words = ("--config", str(tmp_path / "config.toml"))
    assert (found(*words)["album"], found(*words)["profile"], found(*words)["max_genres"]) == (False, "plex", 3)
    monkeypatch.setenv("RECLASS_PROFILE", "joined")
    assert found(*words)["profile"] == "joined"
    assert found(*words, "--profile", "native", "--album")["profile"] == "native"
    assert found(*words, "--profile", "native", "--album")["album"] is True


@pytest.mark.parametrize(
    "words", [["--windows", "x"], ["--on-existing", "x"], ["--timeout"], ["--no-jobs", "1"], ["extra"]]
)
def test_words_that_no_flag_takes_are_a_usage_error_of_the_command_line(words: list[str]) -> None:
    assert isinstance(run(*words).exception, click.UsageError)


@pytest.mark.parametrize(
    "words", [["--jobs", "-1"], ["--timeout", "0"], ["--max-genres", "0"], ["--max-time", "1 week"]]
)
def test_values_that_no_setting_takes_are_a_usage_error_that_names_the_setting(words: list[str]) -> None:
    error = run(*words).exception
    assert isinstance(error, UsageError)
    assert words[0].strip("-").replace("-", "_") in str(error) or "length of time" in str(error)


def test_a_token_is_never_shown_whoever_gave_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.toml"
    file.write_text('plex_token = "s3cret"\n')
    file.chmod(0o600)
    assert found("--config", str(file))["plex_token"] == "<hidden>"
    monkeypatch.setenv("RECLASS_PLEX_TOKEN", "s3cret")
    assert found()["plex_token"] == "<hidden>"
    file.chmod(0o644)
    error = run("--config", str(file)).exception
    assert isinstance(error, UsageError)
    assert "chmod 600" in str(error)
    assert "s3cret" not in str(error) + run("--help").output


def test_the_help_of_a_flag_says_its_default() -> None:
    text = " ".join(run("--help").output.split())
    for words in (
        "(default: replace-junk)",
        "(default: yes)",
        "(default: no)",
        "(default: 120)",
        "in your data folder",
    ):
        assert words in text


def test_flags_reach_a_command_as_one_object() -> None:
    @dataclass(frozen=True)
    class Wanted:
        count: int
        name: str

    @click.command()
    @click.option("--count", type=int, default=2)
    @click.option("--name", default="x")
    @takes(Wanted)
    def counting(wanted: Wanted) -> None:
        """Say what came."""
        click.echo(repr((wanted.count, wanted.name)))

    assert CliRunner().invoke(counting, ["--count", "7"]).output == "(7, 'x')\n"
