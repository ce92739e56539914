"""What the Plex commands print."""

import json
import os
from pathlib import Path

import pytest

from music_reclass.cli import plex_output as output
from music_reclass.plex.selftest import Step
from music_reclass.plex.write import Outcome


def test_a_mapped_folder_here_is_absolute_and_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Music").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "Music")
    monkeypatch.chdir(tmp_path)
    assert output.path_map(("/data=link",)).pairs == (("/data", os.path.realpath(tmp_path / "Music")),)


def test_an_outcome_names_what_was_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = Outcome(3, [(f"failed {number}", "refused") for number in range(12)], [("other\nitem", "changed")], True)
    output.show_outcome(outcome, 7, False, then="restore it")
    lines = capsys.readouterr().out.splitlines()
    assert "3 items, each read back and verified; restore it" in lines[0]
    assert len(lines) == 1 + 10 + 1 + 1
    assert "other\\nitem" in lines[-2]
    assert "and 2 more" in lines[-1]
    output.show_outcome(outcome, 7, True)
    shown = json.loads(capsys.readouterr().out)
    assert (shown["run"], shown["written"], len(shown["failed"]), shown["stopped"]) == (7, 3, 12, True)


def test_steps_are_counted_that_are_not_as_needed(capsys: pytest.CaptureFixture[str]) -> None:
    steps = [Step("reads", True, "yes"), Step("locks", False, "no"), Step("moods", None, "either")]
    assert output.show_steps(steps, False) == 1
    assert capsys.readouterr().out.splitlines()[1].startswith("! ")
    assert output.show_steps(steps, True) == 1
    assert [json.loads(line)["fine"] for line in capsys.readouterr().out.splitlines()] == [True, False, None]
