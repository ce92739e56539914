"""`db` and `forget` as a user meets them."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from music_reclass.features.database import writing_lease
from tests.cli.decided_library import DecidedLibrary, Tune
from tests.library import Shell, digests


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


def test_what_fills_the_library_is_shown_and_given_to_programs(library: DecidedLibrary, shell: Shell) -> None:
    library.add(Tune("a.mp3"), Tune("b.mp3"))
    assert shell("db", "info") == 0
    assert "fma518/1/mid30" in shell.out
    assert "by no command that writes" in shell.out
    assert shell("db", "info", "--json") == 0
    (found,) = shell.objects()
    assert found["tables"]["track"]["rows"] == 2
    assert found["database"] == str(shell.db)
    with writing_lease(shell.db, "scan"):
        assert shell("db", "info") == 0
    assert "reclass scan (process" in shell.out


def test_a_broken_rule_is_told_with_its_cure(library: DecidedLibrary, shell: Shell) -> None:
    library.add(Tune("a.mp3"))
    with closing(sqlite3.connect(shell.db)) as database:
        database.execute("INSERT INTO failure VALUES (1, 'failed', 'io', '', 0)")
        database.commit()
    assert shell("db", "check") == 4
    assert "1 tracks that failed and have a decision; scan the music again" in shell.out
    assert shell("db", "check", "--json") == 4
    (found,) = shell.objects()
    assert not found["sound"]
    assert found["damage"] == ""
    assert found["findings"][0]["count"] == 1


def test_unused_space_is_given_back(library: DecidedLibrary, shell: Shell) -> None:
    assert shell("db", "vacuum") == 3
    library.add(Tune("a.mp3"))
    with closing(sqlite3.connect(shell.db)) as database:
        database.execute("CREATE TABLE more (x)")
        database.execute("INSERT INTO more VALUES (zeroblob(2000000))")
        database.commit()
        database.execute("DROP TABLE more")
    assert shell("db", "vacuum", "--json") == 0
    (found,) = shell.objects()
    assert found["before"] - found["after"] > 1_900_000
    assert shell("db", "vacuum") == 0
    assert "given back" in shell.out
    assert shell("db", "check") == 0


def test_music_that_was_moved_is_found_there_and_every_byte_comes_back(
    library: DecidedLibrary, shell: Shell, tmp_path: Path
) -> None:
    library.add(Tune("rock/a.mp3", "Jazz", ("Rock",)), Tune("b.mp3", "Jazz", ("Rock",)))
    before = digests(library.folder)
    assert shell("apply", "--yes", "--on-existing", "replace") == 0
    assert digests(library.folder) != before
    new = tmp_path / "disk" / "Music"
    new.parent.mkdir()
    library.folder.rename(new)
    assert shell("db", "relocate", library.folder, new, "--dry-run", "--json") == 0
    (plan,) = shell.objects()
    assert (plan["tracks"], plan["changes"], plan["present"], plan["absent"]) == (2, 2, 2, 0)
    assert plan["relocated"] is False
    assert shell("db", "relocate", library.folder, new) == 0
    assert "needs --yes" in shell.err
    assert shell("db", "relocate", library.folder, new, "--yes") == 0
    assert "2 tracks" in shell.out
    assert shell("export", "--format", "jsonl") == 0
    assert {one["path"] for one in shell.objects()} == {str(new / "rock/a.mp3"), str(new / "b.mp3")}
    assert shell("undo", "--yes") == 0
    assert digests(new) == before


def test_nothing_is_relocated_to_where_no_file_is_unless_that_is_meant(
    library: DecidedLibrary, shell: Shell, tmp_path: Path
) -> None:
    (path,) = library.add(Tune("a.mp3"))
    nowhere = tmp_path / "not mounted"
    assert shell("db", "relocate", path.parent, nowhere, "--yes") == 3
    assert "whether the disk is mounted" in shell.err
    assert shell("db", "relocate", path.parent, nowhere, "--yes", "--unseen", "--json") == 0
    assert shell.objects()[0]["relocated"] is True
    assert shell("db", "relocate", nowhere, nowhere) == 3
    assert shell("db", "relocate", nowhere, path.parent, "--yes") == 0
    shell("export", "--format", "jsonl")
    assert shell.objects()[0]["path"] == str(path)


def test_a_name_that_is_no_utf8_is_relocated_and_shown(library: DecidedLibrary, shell: Shell, tmp_path: Path) -> None:
    (path,) = library.add(Tune("a/" + os.fsdecode(b"caf\xe9.mp3")))
    target = tmp_path / "b"
    path.parent.rename(target)
    assert shell("db", "relocate", path.parent, target, "--yes") == 0
    assert "caf\\xe9.mp3" in shell.out or "caf\\udce9.mp3" in shell.out
    shell("export", "--format", "jsonl")
    assert shell.objects()[0]["path"] == str(target / path.name)
