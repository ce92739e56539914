"""Any text, any name: one line, nothing but characters, and the very bytes back from JSON; files put in place whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from music_reclass.cli import output
from music_reclass.errors import UsageError

quickly = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quickly
@given(st.text() | st.binary().map(os.fsdecode))
def test_what_is_printable_is_one_line_of_characters(text: str) -> None:
    shown = output.printable(text)
    assert all(char.isprintable() for char in shown)
    assert len(f"{shown}x".splitlines()) == 1
    shown.encode()
    assert output.printable(shown) == shown  # and says the same when said again


@quickly
@given(name=st.binary(max_size=30).filter(lambda name: b"\0" not in name))
def test_any_name_comes_back_from_json(name: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    output.print_json({"path": os.fsdecode(name), "other": "é"})
    (line,) = capsys.readouterr().out.split("\n")[:-1]
    assert os.fsencode(json.loads(line)["path"]) == name


def test_letters_of_any_script_stay_readable_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"path": "音楽 Ænima"})
    assert "音楽 Ænima" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("home", "path", "shown"),
    [
        ("/home/ida", "/home/ida", "~"),
        ("/home/ida", "/mnt/home/ida/x", "/mnt/home/ida/x"),
        ("/", "/music", "/music"),
        ("/home/ida", "", ""),
    ],
)
def test_only_the_home_folder_at_the_front_is_shortened(
    home: str, path: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", home)
    assert output.shorten_home(path) == shown


def test_an_empty_no_color_means_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "")
    assert output.use_colour() is None


@pytest.mark.parametrize("name", ["x" * 250, "音" * 84, "🎵" * 62, "." * 3 + "hidden", "a b\nc.csv"])
def test_a_file_may_have_any_name_that_the_disk_takes(name: str, tmp_path: Path) -> None:
    output.write_file(tmp_path / name, "first")
    output.write_file(tmp_path / name, "second", force=True)
    assert (tmp_path / name).read_text() == "second"
    assert os.listdir(tmp_path) == [name]


def test_a_file_is_not_touched_while_its_content_is_made(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("before")
    seen: list[str] = []

    def content() -> Iterator[str]:
        for line in ("a\n", "b\n"):
            seen.append(path.read_text())
            yield line

    output.write_file(path, content(), force=True)
    assert seen == ["before", "before"]
    assert path.read_text() == "a\nb\n"


def test_an_error_of_the_content_leaves_nothing_behind_and_is_not_changed(tmp_path: Path) -> None:
    def content() -> Iterator[str]:
        yield "half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        output.write_file(tmp_path / "list.csv", content())
    assert os.listdir(tmp_path) == []


def test_the_home_folder_may_be_meant_by_its_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    output.write_file(Path("~/list.csv"), b"\xff")
    assert (tmp_path / "list.csv").read_bytes() == b"\xff"


def test_a_name_that_begins_with_that_sign_and_is_nobodys_home_is_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    output.write_file(Path("~nobody-of-this-name.csv"), "x")
    assert os.listdir(tmp_path) == ["~nobody-of-this-name.csv"]


@pytest.mark.parametrize("name", ["a.MP3", "b.flac ", "c.csv"])
def test_only_names_of_music_are_refused_for_their_name(name: str, tmp_path: Path) -> None:
    if Path(name).suffix.strip().lower() == ".mp3":
        with pytest.raises(UsageError, match="named like music"):
            output.check_output(tmp_path / name)
    else:
        output.check_output(tmp_path / name)


def test_a_refusal_shows_a_hostile_name_as_text(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[31m").mkdir()
    with pytest.raises(UsageError) as caught:
        output.check_output(tmp_path / "a\x1b[31m")
    assert "a\\x1b[31m is no plain file" in str(caught.value)
