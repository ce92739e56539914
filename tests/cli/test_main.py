"""The wall: every failure is a sentence and an exit code."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from music_reclass.cli import main, session
from music_reclass.cli.main import run
from music_reclass.errors import DatabaseError, FailTrack, ServerError


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (DatabaseError("locked."), 4),
        (ServerError("refused."), 5),
        (FailTrack("io", "x"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_failure_has_its_exit_code_and_one_line(
    problem: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise problem

    monkeypatch.setattr(session, "reading", fail)
    assert run(["status"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.strip().splitlines()) == 1


def test_a_bug_is_one_line_and_its_traceback_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(session, "reading", fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run(["status"]) == 70
    err = capsys.readouterr().err
    assert "This is a bug in reclass (ZeroDivisionError: ours)" in err
    (report,) = tmp_path.glob("reclass-bug-*.txt")
    assert str(report) in err
    assert "Traceback" in report.read_text()


def test_reclass_alone_says_what_comes_next(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "reclass scan" in capsys.readouterr().out


def test_every_command_is_where_the_list_says_under_its_name_with_a_sentence() -> None:
    context = click.Context(main.cli)
    assert main.cli.list_commands(context) == sorted(main.COMMANDS)
    for name, (_, sentence) in main.COMMANDS.items():
        command = main.cli.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert command.help
    assert main.cli.get_command(context, "nonsense") is None


def test_the_help_lists_every_command_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out.partition("Everyday:")[2].splitlines()
    assert sorted(line.split()[0] for line in shown if line.startswith("  ")) == sorted(main.COMMANDS)
    assert [line[:-1] for line in shown if line.endswith(":")][-1] == "For programs"  # no command is without a group


def test_an_unknown_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["scam"]) == 2
    assert "No such command 'scam'" in capsys.readouterr().err


def test_what_libraries_log_and_warn_of_is_shown_not_sent() -> None:
    code = (
        "import logging, sys, warnings\nfrom music_reclass.cli import main\n"
        "def run(words):\n    logging.getLogger('x').warning('a\\x1b[2Jb')\n"
        "    warnings.warn('c\\x1b[2Jd')\n    return 0\n"
        "main.run = run\nmain.main()\n"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stderr.splitlines() == ["a\\x1b[2Jb", "UserWarning: c\\x1b[2Jd"]
