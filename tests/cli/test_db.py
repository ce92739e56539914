"""`db` and `forget` as a user meets them."""

from __future__ import annotations

from pathlib import Path

from tests.cli.decided_library import DecidedLibrary, Tune
from tests.library import Shell


def test_a_backup_is_written_where_it_is_wanted_and_never_over_a_library(
    library: DecidedLibrary, shell: Shell, tmp_path: Path
) -> None:
    library.add(Tune("a.mp3"))
    assert shell("db", "backup", "--out", tmp_path / "copy.sqlite3", "--json") == 0
    assert shell.objects()[0]["backup"] == str(tmp_path / "copy.sqlite3")
    assert shell("db", "backup", "--out", shell.db) == 2
    assert "belongs to a library database" in shell.err
    assert shell("db", "check") == 0
    assert "sound" in shell.out


def test_only_files_that_are_gone_are_forgotten_and_only_with_a_yes(library: DecidedLibrary, shell: Shell) -> None:
    kept, gone, other = library.add(Tune("a/kept.mp3"), Tune("a/gone.mp3"), Tune("b/gone too.mp3"))
    gone.unlink()
    other.unlink()
    shell("scan", library.folder, "-n", "-j", "1")
    assert shell("forget", gone.parent) == 0
    assert "gone.mp3" in shell.out
    assert "gone too.mp3" not in shell.out
    assert "needs --yes" in shell.err
    assert shell("forget", gone.parent, "-y", "--json") == 0
    assert [one["path"] for one in shell.objects()] == [str(gone)]
    shell("forget", "-n")
    assert "1 file" in shell.out
    shell("forget", "-y")
    assert shell("forget", "-y") == 0
    assert "0 files" in shell.out
    shell("export", "--format", "jsonl")
    assert [one["path"] for one in shell.objects()] == [str(kept)]


def test_without_a_library_there_is_nothing_to_back_up(shell: Shell) -> None:
    assert shell("db", "backup") == 3
    assert shell("forget") == 3
