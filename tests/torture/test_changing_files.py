"""Files that change while they are read, scanned, or between plan and write: theirs is kept, and nothing is made up."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from music_reclass.containers.sniff import payload_digest
from music_reclass.errors import TrackError
from music_reclass.features.database import Database
from music_reclass.features.journal import Journal
from music_reclass.tagging import apply
from music_reclass.tagging.commit import replace_file
from music_reclass.tagging.read import read_tags
from music_reclass.tagging.rewrite import write_tags
from music_reclass.tagging.undo import undo
from tests.library import Shell, digests
from tests.tagging.samples import SUFFIX_OF_KIND, tagged


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more" * 1000)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 3)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def turn(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[::-1])


def swap(path: Path) -> None:
    other = path.with_name("swapped")
    other.write_bytes(b"another file" * 5000)
    os.replace(other, path)


def drop(path: Path) -> None:
    path.unlink()


CHANGES = (grow, cut, empty, turn, swap, drop)


class Changing(io.FileIO):
    """A file that is changed once, when it is read the `at`-th time."""

    at = 0
    change: Callable[[], None] | None = None

    def readinto(self, buffer: bytearray) -> int | None:
        Changing.at -= 1
        if Changing.at == 0 and Changing.change is not None:
            change, Changing.change = Changing.change, None
            change()
        return super().readinto(buffer)


@pytest.fixture
def changing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, Callable[[], None]], None]]:
    """Arms the change of a file at its n-th read from now on."""
    real = Path.open

    def opened(path: Path, mode: str = "r", buffering: int = -1, **more: str) -> object:
        if mode != "rb":
            return real(path, mode, buffering, **more)  # type: ignore[arg-type]
        return io.BufferedReader(Changing(path), 4096)

    def arm(at: int, change: Callable[[], None]) -> None:
        Changing.at, Changing.change = at, change

    monkeypatch.setattr(Path, "open", opened)
    yield arm
    Changing.change = None


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["mp3 v2.3", "flac", "vorbis", "aac", "wav info"])
def test_a_file_that_changes_while_it_is_read_is_a_typed_failure_or_read(
    kind: str, change: Callable[[Path], None], changing: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / f"tune{SUFFIX_OF_KIND[kind]}"
    for work in (payload_digest, read_tags):
        for at in (1, 2, 3, 5, 8):
            path.write_bytes(tagged(kind))
            changing(at, lambda: change(path))
            with suppress(TrackError):
                work(path)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["mp3 v2.3", "vorbis", "aac tight"])
def test_a_file_that_changes_while_it_is_written_is_left_to_who_changed_it(
    kind: str, change: Callable[[Path], None], changing: Callable[..., None], tmp_path: Path
) -> None:
    journal = Journal(Database(tmp_path / "data" / "library.sqlite3"))
    journal.database.connection.execute("PRAGMA synchronous = OFF")
    folder = tmp_path / "music"
    folder.mkdir()
    path, old = folder / f"tune{SUFFIX_OF_KIND[kind]}", tagged(kind)
    for at in (*range(1, 30, 3), 40, 60):
        path.write_bytes(old)
        change(path)
        theirs = path.read_bytes() if path.exists() else None
        path.write_bytes(old)
        run = journal.begin_run("apply", {})
        changing(at, lambda: change(path))
        try:
            replace_file(journal, run, path, write_tags(["Rock"], "Punk"))
        except TrackError:
            assert (path.read_bytes() if path.exists() else None) == theirs, at
        else:
            if Changing.change is None:  # it was changed behind the last look, in a folder that nobody else may write
                assert change is not drop or path.exists()
            undo(journal, run)
        assert not [name for name in os.listdir(folder) if name.startswith(".reclass")], at
        assert not list(journal.open_changes()), at
    journal.database.close()


@pytest.mark.parametrize("change", CHANGES)
def test_files_that_change_between_plan_and_write_are_named_and_the_rest_is_written(
    change: Callable[[Path], None], scanned: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shell("apply", "-n", "--json", "--on-existing", "replace") == 0
    wanted = [Path(item["path"]) for item in shell.objects() if item["action"] == "write"]
    victim = wanted[1]
    before = digests(scanned)
    writer = apply.track_writer

    def changed_first(*arguments: object) -> object:
        change(victim)
        return writer(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(apply, "track_writer", changed_first)
    assert shell("apply", "--yes", "--json", "--on-existing", "replace") == 1
    assert {Path(item["path"]) for item in shell.objects() if item["written"]} == {*wanted} - {victim}
    monkeypatch.undo()
    theirs = victim.read_bytes() if victim.exists() else None
    assert shell("undo", "--yes") == 0
    assert (victim.read_bytes() if victim.exists() else None) == theirs
    name = str(victim.relative_to(scanned))
    assert {key: value for key, value in digests(scanned).items() if key != name} == {
        key: value for key, value in before.items() if key != name
    }


def test_a_folder_that_goes_away_between_plan_and_write_loses_nothing(
    scanned: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = digests(scanned)
    writer = apply.track_writer

    def gone(*arguments: object) -> object:
        shutil.move(scanned / "Ida Quill", tmp_path / "elsewhere")
        return writer(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(apply, "track_writer", gone)
    assert shell("apply", "--yes", "--on-existing", "replace") == 1
    monkeypatch.undo()
    shutil.move(tmp_path / "elsewhere", scanned / "Ida Quill")
    assert shell("undo", "--yes") == 0
    assert digests(scanned) == before
