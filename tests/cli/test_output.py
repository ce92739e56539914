"""What reaches the terminal can be read, and does nothing to it."""

import json
import os
import re
import sqlite3
from pathlib import Path

import pytest

from music_reclass.cli import output
from music_reclass.cli.options import Choice
from music_reclass.errors import ReclassError, UsageError
from music_reclass.features.database import Database
from tests.library import Shell


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


def test_json_sends_no_control_character_and_loses_none(capsys: pytest.CaptureFixture[str]) -> None:
    title = "\x9b31m \x7f \u202e \U000e0001 Ænima"
    output.print_json({"title": title})
    line = capsys.readouterr().out.rstrip("\n")
    assert line.isprintable()
    assert json.loads(line) == {"title": title}


def test_nothing_is_printed_past_the_module_of_output() -> None:
    folder = Path(output.__file__).parents[1]
    for path in folder.rglob("*.py"):
        if path != Path(output.__file__):
            text = path.read_text("utf-8")
            assert not re.search(
                r"click\.(echo|secho|style|prompt|confirm)\b|(?<!\.)\bprint\(|sys\.std(out|err)\.write", text
            ), path


def test_a_style_is_sent_as_one_and_no_name_can_hold_one(capsys: pytest.CaptureFixture[str]) -> None:
    output.plain(output.styled("\ue001 \x1b[1m", "bold") + output.printable("\ue002"))
    assert capsys.readouterr().out == "\\ue001 \\x1b[1m\\ue002\n"  # no terminal, no style


def test_no_color_is_honoured_whatever_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert output.use_colour() is None
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.use_colour() is False


def test_the_home_folder_is_shortened_and_its_neighbours_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere/ida")
    assert output.shorten_home("/somewhere/ida/Music") == "~/Music"
    assert output.shorten_home("/somewhere/idaho") == "/somewhere/idaho"


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (Choice(yes=True), True),
        (Choice(dry_run=True, yes=True), False),
        (Choice(), False),
        (Choice(as_json=True), False),
    ],
)
def test_without_a_terminal_only_yes_writes(
    choice: Choice, written: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "interactive", lambda: False)
    assert output.confirm("Write 3 genres?", choice) is written
    assert ("--yes" in capsys.readouterr().err) is (not choice.yes and not choice.dry_run)


def test_somebody_at_the_terminal_is_asked_unless_a_program_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "interactive", lambda: True)
    monkeypatch.setattr("click.confirm", lambda *_, default: True)
    assert output.confirm("Write 3 genres?", Choice())
    assert not output.confirm("Write 3 genres?", Choice(as_json=True))


def test_a_result_is_an_object_or_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit({"count": 1}, "one", True, "count")
    output.emit({"count": 1}, "one", False, "count")
    output.emit({"count": 1}, "one", False)
    assert capsys.readouterr().out.splitlines() == ['{"count": 1}', "count     one", "one"]


def test_an_output_file_is_whole_or_not_there_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("before")
    path.chmod(0o600)

    def fails() -> object:
        yield "half"
        raise OSError(28, "No space left on device")

    with pytest.raises(ReclassError, match="cannot be written: No space left"):
        output.write_file(path, fails(), force=True)  # type: ignore[arg-type]
    assert path.read_text() == "before"
    output.write_file(path, ["Ænima ", os.fsdecode(b"\xff")], force=True)
    assert path.read_text("utf-8") == "Ænima \\udcff"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["page.html"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    output.write_file(tmp_path / "link.csv", b"x")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["song.flac", "SONG.MP3", "new.opus", "link.html", "folder", "pipe", "/dev/null"])
def test_music_folders_and_devices_are_never_written_over(name: str, tmp_path: Path) -> None:
    (tmp_path / "song.flac").write_text("precious")
    (tmp_path / "link.html").symlink_to(tmp_path / "song.flac")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="name another file"):
        output.write_file(tmp_path / name, "page", force=True)
    assert (tmp_path / "song.flac").read_text() == "precious"


@pytest.mark.parametrize("name", ["any name.html", "any name.html-wal", "any name.html-shm", "any name.html.lock"])
def test_a_library_database_and_what_belongs_to_it_is_never_written_over(name: str, tmp_path: Path) -> None:
    database = Database(tmp_path / "any name.html")
    with pytest.raises(UsageError, match="belongs to a library database"):
        output.write_file(tmp_path / name, "page", force=True)
    database.close()
    assert sqlite3.connect(tmp_path / "any name.html").execute("SELECT count(*) FROM track").fetchone() == (0,)


@pytest.mark.parametrize(
    "words", [["report", "--html"], ["export", "--out"], ["explain", "{song}", "--plot"], ["eval", "--html"]]
)
def test_no_command_writes_its_output_over_music(words: list[str], music: Path, shell: Shell, tmp_path: Path) -> None:
    song = next(path for path in music.rglob("*.flac"))
    before = song.read_bytes()
    shell("scan", song, "--dry-run")
    place = song
    if words[-1] == "--plot":  # a picture has to be named like one
        place = tmp_path / "why.png"
        place.symlink_to(song)
    assert shell(*(word.format(song=song) for word in words), place) == 2
    assert "named like music" in shell.err
    assert song.read_bytes() == before
