"""The wall: every failure is a sentence and an exit code."""

from pathlib import Path

import pytest

from music_reclass.cli import session
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
