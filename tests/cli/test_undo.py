"""`undo` asks, restores and says so; `history` lists runs and their files."""

from pathlib import Path
from typing import Any

import pytest

from music_reclass.cli import output
from music_reclass.features.journal import Journal
from tests.library import Shell, digests


def test_a_run_is_listed_with_its_files_undone_and_then_nothing_is_left(scanned: Path, shell: Shell) -> None:
    before = digests(scanned)
    assert shell("scan", scanned / "Grid Nine", "--yes", "--on-existing", "replace", "--json") == 0
    written = {item["path"]: item for item in shell.objects() if item["written"]}
    assert written

    assert shell("history", "--json") == 0
    (run,) = shell.objects()
    assert (run["command"], run["written"], run["undone"]) == ("scan", len(written), 0)
    assert shell("history", "1", "--json") == 0
    assert {item["path"]: item["after"] for item in shell.objects()} == {
        path: item["genres"] for path, item in written.items()
    }
    assert shell("history", "1") == 0
    assert len(shell.out.splitlines()) == len(written)

    assert shell("undo") == 0  # nobody to ask
    assert f"Undo run 1 ({len(written)} files)?" in shell.err
    assert "--yes" in shell.err
    assert shell("undo", "--dry-run") == 0
    assert "dry run" in shell.out
    assert digests(scanned) != before
    assert shell("undo", "--yes") == 0
    assert f"{len(written)} as before, to the byte" in shell.out
    assert digests(scanned) == before
    assert shell("undo") == 3
    assert "There is nothing to undo" in shell.err
    assert shell("history") == 0
    assert "undo of run 1" in shell.out


def test_who_declines_keeps_the_files_as_they_are(scanned: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell("scan", scanned / "Grid Nine", "--yes", "--on-existing", "replace")
    before = digests(scanned)
    monkeypatch.setattr(output, "interactive", lambda: True)
    monkeypatch.setattr("click.confirm", lambda question, default: not default)  # undo proposes to go on
    assert shell("undo") == 0
    assert digests(scanned) == before


def test_a_run_that_is_not_there_is_named(scanned: Path, shell: Shell) -> None:
    shell("scan", scanned / "Grid Nine", "--dry-run")
    assert shell("history", "7") == 3
    assert "There is no run 7" in shell.err


def test_an_undo_that_is_killed_right_after_a_file_leaves_the_library_with_what_the_file_holds(
    scanned: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shell("apply", "--yes", "--json") == 0
    written = {item["path"]: item["before"] for item in shell.objects() if item["written"]}
    confirm = Journal.confirm

    def confirm_and_stop(self: Journal, *arguments: Any) -> None:
        confirm(self, *arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "confirm", confirm_and_stop)
        assert shell("undo", "--yes") == 130
    assert shell("apply", "--dry-run", "--json") == 0
    befores = {item["path"]: item["before"] for item in shell.objects() if item["action"] == "write"}
    (restored,) = befores
    assert befores[restored] == written[restored]
