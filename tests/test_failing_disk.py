"""A disk that is full, read-only or failing under the library: one sentence with a cure, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from music_reclass.cli.main import run
from music_reclass.features import database as module
from music_reclass.features.database import Database, explained
from music_reclass.features.migrations import STEPS
from tests.cli.decided_library import DecidedLibrary, Tune
from tests.library import Shell, digests

CURE = ("free space", "name another", "see whether its disk", "free some space")
TUNES = [Tune(f"{number}.mp3", "Jazz", ("Rock",)) for number in range(2)]


@pytest.fixture
def library(tmp_path: Path, shell: Shell) -> DecidedLibrary:
    """Two files of which each is to get another genre."""
    library = DecidedLibrary(tmp_path / "Music", shell.db)
    library.add(*TUNES)
    Path(f"{shell.db}.fresh.backup").touch()  # the daily backup is not due
    return library


class Failing:
    """SQLite on a disk that fails from the statement of this number on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at, self.met = 1 << 30, 0
        execute = module._Cursor.execute

        def failing(cursor: sqlite3.Cursor, sql: str, parameters: object = ()) -> sqlite3.Cursor:
            self.met += 1
            if self.met >= self.at and not sql.startswith("PRAGMA"):
                raise explained(sqlite3.OperationalError("disk I/O error"), cursor.connection.path)  # type: ignore[attr-defined]
            return execute(cursor, sql, parameters)  # type: ignore[no-any-return]

        monkeypatch.setattr(module._Cursor, "execute", failing)

    def run(self, shell: Shell, *words: str | Path, at: int = 1 << 30) -> int:
        """A command whose statements fail from number `at` on."""
        self.at, self.met = at, 0
        code = shell(*words)
        self.at = 1 << 30
        return code


WRITES = ("apply", "--yes", "--on-existing", "replace")


def test_a_disk_that_fails_at_any_statement_of_a_write_costs_no_byte(
    library: DecidedLibrary, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, disk = digests(library.folder), Failing(monkeypatch)
    assert disk.run(shell, *WRITES) == 0
    count, after = disk.met, digests(library.folder)
    for words in (("undo", "--yes"), WRITES):
        assert disk.run(shell, "undo", "--yes") in (0, 3)
        if words[0] == "undo":
            assert disk.run(shell, *WRITES) == 0
            count = max(count, disk.met)
        for at in range(4, count, max(1, count // 5)):
            assert disk.run(shell, *words, at=at) in (0, 1, 4), at
            if 4 in shell.codes[-1:]:
                assert any(cure in shell.err for cure in CURE), shell.err
            found = digests(library.folder)
            assert all(found[name] in (before[name], after[name]) for name in before), at
            assert found.keys() == before.keys(), "no temporary file is left"
            assert shell("undo", "--yes") in (0, 3)
            assert digests(library.folder) == before, at
            if words[0] == "undo":
                assert shell(*WRITES) == 0
                assert digests(library.folder) == after
        shell("undo", "--yes")
    assert 4 in shell.codes
    assert shell("db", "check") == 0


def test_a_database_that_cannot_grow_costs_no_byte(
    library: DecidedLibrary, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, opened, room = digests(library.folder), Database._open, [0]

    def limited(self: Database, path: Path | str, *more: bool, **words: bool) -> sqlite3.Connection:
        connection = opened(self, path, *more, **words)
        pages = sqlite3.Cursor(connection).execute("PRAGMA page_count").fetchone()[0]
        sqlite3.Cursor(connection).execute(f"PRAGMA max_page_count = {pages + room[0]}")
        return connection

    with closing(sqlite3.connect(shell.db)) as database:  # every row is a page of its own
        database.execute("CREATE TRIGGER wide AFTER INSERT ON change BEGIN UPDATE change SET note = hex(zeroblob(9000)) WHERE id = new.id; END")  # fmt: skip # noqa: E501
    for pages in range(5):
        room[0] = pages
        with monkeypatch.context() as patch:
            patch.setattr(Database, "_open", limited)
            code = shell(*WRITES)
        assert code in (0, 4)
        assert code == 0 or "is full; free space" in shell.err
        assert shell("undo", "--yes") in (0, 3)
        assert digests(library.folder) == before
    assert 4 in shell.codes
    assert 0 in shell.codes


def test_a_log_that_cannot_be_made_is_named_and_nothing_is_written(library: DecidedLibrary, shell: Shell) -> None:
    before = digests(library.folder)
    Path(f"{shell.db}-wal").mkdir()
    for words in (("status",), WRITES):
        assert shell(*words) == 4
        assert "cannot be written" in shell.err or "could not be read" in shell.err
        assert any(cure in shell.err for cure in CURE)
    assert digests(library.folder) == before


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A small disk of its own, mounted anew with other options at each call: a size, or `ro`."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted: list[str] = []

    def mount(options: str) -> Path:
        words = ["mount", "-o", f"remount,{options}", str(place)] if mounted else [
            "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)
        ]  # fmt: skip
        if os.geteuid() or shutil.which("mount") is None or subprocess.run(words, capture_output=True).returncode:
            pytest.skip("no file system may be mounted here")
        mounted.append(options)
        return place

    yield mount
    if mounted:
        subprocess.run(["umount", str(place)], check=True)


def fill(place: Path, leave: int = 0) -> Path:
    """A file that takes all room of a disk but `leave` bytes."""
    file = place / "fill"
    free = shutil.disk_usage(place).free - leave
    file.write_bytes(bytes(max(0, free)))
    return file


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs a command; exit code and messages."""

    def command(*words: str | Path) -> tuple[int, str]:
        capsys.readouterr()
        code = run(list(map(str, words)))
        return code, capsys.readouterr().err

    return command


def moved_to(place: Path, library: DecidedLibrary) -> Path:
    """The library's database on that disk."""
    with closing(sqlite3.connect(library.database)) as source, closing(sqlite3.connect(place / "l.db")) as copy:
        source.backup(copy)
    Path(place / "l.db.fresh.backup").touch()
    return place / "l.db"


def test_a_disk_that_fills_while_files_are_written_costs_no_byte(
    library: DecidedLibrary, disk: Callable[[str], Path], on: Callable[..., tuple[int, str]]
) -> None:
    before, place = digests(library.folder), disk("size=4m")
    db = moved_to(place, library)
    seen = set()
    for leave in (0, 64 << 10, 200 << 10, 400 << 10, 900 << 10):
        filler = fill(place, leave)
        code, said = on(*WRITES, "--db", db)
        seen.add(code)
        assert code in (0, 4)
        assert code == 0 or "is full; free space" in said
        code, said = on("undo", "--yes", "--db", db)  # on the full disk
        assert code in (0, 3) or "is full; free space" in said
        filler.unlink()
        assert on("undo", "--yes", "--db", db)[0] in (0, 3)
        assert digests(library.folder) == before
        assert on("db", "check", "--db", db)[0] == 0
    assert seen == {0, 4}


def test_a_scan_on_a_full_disk_goes_on_when_there_is_room(
    demo_library: Path, disk: Callable[[str], Path], on: Callable[..., tuple[int, str]]
) -> None:
    place, music = disk("size=500k"), demo_library / "Grid Nine"
    words = ("scan", music, "--dry-run", "-q", "-j", "1", "--stages", "1", "--db", place / "l.db")
    code, said = on(*words)
    assert code == 4
    assert "is full; free space" in said
    disk("size=8m")
    assert on(*words)[0] == 0
    assert on("db", "check", "--db", place / "l.db")[0] == 0


def test_a_migration_on_a_full_disk_leaves_the_old_schema(
    disk: Callable[[str], Path], on: Callable[..., tuple[int, str]]
) -> None:
    place = disk("size=4m")
    Database(place / "l.db", steps=STEPS[:-1]).close()
    fill(place, 100 << 10)
    code, said = on("status", "--db", place / "l.db")
    assert code == 4
    assert "free some space" in said or "free space" in said
    (place / "fill").unlink()
    assert not list(place.glob("*.backup"))
    with closing(sqlite3.connect(place / "l.db")) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (len(STEPS) - 1,)
    assert on("status", "--db", place / "l.db")[0] == 0


def test_a_vacuum_for_which_the_room_was_gone_after_all_changes_nothing(
    library: DecidedLibrary,
    disk: Callable[[str], Path],
    on: Callable[..., tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = disk("size=8m")
    db = moved_to(place, library)
    with closing(sqlite3.connect(db)) as database, database:
        database.executemany("INSERT INTO exit_audit (at, result) VALUES (0, ?)", [(f'"{"x" * 30000}"',)] * 100)
    fill(place, 300 << 10)
    assert "takes" in on("db", "vacuum", "--db", db)[1]
    monkeypatch.setattr("music_reclass.features.maintenance._room", lambda path: 1 << 40)
    code, said = on("db", "vacuum", "--db", db)
    assert code == 4
    assert "is full; free space" in said
    (place / "fill").unlink()
    assert on("db", "check", "--db", db)[0] == 0


def test_a_library_on_a_read_only_disk_is_read_and_nothing_is_written(
    library: DecidedLibrary, disk: Callable[[str], Path], on: Callable[..., tuple[int, str]]
) -> None:
    before, place = digests(library.folder), disk("size=4m")
    db = moved_to(place, library)
    disk("ro")
    reading = (("status",), ("report",), ("export", "--format", "jsonl"), ("history",), ("genres", "audit"),
               ("db", "info"), ("db", "check"))  # fmt: skip
    for words in reading:
        assert on(*words, "--db", db)[0] == 0, words
    for words in (WRITES, ("db", "vacuum"), ("db", "relocate", "/a", "/b"), ("relabel",)):
        code, said = on(*words, "--db", db)
        assert code == 4, words
        assert "cannot be written (Read-only file system)" in said
        assert "name another with --db" in said
    assert digests(library.folder) == before


def test_a_read_only_disk_with_an_unread_log_is_refused_and_not_half_read(
    library: DecidedLibrary, disk: Callable[[str], Path], on: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    place = disk("size=4m")
    with closing(sqlite3.connect(library.database)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("UPDATE track SET title = 'new'")
        database.commit()
        for end in ("", "-wal"):
            shutil.copyfile(f"{library.database}{end}", f"{place / 'l.db'}{end}")
    disk("ro")
    code, said = on("status", "--db", place / "l.db")
    assert code == 4
    assert any(cure in said for cure in CURE)
