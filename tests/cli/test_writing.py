"""The end of a command that writes tags."""

from pathlib import Path

import pytest

import music_reclass.cli.models  # noqa: F401 - has its `interactive` before a test has another: nothing is offered here
from music_reclass.cli import output
from tests.library import Shell, digests


def test_somebody_who_is_asked_decides(scanned: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    before, questions = digests(scanned), []

    def answer(question: str, default: bool) -> bool:
        questions.append((question.strip(), default))
        return len(questions) > 1

    monkeypatch.setattr(output, "interactive", lambda: True)
    monkeypatch.setattr("click.confirm", answer)
    words = ("scan", scanned / "Grid Nine", "--on-existing", "replace", "--stages", "1")
    assert shell(*words) == 0
    assert "the same command with --yes" in shell.out
    assert digests(scanned) == before
    assert shell(*words) == 0
    assert "reclass undo 1" in shell.out
    assert digests(scanned) != before
    assert questions[0] == questions[1]
    assert questions[0][0].startswith("Write ")
    assert questions[0][1] is False
    assert shell(*words) == 0  # nothing is left to write, so nothing is asked
    assert len(questions) == 2


def test_nothing_to_write_says_what_the_policy_is(scanned: Path, shell: Shell) -> None:
    assert shell("scan", scanned / "Grid Nine", "--yes", "--on-existing", "keep") == 0
    shell("scan", scanned / "Grid Nine", "--yes", "--on-existing", "keep")
    assert "Nothing to write." in shell.out
