"""What reaches the terminal can be read, and does nothing to it."""

import json
import os

import pytest

from music_reclass.cli import output


def test_control_characters_and_odd_bytes_are_shown_not_sent() -> None:
    assert output.printable("a\nb\x1b[31mred") == "a\\nb\\x1b[31mred"
    assert output.printable(os.fsdecode(b"\xff.mp3")) == "\\udcff.mp3"
    assert output.printable("Ænima 日本") == "Ænima 日本"


def test_a_name_that_is_not_utf8_comes_back_through_json(capsys: pytest.CaptureFixture[str]) -> None:
    for name in (b"\xff\xfe.mp3", "Ænima\n\x1b.mp3".encode()):
        output.print_json({"path": os.fsdecode(name)})
        line = capsys.readouterr().out
        assert line.count("\n") == 1
        assert os.fsencode(json.loads(line)["path"]) == name


def test_no_color_is_honoured_whatever_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert output.use_colour() is None
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.use_colour() is False


def test_the_home_folder_is_shortened_and_its_neighbours_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere/ida")
    assert output.shorten_home("/somewhere/ida/Music") == "~/Music"
    assert output.shorten_home("/somewhere/idaho") == "/somewhere/idaho"
